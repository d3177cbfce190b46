"""Writes this server into the configuration of a chat host, shows what changes, and takes it out again."""
