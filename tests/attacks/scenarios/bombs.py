"""Bombs, each in a sandbox of its own, beside a workflow that has to go on answering."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast, get_origin

from tests.attacks.hostile import bombs
from tests.attacks.probes import Probe, Result
from tests.attacks.runner import LIMITS, Hostile, Stage, within

from codewords_mcp.runtime.sandboxes.base import Exit

MIB: Final = 1 << 20
T = TypeVar("T")
TITLE: Final = "Bombs"
_AT_ONCE: Final = 3
_ASKS: Final = 3
_END_SECONDS: Final = 12.0
"""For a bomb to hold what it wants, or to be ended before."""
_NOTICED_SECONDS: Final = 60.0
"""For the watchdog to notice: it looks as often as looking is cheap."""
_HOST: Final = "The host, and with it everybody's workflows, would stand still."


def _as(kind: type[T], value: object) -> T:
    """A part of a report, which may be of any kind; an empty one where it is of another."""
    return cast("T", value) if isinstance(value, get_origin(kind) or kind) else kind()


@dataclass
class Fate:
    """What became of a bomb: its own report, how it ended, whether that was by itself, and what the host saw."""

    exit: Exit | None = None
    printed: int = 0
    said: dict[str, Any] = field(default_factory=dict[str, Any])
    grown: int = 0
    host: str = ""

    @property
    def found(self) -> Any:
        """What the program reports at its end."""
        return self.said.get("found")

    @property
    def came(self) -> tuple[int, str]:
        """How far it says that it came, and what stopped it."""
        count, stopped = (*_as(list[Any], self.found), 0, "no report")[:2]
        return int(count), str(stopped)

    def told(self) -> str:
        """For people."""
        how = "went on" if self.exit is None else self.exit.reason
        return f"{how}; {self.said or 'said nothing'}{'; ' + self.host if self.host else ''}"


@dataclass(frozen=True)
class _Bomb:
    probe: Probe
    judge: Callable[[Fate], bool]
    look: Callable[[], str] | None = None

    @property
    def name(self) -> str:
        return self.probe.id.partition(".")[2]

    @property
    def program(self) -> str:
        """The hostile program that has it."""
        return "bombs" if self.name in bombs.BOMBS else "floods"


def _count(most: int, *errors: str) -> Callable[[Fate], bool]:
    """It came no further than that, and was refused with one of these errors."""
    return lambda fate: fate.came[0] <= most and fate.came[1] in errors


def _ended(*reasons: str) -> Callable[[Fate], bool]:
    return lambda fate: fate.exit is not None and fate.exit.reason in reasons


def _memory(unit: int) -> Callable[[Fate], bool]:
    """Ended for it, or refused while what it had, in units of so many bytes, was within the limit."""

    def judge(fate: Fate) -> bool:
        count, error = fate.came
        refused = error in ("MemoryError", "ENOMEM", "ENOSYS", "EPERM")
        return _ended("out_of_memory")(fate) or (refused and count * unit <= LIMITS.memory)

    return judge


def _below(most: int) -> Callable[[Fate], bool]:
    return lambda fate: _ended("out_of_memory", "disk_full")(fate) or int(fate.said.get("held", 0)) <= most


def _answered(fate: Fate) -> Counter[str]:
    """Answers to lookups, by their code."""
    return Counter(_as(dict[str, int], fate.found))


def _goes_on(fate: Fate) -> bool:
    """It may go on as long as it likes: what counts is the bystander, and that killing it ends it."""
    return fate.exit is None


def _inotify() -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    made = [libc.inotify_init1(os.O_CLOEXEC) for _ in range(4)]
    for one in made:
        if one >= 0:
            os.close(one)
    return "" if min(made) >= 0 else "the host's user can watch no files any more"


def _pipe() -> str:
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, 1032)
    os.close(reading)
    os.close(writing)
    least = 65536 if os.geteuid() == 0 else 4096
    return "" if size >= least else f"pipes of the host's user hold {size} bytes now"


def _timer() -> str:
    libc, timer = ctypes.CDLL(None, use_errno=True), ctypes.c_void_p()
    if libc.timer_create(1, None, ctypes.byref(timer)):
        return "the host's user can queue no signals and make no timers any more"
    libc.timer_delete(timer)
    return ""


def _bomb(
    name: str,
    tries: str,
    expected: str,
    judge: Callable[[Fate], bool],
    matters: str = _HOST,
    look: Callable[[], str] | None = None,
) -> _Bomb:
    return _Bomb(Probe(f"bombs.{name}", tries, matters, expected), judge, look)


_MEMORY: Final = "it ends, or gets no more"
_DISK: Final = "it is ended for want of disk"
_ON: Final = "the others answer while it goes on, and killing it ends it"
_USER: Final = "What is counted by user is taken from everything that this user runs."
_BOMBS: Final = (
    _bomb("forks", "Fork without end", "refused at 64 processes", _count(64, "EAGAIN")),
    _bomb("hydra", "Fork without end in every child", _ON, _goes_on),
    _bomb("daemons", "Fork twice, leave session and group, start anew", _ON, _goes_on),
    _bomb("threads", "Start threads without end", "refused at 64", _count(64, "RuntimeError")),
    _bomb("spinning", "Compute in 16 processes at once", _ON, _goes_on),
    _bomb("descriptors", "Open files without end", "refused at 256", _count(256, "EMFILE")),
    _bomb("heap", "Fill memory", _MEMORY, _memory(MIB)),
    _bomb("shared-map", "Fill memory that is shared", _MEMORY, _memory(MIB)),
    _bomb("memory-files", "Fill files in memory (memfd)", _MEMORY, _memory(16 * MIB)),
    _bomb("memory-leaderless", "Fill memory that is shared, in a process whose first thread has ended", _MEMORY, _memory(MIB), "/proc shows such a process as empty."),
    _bomb(
        "many-small", "Fill memory by many children, each below the limit",
        "it ends, or children do, until all are below it", _below(LIMITS.memory),
    ),
    _bomb(
        "sysv-memory", "Fill SysV shared memory that no process has attached", _MEMORY,
        _memory(16 * MIB),
    ),
    _bomb("socket-buffers", "Fill the buffers of Unix sockets", "it ends, or gets no more than its memory", _below(LIMITS.memory)),
    _bomb(
        "tcp-buffers", "Fill the buffers of connections to itself", "it ends, or gets no more than its memory",
        _below(LIMITS.memory), "The kernel has one sum of these for all of the machine's connections.",
    ),
    _bomb(
        "semaphores", "Make System V semaphores without end", _MEMORY, _memory(4 * MIB), "They are memory that no process has."
    ),
    _bomb("messages", "Fill System V message queues", _MEMORY, _memory(16_000), "The same."),
    _bomb(
        "memory-on-its-way", "Fill files in memory whose descriptors wait in a socket",
        "it ends, or gets no more than its memory", _below(LIMITS.memory),
    ),
    _bomb("pipes", "Fill pipes, as large as can be", "no more than 128 MiB; root's pipes stay as they are, an ordinary user's get smaller (a known limit: to the kernel it is one user)", lambda fate: not fate.host and fate.said.get("held", 0) <= 128, _USER, _pipe),
    _bomb("disk", "Fill /app", _DISK, _ended("disk_full")),
    _bomb("disk-allocated", "Reserve disk without writing", _DISK, _ended("disk_full")),
    _bomb("disk-unlinked", "Fill files that have no name any more", _DISK, _ended("disk_full")),
    _bomb("disk-leaderless", "Fill files that have no name, in a process whose first thread has ended", _DISK, _ended("disk_full"), "/proc shows such a process as empty."),
    _bomb("disk-mapped", "Fill files that have neither a name nor a descriptor", _DISK, _ended("disk_full")),
    _bomb("disk-on-its-way", "Fill files whose descriptors wait in a socket", _DISK, _ended("disk_full")),
    _bomb("one-huge-file", "Make a file of 16 TiB", "refused", _count(0, "EFBIG")),
    _bomb("inodes", "Make files without end", _DISK, _ended("disk_full")),
    _bomb("nested", "Make 6,000 folders in each other", _DISK, _ended("disk_full")),
    _bomb("tmpfs", "Fill /dev/shm", "refused at 64 MiB, or at once", _count(64, "ENOSPC", "EACCES")),
    _bomb("tmpfs-inodes", "Make files in /dev/shm without end", "refused at 16,384, or at once", _count(16_384, "ENOSPC", "EACCES")),
    _bomb("root-tmpfs", "Make folders in the root's own file systems", "refused", _count(0, "EROFS", "EACCES", "EPERM")),
    _bomb(
        "log", "Print 64 MiB", "all of it is passed on, and the runtime keeps none",
        lambda fate: fate.printed >= 64 * MIB and fate.grown < 32 * MIB,
    ),
    _bomb(
        "log-line", "Print 64 MiB without a line break", "all of it is passed on, and the runtime keeps none",
        lambda fate: fate.printed >= 64 * MIB and fate.grown < 32 * MIB,
    ),
    _bomb(
        "log-letters", "Print 100,000 letters one by one", "all of it is passed on, and the runtime keeps none",
        lambda fate: fate.printed >= 100_000 and fate.grown < 32 * MIB,
    ),
    _bomb("watches", "Make inotify instances without end", "the host's user can still make some", lambda fate: not fate.host, _USER, _inotify),
    _bomb("signals", "Queue signals without end", "the host's user can still make timers, which need one each", lambda fate: not fate.host, _USER, _timer),
    _bomb("ports", "Open and close ports without end", "the sandbox is what it was", lambda fate: fate.found == "gone by"),
    _bomb(
        "channel", "Send process 1 what is no message: too long, too deep, with descriptors", "process 1 lives on",
        lambda fate: fate.found == ["alive", True], "It reports for the sandbox; without it the runtime is told a lie.",
    ),
    _bomb(
        "connections", "Open 800 connections to the runtime and its proxy and send half of a request on each",
        "the others get through to the runtime all the same", _goes_on,
    ),
    _bomb(
        "lookups", "Look up 9,000 names", "answered up to 8,192, then told that it failed; without namespaces, no datagram is sent",
        lambda fate: fate.found == "no datagrams" or (_answered(fate)["0"] <= 8192 and _answered(fate)["2"] > 0),
    ),
)  # fmt: skip
PROBES: Final = [bomb.probe for bomb in _BOMBS]


async def play(stage: Stage) -> list[Result]:
    """A few at a time, each beside the same bystander."""
    turn = asyncio.Semaphore(_AT_ONCE)
    async with stage.playing(stage.spec("bystander")) as bystander:
        await within(bystander.sandbox.wait_ready())
        return list(await asyncio.gather(*(_one(stage, bomb, bystander, turn) for bomb in _BOMBS)))


async def _one(stage: Stage, bomb: _Bomb, bystander: Hostile, turn: asyncio.Semaphore) -> Result:
    async with turn:
        try:
            fate = await _explode(stage, bomb, bystander)
        except Exception as error:  # noqa: BLE001  # the host or the bystander did not answer
            return Result(bomb.probe.id, stage.way, False, f"{type(error).__name__}: {error}")
    return Result(bomb.probe.id, stage.way, bomb.judge(fate), fate.told())


async def _explode(stage: Stage, bomb: _Bomb, bystander: Hostile) -> Fate:
    before, host, exit_ = _resident(), "", None
    async with stage.playing(stage.spec(bomb.program, bomb=bomb.name)) as hostile:
        await _begun(hostile)
        await _others_go_on(bystander)
        host = bomb.look() if bomb.look else ""
        if bomb.judge is not _goes_on and bomb.look is None:
            exit_ = await _end(hostile, bomb)
        elif hostile.sandbox.failure() is not None:
            exit_ = await hostile.ended()
        await _others_go_on(bystander)
    fate = _so_far(hostile)
    fate.exit, fate.host, fate.grown = exit_, host, _resident() - before
    return fate


async def _end(hostile: Hostile, bomb: _Bomb) -> Exit | None:
    """Its end, if that comes in time; not waited for once it holds what it wanted, and that is no more than it may."""
    ended = asyncio.ensure_future(hostile.sandbox.wait())
    said = asyncio.ensure_future(hostile.says('"held"'))
    await asyncio.wait({ended, said}, timeout=_END_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    said.cancel()
    await asyncio.gather(said, return_exceptions=True)
    if not bomb.judge(_so_far(hostile)):
        await asyncio.wait({ended}, timeout=_NOTICED_SECONDS)
    return ended.result() if ended.done() else None


def _so_far(hostile: Hostile) -> Fate:
    fate = Fate(printed=hostile.total)
    for record in hostile.records():
        fate.said |= record
    fate.said.pop("going", None)
    return fate


async def _begun(hostile: Hostile) -> None:
    """Until it says that it has begun, or holds what it wanted, or has ended."""
    ended = asyncio.ensure_future(hostile.sandbox.wait())
    said = asyncio.ensure_future(hostile.says('{"'))
    await asyncio.wait({ended, said}, timeout=90, return_when=asyncio.FIRST_COMPLETED)
    said.cancel()
    await asyncio.gather(said, return_exceptions=True)


async def _others_go_on(bystander: Hostile) -> None:
    """Another workflow answers and gets out, and the host starts a program. Raises where it does not."""
    for _ in range(_ASKS):
        if (answer := await bystander.ask()) != b"here":
            raise AssertionError(f"the bystander answers {answer!r}")
    if b"runtime" not in (answer := await bystander.ask(b"/out")):
        raise AssertionError(f"the bystander does not get through: {answer!r}")
    process = await within(asyncio.create_subprocess_exec("/bin/true"))
    await within(process.wait())


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
