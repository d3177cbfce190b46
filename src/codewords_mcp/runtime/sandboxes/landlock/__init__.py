"""Tier C: sandboxes without namespaces, by Landlock, a system call filter and a warden that answers for the network."""
