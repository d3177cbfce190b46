"""Alerts of failures that nobody waits for: who is told of what, once, and when it is over."""
