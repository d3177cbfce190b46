"""The agent's door: one session at a time, whose program nobody but its host may reach."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import AsyncGenerator
from typing import Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from codewords_mcp.agent.machine import AgentMachine
from codewords_mcp.agent.session import HostSession
from codewords_mcp.runtime.sandboxes.e2b import protocol

_REFUSED: Final = 4403
"""WebSocket close code for whoever is not the session's host."""


class Agent:
    """Serves one machine."""

    def __init__(self, machine: AgentMachine) -> None:
        self._machine = machine
        self._session: HostSession | None = None
        self._taken = b""

    @contextlib.asynccontextmanager
    async def serving(self, port: int) -> AsyncGenerator[None]:
        """Listen until the end of the block."""
        # Any size: the multiplexer bounds its frames. No compression: program output and
        # tunnelled TLS gain little, and it costs the machine's CPU.
        bound = serve(
            self._on_connection, "0.0.0.0", port, max_size=None, compression=None, ping_interval=20, ping_timeout=60
        )  # fmt: skip
        async with bound:
            yield

    async def _on_connection(self, connection: ServerConnection) -> None:
        request = connection.request
        secret = (request.headers.get(protocol.SESSION_HEADER, "") if request else "").encode()
        if self._session is not None and self._session.started:
            # A program runs here and may come by itself; only its host knows the secret.
            # Compared in constant time, since the program can try as often as it likes.
            if not hmac.compare_digest(secret, self._taken):
                await connection.close(_REFUSED)
                return
        else:
            # Until a program was started there is nothing to protect. A host that failed before
            # then leaves a session that the next one replaces.
            self._session = HostSession(self._machine)
            self._taken = secret

        with contextlib.suppress(ConnectionClosed):
            await self._session.serve(connection)
