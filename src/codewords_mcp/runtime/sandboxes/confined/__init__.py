"""What the tiers without namespaces share: a program on the host's own system, confined, with a warden beside it."""
