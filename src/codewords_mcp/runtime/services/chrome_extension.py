"""`chrome_extension`: steps in a browser, in their order: a person's own Chrome where one is connected, else a headless one."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from codewords_mcp.runtime.auth.authority import CallTarget, host_of
from codewords_mcp.runtime.browser.actions import Action, Navigate
from codewords_mcp.runtime.browser.base import MAX_HTML, BrowserGone, StepFailed, Tab
from codewords_mcp.runtime.services._browsing import without_browser
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext

_LARGE = ("html", "screenshot")
"""Values that only `data` has, not each step's result too."""
MAX_DATA = 2 * MAX_HTML
"""Characters of all that one call may give."""


class Actions(Input):
    """Steps in their order. The first that fails ends them, unless it is `optional`."""

    actions: list[Action] = Field(
        min_length=1,
        max_length=100,
        description="navigate (url), wait (time | selector), click, type (text), select (value), press (key), scroll, back, "
        "extract (attribute, name), extract_html, screenshot; an element by `selector`; also `optional`, `timeout`.",
    )


class Done(Output):
    """`data` has what was read (`html`, `text` and `items`, `screenshot`), the last of each; `results` what became of
    each step, with its own values. `error` is the sentence of the step that ended them. `url` and `title` are the page's.
    """

    success: bool
    data: dict[str, Any]
    results: list[dict[str, Any]]
    error: str | None = None
    url: str | None = None
    title: str | None = None


async def call(context: ServiceContext, asked: Actions) -> Done:
    """Raises NotConnected where there is no browser, TooBusy where too many are in use."""
    done = Done(success=True, data={}, results=[])
    seconds = context.settings.browser_step_timeout

    async with context.browser(own=True) as tab:
        for number, action in enumerate(asked.actions, 1):
            result: dict[str, Any] = {"step": number, "type": action.type, "success": False}
            done.results.append(result)
            error = await _do(tab, action, seconds, done, result)

            if error is not None:
                result["error"] = error
                if not action.optional or result["reason"] == "gone":
                    done.success, done.error = False, f"Step {number} ({action.type}): {error}"
                    break

    return done


def _targets(asked: Actions) -> list[CallTarget]:
    return [host_of(action.url) for action in asked.actions if isinstance(action, Navigate)]


async def _do(tab: Tab, action: Action, seconds: float, done: Done, result: dict[str, Any]) -> str | None:
    """Do one step and note what it gave; why it failed, if it did."""
    try:
        outcome = await tab.act(action, min(action.timeout or seconds, seconds))
        if _size(done.data) + _size(outcome.values) > MAX_DATA:
            raise StepFailed("too_large", f"The steps together read more than {MAX_DATA:,} characters.")
    except StepFailed as failed:
        result["reason"] = failed.reason
        return failed.message
    except BrowserGone as gone:
        result["reason"] = "gone"
        return gone.message

    done.url, done.title = outcome.url, outcome.title
    done.data |= {name: value for name, value in outcome.values.items() if name != "status"}
    small = {name: value for name, value in outcome.values.items() if name not in _LARGE}
    result |= {"success": True, "url": outcome.url, "title": outcome.title} | small
    if outcome.notes:
        result["notes"] = list(outcome.notes)
    return None


def _size(values: Any) -> int:
    """Characters in the texts of some values."""
    return sum(
        len(one) if isinstance(one, str) else sum(map(len, one)) for one in values.values() if _is_text(one)
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, list))


_STEPS = [{"type": "navigate", "url": "https://example.org/"}, {"type": "extract_html"}]

SERVICE = Service(
    name="chrome_extension",
    title="Chrome extension",
    summary="Steps in a browser, one after the other: go to a page, click, type, choose, scroll, read its text or HTML, "
    "take a picture. Calls of one run go on in the same browser.",
    unavailable=without_browser,
    operations=(
        Operation(
            "Do steps in a browser",
            Actions,
            Done,
            call,
            effect="writes",
            targets=_targets,
            aliases=("actions",),
            example={"actions": _STEPS},
        ),
    ),
)
