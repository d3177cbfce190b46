"""Process 1 of a machine of the loopback E2B, under this process's own Python. Standard library only."""
