"""Recording and replay of what a run sends and receives."""
