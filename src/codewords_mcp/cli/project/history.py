"""Earlier texts of a file that were live: noted at each push and pull, and found in the history of git.

A live version that is neither was made by somebody else, so that a push would undo their change.
"""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from codewords_mcp.cli._file_notes import FileNotes
from codewords_mcp.cli._sources import remember

_NOTES = FileNotes("pushed_files.json")
_GIT_TIMEOUT = 20


@dataclass(frozen=True, slots=True)
class PushedVersion:
    """The version that a file was last pushed as or pulled from; `digest` is the SHA-256 of its text."""

    workflow: str
    version: int
    digest: str


def last_pushed(file: Path) -> PushedVersion | None:
    """The note on a file, for the runtime that commands talk to now."""
    found = _NOTES.get(file)
    if not isinstance(found, dict):
        return None
    record = cast("dict[str, Any]", found)
    try:
        return PushedVersion(str(record["workflow"]), int(record["version"]), str(record["digest"]))
    except (KeyError, TypeError, ValueError):
        return None


def note_pushed(file: Path, workflow: str, version: int, code: str) -> None:
    """Note that a file's text is this version."""
    _NOTES.put(file, {"workflow": workflow, "version": version, "digest": digest_of(code)})
    remember(str(file), workflow)


def digest_of(code: str) -> str:
    """The digest by which two texts of a file are the same."""
    return hashlib.sha256(code.encode()).hexdigest()


def in_history(file: Path, code: str) -> bool:
    """Whether git has this text as an earlier one of the file in the history of what is checked out.

    False without git, outside of a repository, and where a shallow clone lacks that part of the history.
    """
    data = code.encode()
    # The id of a blob, as `git hash-object` makes it.
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    # `--find-object` finds the commits that added or removed just this text, and reads no other.
    command = ["git", "log", "--max-count=1", "--format=%H", f"--find-object={blob}", "HEAD", "--", file.name]
    try:
        done = subprocess.run(
            command, cwd=file.parent, capture_output=True, text=True, encoding="utf-8", check=False,
            timeout=_GIT_TIMEOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())
