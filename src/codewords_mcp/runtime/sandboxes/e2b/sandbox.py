"""One program in a machine of E2B's: what the runtime holds of it, from its start to the machine's end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import structlog

from codewords_mcp.common.cancellation import ignore_result
from codewords_mcp.errors import CodewordsError, SandboxFailed
from codewords_mcp.runtime.sandboxes import explain
from codewords_mcp.runtime.sandboxes.base import (
    Exit,
    ExitReason,
    OutputChunk,
    SandboxSpec,
    Usage,
)
from codewords_mcp.runtime.sandboxes.e2b import failures, protocol
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount
from codewords_mcp.runtime.sandboxes.e2b.agent_connection import AgentConnection
from codewords_mcp.runtime.sandboxes.e2b.cost import CostMeter
from codewords_mcp.runtime.sandboxes.e2b.mux import Json, Stream, relay
from codewords_mcp.runtime.sandboxes.e2b.output_buffer import OutputBuffer
from codewords_mcp.runtime.sandboxes.e2b.program_egress import ProgramEgress

# For the agent to end the program in its own way; then the machine is ended with all that is in it.
_KILL_SECONDS: Final = 3.0
# For what a program that has ended by itself had answered to be read.
_LINGER_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 2.0
_SLACK_SECONDS: Final = 30.0

log = structlog.get_logger(__name__)


class E2BSandbox:
    """Implements `Sandbox`. Beside it: `pause` and `resume`, and a connection resumes by itself."""

    def __init__(
        self,
        spec: SandboxSpec,
        account: E2bAccount,
        link: AgentConnection,
        meter: CostMeter,
        *,
        socket_path: Path,
        egress: ProgramEgress | None,
        price: Callable[[], float],
        ttl: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.id = spec.id
        self.link = link
        self.meter = meter
        self.paused = False
        self.last_used = loop.time()
        self._spec = spec
        self._account = account
        self._path = socket_path
        self._egress = egress
        self._price = price
        self._ttl = ttl
        self._output = OutputBuffer(self._acknowledge)
        self._ready: asyncio.Future[None] = loop.create_future()
        self._ready.add_done_callback(ignore_result)
        self._ended: asyncio.Future[Exit] = loop.create_future()
        self.disposed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._reason: ExitReason | None = None
        self._stopping = self._served = False
        self._broken: CodewordsError | None = None
        self._failure: CodewordsError | None = None
        self._report: Json | None = None
        self._usage: Usage | None = None
        self._hurry = asyncio.Event()
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Json]] = {}
        self._waking = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def socket_path(self) -> str:
        """See `Sandbox`: a socket of this host, whose connections are carried to the program."""
        return str(self._path)

    @property
    def have(self) -> int:
        """Chunks of output that came, for the link."""
        return self._output.have

    async def begin(self) -> None:
        """Serve the socket and send the program on its way. Raises SandboxFailed."""
        try:
            self._server = await asyncio.start_unix_server(self._on_connection, str(self._path), backlog=512)
        except OSError as error:
            raise SandboxFailed(f"The sandbox's socket cannot be made: {error.strerror}.") from error

        if self._egress is not None:
            egress = self._egress.described
        else:
            egress = None

        self.link.say({"do": "start", "spec": protocol.from_spec(self._spec), "egress": egress})
        # Longer than the agent's own limit, which knows the reason.
        bound = self._spec.limits.start_timeout + _SLACK_SECONDS
        silent = SandboxFailed(
            f"The E2B sandbox did not say within {bound:g} seconds that its program is ready."
        )
        self._timer = asyncio.get_running_loop().call_later(bound, self._not_ready, silent)

    def _acknowledge(self, upto: int) -> None:
        self.link.say({"do": "read", "upto": upto})

    def on_end(self, then: Callable[[], object]) -> None:
        """Call `then` when the program is gone."""

        def ended(_: object) -> None:
            then()

        self._ended.add_done_callback(ended)

    async def wait_ready(self) -> None:
        """See `Sandbox`."""
        await asyncio.shield(self._ready)

    def output(self) -> AsyncIterator[OutputChunk]:
        """See `Sandbox`."""
        return self._output.chunks()

    async def wait(self) -> Exit:
        """See `Sandbox`."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace: float) -> Exit:
        """See `Sandbox`."""
        self._stopping = True
        if not self._ended.done():
            self.link.say({"do": "stop", "grace": grace})
            # Without a connection nothing would come: the kill below ends the machine.
            await asyncio.wait({self._ended}, timeout=grace + (_KILL_SECONDS if self.link.up else 0))
        return await self.kill()

    async def kill(self, reason: ExitReason = "killed") -> Exit:
        """See `Sandbox`."""
        self._hurry.set()
        if not self._ended.done():
            self._reason = self._reason or reason
            self._keep(self._kill())
        return await self.wait()

    def failure(self) -> CodewordsError | None:
        """See `Sandbox`."""
        if not self._ended.done():
            return None
        if self._broken is not None:
            return self._broken
        exit_ = self._ended.result()
        # A program that ends because it was asked to has not failed, whatever its code.
        if self._stopping and exit_.reason in ("exited", "signaled"):
            return None
        return self._failure or explain.ended(exit_, self._spec.limits, served=self._served)

    async def usage(self) -> Usage:
        """See `Sandbox`."""
        if self._usage is not None:
            return self._usage

        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self.link.say({"do": "usage", "id": number})
        try:
            # While the connection is down no answer can come, and what is known has to do.
            async with asyncio.timeout(_ANSWER_SECONDS if self.link.up else 0):
                return self._used(await answer)
        except TimeoutError:
            # The program may have ended meanwhile: its end has told what it used.
            return self._usage or self._used(None)
        finally:
            self._answers.pop(number, None)

    @property
    def is_idle(self) -> bool:
        """Whether it listens, and nobody asks it anything."""
        return (
            self._served
            and not self.paused
            and not self._ended.done()
            and self.link.up
            and not self.link.busy
        )

    def say(self, text: str) -> None:
        """A line of the platform's own in the program's output."""
        self._output.say(text)

    async def pause(self) -> None:
        """Freeze the machine, memory and all; connections that are open break. Raises what pausing does."""
        async with self._waking:
            if self.paused or self._ended.done():
                return

            # The connection is closed by us, or its end would be taken for a lost machine.
            await self.link.rest()
            try:
                await self._account.pause(self.link.machine)
            except CodewordsError:
                # It runs on: the sandbox is as before.
                await self.link.wake(self.link.machine)
                raise

            self.paused = True
            self.meter.pause()

    async def resume(self) -> None:
        """Let it go on where it was. Raises Gone, TooBusy, SandboxUnavailable, SandboxFailed."""
        # Two connections may arrive at a paused machine: one of them resumes it.
        async with self._waking:
            if not self.paused:
                return

            try:
                machine = await self._account.resume(self.link.machine, self._ttl)
            except failures.MachineGone as error:
                self.on_lost(error)
                raise

            self.paused = False
            self.meter.resume()
            await self.link.wake(machine)

    def on_message(self, message: Json) -> None:
        """From the agent."""
        if "ready" in message:
            self._on_ready(protocol.to_error(message["ready"]))
        elif "ended" in message:
            self._report = message["ended"]
            self._failure = protocol.to_error(message["ended"]["failure"])
            self._end(protocol.to_exit(message["ended"]["exit"]), message["ended"]["usage"])
        elif "failed" in message:
            self._broken = protocol.to_error(message["failed"])
            self._end(Exit(self._reason or "killed"), None)
        elif "usage" in message:
            answer = self._answers.get(message["id"])
            if answer is not None and not answer.done():
                answer.set_result(message["usage"])
        elif "egress" in message and self._egress is not None:
            self._egress.report(message["egress"])

    def on_output(self, number: int, data: bytes) -> None:
        """From the program."""
        self._output.put(number, data)

    def on_stream(self, stream: Stream, what: Json) -> None:
        """The program connects to the runtime, or out by way of it."""
        if self._egress is None or self._ended.done():
            stream.reset()
        else:
            self._keep(self._egress.relay(stream, what))

    def on_lost(self, error: CodewordsError) -> None:
        """The machine cannot be reached any more."""
        if not self._ended.done():
            # A machine that we end on purpose is no lost one.
            if self._reason is None:
                self._broken = error
            self._end(Exit(self._reason or "killed"), None)

    def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._keep(self._carry(reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            if self.paused:
                await self.resume()
            self.last_used = loop.time()
            stream = await self.link.open({"to": "program"})
        except (OSError, CodewordsError) as error:
            log.info("sandbox connection failed", sandbox=self.id, reason=str(error))
            writer.transport.abort()
            return

        await relay(stream, reader, writer)
        self.last_used = loop.time()

    async def _kill(self) -> None:
        self.link.say({"do": "kill", "reason": self._reason})
        # Without an answer the machine is ended with all that is in it.
        await asyncio.wait({self._ended}, timeout=_KILL_SECONDS if self.link.up else 0)
        self._end(Exit(self._reason or "killed"), None)

    def _on_ready(self, error: CodewordsError | None) -> None:
        if error is None:
            self._served = True
            if not self._ready.done():
                self._ready.set_result(None)
        else:
            self._not_ready(error)

    def _not_ready(self, error: CodewordsError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)

    def _end(self, exit_: Exit, used: Json | None) -> None:
        """The program is gone; its machine follows, when what it said has been read."""
        # The agent's message, a lost machine and a kill may each report the same end.
        if self._ended.done():
            return

        self.meter.stop()
        self._usage = self._used(used)
        self._output.finish()
        if self._timer is not None:
            self._timer.cancel()
        self._ended.set_result(exit_)
        gone = SandboxFailed("The sandbox was destroyed before its program listened.")
        self._not_ready(self.failure() or gone)
        self._keep(self._dispose())

    def _used(self, report: Json | None) -> Usage:
        cpu, peak = (report["cpu"], report["peak"]) if report else (None, None)
        return Usage(self.meter.wall, cpu, peak, cost=round(self.meter.billed * self._price(), 8))

    async def _dispose(self) -> None:
        """Hang up, let go of the socket, and say that the machine may be ended."""
        # The caller may still read what the program answered last; a kill does not wait for it.
        either = [asyncio.ensure_future(wait) for wait in (self._hurry.wait(), self.link.quiet())]
        await asyncio.wait(either, timeout=_LINGER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in either:
            wait.cancel()
        if self._server is not None:
            self._server.close()
        self.link.break_streams()
        await self.link.close()
        if self._egress is not None:
            await self._egress.close()
        self._path.unlink(missing_ok=True)
        # This task is among them.
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        self.disposed.set()

    def _keep(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
