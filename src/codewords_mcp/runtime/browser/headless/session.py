"""One headless browser and its tabs: requests to the program in the sandbox, and its answers in words.

The program's answers are not trusted: a page that took over Chromium could answer in its place. Shapes are
checked, sizes bounded, and every sentence is made here.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from pydantic import BaseModel, Field, ValidationError

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.browser.actions import Action, Extract, Navigate
from codewords_mcp.runtime.browser.base import (
    MAX_HTML,
    BrowserGone,
    FailureReason,
    SessionUsage,
    Snapshot,
    StepFailed,
    StepOutcome,
)
from codewords_mcp.runtime.egress import EgressEvent, Traffic
from codewords_mcp.runtime.sandboxes import http1
from codewords_mcp.runtime.sandboxes.base import Sandbox

ELEMENT_SECONDS: Final = 10.0
"""Seconds that an element may take to be there, visible and ready, within the step's own time."""
MARGIN: Final = 8.0
"""Seconds beyond a step's time after which the program itself is given up."""
OPEN_SECONDS: Final = 60.0
"""Seconds that Chromium has to start."""
MAX_ANSWER: Final = 60_000_000
"""Bytes of one answer: HTML of `MAX_HTML` characters, or a picture, as JSON."""
MAX_WORDS: Final = 8 << 10
REFUSALS: Final = 5
"""Refused connections that one step tells of."""
_TITLE: Final = 500

_SENTENCES: dict[str, tuple[FailureReason, str]] = {
    "no_element": ("no_element", "Nothing on the page is what this step names, or it is not visible."),
    "not_ready": ("not_ready", "What this step names is there, but hidden, covered or disabled."),
    "bad_element": ("not_ready", "What this step names is not a thing that this can be done to."),
    "no_option": ("not_ready", "The list has no option of this value or text."),
    "bad_step": ("bad_step", "The browser does not understand this selector, key or address."),
    "timed_out": ("timed_out", "The step was not done in its time."),
    "hung": ("timed_out", "The page no longer answered, so it was closed."),
    "crashed": ("crashed", "The page took more memory than it may have, or broke, so it was closed."),
    "too_large": ("too_large", f"The page has more than {MAX_HTML:,} characters; name a part of it."),
    "download": ("download", "The address gives a file to keep, not a page; nothing was kept."),
    "no_page": ("no_page", "No page is open yet: begin with `navigate`."),
    "unreachable": ("unreachable", "The address could not be reached"),
    "broke": ("not_ready", "The page changed while the step was done."),
}
_NOTES = {
    "opened": "A new page opened and is the current one now.",
    "download": "A download began; nothing was kept.",
    "dialog_alert": "The page showed a message, which was closed.",
    "dialog_confirm": "The page asked for a yes or no, and was told no.",
    "dialog_prompt": "The page asked for a text, and was given none.",
    "dialog_beforeunload": "The page asked whether to leave it, and was left.",
}
_NET = re.compile(r"ERR_[A-Z0-9_]{1,60}")
log = structlog.get_logger(__name__)


class _PassedFile(BaseModel):
    """Result of a request, as the program reports it."""

    tab: str = Field(default="", max_length=20)
    url: str = ""
    title: str = ""
    values: dict[str, Any] = Field(default_factory=dict[str, Any])
    notes: list[str] = Field(default_factory=list[str], max_length=20)
    text: str = ""
    cut: bool = False


class _ProgramReply(BaseModel):
    """One answer of the program."""

    result: _PassedFile | None = Field(default=None, validation_alias="given")
    failed: str = ""
    net: str = ""
    notes: list[str] = Field(default_factory=list[str], max_length=20)


class _Values(BaseModel):
    """The values that steps give."""

    status: int | None = None
    items: list[str] | None = Field(default=None, max_length=1000)
    html: str | None = None
    screenshot: str | None = Field(default=None, pattern=r"^[A-Za-z0-9+/=]*$")


class HeadlessSession:
    """Implements `BrowserSession`."""

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        traffic: Callable[[], Traffic | None],
        ended: Callable[[], object],
    ) -> None:
        self._sandbox = sandbox
        self._traffic = traffic
        self._ended = ended
        self._closed = False
        self._refused: deque[tuple[float, EgressEvent]] = deque(maxlen=50)
        self._words: deque[bytes] = deque(maxlen=20)
        # Read all the time: an unread pipe would stop the program.
        self._pump = asyncio.create_task(self._listen())

    @property
    def alive(self) -> bool:
        """See `BrowserSession.alive`."""
        return not self._closed and not self._pump.done()

    @property
    def last_output(self) -> str:
        """The end of the program's output, for the runtime's own log."""
        return b"".join(self._words)[-MAX_WORDS:].decode(errors="replace")

    def on_connection(self, event: EgressEvent) -> None:
        """Record an attempt of the browser to connect."""
        # A successful connection explains nothing about a step.
        if not event.allowed or event.reason:
            self._refused.append((time.monotonic(), event))

    def refused_since(self, at: float) -> list[EgressEvent]:
        """Connections that were refused or failed since then."""
        return [event for when, event in self._refused if when >= at]

    async def open_tab(self) -> HeadlessTab:
        """See `BrowserSession.open_tab`."""
        answer = await self.ask({"do": "open"}, OPEN_SECONDS)
        if answer.result is None:
            log.error("browser did not start", sandbox=self._sandbox.id, output=self.last_output)
            # Shielded: a caller that gives up must not leave the sandbox behind.
            await asyncio.shield(self.close())
            raise BrowserGone("Chromium did not start in its sandbox; the runtime's log has its output.")
        return HeadlessTab(self, answer.result.tab)

    async def usage(self) -> SessionUsage:
        """See `BrowserSession.usage`."""
        used, moved = await self._sandbox.usage(), self._traffic()
        return SessionUsage(
            seconds=used.wall_seconds,
            cpu_seconds=used.cpu_seconds,
            peak_memory=used.peak_memory,
            egress_in=None if moved is None else moved.received,
            egress_out=None if moved is None else moved.sent,
        )

    async def close(self) -> None:
        """See `BrowserSession.close`."""
        self._closed = True
        self._ended()
        await self._sandbox.kill()
        await self._pump

    async def ask(self, message: dict[str, Any], seconds: float) -> _ProgramReply:
        """Ask the program. Raises BrowserGone where it does not answer, or not as it should."""
        body = json.dumps(message).encode()
        headers = [
            (b"host", b"browser"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]

        try:
            async with asyncio.timeout(seconds):
                reply = await http1.request(self._sandbox.socket_path, "POST", b"/", headers, _once(body))
                try:
                    answer = await _bounded(reply)
                finally:
                    await reply.aclose()

            return _ProgramReply.model_validate_json(answer)
        except (CodewordsError, ValidationError, TimeoutError) as error:
            # Nothing that this program sends can be trusted after it broke the protocol.
            raise await self._gone(error) from error

    async def _gone(self, error: Exception) -> BrowserGone:
        """Close the browser. Returns the error that explains the missing answer."""
        # A sandbox that ran out of memory ends a moment after its connection does.
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if isinstance(error, TimeoutError) else 1):
                await self._sandbox.wait()

        cause = self._sandbox.failure()
        log.warning(
            "browser lost", sandbox=self._sandbox.id, reason=type(error).__name__, output=self.last_output
        )
        await asyncio.shield(self.close())
        if getattr(cause, "code", "") == "program_out_of_memory":
            return BrowserGone(
                "The browser ended: the page took more memory than it may have (CODEWORDS_BROWSER_MEMORY)."
            )
        if isinstance(error, TimeoutError):
            return BrowserGone("The browser no longer answered, so it was ended.")

        return BrowserGone("The browser ended while it was at this step.")

    async def _listen(self) -> None:
        async for chunk in self._sandbox.output():
            self._words.append(chunk.data[-MAX_WORDS:])


class HeadlessTab:
    """Implements `Tab`."""

    def __init__(self, session: HeadlessSession, name: str) -> None:
        self._session = session
        self._name = name

    async def act(self, action: Action, seconds: float) -> StepOutcome:
        """See `Tab.act`."""
        _check_address(action)
        began = time.monotonic()
        step = action.model_dump(exclude={"optional", "timeout", "name"}) | {"most": MAX_HTML}
        result = await self._ask(
            {"do": "act", "step": step, "element_seconds": min(seconds, ELEMENT_SECONDS)}, seconds, began
        )

        try:
            found = _Values.model_validate(result.values)
        except ValidationError:
            raise BrowserGone("The browser answered in a way that it does not.") from None

        refused = self._session.refused_since(began)
        # Chromium shows the proxy's refusal as a page with its status.
        if isinstance(action, Navigate) and found.status in {403, 502, None}:
            _raise_where_refused(result.url, refused)
        return StepOutcome(
            result.url, result.title[:_TITLE], _values(action, found), _notices(result.notes, refused)
        )

    async def snapshot(self, limit: int) -> Snapshot:
        """See `Tab.snapshot`."""
        began = time.monotonic()
        result = await self._ask({"do": "snapshot", "most": limit}, ELEMENT_SECONDS, began)
        return Snapshot(result.url, result.title[:_TITLE], result.text[:limit], result.cut)

    async def close(self) -> None:
        """See `Tab.close`."""
        if self._session.alive:
            with suppress(BrowserGone):
                await self._session.ask({"do": "close", "tab": self._name}, MARGIN)

    async def _ask(self, message: dict[str, Any], seconds: float, began: float) -> _PassedFile:
        """Raises StepFailed, BrowserGone."""
        if not self._session.alive:
            raise BrowserGone("The browser has ended.")

        answer = await self._session.ask(message | {"tab": self._name, "seconds": seconds}, seconds + MARGIN)
        if answer.result is not None:
            return answer.result

        if answer.failed == "unreachable":
            # The egress knows the reason, Chromium only a code.
            _raise_where_refused(None, self._session.refused_since(began))
        reason, sentence = _SENTENCES.get(answer.failed, ("timed_out", "The step could not be done."))
        if answer.failed == "unreachable":
            sentence += f" ({answer.net})." if _NET.fullmatch(answer.net) else "."
        raise StepFailed(reason, sentence)


def _check_address(action: Action) -> None:
    """Raises StepFailed for what is no address of the web."""
    if not isinstance(action, Navigate):
        return
    try:
        parts = urlsplit(action.url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise StepFailed("bad_step", "Only whole http:// and https:// addresses can be gone to.")


def _raise_where_refused(url: str | None, events: list[EgressEvent]) -> None:
    """Raises StepFailed with the reason why the page's own connection (of any host, without one) did not stand."""
    if url:
        host = urlsplit(url).hostname or ""
    else:
        host = None

    # The last one: earlier ones may be of the page before.
    for event in reversed(events):
        if host is None or event.host == host:
            where = f"{event.host}:{event.port}"
            if event.allowed:
                raise StepFailed("unreachable", f"{where} could not be reached: {event.reason}.")
            raise StepFailed("refused", f"{where} may not be reached: {event.reason}.")


def _values(action: Action, found: _Values) -> dict[str, Any]:
    if found.items is not None:
        text = "\n".join(found.items)
        if isinstance(action, Extract) and action.name:
            named = {action.name: text}
        else:
            named = {}
        return {"text": text, "items": found.items} | named
    return found.model_dump(exclude_none=True)


def _notices(notes: list[str], refused: list[EgressEvent]) -> tuple[str, ...]:
    """Describe side effects and refused connections in sentences, each once."""
    notices = [_NOTES[note] for note in notes if note in _NOTES]
    notices += [
        f"A connection to {event.host}:{event.port} was refused: {event.reason}."
        for event in refused
        if not event.allowed
    ]
    return tuple(dict.fromkeys(notices))[:REFUSALS]


async def _bounded(reply: http1.SandboxResponse) -> bytes:
    """The whole answer. Raises TimeoutError, as for one that never ends, for more than is taken."""
    whole = bytearray()
    async for chunk in reply.body:
        whole += chunk
        if len(whole) > MAX_ANSWER:
            # As for an answer that never ends: the program is not trusted to be brief.
            raise TimeoutError
    return bytes(whole)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
