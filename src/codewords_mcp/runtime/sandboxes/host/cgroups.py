"""Limits that the kernel holds exactly, where this process may make cgroups: v2 (delegated or root) or v1 (root).

A *slice* is one driver's parent group; each sandbox gets a group below it. Detection is by trying: a group is made, a
limit written, a process moved. Nothing here raises to a run: without cgroups the limits are best effort (tier B).
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from codewords_mcp.runtime.sandboxes.base import Limits

_NEEDED = ("memory", "pids")
_REMOVE_SECONDS = 5.0
_CPU_PERIOD_US = 100_000
"""The kernel's own period for limits of processors' time."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted hierarchy: its folder, the path in it that is mounted, its controllers (empty for v2)."""

    folder: Path
    root: str
    controllers: frozenset[str]


@dataclass(frozen=True, slots=True)
class GroupUsage:
    """The counters of a group. None where its controller is missing."""

    cpu_seconds: float | None
    peak_memory: int | None
    oom_kills: int


class Group:
    """One sandbox's cgroup: a folder in v2, one a controller in v1."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders
        self._limited: dict[str, list[tuple[str, str, bool]]] = {}

    def entrances(self) -> list[FileIO]:
        """Files by which a process of one thread moves itself in, by writing 0, whoever it is. Raises OSError."""
        # A thread that moves itself waits for nobody in v1. To move a process, or by its number, takes a lock of the
        # kernel that waits for a grace period: 5 to 20 ms (`cgroup_procs_write_start` in Linux).
        name = "cgroup.procs" if "unified" in self._folders else "tasks"
        # One folder may serve several controllers in v1 (cpu,cpuacct), so each is entered once.
        return [FileIO(f"{folder}/{name}", "wb") for folder in dict.fromkeys(self._folders.values())]

    @property
    def folder(self) -> Path | None:
        """Its folder in v2, into which a process can be forked (`inside.group_fork`); None in v1."""
        return self._folders.get("unified")

    def let_in(self, user: int) -> None:
        """Let processes of a host user fork into it, as those of the slice's groups. Only in v2. Raises OSError."""
        # The kernel asks the forking process for the right that a move by this file takes.
        os.chown(f"{self._folders['unified']}/cgroup.procs", user, -1)

    def limit(self, limits: Limits) -> None:
        """Set its limits, writing those of controllers for which they differ from the last ones. Raises OSError."""
        for controller, folder in self._folders.items():
            settings = list(_settings(controller, limits))
            if self._limited.get(controller) == settings:
                continue
            # What the kernel was built without (swap accounting) is missing here, and no error.
            for file, value, required in settings:
                try:
                    _write(f"{folder}/{file}", value)
                except OSError:
                    if required:
                        raise
            self._limited[controller] = settings

    def kill(self) -> None:
        """SIGKILL everything in it, including what was forked meanwhile (the pid limit ends that race)."""
        for folder in dict.fromkeys(self._folders.values()):
            with contextlib.suppress(OSError):
                (folder / "cgroup.kill").write_text("1", encoding="utf-8")
                continue
            # Before Linux 5.14, and in v1, there is no cgroup.kill: process by process.
            with contextlib.suppress(OSError):
                for line in (folder / "cgroup.procs").read_text(encoding="utf-8").split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(line), signal.SIGKILL)

    def usage(self) -> GroupUsage:
        """Counters so far; zeros and None once removed."""
        v2 = "unified" in self._folders
        memory = self._folders.get("unified") or self._folders.get("memory")
        # The peak is missing before Linux 5.19 (v2).
        peak = _number(memory, "memory.peak" if v2 else "memory.max_usage_in_bytes")
        events = _fields(memory, "memory.events" if v2 else "memory.oom_control")
        return GroupUsage(self._cpu_seconds(), peak, events.get("oom_kill", 0))

    def _cpu_seconds(self) -> float | None:
        if "unified" in self._folders:
            used = _fields(self._folders["unified"], "cpu.stat").get("usage_usec")
            if used is None:
                return None
            return used / 1e6
        used = _number(self._folders.get("cpuacct"), "cpuacct.usage")
        if used is None:
            return None
        return used / 1e9

    def remove(self) -> bool:
        """Remove the group, waiting up to 5 s for its last processes to go. False if it stays."""
        return not [folder for folder in self._folders.values() if not _remove(folder)]


@contextlib.contextmanager
def entrances(group: Group | None) -> Generator[list[int]]:
    """Descriptors of the group's entrances, open while the block runs; none without a group. Raises OSError."""
    with contextlib.ExitStack() as stack:
        files = group.entrances() if group is not None else []
        yield [stack.enter_context(file).fileno() for file in files]


class Slice:
    """The parent of a driver's groups. `folders` is by controller in v1, {"unified": …} in v2."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self.folders = folders
        self.version = 2 if "unified" in folders else 1

    def create(self, name: str, limits: Limits) -> Group:
        """A group with limits. Raises OSError."""
        group = Group({controller: folder / name for controller, folder in self.folders.items()})
        for folder in self.folders.values():
            (folder / name).mkdir(exist_ok=True)
        group.limit(limits)
        return group

    def remove(self) -> bool:
        """Remove the slice and what is left below it. False if something stays."""
        return not [folder for folder in self.folders.values() if not remove_slice(folder)]


def remove_slice(folder: Path) -> bool:
    """Kill and remove every group below `folder`, and itself. False if something stays. Never raises."""
    # The slice has groups of one driver, whose names are not known after a crash.
    with contextlib.suppress(OSError):
        for child in [entry for entry in folder.iterdir() if entry.is_dir()]:
            group = Group({"any": child})
            group.kill()
            group.remove()
    return _remove(folder)


def _settings(controller: str, limits: Limits) -> Iterator[tuple[str, str, bool]]:
    """(file, value, required): one more process for process 1; no swap, where the kernel counts it."""
    memory, processes = str(limits.memory), str(limits.processes + 1)
    if controller == "unified":
        yield "memory.max", memory, True
        # A swapped program would be slow for minutes instead of ending.
        yield "memory.swap.max", "0", False
        # The kernel ends the whole group: a program that lost one process would hang.
        yield "memory.oom.group", "1", False
        yield "pids.max", processes, True
        # Half of the default: the runtime and the machine come before workflows.
        yield "cpu.weight", "50", False
        if limits.processors is not None:
            yield "cpu.max", f"{int(limits.processors * _CPU_PERIOD_US)} {_CPU_PERIOD_US}", False
    elif controller == "memory":
        # The sum with swap may never be less than memory alone: first for a higher limit, last for a lower one.
        yield "memory.memsw.limit_in_bytes", memory, False
        yield "memory.limit_in_bytes", memory, True
        yield "memory.memsw.limit_in_bytes", memory, False
        # v1 does not count otherwise what waits in connections.
        yield "memory.kmem.tcp.limit_in_bytes", memory, False
    elif controller == "pids":
        yield "pids.max", processes, True
    elif controller == "cpu":
        yield "cpu.shares", "512", False
        if limits.processors is not None:
            yield "cpu.cfs_quota_us", str(int(limits.processors * _CPU_PERIOD_US)), False


def find(name: str, record: Callable[[Slice], None]) -> Slice | None:
    """A slice called `name` that works here, or None. Moves no process but a child made for the test.

    `record` is called with each candidate before any of it is made.
    """
    # Recorded first: a runtime that is killed in between leaves nothing that no later start finds.
    mounts, own = _mounts(), _own_paths()
    return _find_v2(name, mounts, own, record) or _find_v1(name, mounts, own, record)


def _find_v2(
    name: str, mounts: list[Mount], own: dict[str, str], record: Callable[[Slice], None]
) -> Slice | None:
    for mount in (mount for mount in mounts if not mount.controllers):
        here = _folder(mount, own.get("", "/"))
        # A group with processes in it may not hand controllers down (except the host's root): try upwards.
        for parent in [here, *here.parents]:
            if not parent.is_relative_to(mount.folder):
                break

            candidate = Slice({"unified": parent / name})
            record(candidate)
            if _works(candidate):
                return candidate

    return None


def _find_v1(
    name: str, mounts: list[Mount], own: dict[str, str], record: Callable[[Slice], None]
) -> Slice | None:
    folders: dict[str, Path] = {}
    # In v1 each controller may have a hierarchy of its own. Those of the processor limit and
    # measure, and a slice works without them.
    for controller in (*_NEEDED, "cpu", "cpuacct"):
        mount = next((mount for mount in mounts if controller in mount.controllers), None)
        if mount is not None:
            folders[controller] = _folder(mount, own.get(controller, "/")) / name

    if not set(_NEEDED) <= folders.keys():
        return None

    candidate = Slice(folders)
    record(candidate)
    if _works(candidate):
        return candidate

    return None


def _works(candidate: Slice) -> bool:
    """Make the slice, put a process under limits in it."""
    try:
        for controller, folder in candidate.folders.items():
            folder.mkdir()
            if controller == "unified":
                _hand_down(folder.parent)
                _hand_down(folder)
                _allow_forks(folder)

        group = candidate.create("probe", Limits())
        # Only a move shows whether the kernel and the folder's owner allow it.
        try:
            _try_moving(group)
        finally:
            group.remove()
    except OSError:
        candidate.remove()
        return False

    return True


def _hand_down(folder: Path) -> None:
    """Let children of `folder` have the controllers. Raises OSError where memory and pids cannot be had."""
    control = folder / "cgroup.subtree_control"
    have = set(control.read_text(encoding="utf-8").split())

    for controller in (*_NEEDED, "cpu"):
        if controller in have:
            continue
        try:
            # One at a time: a controller that is missing would refuse the whole write.
            control.write_text(f"+{controller}", encoding="utf-8")
        except OSError:
            if controller in _NEEDED:
                raise


def _allow_forks(folder: Path) -> None:
    """Let other users fork from one group of a slice into another, where that one lets them in. Raises OSError."""
    # The kernel asks for this right on the nearest group above both. Alone it allows nothing: the slice itself may have
    # no process, since it hands controllers down, and the way into a group takes the right on that group as well.
    if os.geteuid() == 0:
        (folder / "cgroup.procs").chmod(0o666)


def _try_moving(group: Group) -> None:
    for file in group.entrances():
        with file:
            # The shell writes it itself, and so moves itself, as a sandbox's processes do.
            moved = subprocess.run(
                ["/bin/sh", "-c", "echo 0"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        if moved.returncode != 0:
            raise PermissionError(errno.EACCES, "a process may not enter the group")


def _folder(mount: Mount, path: str) -> Path:
    """The position of a group's path below a mount, which may show a part of the hierarchy only (containers)."""
    if mount.root != "/":
        relative = path.removeprefix(mount.root.rstrip("/"))
    else:
        relative = path
    folder = mount.folder / relative.lstrip("/")
    # A group outside of the namespace of this process is shown with "..": only the mount itself is
    # in reach.
    if ".." not in relative and folder.is_dir():
        return folder
    return mount.folder


def _own_paths() -> dict[str, str]:
    """This process's group by controller; "" is v2."""
    paths: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)
    return paths


def _mounts() -> list[Mount]:
    found: list[Mount] = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        # proc(5): optional fields before the hyphen may be any number, so the line is read from
        # both ends.
        fields, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ", 2)
        parts = fields.split(" ")
        if kind == "cgroup2":
            found.append(Mount(Path(parts[4]), parts[3], frozenset()))
        elif kind == "cgroup":
            found.append(Mount(Path(parts[4]), parts[3], frozenset(options.split(","))))
    return found


def _remove(folder: Path) -> bool:
    end = time.monotonic() + _REMOVE_SECONDS
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > end:
                return False
            # The kernel takes a moment after the last process is reaped.
            time.sleep(0.002)
        else:
            return True


def _write(path: str, value: str) -> None:
    # Without a file object, which asks the kernel for more than it writes: each start writes several of these.
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _read(folder: Path, name: str) -> str:
    fd = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # The kernel gives each of these files, some lines, at once.
        return os.read(fd, 1 << 16).decode()
    finally:
        os.close(fd)


def _number(folder: Path | None, name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        if folder is None:
            return None
        return int(_read(folder, name))
    return None


def _fields(folder: Path | None, name: str) -> dict[str, int]:
    """A file of `key value` lines."""
    with contextlib.suppress(OSError, ValueError):
        if folder is not None:
            lines = (line.split() for line in _read(folder, name).splitlines())
            return {key: int(value) for key, value in lines}
    return {}
