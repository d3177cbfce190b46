"""Tier C: sandboxes without namespaces, by Landlock, a system call filter and a supervisor that answers for the network."""
