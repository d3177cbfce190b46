"""Requests, streams and sockets that are open, each ended once the right that it was admitted by is taken away.

It is level-triggered: whatever may have changed a right, here or in another replica, makes `OpenRequests` read the present
rights of everybody who has something open. It also looks by itself, since keys, sessions and access tokens end with their time.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Literal, NamedTuple, Protocol, Self

import structlog

from codewords_mcp.errors import Unauthenticated
from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.auth.roles import has_lost_rights
from codewords_mcp.runtime.auth.sessions import PageSessions
from codewords_mcp.runtime.auth.token_rights import TokenRight
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.events import (
    AccessChanged,
    BrowserSessionsChanged,
    EventBus,
    ListChangedElsewhere,
)
from codewords_mcp.runtime.runs.poll_loop import PollLoop

INTERVAL: Final = 15.0
"""Seconds between two looks while nothing is known to have changed."""
_AFTER_FAILURE: Final = 1.0
log = structlog.get_logger(__name__)


class AccessEnded(Unauthenticated):
    """The right by which a request was admitted was taken away while the request was open."""

    def __init__(self) -> None:
        super().__init__(
            "Your access ended while this was open: the key or token was revoked or its time is over, the session was "
            "ended, or the member was removed or has a lower role.",
            hint="Sign in, or send a key or token that is valid now.",
        )


Standing = Literal["same", "lowered", "ended"]
"""The rights of a key, session or access token beside those that it had before: all of them, fewer, or none."""


class Holder(NamedTuple):
    """The caller of an open request as admitted, and the page session or access token that stood for a key, if one did."""

    caller: Caller
    session_id: str | None
    token: TokenRight | None = None

    def seconds_left(self) -> float:
        """Seconds until the token's time is over; infinite without one."""
        return float("inf") if self.token is None else self.token.ends_at - time.time()


class OpenRequest:
    """One request while it is served. Use as `async with`, whose block is cancelled where the right ends.

    The block then raises AccessEnded. Requests that take the right away themselves go on to their response.
    """

    def __init__(self, registry: OpenRequests, holder: Holder) -> None:
        self.holder = holder
        self.is_spared = False
        """The request ends by itself: it changed the rights, or looks at them with each thing that it sends."""
        self._registry = registry
        self._is_ended = False
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        self._registry.add(self)
        self._token = _CURRENT.set(self)
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _CURRENT.reset(self._token)
        self._registry.discard(self)
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            raise AccessEnded from None

    def end(self) -> None:
        """Cancel the request, unless it ends by itself."""
        if not self.is_spared and not self._is_ended:
            self._is_ended = True
            # asyncio tells this cancellation from those of others, such as of a client that hangs up.
            self._limit.reschedule(asyncio.get_running_loop().time())

    def outlive(self, end: Callable[[], None]) -> _Outliving:
        """See `end_with_right`."""
        return _Outliving(self._registry, self.holder, end)


class _Outliving:
    """Something that goes on after the request that opened it, with the right of that request."""

    def __init__(self, registry: OpenRequests, holder: Holder, end: Callable[[], None]) -> None:
        self.holder = holder
        self.end = end
        self._registry = registry
        registry.add(self)

    def renew(self) -> None:
        """See `Watch`."""
        current = _CURRENT.get()
        if current is not None and current.holder.seconds_left() > self.holder.seconds_left():
            self.holder = current.holder

    def discard(self) -> None:
        """See `Watch`."""
        self._registry.discard(self)


class Watch(Protocol):
    """The watch over the right by which something goes on."""

    def renew(self) -> None:
        """Let it go on by the right of the request that is served now, of the same principal, if that lasts longer.

        A client gets a new access token before its last one ends.
        """

    def discard(self) -> None:
        """Forget it, since it has ended. Idempotent."""


class _NoWatch:
    """The watch over what nobody can end: no request is served, or one whose right nobody can take away."""

    def renew(self) -> None:
        """See `Watch`."""

    def discard(self) -> None:
        """See `Watch`."""


_LASTING: Final = nullcontext()
_CURRENT: ContextVar[OpenRequest | None] = ContextVar("open_request", default=None)


def end_with_right(end: Callable[[], None]) -> Watch:
    """Call `end`, at most once a change, where the right of the request that is served now is taken away.

    For what outlives its request.
    """
    current = _CURRENT.get()
    return _NoWatch() if current is None else current.outlive(end)


def end_request_by(end: Callable[[], None]) -> Watch:
    """Like `end_with_right`, for the request that is served now itself: `end` is called instead of cancelling it."""
    if (current := _CURRENT.get()) is not None:
        current.is_spared = True
    return end_with_right(end)


class OpenRequests(PollLoop):
    """All that is open in this process by a key, session or access token that can end."""

    def __init__(self, keyring: ApiKeys, sessions: PageSessions, bus: EventBus) -> None:
        super().__init__("rights of open requests not read", _AFTER_FAILURE)
        self._keyring = keyring
        self._sessions = sessions
        self._open: set[OpenRequest | _Outliving] = set()
        self._changes = itertools.count(1)
        self.changed = 0
        """Counts the changes of rights: a request whose right was read before the last one is looked at again."""
        bus.subscribe(AccessChanged, self._on_change)
        bus.subscribe(BrowserSessionsChanged, self._on_change)
        bus.subscribe(ListChangedElsewhere, self._on_list_elsewhere)

    def admit(
        self, caller: Caller, session_id: str | None, changed: int, token: TokenRight | None = None
    ) -> AbstractAsyncContextManager[OpenRequest | None]:
        """The block in which a request of this caller is served. It yields None where nobody can take the right away.

        `changed` is what `self.changed` was before the right was read.
        """
        # Keys of runs end with their run, uploads by a ticket with their time. The home's own key is no row.
        is_key = caller.key_id is not None and not caller.by_token and caller.kind != "run"
        if session_id is None and token is None and not is_key:
            # A connection's next request may be served in the context of the one before.
            _CURRENT.set(None)
            return _LASTING
        holder = Holder(caller, session_id, token)
        if changed != self.changed or holder.seconds_left() < INTERVAL:
            self.wake()
        return OpenRequest(self, holder)

    def add(self, opened: OpenRequest | _Outliving) -> None:
        """Look after it from now on."""
        self._open.add(opened)

    def discard(self, opened: OpenRequest | _Outliving) -> None:
        """Forget it. Idempotent."""
        self._open.discard(opened)

    async def standing(self, holder: Holder) -> Standing:
        """Compare the holder's rights now with those at admission."""
        if holder.token is not None:
            present = await holder.token.present()
        elif holder.session_id is not None:
            present = await self._sessions.present(holder.session_id)
        else:
            present = await self._keyring.present(holder.caller)

        # A token of who was a member is another's, of an owner of its own.
        if present is None or present.owner != holder.caller.owner or _has_left(holder.caller, present):
            return "ended"
        return "lowered" if has_lost_rights(holder.caller, present) else "same"

    async def poll(self) -> float:
        """See `PollLoop`."""
        by_holder: defaultdict[Holder, list[OpenRequest | _Outliving]] = defaultdict(list)
        for opened in self._open:
            by_holder[opened.holder].append(opened)

        for holder, several in by_holder.items():
            standing = await self.standing(holder)
            if standing != "same":
                log.info(
                    "open requests ended with their right",
                    actor=holder.caller.actor, standing=standing, open=len(several),
                )  # fmt: skip
                for opened in several:
                    opened.end()
        # At its time, not up to an interval later.
        left = min((opened.holder.seconds_left() for opened in self._open), default=INTERVAL)
        return min(INTERVAL, max(left, _AFTER_FAILURE))

    def _on_list_elsewhere(self, event: ListChangedElsewhere) -> None:
        if event.kind == "sessions":
            self._sessions.forget()
            self._on_change(event)

    def _on_change(self, _event: object) -> None:
        # Who signs out, or revokes the own key, is told that it was done.
        if (current := _CURRENT.get()) is not None:
            current.is_spared = True
        self.changed = next(self._changes)
        self.wake()


def _has_left(before: Caller, now: Caller) -> bool:
    """Whether a caller was a member of the home and is none now, or another."""
    return before.member is not None and (now.member is None or now.member.id != before.member.id)
