"""The sandbox protocol: what a driver promises, in shapes, limits and raises.

One execution is one sandbox: started for a script, asked over HTTP, destroyed. The program in it is never trusted.

A failing program is a result: it shows as an `Exit`, or as `ProgramFailed` where an answer was awaited.
A failing sandbox is an error: `SandboxFailed`, or `SandboxUnavailable` where this machine has no isolation.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from codewords_mcp.errors import CodewordsError

Stream = Literal["stdout", "stderr", "platform"]
STREAMS: tuple[Stream, ...] = ("stdout", "stderr", "platform")
ExitReason = Literal["exited", "signaled", "out_of_memory", "disk_full", "timed_out", "killed"]


class Capability(StrEnum):
    """A feature of a driver beyond the protocol's minimum. The product shows it to people."""

    EXACT_MEMORY_LIMIT = "exact_memory_limit"
    EXACT_PROCESS_LIMIT = "exact_process_limit"
    EXACT_DISK_LIMIT = "exact_disk_limit"
    EGRESS_RULES = "egress_rules"
    TRANSPARENT_EGRESS = "transparent_egress"
    MEMORY_SNAPSHOT = "memory_snapshot"
    PAUSE = "pause"
    PRIVATE_ROOT = "private_root"
    """The program has a root file system and a /tmp of its own. Without: host paths, some of them readable."""
    UNIX_SOCKETS = "unix_sockets"
    """The program may listen on Unix sockets, by a path or an abstract name, that no other sandbox reaches."""
    UNPRIVILEGED_USER = "unprivileged_user"
    """The program is not root, also where the runtime is."""


@dataclass(frozen=True, slots=True)
class Tier:
    """The isolation that a self-test proved here.

    id: A full, B user namespaces with limits best effort, C Landlock, V a virtual machine of its own, D none,
    P process (development).
    `facts` are sentences for `doctor`; `fix` is how to get a better tier; may be empty.
    """

    id: Literal["A", "B", "C", "V", "D", "P"]
    title: str
    facts: tuple[str, ...] = ()
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one sandbox. Bytes, seconds, counts."""

    memory: int = 2 << 30
    disk: int = 10 << 30
    processes: int = 256
    files: int = 4096
    start_timeout: float = 60.0
    address_space: bool = True
    """False for a program that reserves far more addresses than it uses, a browser: without a cgroup only what it uses is
    limited then, by the watchdog and by its heap.
    """
    processors: float | None = None
    """Processors' time that it may take, where a cgroup holds it; None for all."""


@dataclass(frozen=True, slots=True)
class EnvironmentRef:
    """A built environment: `path` is a venv on the host, `base_prefix` the Python installation under it."""

    path: Path
    base_prefix: Path
    python_version: str
    """"3.11": the folder name under lib/."""
    identity: int = 0
    """The venv's inode: one that was built again is another environment for whoever keeps the old one mounted."""


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """A program to start. `code` becomes /app/main.py and runs as `__main__`; `env` is its whole environment beside
    what the driver needs (PATH, HOME, TMPDIR …). `port` is the PORT that the program is told to listen on.
    """

    id: str
    environment: EnvironmentRef
    code: str
    env: Mapping[str, str]
    limits: Limits = field(default_factory=Limits)
    port: int = 8000
    folders: tuple[Path, ...] = ()
    """Folders of this machine that it sees at their own paths, read-only, beside /usr; local driver only."""
    network: bool = True
    """False: no way out at all, not even to the runtime (validation)."""
    own_interpreter: bool = False
    """True for a program that runs long and seldom starts: no fork server is kept for its environment."""
    ahead: bool = True
    """False for a program whose start matters little beside what it does: nothing is made ready for the next one."""
    authority: str = ""
    """A certificate authority (PEM) that the program is to trust beside the machine's: a driver writes the bundle of
    `sandboxes.authorities` where the program can read it, and sets its variables.
    """
    snapshot: frozenset[str] | None = None
    """Names, where it may go on from a snapshot of its imports, of the variables that are equal in all its runs; a driver may
    start it plainly.
    """


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """Bytes as the program wrote them; not line-aligned, not necessarily UTF-8."""

    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a sandbox. `code` for exited, `signal` for signaled."""

    reason: ExitReason
    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of a sandbox. None where a value is unknown. `cost` is US dollars for a machine that is rented; `egress_in`
    and `egress_out` are bytes from and to destinations outside, which the egress counts, not the driver.
    """

    wall_seconds: float
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    cost: float | None = None
    egress_in: int | None = None
    egress_out: int | None = None


@dataclass(slots=True)
class SandboxSockets:
    """Listening sockets made inside a sandbox's network and handed out; whoever gets them owns and closes them.

    runtime: TCP listener that the sandbox knows as CODEWORDS_RUNTIME_URI.
    connect: HTTP CONNECT proxy listener. transparent: TCP redirected there by the kernel, with SO_ORIGINAL_DST;
    None where the kernel cannot. dns: UDP socket bound to the sandbox's 127.0.0.1:53; None likewise.
    """

    runtime: socket.socket
    connect: socket.socket | None = None
    transparent: socket.socket | None = None
    dns: socket.socket | None = None


class NetworkHandle(Protocol):
    """The runtime's side of one sandbox's network."""

    async def close(self) -> None:
        """Close listeners and every connection. Idempotent; never raises."""
        ...


class Network(Protocol):
    """Serves the sockets of sandboxes; implemented by `runtime.egress`, handed to drivers."""

    async def attach(self, sandbox_id: str, sockets: SandboxSockets) -> NetworkHandle:
        """Start serving. Takes ownership of the sockets, also when it raises."""
        ...


@runtime_checkable
class PolicedNetwork(Network, Protocol):
    """A network whose policy another machine can apply, so that a sandbox there need not reach out by way of this one."""

    def describe(self, sandbox_id: str) -> Mapping[str, Any]:
        """The policy of a sandbox that is about to be attached: {"mode": "internet" | "none", "hosts": [names] or None,
        "private": [[host, port]]}; the last are this machine's to dial. {"by": "runtime"}: all are.
        """
        ...

    def report(self, sandbox_id: str, event: Mapping[str, Any]) -> None:
        """The other machine tells of an attempt to connect: {"host", "port", "address", "allowed", "reason"}."""
        ...


class Sandbox(Protocol):
    """One running sandbox. All methods may be called from one event loop only."""

    id: str

    @property
    def socket_path(self) -> str:
        """Host path of the Unix socket that reaches the program's HTTP server. Connecting works at once and waits
        in the backlog until the program serves; `wait_ready` tells of programs that never will.
        """
        ...

    async def wait_ready(self) -> None:
        """Return when the program listens.

        Raises ProgramFailed: program_exited (with code), program_no_port after `limits.start_timeout`,
        program_wrong_port when it listens elsewhere only, program_out_of_memory, program_disk_full.
        Raises SandboxFailed when the sandbox broke.
        """
        ...

    def output(self) -> AsyncIterator[OutputChunk]:
        """The program's output as it comes; ends when the sandbox has ended. One consumer; must be consumed,
        since an unread pipe stops the program.
        """
        ...

    async def wait(self) -> Exit:
        """Return when every process of the sandbox has ended. May be awaited by many. Never raises."""
        ...

    async def stop(self, grace: float) -> Exit:
        """SIGTERM, then after `grace` seconds `kill`. Returns the exit."""
        ...

    async def kill(self, reason: ExitReason = "killed") -> Exit:
        """End every process of the sandbox now, remove its files, cgroups and network. Idempotent."""
        ...

    def failure(self) -> CodewordsError | None:
        """After the end: the error that explains it to a caller still awaiting an answer, or None if it ended well."""
        ...

    async def usage(self) -> Usage:
        """Usage so far, or final after the end."""
        ...


@runtime_checkable
class SnapshotDriver(Protocol):
    """A driver whose programs can go on from snapshots."""

    async def judge_snapshot(self, spec: SandboxSpec) -> tuple[str, ...] | None:
        """The reasons why this program starts without one, in clauses about it; none if there is no reason, None where nothing
        could be found out.
        """
        ...


class Driver(Protocol):
    """Starts sandboxes on one kind of machine."""

    capabilities: frozenset[Capability]
    tier: Tier

    async def start(self, spec: SandboxSpec) -> Sandbox:
        """Start a sandbox; returns once its isolation stands, before the program listens.

        Raises SandboxUnavailable (tier D), SandboxFailed (the machine could not make one), TooBusy (a provider's limit).
        """
        ...

    async def prepare(self, environment: EnvironmentRef) -> None:
        """Get ready to start programs of this environment soon; may do nothing, and does not wait until it is ready.
        Never raises.
        """
        ...

    async def close(self) -> None:
        """Kill every sandbox and remove what they left. Idempotent."""
        ...
