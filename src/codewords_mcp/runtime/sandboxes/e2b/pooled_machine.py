"""A machine that this runtime has: waiting for a program, or with one."""

from __future__ import annotations

import structlog

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount, E2bMachine
from codewords_mcp.runtime.sandboxes.e2b.agent_connection import AgentConnection
from codewords_mcp.runtime.sandboxes.e2b.cost import CostMeter
from codewords_mcp.runtime.sandboxes.e2b.mux import Json, Stream
from codewords_mcp.runtime.sandboxes.e2b.rate_limits import Slot
from codewords_mcp.runtime.sandboxes.e2b.sandbox import E2BSandbox

log = structlog.get_logger(__name__)


class PooledMachine:
    """A machine with its connection. Hears the connection itself until a sandbox does."""

    have = 0

    def __init__(self, account: E2bAccount, machine: E2bMachine, slot: Slot) -> None:
        self.link = AgentConnection(account, machine, self)
        self.meter = CostMeter()
        self.sandbox: E2BSandbox | None = None
        self.dead = False
        """It was lost while nobody had a program in it."""
        self._account = account
        self._slot = slot

    @property
    def machine(self) -> E2bMachine:
        """E2B's sandbox."""
        return self.link.machine

    @property
    def is_paused(self) -> bool:
        """See `Leased`."""
        return self.sandbox is not None and self.sandbox.paused

    def lost(self, error: CodewordsError) -> None:
        """See `Leased`."""
        # Its sandbox tells the caller; without one the pool must not give it away.
        if self.sandbox is not None:
            self.sandbox.on_lost(error)
        else:
            self.dead = True

    def say(self, text: str) -> None:
        """See `Leased`."""
        if self.sandbox is not None:
            self.sandbox.say(text)

    async def end(self) -> None:
        """End the machine, and let its place go. Never raises: what stays is swept, or dies when its time is over."""
        # First the connection: its end would be taken for a broken network, and reached for again.
        await self.link.close()
        try:
            await self._account.kill(self.machine.id)
        except CodewordsError as error:
            log.warning("E2B sandbox not ended yet", sandbox=self.machine.id, reason=error.message)
        finally:
            self._slot.release()

    def on_message(self, message: Json) -> None:
        """Nothing is asked of it yet."""

    def on_output(self, number: int, data: bytes) -> None:
        """No program runs."""

    def on_stream(self, stream: Stream, what: Json) -> None:
        """No program runs."""
        del what
        stream.reset()

    def on_lost(self, error: CodewordsError) -> None:
        """The connection is gone."""
        self.lost(error)
