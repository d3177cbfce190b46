"""Keeps the machines of living sandboxes alive, and ends those that nobody has any more.

A machine's time at E2B is a lease: it is renewed while its sandbox lives, so that a runtime which is killed leaves machines
for `ttl` seconds at most. Machines in E2B's list that carry this home's mark and belong to no living sandbox are ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol, TypeVar

import structlog

from codewords_mcp.common.cancellation import end
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes.e2b import failures
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount, E2bMachine, ListedMachine
from codewords_mcp.runtime.sandboxes.e2b.cost import MachineSize

T = TypeVar("T")
HOME: Final = "codewords-home"
RUNTIME: Final = "codewords-runtime"
KIND: Final = "codewords-kind"
SWEEP_SECONDS: Final = 60.0
# A machine of this runtime's that is younger may be one whose making has not come back yet.
_BEING_MADE: Final = timedelta(seconds=240)
_AT_ONCE: Final = 10

log = structlog.get_logger(__name__)


class Leased(Protocol):
    """The holder of a machine's lease."""

    @property
    def machine(self) -> E2bMachine:
        """E2B's sandbox."""
        ...

    @property
    def is_paused(self) -> bool:
        """A paused one's time does not run."""
        ...

    def lost(self, error: CodewordsError) -> None:
        """The machine is gone."""
        ...

    def say(self, text: str) -> None:
        """Tell the program's log."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """The metadata that marks this runtime's machines."""

    home: str
    runtime: str

    def metadata(self, kind: str) -> dict[str, str]:
        """Of a new machine."""
        return {HOME: self.home, RUNTIME: self.runtime, KIND: kind}


class Leases:
    """Renews leases and ends orphaned machines.

    `holders`: the living leases; `known`: whether a machine is in use.
    """

    def __init__(
        self,
        account: E2bAccount,
        mark: Mark,
        ttl: int,
        holders: Callable[[], Iterable[Leased]],
        known: Callable[[str], bool],
    ) -> None:
        self.size: MachineSize | None = None
        """Of this runtime's machines, as E2B has it."""
        self._account = account
        self._mark = mark
        self._ttl = ttl
        self._holders = holders
        self._known = known
        self._report: set[str] = set()
        self._active = True
        self._tasks = [asyncio.create_task(self._renew_always()), asyncio.create_task(self._sweep_always())]

    def stir(self) -> None:
        """A machine was made: E2B's list is looked at again."""
        self._active = True

    async def close(self) -> None:
        """Stop, after a last look: what is there and not known is ended."""
        await end(self._tasks)

    async def sweep(self, *, everything: bool = False) -> int:
        """End machines that nobody has; how many there were. Raises what listing does. `everything`: see `orphans`."""
        orphans = await self.orphans(everything=everything)
        await _each(orphans, self._end)
        return len(orphans)

    async def orphans(self, *, everything: bool = False) -> list[str]:
        """Ids of machines that nobody has. Raises what listing does.

        `everything`: also those that may just be being made, since nothing is any more.
        """
        found: list[str] = []
        async for listed in self._account.listed({HOME: self._mark.home}):
            if listed.metadata.get(KIND) == "program":
                self.size = MachineSize(listed.cpu_count, listed.memory_mb)
            if not self._known(listed.id) and (everything or not self._being_made(listed)):
                found.append(listed.id)

        return found

    def _being_made(self, listed: ListedMachine) -> bool:
        ours = listed.metadata.get(RUNTIME) == self._mark.runtime
        return ours and datetime.now(UTC) - listed.started_at < _BEING_MADE

    async def _end(self, number: str) -> None:
        log.warning("orphaned E2B sandbox ended", sandbox=number)
        await self._account.kill(number)

    async def _renew_always(self) -> None:
        while True:
            # Three tries before the lease ends.
            await asyncio.sleep(self._ttl / 3)
            await _each([listed for listed in self._holders() if not listed.is_paused], self._renew)

    async def _renew(self, holder: Leased) -> None:
        machine = holder.machine
        try:
            await self._account.extend(machine, self._ttl)
        except failures.MachineGone as error:
            # A paused machine's time does not run: E2B may have forgotten it, and reports that at
            # the resume.
            if not holder.is_paused:
                holder.lost(error)
        except CodewordsError as error:
            # Once a machine, not at each renewal.
            if machine.id not in self._report:
                self._report.add(machine.id)
                holder.say(f"E2B does not extend this sandbox's time: {error.message}")

            raise

    async def _sweep_always(self) -> None:
        while True:
            if self._active:
                # The next sweep finds what this one did not.
                with contextlib.suppress(CodewordsError):
                    # Asked before the sweep, which may take long: a machine made meanwhile counts.
                    self._active = any(True for _ in self._holders())
                    await self.sweep()
            await asyncio.sleep(SWEEP_SECONDS)


def home_mark(run_dir: Path) -> str:
    """The mark of this home's machines, made once and stored in its folder. Blocks. Raises OSError."""
    run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark = run_dir / "e2b-home"
    if not mark.exists():
        mark.write_text(uuid.uuid4().hex, encoding="ascii")
    return mark.read_text(encoding="ascii").strip()


async def end_all(account: E2bAccount, run_dir: Path) -> int:
    """End every machine of a home that has no runtime now; how many there were. Raises what listing does."""
    mark = await asyncio.to_thread(home_mark, run_dir)
    found = [listed.id async for listed in account.listed({HOME: mark})]
    await _each(found, account.kill)
    return len(found)


async def _each(things: list[T], do: Callable[[T], Awaitable[None]]) -> None:
    """Do it to all, some at once; what fails is logged, for the next time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def listed(thing: T) -> None:
        async with gate:
            try:
                await do(thing)
            except CodewordsError as error:
                log.warning("E2B sandbox upkeep failed", reason=error.message)

    await asyncio.gather(*(listed(thing) for thing in things))
