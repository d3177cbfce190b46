"""A person's own Chrome as a browser of the protocol: each session is a window of its own there, beside the person's."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, cast

from sqlalchemy import Connection

from codewords_mcp.errors import NotAgreed, NotConnected, TooBusy
from codewords_mcp.runtime.browser.actions import Action
from codewords_mcp.runtime.browser.base import (
    BrowserGone,
    BrowserStatus,
    BrowserUser,
    SessionUsage,
    Snapshot,
    StepFailed,
    StepOutcome,
)
from codewords_mcp.runtime.browser.own.connection import LineClosed
from codewords_mcp.runtime.browser.own.error_texts import LOST, failure, gone
from codewords_mcp.runtime.browser.own.pairing import ConnectedChrome, PairedBrowsers
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.store import runs, workflows
from codewords_mcp.runtime.store.database import Database

AT_ONCE: Final = 3
"""Windows at once in one Chrome."""
_REMEMBERED: Final = 1000
"""Runs that their person has ended."""
_OPENING: Final = 15.0
"""Seconds for a window or tab to open."""
_LATE: Final = 5.0
"""Seconds after a step's own time in which the extension has to say that it is over."""
_SNAPSHOT: Final = 20.0
_BY_KEY: Final = "a program with your key"
_OPENED: Final = "A page opened by this step is the current one now."


class OwnChromeBrowser:
    """The kind "chrome". `permit(caller)` raises NotAgreed for a workflow that was not agreed to act in its person's
    Chrome.
    """

    name = "chrome"
    own = True

    def __init__(self, chromes: PairedBrowsers, database: Database, permit: Callable[[Caller], None]) -> None:
        self._chromes = chromes
        self._db = database
        self._permit = permit
        self._sessions: set[OwnSession] = set()
        self._left: OrderedDict[str, str] = OrderedDict()

    async def status(self, owner: str) -> BrowserStatus:
        """See `Browser.status`."""
        return await self._chromes.status(owner)

    def takes(self, visitor: BrowserUser) -> bool:
        """See `Browser.takes`. A workflow without the person's consent has a note in its log."""
        try:
            self._permit(visitor.caller)
        except NotAgreed:
            return False
        return True

    async def open(self, visitor: BrowserUser) -> OwnSession:
        """See `Browser.open`. Raises also NotAgreed, for a run too that its person has ended."""
        self._permit(visitor.caller)
        if visitor.run_id in self._left:
            raise NotAgreed(self._left[visitor.run_id], hint="Run it again once they want that.")

        chrome = await self._chromes.reach(visitor.caller.owner)
        if len(chrome.sessions) >= AT_ONCE:
            raise TooBusy(
                f"{AT_ONCE} workflows act in this Chrome already.",
                retry_after=10,
                hint="Call again when one has ended.",
            )

        session = OwnSession(chrome, await self._title(visitor))
        session.on_end = lambda: self._ended(visitor.run_id, session)
        self._sessions.add(session)
        try:
            if visitor.hosts is None:
                hosts = None
            else:
                hosts = list(visitor.hosts)

            await session.ask("open", _OPENING, title=session.title, hosts=hosts)
        except BaseException as error:
            await session.close()
            if isinstance(error, BrowserGone | StepFailed):
                raise NotConnected("Your Chrome opened no window.", hint=error.message) from error
            raise

        return session

    def _ended(self, run_id: str, session: OwnSession) -> None:
        self._sessions.discard(session)
        if session.why is not None:
            self._left[run_id] = session.why.message
            if len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)

    async def _title(self, visitor: BrowserUser) -> str:
        """Return the title that the person reads: the workflow's name."""
        owner = visitor.caller.owner
        if visitor.caller.kind != "run":
            return _BY_KEY

        def look(connection: Connection) -> str | None:
            run = runs.get(connection, visitor.run_id, owner)
            if run is None or run.service_id is None:
                workflow = None
            else:
                workflow = workflows.get(connection, run.service_id)
            if workflow is None:
                return None
            return workflow.name

        return await self._db.read(look) or _BY_KEY

    async def close(self) -> None:
        """See `Browser.close`."""
        for session in list(self._sessions):
            await session.close()


_IDS = itertools.count(1)


class OwnSession:
    """A window."""

    def __init__(self, chrome: ConnectedChrome, title: str) -> None:
        self.title = title
        self.id = f"s{next(_IDS)}"
        self.on_end: Callable[[], None] = lambda: None
        self._chrome = chrome
        self._began = time.monotonic()
        self._ended: float | None = None
        self.why: BrowserGone | None = None
        chrome.sessions[self.id] = self

    @property
    def alive(self) -> bool:
        """See `BrowserSession.alive`."""
        return self._ended is None and self._chrome.line.open

    def left(self, why: str) -> None:
        """End the session, since its person has ended it."""
        self.why = gone(why)
        self._end()

    async def open_tab(self) -> OwnTab:
        """See `BrowserSession.open_tab`."""
        tab = OwnTab(self, f"t{next(_IDS)}")
        try:
            await self.ask("tab", _OPENING, tab=tab.id)
        except StepFailed as error:
            raise BrowserGone(error.message) from error
        return tab

    async def ask(self, do: str, within: float, **what: Any) -> dict[str, Any]:
        """Return the extension's answer to a request about this session. Raises StepFailed, BrowserGone."""
        if self.why is not None:
            raise self.why

        try:
            answer = await self._chrome.line.ask(do, within, session=self.id, **what)
        except LineClosed:
            self._end()
            raise self.why or BrowserGone(LOST) from None
        except TimeoutError:
            raise failure("timed_out") from None

        if "gone" in answer:
            self.left(answer["gone"])
            raise gone(answer["gone"])
        if "no" in answer:
            raise failure(answer["no"], answer.get("more"))

        result = answer.get("ok")
        if isinstance(result, dict):
            return cast("dict[str, Any]", result)

        return {}

    async def usage(self) -> SessionUsage:
        """See `BrowserSession.usage`."""
        return SessionUsage(seconds=(self._ended or time.monotonic()) - self._began)

    async def close(self) -> None:
        """See `BrowserSession.close`."""
        if self.alive:
            self._chrome.line.tell(id=0, do="close", session=self.id)
        self._end()

    def tell(self, **what: Any) -> None:
        """Say something about it that has no answer."""
        if self.alive:
            self._chrome.line.tell(session=self.id, **what)

    def _end(self) -> None:
        self._chrome.sessions.pop(self.id, None)
        if self._ended is None:
            self._ended = time.monotonic()
            self.on_end()


class OwnTab:
    """A tab of it."""

    def __init__(self, session: OwnSession, name: str) -> None:
        self.id = name
        self._session = session

    async def act(self, action: Action, seconds: float) -> StepOutcome:
        """See `Tab.act`."""
        step = action.model_dump(mode="json", exclude_none=True, exclude={"optional", "timeout"})
        result = await self._perform(seconds, action=step)
        url, title = str(result.get("url", "")), str(result.get("title", ""))
        values: Any = result.get("values")

        if isinstance(values, dict):
            found = cast("dict[str, Any]", values)
        else:
            found = {}

        if isinstance(items := found.get("items"), list):
            found["text"] = "\n".join(map(str, cast("list[Any]", items)))
        if action.type == "navigate":
            found |= {"url": url, "title": title}
        return StepOutcome(url, title, found, (_OPENED,) if result.get("notes") else ())

    async def snapshot(self, limit: int) -> Snapshot:
        """See `Tab.snapshot`."""
        result = await self._perform(_SNAPSHOT, limit=limit)
        text = str(result.get("text", ""))[:limit]
        return Snapshot(
            str(result.get("url", "")), str(result.get("title", "")), text, bool(result.get("truncated"))
        )

    async def _perform(self, seconds: float, **what: Any) -> dict[str, Any]:
        return await self._session.ask("perform", seconds + _LATE, tab=self.id, seconds=seconds, **what)

    async def close(self) -> None:
        """See `Tab.close`."""
        self._session.tell(id=0, do="close_tab", tab=self.id)
