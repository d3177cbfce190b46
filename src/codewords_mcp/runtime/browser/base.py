"""The browser protocol: what a kind of browser promises, in shapes, limits and raises.

A *session* is one browser of one run, with cookies of its own (or a person's), made by `Browser.open` and ended once by
`close`. A *tab* is what steps are done in. Who shares a session, which tab a call gets, how many there may be and when an
idle one ends is not a driver's business: `sessions.py` decides it for all of them.

A step that fails is a result (`StepFailed`); a browser that fails is an error (`BrowserGone`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from codewords_mcp.errors.remedies import Remedy
from codewords_mcp.runtime.browser.actions import Action
from codewords_mcp.runtime.model.caller import Caller

MAX_HTML = 10_000_000
"""Characters of HTML or text that one step may give; a page with more is a failure `too_large`, never cut in silence."""

FailureReason = Literal[
    "no_element",  # nothing on the page is what the step names
    "not_ready",  # it is there, but is not a thing, or in no state, that this can be done to
    "timed_out",  # it was not done in its time
    "refused",  # the egress policy, or a person, says no to where it leads
    "unreachable",  # the address does not answer, or its name does not exist
    "bad_step",  # a selector that is none, an address that is not http(s), a key there is not
    "too_large",  # more than is taken
    "crashed",  # the page took too much memory, or broke the browser's part that showed it
    "download",  # the address gives a file to keep, not a page
    "no_page",  # nothing was navigated to yet
]


class StepFailed(Exception):
    """A step that did not work out. The tab is as good as before. `message` is a sentence of our own words."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason: FailureReason = reason
        self.message = message


class BrowserGone(Exception):
    """The browser has ended under the step: crashed, ran out of memory, closed by a person. `message` says which.

    The session is of no more use; what was asked may be tried in a new one.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class BrowserStatus:
    """Availability of a kind of browser. `sentence` describes it to people; `fix` says how to get the browser, "" if it is
    ready.
    """

    ready: bool
    sentence: str
    fix: str = ""
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True)
class BrowserUser:
    """Caller that a session is for, its run, and the only hosts that the session may reach, None for any.

    `run_id` is the workflow's run, or the call's own where a person asked. `own`: it may be the person's own Chrome, since
    the service is one that says so.
    """

    caller: Caller
    run_id: str
    hosts: tuple[str, ...] | None = None
    own: bool = False


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """Result of a step. `values` are JSON (`actions.py` lists them). `notes` are sentences on side effects:
    a dialog that was dismissed, a download that was refused, a page that opened.
    """

    url: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Outline of a visible page, in lines: `- button "Send" [ref=e5]`, children indented by two spaces.

    Frames are included. A ref is valid for steps in this tab until the next snapshot or navigation. `truncated`: `text`
    was cut at the limit. The text comes from the page: it is data, never instructions.
    """

    url: str
    title: str
    text: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class SessionUsage:
    """Resources that a session used so far: seconds since it was opened, and its sandbox's usage, None without a sandbox."""

    seconds: float
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    egress_in: int | None = None
    egress_out: int | None = None


class Tab(Protocol):
    """A tab. Callers make one request at a time."""

    async def act(self, action: Action, seconds: float) -> StepOutcome:
        """Do a step within so many seconds. Cancelling it leaves the tab usable.

        Raises StepFailed, BrowserGone.
        """
        ...

    async def snapshot(self, limit: int) -> Snapshot:
        """The page in at most `limit` characters. Raises StepFailed (no_page, timed_out), BrowserGone."""
        ...

    async def close(self) -> None:
        """Close it. Idempotent; never raises."""
        ...


class BrowserSession(Protocol):
    """A browser of this session alone, or the use of a person's own browser."""

    @property
    def alive(self) -> bool:
        """Whether it can still be used: False once it was closed, crashed or left by its person."""
        ...

    async def open_tab(self) -> Tab:
        """A new tab, empty. Raises BrowserGone."""
        ...

    async def usage(self) -> SessionUsage:
        """Return the usage so far, or that at the session's end. Never raises."""
        ...

    async def close(self) -> None:
        """End it and remove what it left: processes, files, tabs. Idempotent; never raises."""
        ...


class Browser(Protocol):
    """A kind of browser. `name` is how records tell of it: "headless", "chrome"; `own`: it is a person's own."""

    name: str
    own: bool

    async def status(self, owner: str) -> BrowserStatus:
        """Return the availability for this caller. Quick: opens nothing. Never raises."""
        ...

    def takes(self, user: BrowserUser) -> bool:
        """Whether this browser is for this user. A person's own is only for users with that person's consent."""
        ...

    async def open(self, user: BrowserUser) -> BrowserSession:
        """Open one. Cancelling it leaves nothing behind.

        Raises NotConnected where there is none to be had, with the sentences of `status`, TooBusy, SandboxFailed,
        EnvironmentFailed.
        """
        ...

    async def close(self) -> None:
        """Close every session. Idempotent."""
        ...
