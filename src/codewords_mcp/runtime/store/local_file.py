"""The SQLite file of a home: readable by its owner only, and verified while it is open.

SQLite gives the WAL and its index the permissions of the database, so the file is made before
SQLite opens it. A file that was deleted or replaced under an open connection still takes writes
that no later process reads. So each write first compares the path with the file that was opened.
"""

from __future__ import annotations

import os
from pathlib import Path

from codewords_mcp.errors import StorageFailed
from codewords_mcp.errors.remedies import Remedy, RemedyAction

NAME = "codewords.db"
SIDE_FILES = ("-wal", "-shm", "-journal")
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


def make_private_home(home: Path) -> None:
    """Make the home and its folder of logs, or restrict existing ones to their owner.

    Raises OSError.

    A folder of another owner (a mounted volume) is left unchanged; `doctor` reports it.
    """
    for folder in (home, home / "logs"):
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        _restrict(folder, PRIVATE_FOLDER)

    if (home / "files").is_dir():
        _restrict(home / "files", PRIVATE_FOLDER)
    for log_file in (home / "logs").glob("*.log*"):
        restrict_file(log_file)


def prepare(path: Path) -> None:
    """Make the database file, or restrict an existing one with its WAL. Raises OSError."""
    # Made with its permissions at once: between a creation and a chmod another user could open
    # it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE))
    for name in (path.name, *(path.name + side for side in SIDE_FILES)):
        restrict_file(path.with_name(name))


def restrict_file(path: Path) -> None:
    """Restrict an existing file to its owner, if that is the current user."""
    if path.is_file():
        _restrict(path, PRIVATE_FILE)


def exposed(home: Path) -> list[Path]:
    """Folders and files of a home that other users of this machine can read or write."""
    logs = home / "logs"
    files = [home / f"{NAME}{side}" for side in ("", *SIDE_FILES)]
    found = [home, logs, home / "files", *files, *sorted(logs.glob("*.log*"))]
    return [path for path in found if path.exists() and path.stat().st_mode & 0o077]


def _restrict(path: Path, mode: int) -> None:
    found = path.stat()
    # Another owner's folder can't be changed, and asking would fail.
    if found.st_mode & 0o077 and found.st_uid == os.geteuid():
        path.chmod(mode)


class OpenFile:
    """The identity of an open database file: its `path`, device and inode."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = path.stat()
        self._identity = (found.st_dev, found.st_ino)

    @property
    def is_there(self) -> bool:
        """Whether the path still leads to the file that was opened."""
        try:
            found = os.stat(self.path)  # noqa: PTH116  # before each write: a microsecond less
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def require(self) -> None:
        """Raises StorageFailed where the file was deleted or replaced."""
        if not self.is_there:
            raise StorageFailed(
                f"The database file {self.path} was deleted or replaced while the runtime had it open; nothing is "
                "written any more.",
                hint="Then put the file back or restore a backup, and start it again.",
                remedy=Remedy(RemedyAction.STOP_RUNTIME),
            )
