"""What runs in a sandbox's own processes. Standard library, and `local.inside`, only."""
