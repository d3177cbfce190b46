"""A sandbox of a fork server, seen from the host: a prepared isolation and the program forked into it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import socket
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from codewords_mcp.runtime.sandboxes.base import Limits, SandboxSpec
from codewords_mcp.runtime.sandboxes.forkserver.compiled_scripts import CompiledScripts
from codewords_mcp.runtime.sandboxes.host import cgroups
from codewords_mcp.runtime.sandboxes.namespaces import spawn
from codewords_mcp.runtime.sandboxes.namespaces.inside import channel
from codewords_mcp.runtime.sandboxes.namespaces.inside.program_code import MAX_BYTES
from codewords_mcp.runtime.sandboxes.namespaces.isolation import Isolation, IsolationResources, host_pid

FORK_SECONDS: Final = 10.0
"""For a fork to stand; takes some 5 ms, more when a hundred start at once. Then the server counts as hung."""


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A file for a program's memory: `restores` says what it has to know of it, and is None where it is to be written."""

    fd: int
    restores: dict[str, Any] | None = None


class ProgramForker(Protocol):
    """The fork server of an isolation (`fork_server.ForkServer`)."""

    authority: str
    """The one that its programs trust without a file of their own; "" if there is none."""
    compiled: CompiledScripts
    """The code of scripts that it has run."""

    @property
    def name(self) -> str:
        """Of its folder and its cgroup."""
        ...

    @property
    def ready(self) -> bool:
        """True if it can fork."""
        ...

    def new_isolation(self, *, network: bool, high_pids: bool = False) -> ForkIsolation:
        """Reserve what a sandbox needs that isn't made yet. `high_pids`: see `inside.rootfs.skip_pids`."""
        ...

    async def prepare(self, message: dict[str, Any], fds: list[int]) -> None:
        """Request a prepared isolation. Raises OSError if the server is gone or its queue stays full."""
        ...

    async def fork(self, isolation: ForkIsolation, message: dict[str, Any], entry: int) -> None:
        """Fork the program of a prepared isolation. Raises OSError as `prepare` does."""
        ...


class ForkIsolation(Isolation):
    """A prepared isolation, and the program that is forked into it.

    It waits for `run` either empty (prepared) or with an interpreter in it (warm).
    """

    setup_seconds = FORK_SECONDS

    def __init__(
        self,
        resources: IsolationResources,
        server: ProgramForker,
        inner: int | None,
        *,
        network: bool,
        high_pids: bool = False,
    ) -> None:
        super().__init__(resources)
        loop = asyncio.get_running_loop()
        self.server = server
        self._inner = inner
        self._network = network
        self._high_pids = high_pids
        self._snapshot: SnapshotFile | None = None
        self._limits = Limits()
        # Holds the entry of the prepared isolation (`inside.prepared`) until a fork takes it.
        self._entry: socket.socket | None = None
        self._empty: asyncio.Future[None] = loop.create_future()
        self._warm: asyncio.Future[None] = loop.create_future()
        # Done when the program's status is known. None before there is a program.
        self._ended: asyncio.Future[None] | None = None
        self._program: int | None = None
        # /app/main.py, from when the isolation is prepared until its script is known.
        self._script: int | None = None
        # A script whose compiled code the program is to write into a file, and this file.
        self._uncompiled: tuple[str, int] | None = None

    @property
    def roots(self) -> tuple[int, ...]:
        """See `Isolation`."""
        return tuple(pid for pid in (self.init_pid, self._program) if pid is not None)

    @property
    def usable(self) -> bool:
        """Whether it is set up and still alive."""
        return self.init_pid is not None and self.channel is not None and not self.channel.has_ended

    @property
    def _group_name(self) -> str | None:
        """The name of its group among those that its processes can be forked into (`inside.group_fork`)."""
        if self.group is None or self.group.folder is None:
            return None
        return self.group.folder.name

    async def set_up(self) -> None:
        """See `Isolation`. Returns while the server still forks; the runtime prepares the rest meanwhile."""
        if self.init_pid is None:
            await self.prepare()
        if self._ended is None:
            await self._fork(early=False)

    async def prepare(self) -> None:
        """Make everything but the program. Raises SandboxFailed, OSError."""
        resources = self.resources
        self.group = await self.in_thread(functools.partial(resources.make_group, self._limits))
        resources.folders.make(resources.uid, forked=True)
        self._script = spawn.create_script(resources.folders, resources.uid)
        outputs = self.output.open()

        with contextlib.ExitStack() as stack:
            for fd in outputs:
                stack.callback(os.close, fd)
            spawn.own_outputs(outputs, resources.uid)
            ours, theirs = channel.pair()
            ours.setblocking(False)
            self._connect(ours)
            self._entry, inside = channel.pair()
            listener = spawn.open_listener(resources.folders)
            for file in (theirs, inside, listener):
                stack.enter_context(file)
            # By files that we opened the isolation's process moves itself, where it isn't forked into its group.
            groups = stack.enter_context(cgroups.entrances(self.group))
            message = {
                "name": resources.folders.top.name,
                "group": self._group_name,
                "uid": self._inner,
                "network": self._network,
                "exact_memory": resources.exact_memory,
                "high_pids": self._high_pids,
            }
            files = [theirs, listener, *outputs, inside, *groups]
            fds = [file if isinstance(file, int) else file.fileno() for file in files]
            await self.server.prepare(message, fds)

        pid = await self._expect(self._forked)
        await self._expect(self._empty)
        self.init_pid = pid

    async def warm(self) -> None:
        """Fork an interpreter into the isolation, up to the point where it needs the program.

        Raises SandboxFailed, OSError.
        """
        await self._fork(early=True)
        await self._expect(self._warm)

    def use_snapshot(self, file: SnapshotFile) -> None:
        """Have the program go on from a snapshot, or take it. Before `run`; once.

        The descriptor is duplicated: the snapshot may be dropped before the program has it, and its number be another file's.
        """
        self._snapshot = replace(file, fd=os.dup(file.fd))

    async def run(self, spec: SandboxSpec) -> None:
        """See `Isolation`."""
        assert self.channel is not None  # noqa: S101  # it stands
        self._write_script(spec)
        own_bundle = spec.authority not in {"", self.server.authority}
        if own_bundle:
            spawn.write_own_bundle(self.resources.folders, spec.authority, self.resources.uid)
        # The group was made before the program's limits were known.
        if self.group is not None and spec.limits != self._limits:
            self.group.limit(spec.limits)
        restores = self._snapshot.restores if self._snapshot is not None else None
        files = [self._snapshot.fd] if self._snapshot is not None else []
        # What goes on from a snapshot is compiled.
        compiled = self.server.compiled.get(spec.code) if restores is None else b""
        if compiled is None:
            self._uncompiled = spec.code, spawn.memory_file(b"")
            files.append(self._uncompiled[1])
        claim = {
            "port": spec.port,
            "variables": spawn.variables(spec, own_bundle=own_bundle),
            "authority": spec.authority if own_bundle else "",
            "restores": restores,
            "send_code": compiled is None,
        }
        # For process 1: it sets the limits before it lets the program have the rest.
        limits = spawn.describe_limits(spec.limits, exact_memory=self.group is not None)
        self.channel.send({"port": spec.port, "limits": limits})
        data = json.dumps(claim).encode() + b"\n" + (compiled or b"")
        if len(data) <= channel.MAX_MESSAGE // 2:
            self.channel.send_data(data, files)
        else:
            # In a file: a message between the processes is bounded, and variables may be large.
            memory = spawn.memory_file(data)
            try:
                self.channel.send_data(channel.IN_FILE, [memory, *files])
            finally:
                os.close(memory)
        self._close_snapshot()

        await self._expect(self._running)

    async def gone(self) -> None:
        """See `Isolation`."""
        await super().gone()
        # The report of its status may come a moment after its end.
        if self._ended is not None:
            await asyncio.wait({self._ended}, timeout=FORK_SECONDS)

    def close(self) -> None:
        """See `Isolation`."""
        self._program = None
        if self._entry is not None:
            self._entry.close()
        if self._script is not None:
            os.close(self._script)
            self._script = None
        self._close_snapshot()
        if self._uncompiled is not None:
            os.close(self._uncompiled[1])
            self._uncompiled = None
        super().close()

    def program_ended(self, how: dict[str, Any] | None) -> None:
        """Handle the end of the program. `how`: its status and usage; None if they are unknown."""
        if how is not None:
            self._deliver(how)
        self._has_ended()

    def program_failed(self, message: dict[str, Any]) -> None:
        """Handle a fork that failed."""
        self._on_error(message)
        self._has_ended()

    def _close_snapshot(self) -> None:
        if self._snapshot is not None:
            os.close(self._snapshot.fd)
            self._snapshot = None

    def _write_script(self, spec: SandboxSpec) -> None:
        assert self._script is not None  # noqa: S101  # runs once
        script, self._script = self._script, None
        spawn.write_script(script, spec)

    def _has_ended(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        # Otherwise process 1 has seen it.
        if not self.program_started:
            self.kill()

    async def _fork(self, *, early: bool) -> None:
        assert self._entry is not None  # noqa: S101  # it stands
        # Made before the request, so that an end which comes at once is noticed.
        self._ended = asyncio.get_running_loop().create_future()
        message = {
            "name": self.resources.folders.top.name,
            "group": self._group_name,
            "early": early,
            "exact_memory": self.resources.exact_memory,
        }
        await self.server.fork(self, message, self._entry.fileno())
        # The server has the only copy: one program can take the entry, and its end is seen.
        self._entry.close()

    def _on_message(self, message: dict[str, Any], fds: list[int]) -> None:
        if "running" in message and fds:
            # The program's number is of a namespace within; the pidfd gives the one out here.
            self._program = host_pid(fds[0])
            os.close(fds[0])
        if "compiled" in message:
            # The fork answers before the program's code runs. Whatever comes later may be a program's.
            self._take_compiled(written=message["compiled"] is True)
            for fd in fds:
                os.close(fd)
            return
        for name, reached in (("empty", self._empty), ("waiting", self._warm)):
            if name in message:
                if not reached.done():
                    reached.set_result(None)
                return
        super()._on_message(message, fds)

    def _take_compiled(self, *, written: bool) -> None:
        if self._uncompiled is not None:
            (script, fd), self._uncompiled = self._uncompiled, None
            self.server.compiled.add(script, os.pread(fd, MAX_BYTES, 0) if written else b"")
            os.close(fd)
