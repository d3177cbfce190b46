"""A websocket to a workflow, passed through message by message."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConcurrencyError, ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from codewords_mcp.errors import ProgramFailed, RunCancelled
from codewords_mcp.runtime.runs.attempt import Execution
from codewords_mcp.runtime.runs.attempt_setup import AttemptSetup
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.foreground import AwaitedRuns
from codewords_mcp.runtime.runs.lease import Lease
from codewords_mcp.runtime.runs.request_headers import target_of, to_workflow
from codewords_mcp.runtime.runs.results import WorkflowResponse
from codewords_mcp.runtime.runs.submit import Recorded, Submission
from codewords_mcp.runtime.sandboxes.base import Sandbox
from codewords_mcp.runtime.secrets.scrub import Scrubber

MAX_MESSAGE = 16 << 20
"""Bytes of one message."""


class WebSocketSession:
    """The caller's end of a workflow's websocket."""

    def __init__(self, run_id: str, connection: ClientConnection, scrubber: Scrubber) -> None:
        self.run_id = run_id
        self._connection = connection
        self._scrubber = scrubber

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the workflow chose."""
        return self._connection.subprotocol

    async def receive(self) -> str | bytes | None:
        """The workflow's next message, None when it has closed."""
        with suppress(ConnectionClosed):
            message = await self._connection.recv()
            if isinstance(message, str):
                return self._scrubber.text(message)
            return self._scrubber.whole(message)
        return None

    async def send(self, message: str | bytes) -> None:
        """Pass a message on; dropped when the workflow has closed."""
        with suppress(ConnectionClosed):
            await self._connection.send(message)

    @property
    def close_code(self) -> int:
        """The code with which the workflow closed: RFC 6455, 7.4; 1006 if the connection broke."""
        return self._connection.close_code or 1006

    @property
    def close_reason(self) -> str:
        """The reason that the workflow gave, without secrets; "" if the connection broke."""
        return self._scrubber.text(self._connection.close_reason or "")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """The caller has closed. What the workflow sends until it closes too is dropped."""
        # A close waits for the other side's, which comes after all that it still sends: somebody
        # must read that.
        dropping = asyncio.create_task(self._drop())

        try:
            await self._connection.close(code, reason)
        finally:
            dropping.cancel()
            await asyncio.wait({dropping})

    async def _drop(self) -> None:
        """Receive what nobody waits for. Behind unread messages the workflow's close frame would not be seen, and the run
        would keep its sandbox until the time limit for closing.
        """
        with suppress(ConnectionClosed, ConcurrencyError):
            while True:
                await self._connection.recv()


class WebSocketExecution(Execution):
    """A run whose answer is a websocket; it ends when either side closes."""

    def __init__(self, setup: AttemptSetup, subprotocols: list[str]) -> None:
        super().__init__(setup)
        self._subprotocols = [Subprotocol(name) for name in subprotocols]
        self._session: asyncio.Future[WebSocketSession] = asyncio.get_running_loop().create_future()

    async def session(self) -> WebSocketSession:
        """The open session. Raises what the run failed of. Cancelling this cancels the run."""
        try:
            await asyncio.wait({self._session, self.response.started}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.hang_up()
            raise
        if not self._session.done():
            await self.response.started  # failed before it opened: this raises
            raise RunCancelled("The websocket closed before it opened.")
        return self._session.result()

    async def _serve(self, lease: Lease) -> None:
        sandbox = lease.sandbox
        try:
            if not lease.ready:
                await sandbox.wait_ready()
            self.record.mark("ready")
            async with self._connect(sandbox) as connection:
                self.record.mark("answer")
                self._session.set_result(WebSocketSession(self.run_id, connection, self.scrubber.another()))
                await connection.wait_closed()
                self.record.respond(WorkflowResponse(200, []), collect=False)
        except InvalidStatus as error:
            status = error.response.status_code
            raise ProgramFailed(
                "program_bad_reply",
                f"The workflow refused the websocket with status {status}.",
                hint="Check the path; /openapi.json does not list websockets.",
            ) from error
        except (InvalidHandshake, OSError, EOFError) as error:
            raise await self._explain(
                sandbox, ProgramFailed("program_bad_reply", "The workflow did not open the websocket.")
            ) from error

    def _connect(self, sandbox: Sandbox) -> connect:
        request = self.request
        headers = to_workflow(
            request.headers,
            run_id=self.run_id,
            correlation_id=self.correlation_id,
            caller_id=request.caller.owner,
            plain=bool(self.scrubber),
            trace_parent=self._trace_context,
            own_origin=request.own_origin,
        )
        own = {b"host", b"origin", b"content-length", b"user-agent"}
        forwarded = [
            (n.decode("latin-1"), v.decode("latin-1"))
            for n, v in headers
            if not n.startswith(b"sec-websocket") and n not in own
        ]

        return unix_connect(
            sandbox.socket_path,
            f"ws://workflow{target_of(request).decode('latin-1')}",
            additional_headers=forwarded,
            subprotocols=self._subprotocols or None,
            # Both ends are on this machine, so compressing would cost time and save nothing.
            compression=None,
            max_size=MAX_MESSAGE,
            proxy=None,
            # A program whose event loop is busy answers no ping, and would lose its caller for that.
            ping_interval=None,
            user_agent_header=None,
        )


class WebSocketRuns(AwaitedRuns):
    """Runs whose caller gets a websocket; see `RunMode`."""

    def __init__(self, context: RunDependencies, subprotocols: list[str]) -> None:
        super().__init__(context)
        self._subprotocols = subprotocols

    async def start(self, submission: Submission, recorded: Recorded) -> WebSocketSession:
        """See `RunMode`. Cancelling this cancels the run."""
        make = partial(WebSocketExecution, subprotocols=self._subprotocols)
        return await self.enter(submission, recorded, make).session()
