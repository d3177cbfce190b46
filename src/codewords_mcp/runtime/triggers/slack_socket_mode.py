"""Slack without a public address: a websocket to Slack for each owner who has an app token and a webhook of Slack's."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

import structlog

from codewords_mcp.bounded_json import parse
from codewords_mcp.cancellation import end
from codewords_mcp.errors import CodewordsError, UpstreamFailed
from codewords_mcp.runtime.store import webhooks as rows
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.triggers.webhook_events import slack_event
from codewords_mcp.runtime.triggers.webhooks import WebhookService, as_json
from codewords_mcp.runtime.web.client import Web

APP_TOKEN = "SLACK_APP_TOKEN"  # noqa: S105  # the name of a secret
LOOK = 15.0
"""Seconds between looks at who wants a socket: secrets come and go."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
SILENCE = 60.0
"""Seconds without a frame, Slack's pings included, after which a socket is taken for dead."""
MAX_FRAME = 1 << 20
_EVENTS = frozenset({"events_api", "slash_commands", "interactive"})
log = structlog.get_logger(__name__)


class SocketMode:
    """Runs from `run()` until cancelled. `state` tells an owner's socket in words."""

    def __init__(self, database: Database, book: WebhookService, web: Web, base_url: str) -> None:
        self._db = database
        self._book = book
        self._web = web
        self._base = base_url
        self._woken = asyncio.Event()
        self._sockets: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._state: dict[str, str] = {}

    def wake(self) -> None:
        """Webhooks have changed."""
        self._woken.set()

    def state(self, owner: str) -> str:
        """`connected`, or why not."""
        return self._state.get(owner, f"not connected: {APP_TOKEN} is not set")

    async def run(self) -> None:
        """Keep the sockets that are wanted."""
        try:
            while True:
                self._woken.clear()
                try:
                    await self._look()
                except CodewordsError as error:
                    log.warning("Slack's sockets are not looked after", reason=error.message)

                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._woken.wait()
        finally:
            await self._end(list(self._sockets))

    async def _look(self) -> None:
        wanted: set[tuple[str, str]] = set()
        for owner in await self._db.read(rows.owners, "slack"):
            if token := await self._book.own_secret(owner, APP_TOKEN):
                wanted.add((owner, token))
        await self._end([one for one in self._sockets if one not in wanted])
        for owner, token in wanted - self._sockets.keys():
            task = asyncio.create_task(self._stay(owner, token), name="slack socket")
            self._sockets[owner, token] = task

    async def _end(self, gone: list[tuple[str, str]]) -> None:
        tasks = [self._sockets.pop(one) for one in gone]
        for owner, _ in gone:
            self._state.pop(owner, None)
        await end(tasks)

    async def _stay(self, owner: str, token: str) -> None:
        """Connect, and again whenever it ends."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._listen(owner, await self._open(token))
                pause = FIRST_PAUSE
                continue  # Slack asked for a new one
            except CodewordsError as error:
                self._state[owner] = f"not connected: {error}"
            except Exception as error:  # noqa: BLE001  # whatever a socket ends with, the next one is tried
                self._state[owner] = f"not connected: the socket broke ({type(error).__name__})"

            log.info("no socket to Slack", state=self._state[owner])
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  # spreads load
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _open(self, token: str) -> str:
        """A socket's address. Raises UpstreamFailed."""
        reply = await self._web.api(
            self._base, "/apps.connections.open", method="POST", headers={"Authorization": f"Bearer {token}"}
        )
        told: Any = reply.json() if reply.status == 200 else None
        url: Any = told.get("url") if isinstance(told, dict) else None  # type: ignore[reportUnknownMemberType]

        if self._base.startswith("https://"):
            safe = "wss://"
        else:
            safe = ("ws://", "wss://")

        if not isinstance(url, str) or not url.startswith(safe):
            raise UpstreamFailed(
                "Slack opens no socket.",
                upstream_status=reply.status,
                hint=f"Check {APP_TOKEN}: an app-level token (xapp-…) with connections:write, of an app in Socket Mode.",
            )

        return url

    async def _listen(self, owner: str, url: str) -> None:
        """Take in what comes until Slack says that it will close."""
        from aiohttp import ClientSession, WSMsgType

        async with (
            ClientSession() as session,
            session.ws_connect(url, max_msg_size=MAX_FRAME, autoping=True) as socket,
        ):
            while True:
                message = await socket.receive(SILENCE)
                if message.type is not WSMsgType.TEXT:
                    raise ConnectionError

                frame = message.json(loads=parse)
                if frame.get("type") == "hello":
                    self._state[owner] = "connected"
                elif frame.get("type") == "disconnect":
                    return
                elif frame.get("type") in _EVENTS:
                    await self._take(owner, frame)
                    await socket.send_json({"envelope_id": frame.get("envelope_id")})

    async def _take(self, owner: str, envelope: dict[str, Any]) -> None:
        """Into the log first: what is not acknowledged, Slack sends again."""
        body = as_json(envelope.get("payload"))
        await self._book.take(
            owner, "slack", None, slack_event(envelope, body), {"content-type": "application/json"}, body
        )
