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
from codewords_mcp.runtime.model.modules import module_text, split_modules

_NOTES = FileNotes("pushed_files.json")
_MODULES = FileNotes("pushed_modules.json")
_GIT_TIMEOUT = 20


@dataclass(frozen=True, slots=True)
class PushedVersion:
    """The version that a file was last pushed as or pulled from.

    `digest` is the SHA-256 of its code with its shared modules, `file_digest` that of the file itself.
    """

    workflow: str
    version: int
    digest: str
    file_digest: str


def last_pushed(file: Path) -> PushedVersion | None:
    """The note on a file, for the runtime that commands talk to now."""
    found = _NOTES.get(file)
    if not isinstance(found, dict):
        return None
    record = cast("dict[str, Any]", found)
    try:
        digest = str(record["digest"])
        file_digest = str(record.get("file_digest", digest))
        return PushedVersion(str(record["workflow"]), int(record["version"]), digest, file_digest)
    except (KeyError, TypeError, ValueError):
        return None


def note_pushed(file: Path, workflow: str, version: int, code: str) -> None:
    """Note that a file's text, with its shared modules, is this version."""
    program, modules = split_modules(code)
    note = {"workflow": workflow, "version": version, "digest": digest_of(code)}
    if modules:
        note["file_digest"] = digest_of(program)
    _NOTES.put(file, note)
    for module in modules:
        note_module(file.parent / module.path, module.text)
    remember(str(file), workflow)


def note_module(file: Path, text: str) -> None:
    """Note that this text of a shared module is part of a live version."""
    _MODULES.put(file, {"digest": digest_of(text)})


def is_pushed_module(file: Path, text: str) -> bool:
    """Whether this is the text of a shared module that was pushed or pulled last."""
    return _MODULES.get(file) == {"digest": digest_of(text)}


def digest_of(code: str) -> str:
    """The digest by which two texts of a file are the same."""
    return hashlib.sha256(code.encode()).hexdigest()


def was_in_history(file: Path, code: str) -> bool:
    """Whether git has a workflow's text, and that of each of its shared modules, as earlier ones of their files."""
    program, modules = split_modules(code)
    pieces = [(file, program), *((file.parent / module.path, module.text) for module in modules)]
    # One that is as it is now needs no history: a new file may not be committed yet.
    return all(in_history(path, text) or _is_text(path, text) for path, text in pieces)


def _is_text(file: Path, text: str) -> bool:
    try:
        return module_text(file.read_text(encoding="utf-8-sig")) == module_text(text)
    except (OSError, UnicodeDecodeError):
        return False


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
