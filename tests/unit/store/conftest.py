"""Fixtures of the store's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from codewords_mcp.runtime.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An SQLite store in a home of its own."""
    opened = Database.open(tmp_path)
    yield opened
    opened.close()
