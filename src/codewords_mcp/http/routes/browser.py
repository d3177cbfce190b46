"""A person's own Chrome: how it stands, the page on which it is paired, and the connection that its extension makes."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from codewords_mcp.http.middleware.people import person
from codewords_mcp.http.operations import HttpOperation, Parameter
from codewords_mcp.http.pages import page, sorry
from codewords_mcp.http.paths import CHROME_PATH
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import ERROR_PAGE, caller, own_url, runtime
from codewords_mcp.runtime.model.browser import OwnChrome
from codewords_mcp.runtime.model.time_bounds import parse_moment, parse_seconds

MAX_WAIT = 100.0
_REFRESH = 2
"""Seconds after which the page, which has no script, looks whether it has done its work."""
_sorry = sorry("It was not paired")


async def show(request: Request) -> Response:
    """Describe the state of the caller's own Chrome."""
    query = request.query_params
    wait = parse_seconds(query.get("wait_seconds", "0"), "wait_seconds", high=MAX_WAIT)
    if "paired_after" in query:
        after = parse_moment(query["paired_after"])
    else:
        after = None
    return JsonReply(await runtime(request.scope).browsers.get(caller(request.scope), wait=wait, after=after))


async def pair(request: Request) -> Response:
    """A page on which a person pairs their Chrome."""
    return JsonReply({"url": await runtime(request.scope).browsers.pair(caller(request.scope))})


async def forget(request: Request) -> Response:
    """Revoke the token of the caller's Chrome."""
    return JsonReply({"forgotten": await runtime(request.scope).browsers.forget(caller(request.scope))})


async def pairing_page(request: Request) -> Response:
    """Show the steps of pairing, until it is done.

    Showing does not spend the token. The extension does, when its person presses Pair.
    """
    request.scope[ERROR_PAGE] = _sorry
    if await runtime(request.scope).browsers.peek_pairing(
        person(request.scope), str(request.path_params["token"])
    ):
        return page(
            "This Chrome is paired",
            '<h1 class="good">Your Chrome is paired</h1><p>Workflows that you agreed to act in it can, in windows of their own,'
            " on the sites that you allow. The CodeWords icon shows what they do, and stops them.</p>"
            '<p class="last">You can close this page.</p>',
        )

    shown = page(
        "Pair this Chrome",
        f"<h1>Pair this Chrome with <code>{escape(own_url(request.scope).partition('://')[2])}</code></h1>"
        "<ol><li>Open <code>chrome://extensions</code>, switch on <b>Developer mode</b>, press <b>Load unpacked</b>"
        " and choose the folder that <code>codewords browser pair</code> shows. Once is enough.</li>"
        "<li>Come back to this page in that Chrome, press the <b>CodeWords</b> icon beside the address (it may be behind the"
        " puzzle piece), and there <b>Pair with it</b>.</li></ol>"
        "<p>Then workflows that you agreed to do so act in this Chrome, signed in as you: in windows of their own, which you can"
        " watch and close, and only on sites that you allow one by one.</p>"
        '<p class="dim last">This page works once, for ten minutes. <code>codewords browser forget</code> undoes it.</p>',
    )
    # The page has no script, so it reloads until the pairing is done.
    shown.headers["Refresh"] = str(_REFRESH)
    return shown


class _Pipe:
    """The ASGI WebSocket as what `runtime/browser/own/connection.py` asks for."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.origin = own_url(scope)
        self._receive = receive
        self._send = send
        self._open = True

    async def receive(self) -> str | None:
        """The next message of text; None when the other end is gone."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                # Nothing may be sent after this message: the server raises for it.
                self._open = False
                return None
            if (text := message.get("text")) is not None:
                return str(text)

    async def send(self, text: str) -> None:
        """Send a message."""
        if self._open:
            try:
                await self._send({"type": "websocket.send", "text": text})
            except OSError:  # gone just then; `receive` says so
                self._open = False

    async def close(self, code: int) -> None:
        """Hang up."""
        if self._open:
            self._open = False
            await self._send({"type": "websocket.close", "code": code})


async def serve_chrome(scope: Scope, receive: Receive, send: Send) -> None:
    """The extension's connection. Who it is its first message says; Host and Origin were checked."""
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    await runtime(scope).browsers.serve(_Pipe(scope, receive, send))


_TAG = "browser"
OPERATIONS = [
    HttpOperation(
        "GET", "/browser", "See how your own Chrome stands", show, tag=_TAG, reply=OwnChrome,
        parameters=(
            Parameter(
                "wait_seconds", "Answer as soon as it is connected, or after so long",
                {"type": "number", "minimum": 0, "maximum": MAX_WAIT},
            ),
            Parameter(
                "paired_after", "Wait for one that was paired later than this",
                {"type": "string", "format": "date-time"},
            ),
        ),
    ),
    HttpOperation(
        "POST", "/browser/pair", "Make a page on which a person pairs their Chrome", pair, tag=_TAG,
        reply={"type": "object", "properties": {"url": {"type": "string", "format": "uri"}}, "required": ["url"]},
    ),
    HttpOperation(
        "DELETE", "/browser", "Forget your own Chrome", forget, tag=_TAG,
        reply={"type": "object", "properties": {"forgotten": {"type": "boolean"}}, "required": ["forgotten"]},
    ),
    HttpOperation(
        "GET", "/browser/pair/{token}", "The page on which a Chrome is paired", pairing_page, tag=_TAG,
        media="text/html",
    ),
    HttpOperation(
        "GET", CHROME_PATH, "The WebSocket of the Chrome extension", tag=_TAG, status=101,
    ),
]  # fmt: skip
