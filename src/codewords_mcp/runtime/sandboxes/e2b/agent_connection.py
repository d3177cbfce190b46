"""The connection to a machine's agent: made, and made again when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Any, Final, Protocol

import structlog

from codewords_mcp.common import bounded_json
from codewords_mcp.errors import CodewordsError, SandboxFailed, SandboxUnavailable, TooBusy
from codewords_mcp.runtime.sandboxes.e2b import failures, protocol
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount, E2bMachine
from codewords_mcp.runtime.sandboxes.e2b.mux import MESSAGE, OUTPUT, Json, Mux, Stream, parse

# For the first connection, and for each time it has to be made again.
_CONNECT_SECONDS: Final = 20.0
_ONE_TRY_SECONDS: Final = 10.0
_PAUSES: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_HELLO_SECONDS: Final = 10.0
_PING_SECONDS: Final = 20.0

log = structlog.get_logger(__name__)


class FrameHandler(Protocol):
    """The receiver of an agent's messages."""

    def on_message(self, message: Json) -> None:
        """From the agent."""
        ...

    def on_output(self, number: int, data: bytes) -> None:
        """A chunk of the program's output, by its number."""
        ...

    def on_stream(self, stream: Stream, what: Json) -> None:
        """The agent opens a stream."""
        ...

    def on_lost(self, error: CodewordsError) -> None:
        """The connection is gone for good."""
        ...

    @property
    def have(self) -> int:
        """Chunks of output that came."""
        ...


class AgentConnection:
    """One machine's connection. `connect` before anything else; `close` at the end."""

    def __init__(self, account: E2bAccount, machine: E2bMachine, handler: FrameHandler) -> None:
        self.machine = machine
        self.handler = handler
        self.hello: Json = {}
        self._account = account
        # The first client to start a program is the only one that the agent hears afterwards.
        self._secret = secrets.token_urlsafe(24)
        self._mux: Mux | None = None
        self._connected = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._connection: Any = None
        self._resting = False
        self._over = False

    async def connect(self) -> None:
        """Reach the agent and hear its hello. Raises Gone, SandboxUnavailable, SandboxFailed, TooBusy."""
        connection, hello = await self._reach()
        self._life = asyncio.create_task(self._live(connection, hello), name=f"e2b {self.machine.id}")
        await self._connected.wait()

    @property
    def up(self) -> bool:
        """Whether the agent hears us now, as far as is known."""
        return self._mux is not None

    @property
    def busy(self) -> bool:
        """Whether any stream is open."""
        return self._mux is not None and not self._mux.quiet.is_set()

    async def quiet(self) -> None:
        """Return when no stream is open."""
        if self._mux is not None:
            await self._mux.quiet.wait()

    def say(self, message: Json) -> None:
        """Tell the agent; lost where the connection is."""
        if self._mux is not None:
            self._mux.say(message)

    async def open(self, what: Json) -> Stream:
        """A stream, once the connection stands. Raises ConnectionResetError when it is gone for good."""
        while self._mux is None:
            if self._over:
                raise ConnectionResetError("the sandbox has ended")
            await self._connected.wait()
        return self._mux.open(what)

    def break_streams(self) -> None:
        """Hang up every stream."""
        if self._mux is not None:
            self._mux.reset_streams()

    def drop(self) -> None:
        """Break the connection as a network does, which makes it be made again; for tests."""
        if self._connection is not None:
            self._connection.transport.abort()

    async def rest(self) -> None:
        """Let go of the connection, since the machine is about to be paused, without taking it for lost."""
        # Closed by us: the machine would hold a dead connection when it is resumed.
        self._resting = True
        if self._connection is not None:
            await self._connection.close()

    async def wake(self, machine: E2bMachine) -> None:
        """The machine goes on: reach it again. Raises as `connect`."""
        self.machine = machine
        self._resting = False
        if self._life is not None:
            # The task of the old connection ends first: two would take each other's messages.
            await asyncio.wait({self._life})
        await self.connect()

    async def close(self) -> None:
        """Hang up for good. Idempotent."""
        self._over = True
        self._connected.set()
        if self._life is not None:
            self._life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._life

    async def _live(self, connection: Any, hello: Json) -> None:
        """Carry what comes; reconnect until the machine is gone."""
        try:
            while True:
                await self._hear(connection, hello)
                if self._resting:
                    return

                log.info("sandbox connection lost, reconnecting", sandbox=self.machine.id)
                connection, hello = await self._reach()
        except CodewordsError as error:
            self._give_up(error)
        except Exception:
            log.exception("sandbox connection failed", sandbox=self.machine.id)
            self._give_up(SandboxFailed("The connection to the sandbox failed."))

    def _give_up(self, error: CodewordsError) -> None:
        self._over = True
        self._connected.set()
        self.handler.on_lost(error)

    async def _hear(self, connection: Any, hello: Json) -> None:
        from websockets.exceptions import ConnectionClosed

        mux = Mux(connection.send, self._on_stream, first=1)
        self._mux, self._connection, self.hello = mux, connection, hello
        # A program was started over an earlier connection: the agent sends what was not received.
        if hello["started"]:
            mux.say({"do": "attach", "have": self.handler.have})
        self._connected.set()
        try:
            async for data in connection:
                kind, number, content = parse(data)
                if kind == MESSAGE:
                    self.handler.on_message(bounded_json.parse(content))
                elif kind == OUTPUT:
                    self.handler.on_output(number, content)
                else:
                    mux.receive(kind, number, content)
        except ConnectionClosed:
            # Broken or closed: the caller decides whether to connect again.
            pass
        finally:
            self._mux = None
            self._connected.clear()
            await mux.close()
            await connection.close()

    def _on_stream(self, stream: Stream, what: Json) -> None:
        # Looked up at each call: the handler changes while the connection stands.
        self.handler.on_stream(stream, what)

    async def _reach(self) -> tuple[Any, Json]:
        """A connection and the agent's hello. Raises Gone, SandboxUnavailable, SandboxFailed, TooBusy."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _CONNECT_SECONDS
        attempt = 0

        while True:
            try:
                async with asyncio.timeout(_ONE_TRY_SECONDS):
                    return await self._try()
            except (OSError, TimeoutError, _Later) as error:
                pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
                # The next try would begin after the deadline.
                if loop.time() + pause > deadline:
                    raise _unreached(error) from error

                attempt += 1
                await asyncio.sleep(pause)

    async def _try(self) -> tuple[Any, Json]:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidStatus

        uri, headers = self._account.address(self.machine)
        headers[protocol.SESSION_HEADER] = self._secret

        try:
            connection = await connect(
                uri, additional_headers=headers, proxy=self._account.proxy or True, compression=None, max_size=None,
                open_timeout=None, ping_interval=_PING_SECONDS, ping_timeout=2 * _PING_SECONDS, close_timeout=1,
            )  # fmt: skip
        except InvalidStatus as error:
            raise _by_status(error.response.status_code, bytes(error.response.body or b"")) from error
        except InvalidHandshake as error:
            raise _Later(str(error)) from error

        try:
            return connection, await _hello(connection)
        except BaseException:
            # Cancelled, or no agent of ours: nobody else has the connection.
            await connection.close()
            raise


class _Later(Exception):
    """Not now; another attempt may do."""


async def _hello(connection: Any) -> Json:
    from websockets.exceptions import ConnectionClosed

    try:
        async with asyncio.timeout(_HELLO_SECONDS):
            _, _, content = parse(await connection.recv())
            hello: Json = bounded_json.parse(content)["hello"]
    except ConnectionClosed as error:
        raise _Later("the agent hung up") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _wrong_agent() from error

    if hello.get("version") != protocol.VERSION:
        raise _wrong_agent()

    return hello


def _wrong_agent() -> SandboxUnavailable:
    return SandboxUnavailable(
        "The E2B template was built by another version of codewords-mcp.", remedy=failures.BUILD_TEMPLATE
    )


def _by_status(status: int, body: bytes) -> Exception:
    """The error of a connection that E2B's edge refused."""
    # E2B's edge has no code for this: only its text tells a machine that is gone.
    if status == 502 and b"was not found" in body:
        return failures.gone()
    if status == 403:
        return SandboxFailed("E2B does not let the runtime reach its sandbox: the traffic token was refused.")
    if status == 429:
        return TooBusy("E2B turns connections to sandboxes away: too many in a short time.", retry_after=10)
    return _Later(f"status {status}" + (" not open" if b"port is not open" in body else ""))


def _unreached(error: Exception) -> CodewordsError:
    if isinstance(error, _Later) and "not open" in str(error):
        return SandboxUnavailable(
            "The agent does not run in the E2B sandbox: it was made from another template, or did not come up.",
            remedy=failures.BUILD_TEMPLATE,
        )
    return SandboxFailed(
        f"The E2B sandbox could not be reached within {_CONNECT_SECONDS:g} seconds.",
        hint="Check this machine's network, and CODEWORDS_E2B_PROXY if it needs a proxy; then try again.",
    )
