"""Who shares a browser, which tab a call gets, how many there are at once, and when one ends: for every kind of browser.

Calls of one run share a session and go on in the page where the last of them was; calls at the same time have a tab each.
It ends with its run, or when no call has used it for a while. A person's call has a session for itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from codewords_mcp.errors import NotConnected, TooBusy
from codewords_mcp.runtime.browser.base import (
    Browser,
    BrowserGone,
    BrowserSession,
    BrowserStatus,
    BrowserUser,
    SessionUsage,
    Tab,
)

TABS: Final = 8
"""Tabs of one session at once; further calls of its run wait."""
_POLL: Final = 0.5
_NOTHING: Final = SessionUsage(0.0, 0.0, 0, 0, 0)


@dataclass(slots=True)
class TabLease:
    """One call's use of a browser. `used` is there once it is over: what the session took since its last call told."""

    kind: str
    tab: Tab
    used: SessionUsage = _NOTHING


@dataclass(slots=True, eq=False)
class _OpenSession:
    """One session and its tabs."""

    key: str
    owner: str
    kind: Browser
    session: BrowserSession
    free: list[Tab] = field(default_factory=list[Tab])
    calls: int = 0
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TABS))
    idle: asyncio.TimerHandle | None = None
    told: SessionUsage = _NOTHING

    async def news(self) -> SessionUsage:
        """What it took since this was last asked."""
        now, before = await self.session.usage(), self.told
        if now.seconds <= before.seconds:  # a call that ended at the same time has told
            return _NOTHING

        self.told = now
        return replace(
            now,
            seconds=now.seconds - before.seconds,
            cpu_seconds=_more(now.cpu_seconds, before.cpu_seconds),
            egress_in=_more(now.egress_in, before.egress_in),
            egress_out=_more(now.egress_out, before.egress_out),
        )


class Browsers:
    """The browsers of this process. All methods are for its event loop."""

    def __init__(
        self,
        kinds: Sequence[Browser],
        *,
        most: int,
        most_per_caller: int | None,
        patience: float,
        idle: float,
        has_room: Callable[[], bool],
    ) -> None:
        self._kinds = tuple(kinds)
        self._most = most
        self._most_per_caller = most_per_caller or most
        self._patience = patience
        self._idle = idle
        self._has_room = has_room
        self._held: dict[str, asyncio.Task[_OpenSession]] = {}
        self._open: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    async def status(self, owner: str) -> BrowserStatus:
        """Whether a caller's next call would have a browser, and of which kind; else what each kind lacks."""
        found = [await kind.status(owner) for kind in self._kinds]
        return next((one for one in found if one.ready and self._most), self._lack(found))

    def _lack(self, found: Sequence[BrowserStatus]) -> BrowserStatus:
        if not self._most:
            return BrowserStatus(
                ready=False, sentence="Browsers are off here.", fix="Set CODEWORDS_BROWSERS to more than 0."
            )
        lacking = [one for one in found if not one.ready]
        return BrowserStatus(
            ready=False,
            sentence=" ".join(one.sentence for one in lacking),
            fix=" Or: ".join(one.fix for one in lacking if one.fix),
        )

    @asynccontextmanager
    async def visit(self, visitor: BrowserUser) -> AsyncGenerator[TabLease]:
        """A tab for one call, in its run's session where there is one.

        Raises NotConnected, TooBusy, and what `Browser.open` raises; BrowserGone where the session breaks.
        """
        held = await self._session(visitor)
        _stop(held)
        held.calls += 1
        tab: Tab | None = None

        try:
            async with held.room:
                if held.free:
                    tab = held.free.pop()
                else:
                    tab = await held.session.open_tab()

                visit = TabLease(held.kind.name, tab)
                try:
                    yield visit
                finally:
                    visit.used = await asyncio.shield(held.news())
                    held.free.append(tab)
        finally:
            held.calls -= 1
            self._after(held, visitor)

    def run_ended(self, run_id: str) -> None:
        """A run is over, and with it its session."""
        for key in (run_id, run_id + _OWN):
            if (opening := self._held.get(key)) is not None:
                self._soon(self._end(key, opening))

    async def close(self) -> None:
        """End every session."""
        for key, opening in list(self._held.items()):
            self._soon(self._end(key, opening))
        await asyncio.gather(*self._closing, *(kind.close() for kind in self._kinds), return_exceptions=True)

    def _after(self, held: _OpenSession, visitor: BrowserUser) -> None:
        """A call has left its session: end it now, or when nobody comes back."""
        opening = self._held.get(held.key)
        if held.calls or opening is None or not opening.done() or opening.result() is not held:
            return
        if visitor.caller.run_id is None or not held.session.alive:
            self._soon(self._end(held.key, opening))
            return
        held.idle = asyncio.get_running_loop().call_later(
            self._idle, lambda: self._soon(self._end(held.key, opening))
        )

    async def _session(self, visitor: BrowserUser) -> _OpenSession:
        """The run's session, opened by the first of its calls for all of them."""
        key = _key(visitor)
        opening = self._held.get(key)

        if opening is not None and opening.done() and not opening.result().session.alive:
            await self._end(key, opening)
            opening = None

        if opening is None:
            opening = self._held[key] = asyncio.create_task(self._opened(visitor), name=f"browser of {key}")
            opening.add_done_callback(lambda done: self._forget_failed(key, done))

        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled():  # its run ended meanwhile
                raise BrowserGone("The run ended while its browser was opened.") from None
            if visitor.caller.run_id is None:
                self._soon(self._end(key, opening))
            raise

    async def _opened(self, visitor: BrowserUser) -> _OpenSession:
        kinds, owner = await self._choose(visitor), visitor.caller.owner
        await self._enter(owner)
        try:
            for kind in kinds[:-1]:
                with suppress(NotConnected):  # it was expected, and did not come
                    return _OpenSession(_key(visitor), owner, kind, await kind.open(visitor))
            return _OpenSession(_key(visitor), owner, kinds[-1], await kinds[-1].open(visitor))
        except BaseException:
            self._leave(owner)
            raise

    def _forget_failed(self, key: str, opening: asyncio.Task[_OpenSession]) -> None:
        failed = opening.cancelled() or opening.exception() is not None
        if failed and self._held.get(key) is opening:
            del self._held[key]

    async def _choose(self, visitor: BrowserUser) -> list[Browser]:
        """The kinds that can be had and are for this visitor, the best first. Raises NotConnected where there are none."""
        found: list[BrowserStatus] = []
        kinds: list[Browser] = []

        for kind in self._kinds:
            if kind.own and not visitor.own:
                continue
            found.append(await kind.status(visitor.caller.owner))
            if self._most and found[-1].ready and kind.takes(visitor):
                kinds.append(kind)

        if kinds:
            return kinds

        lack = self._lack(found)
        raise NotConnected(lack.sentence, hint=lack.fix)

    async def _enter(self, owner: str) -> None:
        """Count one more, once there may be. Raises TooBusy."""
        try:
            async with asyncio.timeout(self._patience):
                while (
                    self._open.total() >= self._most
                    or self._open[owner] >= self._most_per_caller
                    or not self._has_room()
                ):
                    self._changed.clear()
                    try:
                        async with asyncio.timeout(_POLL):  # memory tells nobody that it is free
                            await self._changed.wait()
                    except TimeoutError:
                        pass
        except TimeoutError:
            raise TooBusy(
                f"No browser came free within {self._patience:g} s: {self._open.total()} are in use, "
                f"{self._open[owner]} of them by this caller.",
                retry_after=5,
                limit="browsers",
                hint="Try again later, or raise CODEWORDS_BROWSERS and CODEWORDS_BROWSERS_PER_CALLER.",
            ) from None

        self._open[owner] += 1

    def _leave(self, owner: str) -> None:
        self._open[owner] -= 1
        self._changed.set()

    async def _end(self, key: str, opening: asyncio.Task[_OpenSession]) -> None:
        """End a session, also one that is still being opened. Whoever comes now gets another."""
        if self._held.get(key) is not opening:
            return

        del self._held[key]
        opening.cancel()
        await asyncio.wait({opening})
        if opening.cancelled() or opening.exception() is not None:
            return

        held = opening.result()
        _stop(held)
        await held.session.close()
        self._leave(held.owner)

    def _soon(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


_OWN = " in its own Chrome"


def _key(visitor: BrowserUser) -> str:
    """What may not be in a person's own Chrome does not share a session with what may."""
    return visitor.run_id + (_OWN if visitor.own else "")


def _stop(held: _OpenSession) -> None:
    if held.idle is not None:
        held.idle.cancel()
        held.idle = None


def _more(now: float | None, before: float | None) -> Any:
    if now is None or before is None:
        return None
    return now - before
