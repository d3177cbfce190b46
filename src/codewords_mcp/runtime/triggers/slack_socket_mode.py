"""Slack without a public address: one websocket to Slack for each owner with an app token and a
Slack webhook that is not paused, or a question that was sent to Slack.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import structlog

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.common.cancellation import end
from codewords_mcp.common.json_parts import object_of
from codewords_mcp.errors import CodewordsError, UpstreamFailed
from codewords_mcp.runtime.store import question_messages
from codewords_mcp.runtime.store import webhooks as rows
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.triggers.webhook_events import slack_event
from codewords_mcp.runtime.triggers.webhooks import WebhookService, as_json
from codewords_mcp.runtime.web.client import USER_AGENT, Web

APP_TOKEN = "SLACK_APP_TOKEN"  # noqa: S105  # the name of a secret
CHECK_INTERVAL_S = 15.0
"""Seconds between checks of the owners that need a socket: secrets are set and deleted."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
PING_INTERVAL_S = 30.0
"""Time between pings, and within which each must be answered: a dead socket is noticed after a minute."""
CLOSE_TIMEOUT_S = 2.0
MAX_FRAME_BYTES = 1 << 20
_EVENTS = frozenset({"events_api", "slash_commands", "interactive"})
log = structlog.get_logger(__name__)

TakePress = Callable[[str, dict[str, Any]], Awaitable[bool]]
"""`take_press(owner, payload)` is True for an interaction that it has taken."""


class SocketMode:
    """Manages the sockets; `run()` runs until cancelled."""

    def __init__(self, database: Database, webhooks: WebhookService, web: Web, base_url: str) -> None:
        self._db = database
        self._webhooks = webhooks
        self._web = web
        self._base = base_url
        self._take_press: TakePress | None = None
        self._woken = asyncio.Event()
        self._sockets: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._state: dict[str, str] = {}

    def answer_by(self, take_press: TakePress) -> None:
        """Give interactions to `take_press` first: it takes those that answer questions of runs."""
        self._take_press = take_press

    def wake(self) -> None:
        """Check the sockets now: webhooks have changed."""
        self._woken.set()

    async def state(self, owner: str) -> str:
        """Return `connected`, `connecting`, or the reason why not."""
        if owner in self._state:
            return self._state[owner]
        # Right after a webhook or the token was set, the sockets have not been looked at yet.
        token = await self._webhooks.receiver.own_secret(owner, APP_TOKEN)
        if token:
            return "connecting"
        return f"not connected: {APP_TOKEN} is not set"

    async def run(self) -> None:
        """Open the sockets that are needed and close the others."""
        try:
            while True:
                self._woken.clear()
                try:
                    await self._check_sockets()
                except CodewordsError as error:
                    log.warning("Slack sockets not checked", reason=error.message)

                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_INTERVAL_S):
                        await self._woken.wait()
        finally:
            await self._end(list(self._sockets))

    async def _check_sockets(self) -> None:
        needed: set[tuple[str, str]] = set()
        listening = await self._db.read(rows.listening_owners, "slack")
        asking = await self._db.read(question_messages.owners, "slack")
        for owner in dict.fromkeys([*listening, *asking]):
            if token := await self._webhooks.receiver.own_secret(owner, APP_TOKEN):
                needed.add((owner, token))
        await self._end([key for key in self._sockets if key not in needed])
        for owner, token in needed - self._sockets.keys():
            task = asyncio.create_task(self._stay_connected(owner, token), name="slack socket")
            # By the token as well, so that a new one opens a new socket.
            self._sockets[owner, token] = task

    async def _end(self, keys: list[tuple[str, str]]) -> None:
        tasks = [self._sockets.pop(key) for key in keys]
        for owner, _ in keys:
            self._state.pop(owner, None)
        await end(tasks)

    async def _stay_connected(self, owner: str, token: str) -> None:
        """Connect, and reconnect whenever the socket ends."""
        delay = FIRST_PAUSE
        while True:
            try:
                await self._listen(owner, await self._open(token))
                delay = FIRST_PAUSE
                # Slack requested a new connection.
                continue
            except CodewordsError as error:
                self._state[owner] = f"not connected: {error}"
            # A socket can fail in any way and is reconnected.
            except Exception as error:  # noqa: BLE001
                self._state[owner] = f"not connected: the socket broke ({type(error).__name__})"

            log.info("Slack socket lost", state=self._state[owner])
            # At random, so that the sockets of all owners do not come back at the same moment.
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311
            delay = min(delay * 2, LONGEST_PAUSE)

    async def _open(self, token: str) -> str:
        """Return a socket's address. Raises UpstreamFailed."""
        response = await self._web.api(
            self._base, "/apps.connections.open", method="POST", headers={"Authorization": f"Bearer {token}"}
        )
        body: Any = response.json() if response.status == 200 else None
        url = object_of(body).get("url")

        # Only a test's stand-in speaks without TLS.
        if self._base.startswith("https://"):
            allowed_schemes = "wss://"
        else:
            allowed_schemes = ("ws://", "wss://")

        if not isinstance(url, str) or not url.startswith(allowed_schemes):
            raise UpstreamFailed(
                "Slack opened no socket.",
                upstream_status=response.status,
                hint=f"Check {APP_TOKEN}: an app-level token (xapp-…) with connections:write, of an app in Socket Mode.",
            )

        return url

    async def _listen(self, owner: str, url: str) -> None:
        """Receive events until Slack announces that it will close."""
        from websockets.asyncio.client import connect

        async with connect(
            url,
            max_size=MAX_FRAME_BYTES,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_INTERVAL_S,
            close_timeout=CLOSE_TIMEOUT_S,
            compression=None,
            proxy=None,
            user_agent_header=USER_AGENT,
        ) as socket:
            async for message in socket:
                if not isinstance(message, str):
                    raise ConnectionError

                frame = parse(message)
                if frame.get("type") == "hello":
                    self._state[owner] = "connected"
                elif frame.get("type") == "disconnect":
                    return
                elif frame.get("type") in _EVENTS:
                    await self._store_event(owner, frame)
                    await socket.send(json.dumps({"envelope_id": frame.get("envelope_id")}))

            raise ConnectionError

    async def _store_event(self, owner: str, envelope: dict[str, Any]) -> None:
        """Store the event before it is acknowledged. A press of a question's button is an answer, and no event."""
        payload: Any = envelope.get("payload")
        is_press = envelope.get("type") == "interactive" and isinstance(payload, dict)
        if is_press and self._take_press and await self._take_press(owner, cast("dict[str, Any]", payload)):
            return

        # Slack sends unacknowledged events again, so none is lost.
        body = as_json(payload)
        await self._webhooks.receiver.take(
            owner, "slack", None, slack_event(envelope, body), {"content-type": "application/json"}, body
        )
