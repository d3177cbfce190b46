"""The agent: one machine's local driver, and the one session that may use it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import structlog
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from codewords_mcp.agent.egress import MachineNetwork
from codewords_mcp.agent.session import Session
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.e2b import wire
from codewords_mcp.runtime.sandboxes.local.driver import LocalDriver

_REFUSED: Final = 4403
"""WebSocket close code for whoever is not the session's host."""
_NOTES: Final = "agent.json"

log = structlog.get_logger(__name__)


def _read_notes(home: Path) -> dict[str, Any] | None:
    """The environment that this machine has, if it was snapshotted with one."""
    home.mkdir(parents=True, exist_ok=True)
    notes = home / _NOTES
    return json.loads(notes.read_text(encoding="utf-8")) if notes.exists() else None


class Agent:
    """Make it with `open`, then serve."""

    def __init__(self, home: Path, driver: LocalDriver, network: MachineNetwork) -> None:
        self._home = home
        self._session: Session | None = None
        self._taken = b""
        self.driver = driver
        self.network = network
        self.environment: EnvironmentRef | None = None
        """What programs run in; a machine has one at most."""

    @classmethod
    async def open(cls, home: Path) -> Agent:
        """Raises what opening the local driver does."""
        known = await asyncio.to_thread(_read_notes, home)
        network = MachineNetwork()
        # A machine that boots with its environment serves one program: a fork server would come too late for it. One that
        # is to be snapshotted with its memory has it beforehand.
        driver = await LocalDriver.open(network, home / "run", forking=known is None)
        agent = cls(home, driver, network)
        agent.environment = wire.to_environment(known) if known else None
        return agent

    @contextlib.asynccontextmanager
    async def serving(self, port: int) -> AsyncGenerator[None]:
        """Listen until the end of the block."""
        bound = serve(
            self._on_connection, "0.0.0.0", port, max_size=None, compression=None, ping_interval=20, ping_timeout=60
        )  # fmt: skip
        async with bound:
            yield
        await self.driver.close()

    @property
    def home(self) -> Path:
        """Where environments are built."""
        return self._home

    def adopt(self, environment: EnvironmentRef) -> None:
        """This is the machine's environment, also after it has booted again."""
        self.environment = environment
        notes = json.dumps(wire.from_environment(environment))
        (self._home / _NOTES).write_text(notes, encoding="utf-8")

    def hello(self) -> dict[str, Any]:
        """What a host wants to know first."""
        tier = self.driver.tier
        return {
            "version": wire.VERSION,
            "tier": tier.id,
            "title": tier.title,
            "facts": list(tier.facts),
            "capabilities": sorted(self.driver.capabilities),
            "environment": self.environment is not None,
            "started": self._session is not None and self._session.started,
        }

    async def _on_connection(self, connection: ServerConnection) -> None:
        request = connection.request
        secret = (request.headers.get(wire.SESSION_HEADER, "") if request else "").encode()
        if self._session is not None and self._session.started:
            # A program runs here and may come by itself; only its host knows the secret.
            if not hmac.compare_digest(secret, self._taken):
                await connection.close(_REFUSED)
                return
        else:
            self._session = Session(self)
            self._taken = secret
        with contextlib.suppress(ConnectionClosed):
            await self._session.serve(connection)
