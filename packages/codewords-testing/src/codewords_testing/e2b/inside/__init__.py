"""What runs in a machine of the loopback E2B: its process 1, under this process's own Python. Standard library only."""
