"""Notes on files of a person's projects, kept in the home, for each runtime its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, cast

from codewords_mcp.cli._connect import remote_endpoint
from codewords_mcp.stdio import home

MOST: Final = 1000
"""Files of one runtime that are noted; those noted longest ago are forgotten first."""


class FileNotes:
    """One note a file, as JSON, on the runtime that commands talk to now. `name`: of the home's file that holds them.

    A home that can't be written keeps no notes, which only means a question more later.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def get(self, file: Path) -> object:
        """The note on a file; None without one."""
        return self.all().get(_key(file))

    def all(self) -> dict[str, Any]:
        """All notes by the files' paths, the newest last."""
        return self._read().get(runtime_name(), {})

    def put(self, file: Path, note: Any) -> None:
        """Note something of a file, in place of what was noted."""
        known = self._read()
        files = known.setdefault(runtime_name(), {})
        # Removed first, so that it becomes the newest: dictionaries keep the order of insertion.
        files.pop(_key(file), None)
        files[_key(file)] = note
        while len(files) > MOST:
            del files[next(iter(files))]
        self._write(known)

    def remove(self, file: Path) -> None:
        """Forget a file."""
        known = self._read()
        if known.get(runtime_name(), {}).pop(_key(file), None) is not None:
            self._write(known)

    @property
    def _path(self) -> Path:
        return Path(home.home_folder()) / self._name

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found: Any = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict):
            return {}
        runtimes = cast("dict[str, Any]", found)
        return {
            name: cast("dict[str, Any]", files) for name, files in runtimes.items() if isinstance(files, dict)
        }

    def _write(self, known: dict[str, dict[str, Any]]) -> None:
        path = self._path
        temporary = path.with_suffix(".new")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
            # The list tells on which projects a person works.
            temporary.chmod(0o600)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)


def runtime_name() -> str:
    """The remote runtime's address, or the home itself, whose port may change."""
    remote = remote_endpoint()
    return remote.url if remote is not None else "home"


def _key(file: Path) -> str:
    # The same file by another path is the same workflow.
    return str(file.resolve())
