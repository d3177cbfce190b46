"""Changes of files, by looking at them often.

Editors save in many ways: in place, by a new file that is renamed, in several writes. What counts is the content that
a file has once it is quiet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

from codewords_mcp.cli._code_file import read_code

INTERVAL: Final = 0.05
"""Seconds between two looks. Requests look themselves, so it is only the delay of what a save prints."""
QUIET_S: Final = 0.01
"""Seconds since its last change after which a file is taken to be written."""
_PIECE_S: Final = 0.002
_PATIENCE_S: Final = 0.5
"""Seconds that a file may be missing or go on changing before it is taken as it is."""

Stamp = tuple[int, int, int]
"""Time of the last change in ns, size in bytes, inode."""


def stamp(path: Path) -> Stamp | None:
    """The state of a file by which a change shows; None where it is missing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


async def wait_until_quiet(paths: Iterable[Path]) -> None:
    """Wait until none of these files was changed just now, or for as long as one is given."""
    give_up = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up:
        if not any((found := stamp(path)) and _is_fresh(found) for path in paths):
            return
        await asyncio.sleep(_PIECE_S)


async def read_quiet(path: Path) -> str:
    """The text of a file once nobody writes it. Raises InvalidInput where it is missing or no text."""
    give_up = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up:
        before = stamp(path)
        # A file that is replaced is missing for a moment; one that is written in place is empty for a moment.
        if before is None or not before[1] or _is_fresh(before):
            await asyncio.sleep(_PIECE_S)
            continue
        text = read_code(str(path))
        if stamp(path) == before:
            return text
    return read_code(str(path))


def _is_fresh(found: Stamp) -> bool:
    # Without `abs` a file whose time is ahead of this clock would never be quiet.
    return abs(time.time_ns() - found[0]) < QUIET_S * 1e9


def workflow_files(folder: Path) -> list[Path]:
    """The workflows of a folder: those that its `codewords.toml` lists, else the Python files with a workflow's header.

    Raises InvalidInput for a `codewords.toml` that cannot be read.
    """
    listed = _listed(folder / "codewords.toml")
    if listed is not None:
        return [folder / name for name in listed]
    return [path for path in sorted(folder.glob("*.py")) if _has_header(path)]


def _listed(project: Path) -> list[str] | None:
    import tomllib

    from codewords_mcp.errors import InvalidInput

    try:
        found = tomllib.loads(project.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{project.name} cannot be read: {error}.", hint="Correct that line, then start again."
        ) from error
    entries: Any = found.get("workflow")
    if not isinstance(entries, list):
        return None
    tables = [
        cast("dict[str, Any]", entry) for entry in cast("list[Any]", entries) if isinstance(entry, dict)
    ]
    return [str(table["file"]) for table in tables if "file" in table]


def _has_header(path: Path) -> bool:
    try:
        return b"# /// script" in path.read_bytes()
    except OSError:
        return False
