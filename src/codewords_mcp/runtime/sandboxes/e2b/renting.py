"""Gets machines: within the account's limits, from the environment's snapshot, which is built where it is not there."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from codewords_mcp.errors import CodewordsError, SandboxUnavailable, TooBusy
from codewords_mcp.runtime.sandboxes.e2b import failures
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount, E2bMachine
from codewords_mcp.runtime.sandboxes.e2b.cost import CostMeter
from codewords_mcp.runtime.sandboxes.e2b.environments import MachineSnapshots, Pins
from codewords_mcp.runtime.sandboxes.e2b.leases import Mark
from codewords_mcp.runtime.sandboxes.e2b.pace import MachineSlots, Pace, Slot
from codewords_mcp.runtime.sandboxes.e2b.rented import PooledMachine
from codewords_mcp.settings import Settings

_SLOT_SECONDS: Final = 60.0
_BUSY_SECONDS: Final = 30.0
"""How long a start is tried again when E2B says that there is no room."""
_BUILDER_TTL: Final = 900
SPARE_SECONDS: Final = 300.0
"""A spare that nobody wanted for so long is ended."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MachineRequest:
    """What a machine has to be: its environment, and E2B's egress rules around it."""

    pins: Pins
    internet: bool
    hosts: tuple[str, ...] | None = None
    """All that may be reached, as E2B's rules; None: no rule."""

    @property
    def network(self) -> dict[str, Any]:
        """E2B's rules."""
        if self.hosts is None:
            return {}
        return {"allow_out": list(self.hosts), "deny_out": ["0.0.0.0/0"]}


@dataclass(slots=True)
class _SparePool:
    spares: deque[PooledMachine] = field(default_factory=deque[PooledMachine])
    last_used: float = 0.0
    filling: bool = False


class MachinePool:
    """`keep` runs work in the background of the driver."""

    def __init__(
        self,
        account: E2bAccount,
        settings: Settings,
        mark: Mark,
        keep: Callable[[Coroutine[Any, Any, Any]], Any],
    ) -> None:
        self._account = account
        self._settings = settings
        self._mark = mark
        self._keep = keep
        self._pace = Pace(settings.e2b_creates)
        self._slots = MachineSlots(settings.e2b_sandboxes)
        self._shelves: dict[MachineRequest, _SparePool] = defaultdict(_SparePool)
        self._builders: set[str] = set()
        self._environments = MachineSnapshots(account, settings.e2b_template, self._make_builder)
        self.all: set[PooledMachine] = set()
        """Every machine that was rented and not ended."""
        self.closed = False

    def knows(self, number: str) -> bool:
        """Whether a machine is this runtime's, and wanted."""
        return number in self._builders or any(one.machine.id == number for one in self.all)

    @property
    def spares(self) -> int:
        """Machines that wait, and are alive as far as is known."""
        return sum(not one.dead and one.link.up for shelf in self._shelves.values() for one in shelf.spares)

    async def take(self, wanted: MachineRequest) -> PooledMachine:
        """A machine with a connection; a spare where there is one.

        Raises TooBusy, SandboxUnavailable, SandboxFailed, EnvironmentFailed.
        """
        if self._settings.e2b_spares:
            shelf = self._shelves[wanted]
        else:
            shelf = _SparePool()

        shelf.last_used = asyncio.get_running_loop().time()
        while shelf.spares:
            spare = shelf.spares.popleft()
            if not spare.dead and spare.link.up:
                self.stock(wanted)
                spare.meter = CostMeter()  # what it cost while it waited is no run's
                return spare

            self._keep(self.end(spare))

        rented = await self._rent(wanted)
        self.stock(wanted)
        return rented

    def stock(self, wanted: MachineRequest) -> None:
        """See to it that there are spares of this kind."""
        if self._settings.e2b_spares and not self._shelves[wanted].filling and not self.closed:
            self._shelves[wanted].filling = True
            self._keep(self._fill(wanted))

    async def end(self, rented: PooledMachine) -> None:
        """End a machine."""
        try:
            await rented.end()
        finally:
            self.all.discard(rented)

    async def tidy(self) -> None:
        """End spares that nobody wants any more."""
        now = asyncio.get_running_loop().time()
        for shelf in self._shelves.values():
            if now - shelf.last_used > SPARE_SECONDS:
                while shelf.spares:
                    await self.end(shelf.spares.popleft())

    async def close(self) -> None:
        """End what nobody has a program in."""
        self.closed = True
        await self._environments.close()
        spares = [spare for shelf in self._shelves.values() for spare in shelf.spares]
        self._shelves.clear()
        await asyncio.gather(*(self.end(spare) for spare in spares))

    async def _fill(self, wanted: MachineRequest) -> None:
        shelf = self._shelves[wanted]
        try:
            while len(shelf.spares) < self._settings.e2b_spares and not self.closed:
                rented = await self._rent(wanted)
                if self.closed:
                    await self.end(rented)
                else:
                    shelf.spares.append(rented)
        except CodewordsError as error:
            log.warning("no spare sandbox on E2B", reason=error.message)
        finally:
            shelf.filling = False

    async def _rent(self, wanted: MachineRequest) -> PooledMachine:
        with await self._slot() as slot:
            machine = await self._from_snapshot(wanted)
            rented = PooledMachine(self._account, machine, slot)
            self.all.add(rented)

            try:
                await rented.link.connect()
                if not rented.link.hello["environment"]:
                    raise SandboxUnavailable(
                        "The E2B sandbox came up without its environment.", hint=failures.BUILD
                    )
            except BaseException:
                self._keep(self.end(rented))
                raise

            return rented

    async def _slot(self) -> Slot:
        try:
            async with asyncio.timeout(_SLOT_SECONDS):
                return await self._slots.take()
        except TimeoutError:
            raise TooBusy(
                f"{self._settings.e2b_sandboxes} sandboxes run on E2B already, and none ended within"
                f" {_SLOT_SECONDS:g} seconds.",
                retry_after=10,
                hint="Try again later, or raise CODEWORDS_E2B_SANDBOXES if the account's plan allows more.",
            ) from None

    async def _from_snapshot(self, wanted: MachineRequest) -> E2bMachine:
        name = wanted.pins.name(self._settings.e2b_template)
        try:
            return await self._make(name, "program", self._settings.e2b_ttl, wanted)
        except failures.TemplateMissing:
            await self._environments.build(wanted.pins)
            return await self._make(name, "program", self._settings.e2b_ttl, wanted)

    async def _make_builder(self) -> E2bMachine:
        """The machine that an environment is built in: it has to reach the package index."""
        with await self._slot() as slot:
            machine = await self._make(self._settings.e2b_template, "builder", _BUILDER_TTL, None)
            slot.let_go()  # it is short-lived, and waiting for places would only make it longer
        self._builders.add(machine.id)
        return machine

    async def _make(self, template: str, kind: str, ttl: int, wanted: MachineRequest | None) -> E2bMachine:
        """Within the pace, and again while E2B is busy. Raises TemplateMissing and what creating does."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _BUSY_SECONDS
        key = secrets.token_hex(16)

        while True:
            await self._pace.pass_by()
            try:
                return await self._make_once(template, kind, ttl, wanted, key)
            except TooBusy as error:
                if loop.time() + error.retry_after > until:
                    raise
                self._pace.hold(error.retry_after)

    async def _make_once(
        self, template: str, kind: str, ttl: int, wanted: MachineRequest | None, key: str
    ) -> E2bMachine:
        making = asyncio.create_task(
            self._account.create(
                template,
                ttl=ttl,
                metadata=self._mark.metadata(kind),
                network=wanted.network if wanted else {},
                internet=wanted.internet if wanted else True,
                key=key,
            )
        )
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            self._keep(self._end_made(making))  # it may have come to be all the same
            raise

    async def _end_made(self, making: asyncio.Task[E2bMachine]) -> None:
        try:
            await self._account.kill((await making).id)
        except CodewordsError as error:
            log.info("a cancelled start left nothing that could be ended", reason=error.message)
