"""A run's hold on a sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from codewords_mcp.runtime.auth.run_keys import RunKey
from codewords_mcp.runtime.egress import Traffic
from codewords_mcp.runtime.egress.intercept.interception import Interception
from codewords_mcp.runtime.recording.exchange_log import ExchangeLog
from codewords_mcp.runtime.runs.run_logs import RunLog
from codewords_mcp.runtime.sandboxes.base import STREAMS, ExitReason, Sandbox, Stream, Usage
from codewords_mcp.runtime.sandboxes.http1 import Connections
from codewords_mcp.runtime.secrets.scrub import Scrubber


@dataclass(slots=True)
class PreparedSandbox:
    """A started sandbox with its key. `ready`: it listens already.

    `interception` is what reads its connections, if anything does; `startup`: what it sent before its run came.
    """

    sandbox: Sandbox
    key: RunKey
    ready: bool
    tier: str
    interception: Interception | None = None
    startup: ExchangeLog | None = None


class Lease(Protocol):
    """The right of a run to use a sandbox, dedicated or shared."""

    sandbox: Sandbox
    tier: str
    ready: bool
    """The program listens already."""
    shared: bool
    """Other runs use it too: it is not ended with this one."""
    connections: Connections | None

    async def kill(self, reason: ExitReason) -> None:
        """The run has failed: end its sandbox now, if it is its own."""
        ...

    async def release(self) -> Usage | None:
        """Release the sandbox of a settled run: let the program finish, end it, read its last output. Returns the
        usage, None if it can't be measured for one run.
        """
        ...


class DedicatedLease:
    """A sandbox of a run's own."""

    shared = False
    connections: Connections | None = None

    def __init__(
        self,
        prepared: PreparedSandbox,
        run_log: RunLog,
        secrets: dict[str, str],
        *,
        grace: float,
        forget: Callable[[str], None],
        traffic: Callable[[str], Traffic | None],
    ) -> None:
        self.sandbox = prepared.sandbox
        self.tier = prepared.tier
        self.ready = prepared.ready
        self._key = prepared.key
        self._grace = grace
        self._forget = forget
        self._traffic = traffic
        self._pump = asyncio.create_task(pump(prepared.sandbox, [run_log], secrets))

    async def kill(self, reason: ExitReason) -> None:
        """See `Lease`."""
        # Before the end: whatever the failed program still asks is refused.
        self._key.unbind()
        await self.sandbox.kill(reason)

    async def release(self) -> Usage | None:
        """See `Lease`."""
        try:
            # The key stays valid until then: a program may go on after its response, as
            # background tasks do.
            await self.sandbox.stop(self._grace)
        finally:
            self._key.unbind()
            self._forget(self.sandbox.id)

        usage = await self.sandbox.usage()
        await self._pump
        if (moved := self._traffic(self.sandbox.id)) is None:
            return usage

        return replace(usage, egress_in=moved.received, egress_out=moved.sent)


async def pump(sandbox: Sandbox, logs: list[RunLog], secrets: dict[str, str]) -> None:
    """Carry output, scrubbed, into whichever logs are in the list at the time."""
    first = Scrubber(secrets)
    # One for each stream, since a value may be cut between two chunks of the same stream.
    scrubbers: dict[Stream, Scrubber] = {stream: first.another() for stream in STREAMS}

    async for chunk in sandbox.output():
        data = scrubbers[chunk.stream].feed(chunk.data)
        for run_log in logs:
            run_log.write(chunk.stream, data)

    for stream, scrubber in scrubbers.items():
        rest = scrubber.flush()
        for run_log in logs:
            run_log.write(stream, rest)
