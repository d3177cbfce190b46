"""Databases that have their tables: making these takes longer than most tests that only need them."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from codewords_mcp.runtime.store import local_file
from codewords_mcp.runtime.store.database import Database


def open_database(home: Path, url: str | None = None) -> Database:
    """The database of a home. Where `url` names none and the home is new, it begins as a copy of a migrated file."""
    file = home / local_file.NAME
    if url is None and not file.exists():
        home.mkdir(mode=local_file.PRIVATE_FOLDER, parents=True, exist_ok=True)
        file.touch(local_file.PRIVATE_FILE)
        file.write_bytes(migrated_file())
    return Database.open(home, url)


@functools.cache
def migrated_file() -> bytes:
    """The content of a SQLite file with all tables, as a first start leaves it in any home."""
    with tempfile.TemporaryDirectory(prefix="codewords-database-") as folder:
        Database.open(Path(folder)).close()
        return (Path(folder) / local_file.NAME).read_bytes()
