"""Namespaces that a test makes by `unshare`."""

from __future__ import annotations

import subprocess

import pytest


def skip_unless_unshared(*options: str) -> None:
    """Skip where this machine, or this user of it, may not make these namespaces."""
    tried = subprocess.run(["unshare", *options, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"this machine refuses `unshare {' '.join(options)}`")
