"""A person's own Chrome as a browser of the protocol: each session is a window of its own there, beside the person's."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from sqlalchemy import Connection

from codewords_mcp.errors import AttemptOver, NotAgreed, NotConnected, TooBusy
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
from codewords_mcp.runtime.browser.own.connection import ChromeConnectionLost
from codewords_mcp.runtime.browser.own.error_texts import LOST, failure, gone
from codewords_mcp.runtime.browser.own.pairing import ConnectedChrome, PairedBrowsers
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.store import runs, workflows
from codewords_mcp.runtime.store.database import Database

AT_ONCE: Final = 3
"""Windows at once in one Chrome."""
# Runs that their person has ended.
_REMEMBERED: Final = 1000
# Seconds for a window or tab to open.
_OPENING: Final = 15.0
# Seconds after a step's own time in which the extension has to say that it is over.
_LATE: Final = 5.0
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

    def takes(self, user: BrowserUser) -> bool:
        """See `Browser.takes`. A workflow without the person's consent has a note in its log."""
        try:
            self._permit(user.caller)
        except (AttemptOver, NotAgreed):
            return False
        return True

    async def open(self, user: BrowserUser) -> OwnSession:
        """See `Browser.open`. Raises also NotAgreed, for a run too that its person has ended."""
        self._permit(user.caller)
        # A person who pressed Stop must not see the run open another window.
        if user.run_id in self._left:
            raise NotAgreed(self._left[user.run_id], hint="Run it again once they want that.")

        chrome = await self._chromes.reach(user.caller.owner)
        if len(chrome.sessions) >= AT_ONCE:
            raise TooBusy(
                f"{AT_ONCE} workflows act in this Chrome already.",
                retry_after=10,
                hint="Call again when one has ended.",
            )

        session = OwnSession(chrome, await self._title(user))
        session.on_end = partial(self._ended, user.run_id, session)
        self._sessions.add(session)
        try:
            if user.hosts is None:
                hosts = None
            else:
                hosts = list(user.hosts)

            await session.ask("open", _OPENING, title=session.title, hosts=hosts)
        except BaseException as error:
            # The window may have opened all the same: it is closed, or nobody would.
            await session.close()
            if isinstance(error, BrowserGone | StepFailed):
                raise NotConnected("Your Chrome opened no window.", hint=error.message) from error
            raise

        return session

    def _ended(self, run_id: str, session: OwnSession) -> None:
        self._sessions.discard(session)
        if session.why is not None:
            self._left[run_id] = session.why.message
            # The oldest run: it has most likely ended.
            if len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)

    async def _title(self, user: BrowserUser) -> str:
        """Return the title that the person reads: the workflow's name."""
        owner = user.caller.owner
        if user.caller.kind != "run":
            return _BY_KEY

        def read_name(connection: Connection) -> str | None:
            run = runs.get(connection, user.run_id, owner)
            if run is None or run.service_id is None:
                workflow = None
            else:
                workflow = workflows.get(connection, run.service_id)
            if workflow is None:
                return None
            return workflow.name

        return await self._db.read(read_name) or _BY_KEY

    async def close(self) -> None:
        """See `Browser.close`."""
        for session in list(self._sessions):
            await session.close()


_IDS = itertools.count(1)


def _nothing() -> None:
    """Nobody waits for the end yet."""


class OwnSession:
    """A window."""

    def __init__(self, chrome: ConnectedChrome, title: str) -> None:
        self.title = title
        self.id = f"s{next(_IDS)}"
        self.on_end: Callable[[], None] = _nothing
        self._chrome = chrome
        self._began = time.monotonic()
        self._ended: float | None = None
        self.why: BrowserGone | None = None
        chrome.sessions[self.id] = self

    @property
    def alive(self) -> bool:
        """See `BrowserSession.alive`."""
        return self._ended is None and self._chrome.connection.open

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
            answer = await self._chrome.connection.ask(do, within, session=self.id, **what)
        except ChromeConnectionLost:
            # Its person may have ended it in the same moment: that reason is the better one.
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
            self._chrome.connection.tell(id=0, do="close", session=self.id)
        self._end()

    def tell(self, **what: Any) -> None:
        """Say something about it that has no answer."""
        if self.alive:
            self._chrome.connection.tell(session=self.id, **what)

    def _end(self) -> None:
        # Taken out first: what `on_end` calls must not find it.
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

        # `text` is made here, so that it is the same as in the headless browser.
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
