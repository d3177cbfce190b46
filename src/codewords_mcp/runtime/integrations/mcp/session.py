"""Sessions with servers, kept while they are used: the one place that speaks their protocol.

Each is a task of its own, which holds the client of the package `mcp`. What it raises is the result
of the task: that client raises whatever its parts raise.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from codewords_mcp import __version__
from codewords_mcp.common.cancellation import end
from codewords_mcp.errors import CodewordsError, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.integrations.errors import IntegrationFailed
from codewords_mcp.runtime.integrations.mcp.processes import PreparedServer, ServerProcesses
from codewords_mcp.runtime.integrations.mcp.session_faults import MAX_BYTES, SessionFaults
from codewords_mcp.runtime.web.client import USER_AGENT, Web

if TYPE_CHECKING:
    import httpx2
    from mcp import Client

OPEN_TIMEOUT_S = 15.0
PROCESS_OPEN_TIMEOUT_S = 45.0
"""Seconds for a server's process to start and answer."""
CLOSE_TIMEOUT_S = 3.0
RETIRE_TIMEOUT_S = 120.0
"""Seconds that a session without use for new requests waits for those that go on in it."""
IDLE_TIMEOUT_S = 300.0
"""Seconds after which an unused session is closed."""
SWEEP_INTERVAL_S = 15.0
MAX_SESSIONS = 100
CONNECTIONS_PER_SESSION = 4
T = TypeVar("T")


class Unauthorized(Exception):  # a state of the connection, which callers handle
    """The server wants to know who asks. `sign_in`: it says where one signs in."""

    def __init__(self, *, sign_in: bool) -> None:
        super().__init__("the server wants to know who asks")
        self.sign_in = sign_in


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The way to reach a server. Equal ones share a session. `auth` signs the requests in, by OAuth; `server` is one
    that has to be started.
    """

    owner: str
    url: str
    streams: bool = False
    token: str = field(default="", repr=False)
    auth: httpx2.Auth | None = field(default=None, repr=False)
    server: PreparedServer | None = None


class ServerSession:
    """One session. For one event loop; `close` it."""

    def __init__(self, web: Web, processes: ServerProcesses, address: ServerAddress) -> None:
        self._web = web
        self._processes = processes
        self._address = address
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._ending = asyncio.Event()
        self._unused = asyncio.Event()
        self._unused.set()
        self._pending = 0
        self._doomed = False
        self.faults = SessionFaults()
        self.used_at = time.monotonic()
        self._task = asyncio.create_task(self._hold())

    @property
    def busy(self) -> bool:
        """Whether a request goes on in it."""
        return self._pending > 0

    @property
    def alive(self) -> bool:
        """Whether calls can go on in it."""
        broken = self._doomed or self.faults.first is not None
        return not (broken or self._ending.is_set() or self._task.done())

    async def ask(self, make: Callable[[Client], Coroutine[Any, Any, T]], seconds: float) -> T:
        """Await what `make` asks of the client.

        Raises Unauthorized, IntegrationFailed with the server's own words, UpstreamFailed,
        UpstreamTimedOut, AddressRefused. After all but IntegrationFailed the session is of no use.
        """
        self._pending += 1
        self._unused.clear()
        try:
            return await self._ask(make, seconds)
        finally:
            self.used_at = time.monotonic()
            self._pending -= 1
            if not self._pending:
                self._unused.set()

    async def _ask(self, make: Callable[[Client], Coroutine[Any, Any, T]], seconds: float) -> T:
        deadline = time.monotonic() + seconds
        if self._address.server is None:
            limit = OPEN_TIMEOUT_S
        else:
            limit = PROCESS_OPEN_TIMEOUT_S
        client = await self._client(min(limit, seconds))
        request = asyncio.create_task(make(client))
        try:
            await asyncio.wait(
                {request, self._task},
                timeout=deadline - time.monotonic(),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            if not request.done():
                # The server may stream on for ever: the session's end closes its connections.
                self._doomed = True
                await end([request])

        if request.cancelled():
            if self._task.done():
                raise self._failure(self._task)
            raise UpstreamTimedOut(
                f"The server did not answer within {seconds:g} s.",
                hint="It may have been done nevertheless: check before you call it again.",
            )
        if request.exception() is not None:
            raise self._failure(request)
        return request.result()

    async def retire(self) -> None:
        """End the session once no request goes on in it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RETIRE_TIMEOUT_S):
                await self._unused.wait()
        await self.close()

    async def close(self) -> None:
        """End the session; the server is told where that takes a moment only."""
        self._ending.set()
        await asyncio.wait([self._task], timeout=CLOSE_TIMEOUT_S)
        await end([self._task])
        # Read, so that nobody is told of an exception that was never retrieved.
        if not self._task.cancelled():
            self._task.exception()

    async def _client(self, seconds: float) -> Client:
        await asyncio.wait({self._ready, self._task}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if self._ready.done() and not self._ready.cancelled():
            return self._ready.result()
        if self._task.done():
            raise self._failure(self._task)
        self._doomed = True
        await end([self._task])
        raise UpstreamTimedOut(
            f"The server did not open a session within {seconds:g} s.", hint="Try again later."
        )

    async def _hold(self) -> None:
        from mcp import Client
        from mcp_types import Implementation

        async with self._transport() as transport:
            # Neither sampling nor elicitation nor roots are offered: each such request is declined.
            client = Client(
                transport,
                mode="legacy" if self._address.streams or self._address.server is not None else "auto",
                client_info=Implementation(name="codewords-mcp", version=__version__),
                cache=None,
            )
            async with client:
                self._ready.set_result(client)
                await self._ending.wait()

    @asynccontextmanager
    async def _transport(self) -> AsyncGenerator[Any]:
        """The transport for a client. Closes what is its own."""
        import httpx2
        from mcp.client.sse import sse_client
        from mcp.client.streamable_http import streamable_http_client

        from codewords_mcp.runtime.integrations.mcp.transport import ServerTransport

        address = self._address
        if address.server is not None:
            # Opened by the client, so that it is closed before the process ends.
            yield self._processes.connect(address.server, self.faults)
            return

        headers = {"user-agent": USER_AGENT}
        if address.token:
            headers["authorization"] = f"Bearer {address.token}"
        inner = self._web.transport(keepalive=CONNECTIONS_PER_SESSION)
        http = httpx2.AsyncClient(
            transport=ServerTransport(inner, self.faults, address.url, streams=address.streams),
            headers=headers,
            auth=address.auth,
            timeout=None,
            trust_env=False,
        )

        def shared_client(
            headers: dict[str, str] | None = None,  # noqa: ARG001  # the protocol of `sse_client`
            timeout: httpx2.Timeout | None = None,  # noqa: ARG001
            auth: httpx2.Auth | None = None,  # noqa: ARG001
        ) -> httpx2.AsyncClient:
            return http

        # The older transport closes its HTTP client itself.
        async with nullcontext() if address.streams else http:
            if address.streams:
                yield sse_client(address.url, httpx_client_factory=shared_client)
            else:
                yield streamable_http_client(address.url, http_client=http, max_sse_event_size=MAX_BYTES)

    def _failure(self, task: asyncio.Task[Any]) -> Exception:
        """The error for callers; what was noted on the way is more telling than what was raised."""
        from mcp import MCPError

        if self.faults.unauthorized:
            self._doomed = True
            return Unauthorized(sign_in=self.faults.sign_in)
        if self.faults.first is not None:
            self._doomed = True
            return self.faults.first

        raised = None if task.cancelled() else task.exception()
        raised = _first(raised)
        if isinstance(raised, CodewordsError):
            return raised
        if isinstance(raised, MCPError) and not _is_our_side(raised):
            return IntegrationFailed(
                "The server refused the request.",
                upstream_status=200,
                upstream_said=raised.message,
                hint="Its message is in `upstream_said`.",
            )
        self._doomed = True
        if isinstance(raised, RuntimeError):
            return UpstreamFailed(
                "The server's answer does not fit what it says of the tool.",
                hint="It was probably done: check before you call it again.",
            )
        return UpstreamFailed(
            "The server could not be reached, is no MCP server, or broke the connection off.",
            upstream_status=self.faults.status or None,
            hint="Check the address; a call may have been done nevertheless.",
        )


class ServerSessions:
    """Sessions of all owners, by address. For one event loop; `close` it."""

    def __init__(
        self,
        web: Web,
        processes: ServerProcesses,
        *,
        idle_timeout_s: float = IDLE_TIMEOUT_S,
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        self._web = web
        self._processes = processes
        self._sweeper: asyncio.Task[None] | None = None
        self._idle_timeout_s = idle_timeout_s
        self._max_sessions = max_sessions
        processes.make_room = self._make_room
        self._sessions: dict[ServerAddress, ServerSession] = {}
        self._ends: set[asyncio.Task[None]] = set()

    async def ask(
        self, address: ServerAddress, make: Callable[[Client], Coroutine[Any, Any, T]], seconds: float
    ) -> T:
        """Ask in the kept session of an address, or in a new one. Raises as `ServerSession.ask`.

        Asks once more, in a new session, only where the server had forgotten the old one.
        """
        session = self._sessions.get(address)
        if session is None or not session.alive:
            session = self._open(address)
        try:
            return await session.ask(make, seconds)
        except CodewordsError:
            # 404 for a session's id says that nothing was carried out in it.
            if not session.faults.lost:
                raise
        finally:
            if not session.alive or session.faults.lost:
                self._end(address, session)

        session = self._open(address)
        try:
            return await session.ask(make, seconds)
        finally:
            if not session.alive:
                self._end(address, session)

    def forget(self, owner: str, url: str) -> None:
        """End all sessions of this owner with a server."""
        for address, session in list(self._sessions.items()):
            if (address.owner, address.url) == (owner, url):
                self._end(address, session)

    async def close(self) -> None:
        """End every session."""
        if self._sweeper is not None:
            await end([self._sweeper])
        sessions = list(self._sessions.values())
        self._sessions.clear()
        await end(self._ends)
        await asyncio.gather(*(session.close() for session in sessions))

    def _open(self, address: ServerAddress) -> ServerSession:
        self._end_unused()
        session = self._sessions[address] = ServerSession(self._web, self._processes, address)
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep(), name="sessions with MCP servers")
        return session

    async def _sweep(self) -> None:
        """End sessions that are not used any more, while there are any."""
        while self._sessions:
            await asyncio.sleep(min(SWEEP_INTERVAL_S, self._idle_timeout_s))
            self._end_unused(room=0)
            self._processes.touch()

    async def _make_room(self) -> None:
        """Wait for processes that end already; without any, end the one that was not used for the longest time."""
        if self._ends:
            await asyncio.wait(self._ends, timeout=CLOSE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
            return
        idle = [
            (session.used_at, address)
            for address, session in self._sessions.items()
            if address.server is not None and session.alive and not session.busy
        ]
        if idle:
            _, address = min(idle, key=lambda pair: pair[0])
            await self._sessions.pop(address).close()

    def _end_unused(self, room: int = 1) -> None:
        """End sessions that were idle for long, and the least used ones where there is no `room` for so many more."""
        oldest_first = sorted(self._sessions.items(), key=lambda pair: pair[1].used_at)
        surplus = len(oldest_first) - self._max_sessions + room
        due = time.monotonic() - self._idle_timeout_s
        for number, (address, session) in enumerate(oldest_first):
            idle = session.used_at < due and not session.busy
            if number < surplus or idle or not session.alive:
                self._end(address, session)

    def _end(self, address: ServerAddress, session: ServerSession) -> None:
        if self._sessions.get(address) is session:
            del self._sessions[address]
        task = asyncio.create_task(session.retire())
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)


def _first(raised: BaseException | None) -> BaseException | None:
    """The first error of nested groups."""
    found = raised
    while isinstance(found, BaseExceptionGroup):
        found = cast("BaseExceptionGroup[BaseException]", found).exceptions[0]
    return found


def _is_our_side(error: Any) -> bool:
    """Whether the client made the error up, since no answer came."""
    from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR

    generic = error.code == INTERNAL_ERROR and error.message == "Server returned an error response"
    return error.code == CONNECTION_CLOSED or generic
