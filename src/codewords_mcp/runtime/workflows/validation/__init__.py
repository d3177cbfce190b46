"""Checks of a workflow's code, from what costs microseconds to starting it in a sandbox."""
