"""`codewords dev`: serves files of workflows while they are edited."""
