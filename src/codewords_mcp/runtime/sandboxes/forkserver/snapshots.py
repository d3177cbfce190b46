"""Snapshots of programs that have run their imports (`inside.snapshot`), by fork server and program.

The first start of a program that asks for one is plain, and has a snapshot taken beside it: by a sandbox of the same server
that has no network, no secret and nothing of a run. Later starts go on from it. What is in a snapshot comes from the
program: it is looked at for its form, and is entered in that program's sandboxes only.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import structlog

from codewords_mcp.errors import CodewordsError, ProgramFailed, SandboxFailed
from codewords_mcp.runtime.sandboxes.base import Sandbox, SandboxSpec
from codewords_mcp.runtime.sandboxes.forkserver.fork_isolation import (
    ForkIsolation,
    ProgramForker,
    SnapshotFile,
)
from codewords_mcp.runtime.sandboxes.namespaces import spawn
from codewords_mcp.runtime.sandboxes.namespaces.inside import image, snapshot

WORTH: Final = 0.1
"""Seconds of processor time from which on an import is worth a snapshot, measured while it is watched, which doubles it. To go on
from a snapshot takes some 5 ms more than a fork of the server.
"""
MAX_SIZE: Final = 512 << 20
"""Bytes of all snapshots of a driver; those that were used last are kept."""
_MAX_OUTPUT: Final = 16 << 10
_MAX_NAMES: Final = 256
_MAX_REASONS: Final = 8
_MAX_TRIES: Final = 3
_AT_ONCE: Final = 2
_TIME_FACTOR: Final = 3
"""Times that taking a snapshot may take longer than a start: the import is watched, and its memory is written."""
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MemorySnapshot:
    """A sealed file of memory, and what has to be so for it: values of variables that the script `read`."""

    file: SnapshotFile
    read: dict[str, str | None]
    size: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A program that starts without a snapshot; `reasons` are clauses about it. `passing`: it may be otherwise the next time."""

    reasons: tuple[str, ...]
    passing: bool = False


StartIn = Callable[[ForkIsolation, SandboxSpec], Awaitable[Sandbox]]
_Key = tuple[str, str]


class Snapshots:
    """The snapshots of one driver. `start_in` starts a program in an isolation. For one event loop."""

    def __init__(self, start_in: StartIn) -> None:
        self._start_in = start_in
        self._known: dict[_Key, tuple[ProgramForker, MemorySnapshot | Refusal]] = {}
        self._taking: dict[_Key, asyncio.Task[MemorySnapshot | Refusal]] = {}
        # Of snapshots that came to nothing, but might the next time.
        self._tries: Counter[_Key] = Counter()
        # They are made beside the runs, which have slots.
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._closed = False

    def find(self, server: ProgramForker, spec: SandboxSpec) -> MemorySnapshot | None:
        """One that this program can go on from; None where there is none, and then it may be on its way."""
        self._forget_ended()
        key = _key(server, spec)
        if key not in self._known:
            if not self._closed:
                self._take(server, spec)
            return None
        # Put last: the order of use is the order of the dictionary.
        self._known[key] = entry = self._known.pop(key)
        found = entry[1]
        if isinstance(found, Refusal) or _differing(found.read, spec):
            return None
        return found

    async def judge(self, server: ProgramForker, spec: SandboxSpec) -> MemorySnapshot | Refusal:
        """Take one, unless it is known, and say what came of it."""
        key = _key(server, spec)
        found: MemorySnapshot | Refusal = Refusal(("the driver is closed",))
        while key not in self._known and not self._closed:
            task = self._take(server, spec)
            # `close` cancels it, not whoever waits here.
            await asyncio.wait({task})
            if not task.cancelled():
                found = task.result()
        return self._known[key][1] if key in self._known else found

    def failed(self, server: ProgramForker, spec: SandboxSpec) -> None:
        """Use a program's snapshot no more: its memory could not be restored."""
        key = _key(server, spec)
        self._drop(key)
        self._known[key] = (server, Refusal(("its snapshot could not be restored",)))

    async def close(self) -> None:
        """End what is being taken, and let go of all."""
        self._closed = True
        for task in list(self._taking.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for key in list(self._known):
            self._drop(key)

    def _take(self, server: ProgramForker, spec: SandboxSpec) -> asyncio.Task[MemorySnapshot | Refusal]:
        key = _key(server, spec)
        task = self._taking.get(key)
        if task is None:
            task = asyncio.create_task(self._taken(server, spec), name=f"snapshot {spec.id}")
            self._taking[key] = task
            task.add_done_callback(lambda _: self._taking.pop(key, None))
        return task

    async def _taken(self, server: ProgramForker, spec: SandboxSpec) -> MemorySnapshot | Refusal:
        try:
            async with self._turns:
                found = await self._run(server, spec)
        except (CodewordsError, OSError) as error:
            found = Refusal((f"no snapshot could be taken ({error})",), passing=True)
        if isinstance(found, Refusal):
            logger.info("starts without a snapshot", sandbox=spec.id, reasons=found.reasons)
        key = _key(server, spec)
        if self._closed:
            _close(found)
        elif isinstance(found, Refusal) and found.passing and self._tries[key] < _MAX_TRIES - 1:
            self._tries[key] += 1
        else:
            self._drop(key)
            self._known[key] = (server, found)
            self._bound()
        return found

    async def _run(self, server: ProgramForker, spec: SandboxSpec) -> MemorySnapshot | Refusal:
        names = spec.snapshot or frozenset()
        own = replace(
            spec,
            id=f"snapshot-{uuid.uuid4().hex[:12]}",
            env={name: value for name, value in spec.env.items() if name in names},
            limits=replace(spec.limits, start_timeout=_TIME_FACTOR * spec.limits.start_timeout),
            network=False,
            snapshot=None,
            authority="",
        )
        with contextlib.ExitStack() as refused:
            fd = os.memfd_create("snapshot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            refused.callback(os.close, fd)
            isolation = server.new_isolation(network=False, high_pids=True)
            isolation.use_snapshot(SnapshotFile(fd))
            sandbox = await self._start_in(isolation, own)
            reading = asyncio.create_task(_output(sandbox))
            try:
                refusal = await _refusal(sandbox, own.limits.start_timeout)
            finally:
                await asyncio.shield(sandbox.kill())
                wrote = await reading
            found = refusal or _judged(fd, wrote, spec)
            if isinstance(found, MemorySnapshot):
                refused.pop_all()
        return found

    def _forget_ended(self) -> None:
        for key, (server, _) in list(self._known.items()):
            if not server.ready:
                self._drop(key)

    def _bound(self) -> None:
        total = 0
        for key, (_, found) in reversed(list(self._known.items())):
            if isinstance(found, MemorySnapshot):
                total += found.size
                if total > MAX_SIZE:
                    self._drop(key)

    def _drop(self, key: _Key) -> None:
        self._tries.pop(key, None)
        known = self._known.pop(key, None)
        if known is not None:
            _close(known[1])


async def _refusal(sandbox: Sandbox, seconds: float) -> Refusal | None:
    """Wait until a program has taken its snapshot; why it has not. `seconds` that it has until it serves."""
    try:
        await sandbox.wait_ready()
    except ProgramFailed as error:
        if error.code == "program_no_port":
            return Refusal((f"it takes longer than {seconds:g} seconds to come to its server",), passing=True)
        served = error.code == "program_wrong_port"
    except SandboxFailed:
        served = False
    else:
        served = True
    if served:
        return Refusal(("it has another server than uvicorn",))

    # Where all goes well it has ended before it served.
    end = await sandbox.wait()
    if end.reason == "exited" and end.code == 0:
        return None
    logger.info("took no snapshot", sandbox=sandbox.id, end=end)
    if end.reason == "exited" and end.code != image.BROKEN:
        # By an error, for want of a variable or a network.
        return Refusal(("it does not come to its server without secrets and a network",))
    passing = end.reason in {"exited", "killed"}
    return Refusal((f"it was ended before its server ({end.reason.replace('_', ' ')})",), passing=passing)


def _close(found: MemorySnapshot | Refusal) -> None:
    if isinstance(found, MemorySnapshot):
        os.close(found.file.fd)


def _key(server: ProgramForker, spec: SandboxSpec) -> _Key:
    """A program with the values that all its runs have in common."""
    names = spec.snapshot or frozenset()
    common = sorted((name, value) for name, value in spec.env.items() if name in names)
    text = repr((spec.code, spec.port, common))
    return server.name, hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _differing(read: dict[str, str | None], spec: SandboxSpec) -> list[str]:
    """Variables that the script has read, and that are others in this start."""
    variables = spawn.variables(spec, own_bundle=False)
    return sorted(name for name, value in read.items() if variables.get(name) != value)


def _judged(fd: int, wrote: list[tuple[int, str]] | None, spec: SandboxSpec) -> MemorySnapshot | Refusal:
    try:
        # Fails where somebody could still write to it; afterwards nobody ever can.
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        return Refusal(("its snapshot is still written to",))
    size = os.fstat(fd).st_size
    if size > snapshot.MAX_IMAGE:
        return Refusal(("its snapshot is too large",))
    description = snapshot.read_description(fd)
    if description is None:
        return Refusal(("it ends without a server",))
    reasons = description.get("reasons")
    if isinstance(reasons, list) and reasons:
        return Refusal(tuple(str(reason)[:200] for reason in cast("list[Any]", reasons)[:_MAX_REASONS]))
    if wrote is None:
        return Refusal((f"it writes more than {_MAX_OUTPUT >> 10} KiB at import",))
    files, read, seconds = (
        _names(description.get("files")),
        _values(description.get("read")),
        description.get("seconds"),
    )
    if files is None or read is None or not isinstance(seconds, (int, float)):
        return Refusal(("its snapshot can't be read",))
    if differing := _differing(read, spec):
        which = ", ".join(differing[:4])
        return Refusal((f"it reads {which[:200]} at import, which is another in each run",))
    if seconds < WORTH:
        return Refusal(("its import takes so little that a start from a snapshot would not be faster",))
    return MemorySnapshot(SnapshotFile(fd, {"files": files, "wrote": wrote}), read, size)


def _names(found: object) -> list[str] | None:
    if not isinstance(found, list):
        return None
    names = cast("list[object]", found)
    if len(names) > _MAX_NAMES:
        return None
    return [name for name in names if isinstance(name, str)]


def _values(found: object) -> dict[str, str | None] | None:
    if not isinstance(found, dict):
        return None
    return {
        name: value
        for name, value in cast("dict[object, object]", found).items()
        if isinstance(name, str) and (value is None or isinstance(value, str))
    }


async def _output(sandbox: Sandbox) -> list[tuple[int, str]] | None:
    """Texts that it wrote, with their descriptors; None where they are too long to be written again by each run."""
    wrote: list[tuple[int, str]] = []
    size = 0
    async for chunk in sandbox.output():
        size += len(chunk.data)
        if size <= _MAX_OUTPUT and chunk.stream != "platform":
            text = chunk.data.decode(errors="surrogateescape")
            wrote.append((1 if chunk.stream == "stdout" else 2, text))
    return wrote if size <= _MAX_OUTPUT else None
