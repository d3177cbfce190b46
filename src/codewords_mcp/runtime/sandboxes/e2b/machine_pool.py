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
from codewords_mcp.runtime.sandboxes.e2b.pooled_machine import PooledMachine
from codewords_mcp.runtime.sandboxes.e2b.rate_limits import CreateRate, MachineSlots, Slot
from codewords_mcp.settings import Settings

_SLOT_SECONDS: Final = 60.0
# Seconds for which a start is retried while E2B reports that it has no capacity.
_BUSY_SECONDS: Final = 30.0
_BUILDER_TTL: Final = 900
SPARE_SECONDS: Final = 300.0
"""A spare that nobody wanted for so long is ended."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MachineRequest:
    """The requirements on a machine: its environment, and E2B's egress rules around it."""

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
        self._create_rate = CreateRate(settings.e2b_creates)
        self._slots = MachineSlots(settings.e2b_sandboxes)
        self._spare_pools: dict[MachineRequest, _SparePool] = defaultdict(_SparePool)
        self._builders: set[str] = set()
        self._environments = MachineSnapshots(account, settings.e2b_template, self._make_builder)
        self.all: set[PooledMachine] = set()
        """Every machine that was rented and not ended."""
        self.closed = False

    def machines(self) -> list[PooledMachine]:
        """Every machine that has not ended."""
        return list(self.all)

    def knows(self, number: str) -> bool:
        """Whether a machine is this runtime's, and wanted."""
        return number in self._builders or any(pooled.machine.id == number for pooled in self.all)

    @property
    def spares(self) -> int:
        """Machines that wait, and are alive as far as is known."""
        return sum(
            not pooled.dead and pooled.link.up
            for pool in self._spare_pools.values()
            for pooled in pool.spares
        )

    async def take(self, request: MachineRequest) -> PooledMachine:
        """A machine with a connection; a spare where there is one.

        Raises TooBusy, SandboxUnavailable, SandboxFailed, EnvironmentFailed.
        """
        if self._settings.e2b_spares:
            pool = self._spare_pools[request]
        else:
            pool = _SparePool()

        pool.last_used = asyncio.get_running_loop().time()
        while pool.spares:
            spare = pool.spares.popleft()
            # A spare may have been lost while it waited.
            if not spare.dead and spare.link.up:
                self.stock(request)
                # What it cost while it waited is no run's.
                spare.meter = CostMeter()
                return spare

            self._keep(self.end(spare))

        pooled = await self._acquire(request)
        self.stock(request)
        return pooled

    def stock(self, request: MachineRequest) -> None:
        """See to it that there are spares of this kind."""
        if self._settings.e2b_spares and not self._spare_pools[request].filling and not self.closed:
            self._spare_pools[request].filling = True
            self._keep(self._fill(request))

    async def end(self, pooled: PooledMachine) -> None:
        """End a machine."""
        try:
            await pooled.end()
        finally:
            self.all.discard(pooled)

    async def tidy(self) -> None:
        """End spares that nobody wants any more."""
        now = asyncio.get_running_loop().time()
        for pool in self._spare_pools.values():
            if now - pool.last_used > SPARE_SECONDS:
                while pool.spares:
                    await self.end(pool.spares.popleft())

    async def close(self) -> None:
        """End what nobody has a program in."""
        # First, so that what is being made ends as soon as it stands.
        self.closed = True
        await self._environments.close()
        spares = [spare for pool in self._spare_pools.values() for spare in pool.spares]
        self._spare_pools.clear()
        await asyncio.gather(*(self.end(spare) for spare in spares))

    async def _fill(self, request: MachineRequest) -> None:
        pool = self._spare_pools[request]
        try:
            while len(pool.spares) < self._settings.e2b_spares and not self.closed:
                pooled = await self._acquire(request)
                if self.closed:
                    await self.end(pooled)
                else:
                    pool.spares.append(pooled)
        except CodewordsError as error:
            log.warning("E2B spare sandbox not made", reason=error.message)
        finally:
            pool.filling = False

    async def _acquire(self, request: MachineRequest) -> PooledMachine:
        with await self._slot() as slot:
            machine = await self._from_snapshot(request)
            pooled = PooledMachine(self._account, machine, slot)
            self.all.add(pooled)

            try:
                await pooled.link.connect()
                if not pooled.link.hello["environment"]:
                    raise SandboxUnavailable(
                        "The E2B sandbox came up without its environment.", remedy=failures.BUILD_TEMPLATE
                    )
            except BaseException:
                # In the background: a caller that gave up must not wait for E2B.
                self._keep(self.end(pooled))
                raise

            return pooled

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

    async def _from_snapshot(self, request: MachineRequest) -> E2bMachine:
        name = request.pins.name(self._settings.e2b_template)
        try:
            return await self._make(name, "program", self._settings.e2b_ttl, request)
        except failures.TemplateMissing:
            # Nobody has started a program in this environment on E2B yet, or its snapshot was
            # removed.
            await self._environments.build(request.pins)
            return await self._make(name, "program", self._settings.e2b_ttl, request)

    async def _make_builder(self) -> E2bMachine:
        """The machine that an environment is built in: it has to reach the package index."""
        with await self._slot() as slot:
            machine = await self._make(self._settings.e2b_template, "builder", _BUILDER_TTL, None)
            # It is short-lived; to hold a slot would make the start that waits for it wait longer.
            slot.release()
        self._builders.add(machine.id)
        return machine

    async def _make(self, template: str, kind: str, ttl: int, request: MachineRequest | None) -> E2bMachine:
        """Within the pace, and again while E2B is busy. Raises TemplateMissing and what creating does."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _BUSY_SECONDS
        # One key for all tries: a create that failed for us may have succeeded there.
        key = secrets.token_hex(16)

        while True:
            await self._create_rate.wait_turn()
            try:
                return await self._make_once(template, kind, ttl, request, key)
            except TooBusy as error:
                if loop.time() + error.retry_after > deadline:
                    raise
                # All creates wait: the limit is the account's.
                self._create_rate.hold(error.retry_after)

    async def _make_once(
        self, template: str, kind: str, ttl: int, request: MachineRequest | None, key: str
    ) -> E2bMachine:
        making = asyncio.create_task(
            self._account.create(
                template,
                ttl=ttl,
                metadata=self._mark.metadata(kind),
                network=request.network if request else {},
                internet=request.internet if request else True,
                key=key,
            )
        )
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            # The machine may have come to be all the same.
            self._keep(self._end_made(making))
            raise

    async def _end_made(self, making: asyncio.Task[E2bMachine]) -> None:
        try:
            await self._account.kill((await making).id)
        except CodewordsError as error:
            log.info("E2B sandbox of a cancelled start not ended", reason=error.message)
