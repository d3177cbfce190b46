"""The database, its tables by subject, and files."""
