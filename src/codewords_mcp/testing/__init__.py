"""Conformance suites for authors of drivers: `testing.sandboxes`. Stand-ins for accounts are in `codewords-testing`."""
