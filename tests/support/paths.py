"""Folders that tests refer to."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SHARED = PROJECT.parent / "shared"
"""Documents that are kept beside a checkout; a test that needs them skips without."""
