"""One host's session: a program, its output until the host has read it, and the streams to and from it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final

import structlog
from websockets.asyncio.server import ServerConnection

from codewords_mcp.agent.machine import AgentMachine
from codewords_mcp.errors import CodewordsError, SandboxFailed
from codewords_mcp.runtime.sandboxes.base import Exit, ExitReason, Sandbox
from codewords_mcp.runtime.sandboxes.e2b import protocol
from codewords_mcp.runtime.sandboxes.e2b.mux import MESSAGE, OUTPUT, Json, Mux, Stream, frame, parse, relay

_LAST_WORDS: Final = 5.0
"""Seconds after a program's end for its output to be taken in; it is here, only to be read."""
_HEAD: Final = struct.Struct(">B")

log = structlog.get_logger(__name__)


class HostSession:
    """Outlives its connections: a host that has lost one comes back and goes on."""

    def __init__(self, machine: AgentMachine) -> None:
        self._machine = machine
        self._mux: Mux | None = None
        self._connection: ServerConnection | None = None
        self._sandbox: asyncio.Future[Sandbox] = asyncio.get_running_loop().create_future()
        # Takes the exception off the future: if no host asks for it, asyncio would report it as
        # never retrieved.
        self._sandbox.add_done_callback(_retrieve)
        self._repeatable: dict[str, Json] = {}
        """Messages that are said again to a host that comes back."""
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._waiting = 0
        self._number = 0
        self._read = asyncio.Event()
        self._over = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self.started = False
        """Whether a program was started, or tried to be."""

    async def serve(self, connection: ServerConnection) -> None:
        """Talk to the host until the connection ends."""
        # 1 The host comes back before the machine has noticed that the old connection is dead.
        if self._connection is not None:
            await self._connection.close()
        # Even stream numbers: the host opens the odd ones, so both sides can open without a
        # round.
        mux = Mux(connection.send, self._on_stream, first=2)
        self._mux, self._connection = mux, connection
        mux.say({"hello": self._machine.describe() | {"started": self.started}})

        try:
            async for data in connection:
                if isinstance(data, bytes):
                    self._on_frame(mux, data)
        finally:
            await mux.close()
            # A newer connection may have taken over while this one closed.
            if self._mux is mux:
                self._mux = self._connection = None

    def open(self, what: Json) -> Stream:
        """A stream to the host. Raises ConnectionResetError where there is none now."""
        if self._mux is None:
            raise ConnectionResetError("the runtime is not connected")
        return self._mux.open(what)

    def heard(self, event: Json) -> None:
        """An attempt of the program to connect somewhere."""
        self._send({"egress": event})

    def _on_frame(self, mux: Mux, data: bytes) -> None:
        kind, number, content = parse(data)
        if kind == MESSAGE:
            self._on_message(json.loads(content))
        else:
            mux.receive(kind, number, content)

    def _on_message(self, message: Json) -> None:
        do = message["do"]
        # A start that is repeated after a lost connection must not start a second program.
        if do == "start" and not self.started:
            self.started = True
            self._keep(self._run(message))
        elif do == "attach":
            self._attach(int(message["have"]))
        elif do == "read":
            self._acknowledge(int(message["upto"]))
        elif do == "environment":
            self._keep(self._build(message))
        elif do == "usage":
            self._keep(self._report_usage(message["id"]))
        elif do == "stop":
            self._keep(self._stop(float(message["grace"])))
        elif do == "kill":
            self._keep(self._kill(message["reason"]))

    def _keep(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, message: Json, *, again: str = "") -> None:
        """`again`: the name under which it is repeated to a host that comes back."""
        if again:
            self._repeatable[again] = message
        if self._mux is not None:
            self._mux.say(message)

    async def _run(self, message: Json) -> None:
        environment = self._machine.environment
        try:
            if environment is None:
                raise SandboxFailed("This machine has no environment for programs yet.")

            spec = protocol.to_spec(message["spec"], environment)
            self._machine.network.expect(spec.id, message["egress"], self)
            sandbox = await self._machine.driver.start(spec)
        except Exception as error:
            # The machine must report the failure, whatever it was: the host waits for one
            # message. The text of an unknown error stays in the machine's log, since it may
            # contain anything.
            log.exception("program not started")
            if isinstance(error, CodewordsError):
                known = error
            else:
                known = SandboxFailed("The agent could not start the program.")

            self._sandbox.set_exception(known)
            self._send({"failed": protocol.from_error(known)}, again="failed")
            return

        self._sandbox.set_result(sandbox)
        self._keep(self._watch_ready(sandbox))
        pump = asyncio.create_task(self._pump(sandbox))
        exit_ = await sandbox.wait()
        self._over = True
        self._read.set()
        # `ended` comes after the last output, so that the host can stop reading at it.
        await asyncio.wait({pump}, timeout=_LAST_WORDS)
        await self._report_end(sandbox, exit_)

    async def _watch_ready(self, sandbox: Sandbox) -> None:
        error: CodewordsError | None = None
        try:
            await sandbox.wait_ready()
        except CodewordsError as failed:
            error = failed
        self._send({"ready": protocol.from_error(error)}, again="ready")

    async def _report_end(self, sandbox: Sandbox, exit_: Exit) -> None:
        failure = protocol.from_error(sandbox.failure())
        usage = protocol.from_usage(await sandbox.usage())
        self._send(
            {"ended": {"exit": protocol.from_exit(exit_), "failure": failure, "usage": usage}}, again="ended"
        )

    async def _report_usage(self, number: int) -> None:
        with contextlib.suppress(CodewordsError):
            # Shielded: a cancelled request must not cancel the future that all others wait for.
            usage = await (await asyncio.shield(self._sandbox)).usage()
            self._send({"usage": protocol.from_usage(usage), "id": number})

    async def _stop(self, grace: float) -> None:
        with contextlib.suppress(CodewordsError):
            await (await asyncio.shield(self._sandbox)).stop(grace)

    async def _kill(self, reason: ExitReason) -> None:
        with contextlib.suppress(CodewordsError):
            await (await asyncio.shield(self._sandbox)).kill(reason)

    async def _pump(self, sandbox: Sandbox) -> None:
        async for chunk in sandbox.output():
            # Stops reading at the bound, so a program that prints faster than the host reads
            # waits on its pipe and the machine's memory stays flat. After its end the rest is
            # bounded anyway.
            while self._waiting >= protocol.OUTPUT_AHEAD and not self._over:
                self._read.clear()
                await self._read.wait()
            data = _HEAD.pack(protocol.STREAM_CODES[chunk.stream]) + chunk.data
            # Stored until acknowledged: a lost connection must not lose output.
            self._chunks.append((self._number, data))
            self._waiting += len(data)
            if self._mux is not None:
                self._mux.put(frame(OUTPUT, self._number, data))
            self._number += 1

    def _acknowledge(self, upto: int) -> None:
        while self._chunks and self._chunks[0][0] < upto:
            self._waiting -= len(self._chunks.popleft()[1])
        self._read.set()

    def _attach(self, have: int) -> None:
        """The host is back, and has the output up to here: say what it has missed."""
        self._acknowledge(have)
        if self._mux is None:
            return
        for number, data in self._chunks:
            self._mux.put(frame(OUTPUT, number, data))
        for message in self._repeatable.values():
            self._mux.say(message)

    def _on_stream(self, stream: Stream, _what: Json) -> None:
        self._keep(self._connect(stream))

    async def _connect(self, stream: Stream) -> None:
        """To the program's socket: it waits there until the program serves."""
        try:
            sandbox = await asyncio.shield(self._sandbox)
            reader, writer = await asyncio.open_unix_connection(sandbox.socket_path)
        except (CodewordsError, OSError):
            stream.reset()
            return
        await relay(stream, reader, writer)

    async def _build(self, message: Json) -> None:
        from codewords_mcp.agent.environment import build

        error: CodewordsError | None = None
        try:
            environment = await build(self._machine.home, message, self._report_progress)
            self._machine.adopt(environment)
            await self._warm()
        except CodewordsError as failed:
            error = failed
        except (OSError, ValueError):
            log.exception("environment not built")
            error = SandboxFailed("The agent could not build the environment.")

        self._send({"environment": protocol.from_error(error)})

    def _report_progress(self, text: str) -> None:
        self._send({"progress": text})

    async def _warm(self) -> None:
        """Have a fork server and a warm sandbox in memory, where they can be had, before a snapshot is taken of it."""
        from codewords_mcp.agent.environment import warm

        environment = self._machine.environment
        if environment is not None:
            await warm(self._machine.driver, environment)


def _retrieve(done: asyncio.Future[Sandbox]) -> None:
    if not done.cancelled():
        done.exception()
