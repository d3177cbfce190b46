"""Fork servers: sandboxes forked from an interpreter that has the environment imported, and pools of prepared ones."""
