"""Sessions of all kinds of browsers: sharing, tabs, limits and ends.

Calls of one run share a session and continue in the page of the last call; concurrent calls have a
tab each. A session ends with its run, or after a time without calls. A person's call has a session
for itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeVar

from codewords_mcp.errors import NotConnected, TooBusy
from codewords_mcp.errors.remedies import either
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
"""Maximum tabs of one session at once; further calls of its run wait."""
_POLL: Final = 0.5
_NOTHING: Final = SessionUsage(0.0, 0.0, 0, 0, 0)
_Number = TypeVar("_Number", int, float)


@dataclass(slots=True)
class TabLease:
    """One call's use of a browser. `used` is set at its end: the session's usage since the last
    report.
    """

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
    slots: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, TABS))
    idle: asyncio.TimerHandle | None = None
    reported: SessionUsage = _NOTHING

    async def usage_since_report(self) -> SessionUsage:
        """Return the usage since the last report."""
        now, before = await self.session.usage(), self.reported
        # A call that ended at the same time has reported it.
        if now.seconds <= before.seconds:
            return _NOTHING

        self.reported = now
        return replace(
            now,
            seconds=now.seconds - before.seconds,
            cpu_seconds=_difference(now.cpu_seconds, before.cpu_seconds),
            egress_in=_difference(now.egress_in, before.egress_in),
            egress_out=_difference(now.egress_out, before.egress_out),
        )


class Browsers:
    """The browsers of this process. All methods are for its event loop."""

    def __init__(
        self,
        kinds: Sequence[Browser],
        *,
        most: int,
        most_per_caller: int | None,
        wait_timeout: float,
        idle: float,
        has_room: Callable[[], bool],
    ) -> None:
        self._kinds = tuple(kinds)
        self._max_sessions = most
        self._max_per_caller = most_per_caller or most
        self._wait_timeout = wait_timeout
        self._idle = idle
        self._has_room = has_room
        self._sessions: dict[str, asyncio.Task[_OpenSession]] = {}
        self._open: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    async def status(self, owner: str) -> BrowserStatus:
        """Return whether a caller's next call would have a browser, else the reasons of each kind."""
        found = [await kind.status(owner) for kind in self._kinds]
        return next((status for status in found if status.ready and self._max_sessions), self._lack(found))

    def _lack(self, found: Sequence[BrowserStatus]) -> BrowserStatus:
        if not self._max_sessions:
            return BrowserStatus(
                ready=False, sentence="Browsers are off here.", fix="Set CODEWORDS_BROWSERS to more than 0."
            )
        lacking = [status for status in found if not status.ready]
        return BrowserStatus(
            ready=False,
            sentence=" ".join(status.sentence for status in lacking),
            fix=" Or: ".join(status.fix for status in lacking if status.fix),
            remedy=either(status.remedy for status in lacking if status.remedy),
        )

    @asynccontextmanager
    async def lease(self, user: BrowserUser) -> AsyncGenerator[TabLease]:
        """Lease a tab for one call, in the run's session if there is one.

        Raises NotConnected, TooBusy, and the errors of `Browser.open`; BrowserGone if the session
        breaks.
        """
        open_session = await self._session(user)
        _stop(open_session)
        open_session.calls += 1
        tab: Tab | None = None

        try:
            async with open_session.slots:
                if open_session.free:
                    tab = open_session.free.pop()
                else:
                    tab = await open_session.session.open_tab()

                lease = TabLease(open_session.kind.name, tab)
                try:
                    yield lease
                finally:
                    # Shielded: the usage of a call that is cancelled counts too.
                    lease.used = await asyncio.shield(open_session.usage_since_report())
                    # Kept open: the run's next call goes on in this page.
                    open_session.free.append(tab)
        finally:
            open_session.calls -= 1
            self._after(open_session, user)

    def run_ended(self, run_id: str) -> None:
        """Close the sessions of a run that has ended."""
        for key in (run_id, run_id + _OWN):
            if (opening := self._sessions.get(key)) is not None:
                self._soon(self._end(key, opening))

    async def close(self) -> None:
        """End every session."""
        for key, opening in list(self._sessions.items()):
            self._soon(self._end(key, opening))
        await asyncio.gather(*self._closing, *(kind.close() for kind in self._kinds), return_exceptions=True)

    def _after(self, open_session: _OpenSession, user: BrowserUser) -> None:
        """Close a session after its last call: now, or after the idle time."""
        opening = self._sessions.get(open_session.key)
        if (
            # Another call uses it, or it was replaced meanwhile.
            open_session.calls
            or opening is None
            or not opening.done()
            or opening.result() is not open_session
        ):
            return
        # A person's call has no run that would end it.
        if user.caller.run_id is None or not open_session.session.alive:
            self._soon(self._end(open_session.key, opening))
            return
        open_session.idle = asyncio.get_running_loop().call_later(
            self._idle, self._end_soon, open_session.key, opening
        )

    async def _session(self, user: BrowserUser) -> _OpenSession:
        """Return the run's session. The first of its calls opens it for all of them."""
        key = _key(user)
        opening = self._sessions.get(key)

        # A browser that crashed is replaced; its run goes on.
        if opening is not None and opening.done() and not opening.result().session.alive:
            await self._end(key, opening)
            opening = None

        if opening is None:
            opening = self._sessions[key] = asyncio.create_task(self._opened(user), name=f"browser of {key}")
            opening.add_done_callback(partial(self._forget_failed, key))

        try:
            # Shielded: the other calls of the run still want the session.
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The session's run ended meanwhile.
            if opening.cancelled():
                raise BrowserGone("The run ended while its browser was opened.") from None
            if user.caller.run_id is None:
                self._soon(self._end(key, opening))
            raise

    async def _opened(self, user: BrowserUser) -> _OpenSession:
        kinds, owner = await self._choose(user), user.caller.owner
        await self._enter(owner)
        try:
            for kind in kinds[:-1]:
                # A kind that was ready may not open: a person closed Chrome in between.
                with suppress(NotConnected):
                    return _OpenSession(_key(user), owner, kind, await kind.open(user))
            return _OpenSession(_key(user), owner, kinds[-1], await kinds[-1].open(user))
        except BaseException:
            self._leave(owner)
            raise

    def _forget_failed(self, key: str, opening: asyncio.Task[_OpenSession]) -> None:
        failed = opening.cancelled() or opening.exception() is not None
        if failed and self._sessions.get(key) is opening:
            del self._sessions[key]

    async def _choose(self, user: BrowserUser) -> list[Browser]:
        """Return the available kinds for this user, best first. Raises NotConnected if there are
        none.
        """
        found: list[BrowserStatus] = []
        kinds: list[Browser] = []

        for kind in self._kinds:
            if kind.own and not user.own:
                continue
            found.append(await kind.status(user.caller.owner))
            if self._max_sessions and found[-1].ready and kind.takes(user):
                kinds.append(kind)

        if kinds:
            return kinds

        lack = self._lack(found)
        raise NotConnected(lack.sentence, hint=lack.fix, remedy=lack.remedy)

    async def _enter(self, owner: str) -> None:
        """Wait for capacity and count one more session. Raises TooBusy."""
        try:
            async with asyncio.timeout(self._wait_timeout):
                while (
                    self._open.total() >= self._max_sessions
                    or self._open[owner] >= self._max_per_caller
                    or not self._has_room()
                ):
                    self._changed.clear()
                    try:
                        # No event tells that memory is free again.
                        async with asyncio.timeout(_POLL):
                            await self._changed.wait()
                    except TimeoutError:
                        pass
        except TimeoutError:
            raise TooBusy(
                f"No browser came free within {self._wait_timeout:g} s: {self._open.total()} are in use, "
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
        """End a session, even while it is being opened. Later calls get another."""
        if self._sessions.get(key) is not opening:
            return

        del self._sessions[key]
        # Also one that is just being opened: cancelling it closes what there is of it.
        opening.cancel()
        await asyncio.wait({opening})
        if opening.cancelled() or opening.exception() is not None:
            return

        open_session = opening.result()
        _stop(open_session)
        await open_session.session.close()
        self._leave(open_session.owner)

    def _end_soon(self, key: str, opening: asyncio.Task[_OpenSession]) -> None:
        self._soon(self._end(key, opening))

    def _soon(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


_OWN = " in its own Chrome"


def _key(user: BrowserUser) -> str:
    """Return the key of a session. Calls that may use a person's own Chrome don't share it with
    others.
    """
    return user.run_id + (_OWN if user.own else "")


def _stop(open_session: _OpenSession) -> None:
    if open_session.idle is not None:
        open_session.idle.cancel()
        open_session.idle = None


def _difference(now: _Number | None, before: _Number | None) -> _Number | None:
    if now is None or before is None:
        return None
    return now - before
