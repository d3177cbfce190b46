"""The audit trail: entries of operations, the sealing of the chain, and its way to receivers."""
