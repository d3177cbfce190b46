"""envd's `process.Process`: commands whose output goes to whoever listens, and is dropped where nobody does."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from starlette.requests import Request

from codewords_testing.e2b.envd import files
from codewords_testing.e2b.envd.connect import Json, RpcError
from codewords_testing.e2b.errors import MachineFailed
from codewords_testing.e2b.machine import Process
from codewords_testing.e2b.state import CloudSandbox

_CHUNK: Final = 32 << 10
# Events that a listener may be behind before the process has to wait.
_QUEUE: Final = 16
# A stream's own deadline is told before the end of the process that it kills.
_GRACE: Final = 0.05
_SIGNALS: Final = {
    "SIGNAL_SIGKILL": signal.SIGKILL,
    "SIGNAL_SIGTERM": signal.SIGTERM,
    9: signal.SIGKILL,
    15: signal.SIGTERM,
}
_NAMES: Final = {signal.SIGKILL: "killed", signal.SIGTERM: "terminated"}
GONE: Final = "the connection to the sandbox ended before the stream completed"


@dataclass(eq=False)
class Running:
    """A process that envd started."""

    process: Process
    config: Json
    tag: str | None
    listeners: set[asyncio.Queue[Json | None]] = field(default_factory=set[asyncio.Queue[Json | None]])
    end: Json | None = None

    @property
    def pid(self) -> int:
        """In its machine."""
        return self.process.pid

    async def publish(self, event: Json | None) -> None:
        """To every listener, waiting for those that are behind; None: the sandbox is gone."""
        for queue in list(self.listeners):
            await queue.put(event)


def select(sandbox: CloudSandbox, selector: Json) -> Running:
    """By pid or tag. Raises RpcError."""
    for running in sandbox.processes.values():
        by_tag = selector.get("tag") is not None and running.tag == selector["tag"]
        if running.end is None and (running.pid == selector.get("pid") or by_tag):
            return running
    raise RpcError("not_found", f"process with pid {selector.get('pid')} not found")


async def start(sandbox: CloudSandbox, message: Json, request: Request) -> AsyncIterator[Json]:
    """Start a process and follow it; `Connect-Timeout-Ms` bounds the stream and the process."""
    config: Json = message["process"]
    cwd = files.real(config.get("cwd") or "")
    environment = request.app.state.cloud.environment(sandbox) | config.get("envs", {})
    use_stdin = message.get("stdin", True)

    try:
        argv = [config["cmd"], *config.get("args", [])]
        process = await sandbox.machine.run(argv, environment, cwd, stdin=use_stdin)
    except (OSError, MachineFailed) as error:
        if isinstance(error, FileNotFoundError):
            reason = f"cwd '{cwd}' does not exist"
        else:
            reason = str(error)

        raise RpcError("invalid_argument", reason) from error

    running = Running(process, config, message.get("tag"))
    sandbox.processes[running.pid] = running
    milliseconds = int(request.headers.get("connect-timeout-ms", 0))
    events = follow(running, request)
    # The listener is there before the output is read, so no event is missed.
    yield await anext(events)
    request.app.state.cloud.background(
        _watch(running, sandbox, milliseconds / 1000 if milliseconds else None)
    )
    async for event in events:
        yield event


async def connect(sandbox: CloudSandbox, message: Json, request: Request) -> AsyncIterator[Json]:
    """Follow a running process, or receive the end of one that has ended."""
    pid = message["process"].get("pid")
    ended = sandbox.processes.get(pid)
    # A process that has ended too: its end is what the client has missed.
    if ended is not None:
        running = ended
    else:
        running = select(sandbox, message["process"])
    async for event in follow(running, request):
        yield event


async def follow(running: Running, request: Request) -> AsyncIterator[Json]:
    """Its events from now on. A listener that goes leaves the process as it is."""
    queue: asyncio.Queue[Json | None] = asyncio.Queue(_QUEUE)
    running.listeners.add(queue)
    every = float(request.headers.get("keepalive-ping-interval", 90))
    milliseconds = int(request.headers.get("connect-timeout-ms", 0))

    if milliseconds:
        deadline = time.monotonic() + milliseconds / 1000
    else:
        deadline = float("inf")

    try:
        yield {"event": {"start": {"pid": running.pid}}}
        if running.end is not None:
            yield {"event": running.end}
            return
        while True:
            event: Json | None = {"keepalive": {}}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(every, deadline - time.monotonic()))):
                    event = await queue.get()

            if event is None:
                raise RpcError("unavailable", GONE)
            if "keepalive" in event and time.monotonic() >= deadline:
                raise RpcError("deadline_exceeded", "context deadline exceeded")

            yield {"event": event}
            if "end" in event:
                return
    finally:
        running.listeners.discard(queue)
        # Whoever waits to put an event into this queue must go on.
        while not queue.empty():
            queue.get_nowait()


async def _watch(running: Running, sandbox: CloudSandbox, seconds: float | None) -> None:
    """Carry its output until it ends, or until its time is over."""
    pumps = [
        asyncio.ensure_future(_pump(running, fd, name))
        for fd, name in zip(running.process.output, ("stdout", "stderr"), strict=True)
    ]
    ended = running.process.ended
    await asyncio.wait({ended}, timeout=seconds and seconds + _GRACE)
    if not ended.done():
        # The leader only, as the real one does.
        sandbox.machine.signal(running.pid, signal.SIGKILL)
    status = await asyncio.shield(ended)
    # A child that holds the pipe open is no reason to wait.
    await asyncio.wait(pumps, timeout=1)
    for pump in pumps:
        pump.cancel()
    running.end = {"end": _ending(status)}
    if running.process.stdin is not None:
        os.close(running.process.stdin)
        running.process.stdin = None

    await running.publish(None if sandbox.machine.ended.is_set() else running.end)


def _ending(status: int) -> Json:
    """Fields that are zero are left out, as proto3's JSON does."""
    if status >= 0:
        text = f"exit status {status}"
        return {"exited": True, "status": text} | ({"exitCode": status, "error": text} if status else {})
    number = signal.Signals(-status)
    text = f"signal: {_NAMES.get(number, number.name.removeprefix('SIG').lower())}"
    return {"exitCode": -1, "status": text, "error": text}


async def _pump(running: Running, fd: int, name: str) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(fd, "rb", buffering=0)
    protocol = partial(asyncio.StreamReaderProtocol, reader)
    transport, _ = await loop.connect_read_pipe(protocol, pipe)
    try:
        while chunk := await reader.read(_CHUNK):
            await running.publish({"data": {name: base64.b64encode(chunk).decode()}})
    finally:
        transport.close()


async def listing(sandbox: CloudSandbox, _message: Json, _request: Request) -> Json:
    """Processes that run."""
    running: list[Running] = [process for process in sandbox.processes.values() if process.end is None]
    return {"processes": [_shown(process) for process in running]}


def _shown(process: Running) -> Json:
    return {"pid": process.pid, "config": process.config} | ({"tag": process.tag} if process.tag else {})


async def send_signal(sandbox: CloudSandbox, message: Json, _request: Request) -> None:
    """To the process itself, never to its group."""
    sandbox.machine.signal(select(sandbox, message["process"]).pid, _SIGNALS[message["signal"]])


async def send_input(sandbox: CloudSandbox, message: Json, _request: Request) -> None:
    """Write to standard input."""
    await _write(select(sandbox, message["process"]), message["input"])


async def close_stdin(sandbox: CloudSandbox, message: Json, _request: Request) -> None:
    """End standard input."""
    running = select(sandbox, message["process"])
    if running.process.stdin is not None:
        os.close(running.process.stdin)
        running.process.stdin = None


async def stream_input(sandbox: CloudSandbox, messages: AsyncIterator[Json]) -> None:
    """Write what comes to standard input."""
    running: Running | None = None
    async for message in messages:
        if "start" in message:
            running = select(sandbox, message["start"]["process"])
        elif "data" in message and running is not None:
            await _write(running, message["data"]["input"])


async def _write(running: Running, chunk: Json) -> None:
    fd = running.process.stdin
    if fd is None:
        raise RpcError("invalid_argument", "stdin is not open")
    data = base64.b64decode(chunk["stdin"])
    # A program may end without reading its input, which is no error.
    with contextlib.suppress(BrokenPipeError):
        # In a thread, since the pipe stays full until the program reads.
        await asyncio.to_thread(_write_all, fd, data)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        # A write into a pipe may take a part only.
        view = view[os.write(fd, view) :]
