"""One driver's folder below the run folder, and what earlier runtimes left there.

<run_dir>/<instance>/lock       held by the living driver; the janitor removes instances whose lock is free
                     cgroups    folders of the driver's slice, one a line
                     <n>/       one sandbox: app, tmp, root (a mount point), sock
<run_dir>/removed-*             what is being removed
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import structlog

from codewords_mcp.runtime.model.disk_errors import deleted_folder
from codewords_mcp.runtime.sandboxes.host import cgroups, files

# Seconds that a driver's end waits for files to be removed.
_REMOVAL_TIMEOUT = 2.0
# sun_path holds 108 bytes; some kernels and libraries count a terminator, some two.
_MAX_SOCKET_PATH = 100

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Folders:
    """One sandbox's folders on the host."""

    top: Path
    app: Path
    tmp: Path
    root: Path
    socket: str

    def make(self, uid: int | None, *, forked: bool = False) -> None:
        """Make them; `app` and `tmp` belong to the program. Raises OSError, StorageFailed if the folder above is gone."""
        # A forked one has no root of its own. A fork server is no more than any user and mounts the
        # folders: it may pass through `top`, not list it.
        for folder in (self.top, self.app, self.tmp) if forked else (self.top, self.app, self.tmp, self.root):
            try:
                folder.mkdir(mode=0o700)
            except FileNotFoundError as error:
                raise deleted_folder(folder.parent) from error
        if uid is not None:
            for folder in (self.app, self.tmp):
                os.chown(folder, uid, uid)
            if forked:
                self.top.chmod(0o711)


class DriverFolder:
    """A living driver's folder."""

    def __init__(self, run_dir: Path) -> None:
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.path = run_dir / self.name

        with _exclusive(run_dir):
            self.path.mkdir(mode=0o700)
            # Locked before another driver's janitor can look: it takes the run folder's lock too.
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

        self._folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._count = 0
        self.remover = files.Remover()
        self.tier_path = run_dir / "tier.json"

    def record(self, slice_: cgroups.Slice) -> None:
        """Note a slice's folders before they are made, for the start after one that is killed."""
        # Appended: each candidate of the search is recorded.
        with (self.path / "cgroups").open("a", encoding="utf-8") as file:
            file.writelines(f"{folder}\n" for folder in slice_.folders.values())

    def next_folders(self, parent: Path | None = None) -> Folders:
        """Names for another sandbox; neutral, since the kernel shows them inside (/proc/self/mountinfo).

        `parent` is a fork server's folder of sandboxes.
        """
        self._count += 1
        top = (parent or self.path) / f"{self._count:x}"
        socket = str(top / "sock")

        if len(os.fsencode(socket)) > _MAX_SOCKET_PATH:
            # The same file by a short name, for this process only.
            socket = f"/proc/self/fd/{self._folder}/{top.relative_to(self.path)}/sock"

        return Folders(top, top / "app", top / "tmp", top / "root", socket)

    def discard(self, folders: Folders) -> None:
        """Remove a sandbox's folders, or put them away where its program left files: these are removed soon.

        Raises OSError.
        """
        if files.remove_unused(folders.top, folders.app, folders.tmp):
            return
        away = self.path / f"removed-{folders.top.name}"
        try:
            # Renamed first: the name is free at once, and a start is not held up by removal.
            folders.top.rename(away)
        except FileNotFoundError:
            return
        self.remover.remove(away)

    def close(self) -> None:
        """Remove the folder, unless that takes long or cgroups stay that it records, and let the lock go."""
        with contextlib.suppress(OSError):
            # Records of groups that stay are needed by the next start.
            if not _recorded(self.path):
                self.remover.remove(self.path.rename(self.path.with_name(f"removed-{self.name}")))
        self.remover.close(_REMOVAL_TIMEOUT)
        # The lock last: a janitor must not remove what this driver still removes.
        os.close(self._folder)
        os.close(self._lock)


@contextlib.contextmanager
def _exclusive(run_dir: Path) -> Generator[None, None, None]:
    """No instance is made while a janitor looks."""
    fd = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def clean(run_dir: Path, remover: files.Remover) -> None:
    """Remove the instances of runtimes that are gone: their cgroups now, their files soon. Never raises."""
    # Absent at the first start.
    with contextlib.suppress(FileNotFoundError), _exclusive(run_dir):
        for path in [entry for entry in run_dir.iterdir() if entry.is_dir()]:
            try:
                _remove_if_dead(path, remover)
            except OSError as error:
                logger.warning(
                    "sandbox folder of an earlier runtime not removed", path=str(path), error=str(error)
                )


def _remove_if_dead(path: Path, remover: files.Remover) -> None:
    # What an earlier end did not finish.
    if path.name.startswith("removed-"):
        remover.remove(path)
        return

    try:
        lock = os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # Not a driver's.
        return

    try:
        # A free lock means that its process is gone: the kernel lets it go with the process.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return

    try:
        stay = [folder for folder in _recorded(path) if not cgroups.remove_slice(folder)]
        if stay:
            # Processes that die slowly; the record stays with them, for the next start.
            logger.warning(
                "sandbox cgroups of an earlier runtime not removed", folders=[str(folder) for folder in stay]
            )
        else:
            remover.remove(path.rename(path.with_name(f"removed-{path.name}")))
    finally:
        os.close(lock)


def _recorded(path: Path) -> list[Path]:
    """The slices of this instance that exist."""
    with contextlib.suppress(FileNotFoundError):
        lines = (path / "cgroups").read_text(encoding="utf-8").splitlines()
        return [folder for line in dict.fromkeys(lines) if (folder := Path(line)).exists()]
    return []
