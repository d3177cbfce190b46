"""The audit trail: entries of operations, and the sealing of the chain."""
