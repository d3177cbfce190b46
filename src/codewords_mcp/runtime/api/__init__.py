"""The runtime API: everything that front doors may call, by subject."""
