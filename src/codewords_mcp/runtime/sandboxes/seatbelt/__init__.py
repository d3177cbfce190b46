"""Tier M: sandboxes on macOS, by a Seatbelt profile made for each of them and the system's own `sandbox-exec`."""
