"""Sandboxes: the protocol (`base`), its drivers (`drivers`), and the HTTP client of programs (`http1`)."""
