"""Subscriptions to a run's record and log, in both eras: `resources/subscribe` and `subscriptions/listen`.

A watcher ends with its run, its stream or its session. Only the caller's own runs can be watched.
"""

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mcp.server.connection import Connection
from mcp.server.subscriptions import ListenHandler, ResourceUpdated, ServerEvent, SubscriptionBus
from mcp_types import (
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from codewords_mcp.errors import CodewordsError, InvalidInput, TooBusy
from codewords_mcp.mcp_server.access import access_of, subscription_rule
from codewords_mcp.mcp_server.context import RequestContext, caller_of
from codewords_mcp.mcp_server.errors import to_codewords_error
from codewords_mcp.mcp_server.list_changes import ListChangeNotifier
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import FINISHED

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

_RUN = re.compile(r"run://([^/]+)(/logs)?")
_POLL_TIMEOUT = 30.0
_LOG_UPDATE_INTERVAL = 1.0
_STATE = "codewords.subscriptions"


class Subscriptions:
    """Handlers of both protocol eras with a common limit of watchers.

    `connection_of` returns the connection of a legacy request.
    """

    def __init__(
        self,
        bus: SubscriptionBus,
        connection_of: Callable[[RequestContext], Connection],
        changes: ListChangeNotifier,
    ) -> None:
        self._bus = bus
        self._changes = changes
        self._connection_of = connection_of
        self._watching = 0

    async def subscribe(self, ctx: RequestContext, params: SubscribeRequestParams) -> EmptyResult:
        """Notify this session until it unsubscribes or ends (protocol up to 2025-11-25).

        Raises InvalidInput, NotFound, TooBusy.
        """
        uri = str(params.uri)
        await _check_readable(ctx, uri)
        connection = self._connection_of(ctx)
        watched: dict[str, asyncio.Task[None]] = connection.state.setdefault(_STATE, {})
        # A repeated subscription must not notify twice.
        if uri not in watched:
            session = ctx.session
            watched[uri] = self._start(ctx, uri, functools.partial(session.send_resource_updated, uri))
            connection.exit_stack.callback(watched[uri].cancel)
        return EmptyResult()

    async def unsubscribe(self, ctx: RequestContext, params: UnsubscribeRequestParams) -> EmptyResult:
        """Stop notifying; an unknown subscription is no error."""
        watched = self._connection_of(ctx).state.get(_STATE, {})
        if task := watched.pop(str(params.uri), None):
            task.cancel()
        return EmptyResult()

    async def listen(
        self, ctx: RequestContext, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Stream notifications as the response (protocol from 2026-07-28).

        URIs that can't be watched are left out of the honoured subscriptions.
        """
        watchable = [
            uri for uri in params.notifications.resource_subscriptions or [] if await _is_readable(ctx, uri)
        ]
        honoured = params.notifications.model_copy(update={"resource_subscriptions": watchable})
        stream = _StreamBus(self._bus)
        owner = caller_of(ctx).owner
        async with self._telling(ctx, watchable, stream):
            stream.also = functools.partial(self._changes.stream, owner)
            return await ListenHandler(stream)(ctx, params.model_copy(update={"notifications": honoured}))

    @asynccontextmanager
    async def _telling(
        self, ctx: RequestContext, uris: list[str], stream: _StreamBus
    ) -> AsyncGenerator[None]:
        tasks: list[asyncio.Task[None]] = []
        try:
            # Within, since the bound may refuse one after others have begun.
            for uri in uris:
                publish = functools.partial(stream.publish, ResourceUpdated(uri=uri))
                tasks.append(self._start(ctx, uri, publish))
            yield
        finally:
            for task in tasks:
                task.cancel()

    def _start(
        self, ctx: RequestContext, uri: str, tell: Callable[[], Awaitable[None]]
    ) -> asyncio.Task[None]:
        limit = ctx.lifespan_context.limits.max_watchers
        if self._watching >= limit:
            raise TooBusy(
                f"{limit} runs are being watched.", retry_after=60, hint="Poll get_run, or try later."
            )
        self._watching += 1
        task = asyncio.create_task(_watch(ctx.lifespan_context.runtime, caller_of(ctx), uri, tell))
        task.add_done_callback(self._ended)
        return task

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._watching -= 1


class _StreamBus:
    """Events of a listen stream: the server's, and changes of the runs that it watches."""

    def __init__(self, shared: SubscriptionBus) -> None:
        self._shared = shared
        self.also: Callable[[Callable[[ServerEvent], None]], Callable[[], None]] | None = None
        """Subscribes to the list changes of this stream's owner."""
        self._listener: Callable[[ServerEvent], None] | None = None

    async def publish(self, event: ServerEvent) -> None:
        if self._listener is not None:
            self._listener(event)

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        self._listener = listener
        unsubscribers = [self._shared.subscribe(listener), *([self.also(listener)] if self.also else [])]

        def unsubscribe_all() -> None:
            for unsubscribe in unsubscribers:
                unsubscribe()

        return unsubscribe_all


async def _check_readable(ctx: RequestContext, uri: str) -> None:
    """Raise InvalidInput for a URI that can't be watched, NotFound for another caller's run."""
    run_id, _ = _parse_uri(uri)
    rule = subscription_rule(uri)
    if rule is not None:
        access_of(ctx).require(rule)
    await ctx.lifespan_context.runtime.runs.get(caller_of(ctx), run_id)


async def _is_readable(ctx: RequestContext, uri: str) -> bool:
    try:
        await _check_readable(ctx, uri)
    except CodewordsError:
        return False
    return True


def _parse_uri(uri: str) -> tuple[str, bool]:
    """Return (run id, whether the URI is the run's log)."""
    match = _RUN.fullmatch(uri)
    if match is None:
        raise InvalidInput("Only runs can be watched.", hint="Subscribe to run://<id> or run://<id>/logs.")
    return match[1], match[2] is not None


async def _watch(runtime: Runtime, caller: Caller, uri: str, tell: Callable[[], Awaitable[None]]) -> None:
    run_id, log = _parse_uri(uri)
    changes = _log_changes if log else _record_changes
    try:
        async for _ in changes(runtime, caller, run_id):
            await tell()
    except Exception as error:  # noqa: BLE001  # no task awaits a watcher
        to_codewords_error(error, "subscription")


async def _record_changes(runtime: Runtime, caller: Caller, run_id: str) -> AsyncIterator[None]:
    """Yield for each observed change of status; the last is the run's end."""
    run = await runtime.runs.get(caller, run_id)
    while run.status not in FINISHED:
        before = run.status
        run = await runtime.runs.get(caller, run_id, wait=_POLL_TIMEOUT)
        if run.status != before:
            yield


async def _log_changes(runtime: Runtime, caller: Caller, run_id: str) -> AsyncIterator[None]:
    """Yield at most once a second while lines arrive, and once after the last."""
    seen = await runtime.logs.tail(caller, run_id, limit=1)
    reported_at, pending = 0.0, False
    async for line in runtime.logs.lines(caller, run_id, after=seen[-1].created_at if seen else None):
        pending = pending or line is not None
        # A program may log thousands of lines a second, and each notification makes clients
        # read the log.
        if pending and time.monotonic() - reported_at >= _LOG_UPDATE_INTERVAL:
            reported_at, pending = time.monotonic(), False
            yield
    if pending:
        yield
