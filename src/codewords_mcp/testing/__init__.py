"""Suites that hold an implementation to a protocol of this package, for whoever writes one: `testing.sandboxes`."""
