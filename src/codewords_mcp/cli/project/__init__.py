"""A folder as a project: its file, what is live of it, the difference, and the ways to push and to pull it."""
