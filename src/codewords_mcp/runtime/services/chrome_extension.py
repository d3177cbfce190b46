"""`chrome_extension`: steps in a browser: in a person's own Chrome if one is connected, else in a
headless one.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from codewords_mcp.runtime.auth.authority import CallTarget, host_of
from codewords_mcp.runtime.browser.actions import Action, Navigate
from codewords_mcp.runtime.browser.base import MAX_HTML, BrowserGone, StepFailed, Tab
from codewords_mcp.runtime.services._browsing import browser_unavailable
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext

# Values that are only in `data`, and not in each step's result as well.
_LARGE = ("html", "screenshot")
MAX_DATA = 2 * MAX_HTML
"""Maximum characters in all values of one call."""


class ActionsInput(Input):
    """Steps in their order. The first failing step ends the call, unless it is `optional`."""

    actions: list[Action] = Field(
        min_length=1,
        max_length=100,
        description="navigate (url), wait (time | selector), click, type (text), select (value), press (key), scroll, back, "
        "extract (attribute, name), extract_html, screenshot; an element by `selector`; also `optional`, `timeout`.",
    )


class ActionsOutput(Output):
    """`data` has the last of each value read (`html`, `text` and `items`, `screenshot`).

    `results` has the outcome of each step, with its own values. `error` names the step that ended
    the call. `url` and `title` are those of the page.
    """

    success: bool
    data: dict[str, Any]
    results: list[dict[str, Any]]
    error: str | None = None
    url: str | None = None
    title: str | None = None


async def call(context: ServiceContext, params: ActionsInput) -> ActionsOutput:
    """Perform the steps. Raises NotConnected without a browser, TooBusy if too many are in use."""
    output = ActionsOutput(success=True, data={}, results=[])
    seconds = context.settings.browser_step_timeout

    async with context.browser(own=True) as tab:
        for number, action in enumerate(params.actions, 1):
            result: dict[str, Any] = {"step": number, "type": action.type, "success": False}
            output.results.append(result)
            error = await _perform_step(tab, action, seconds, output, result)

            if error is not None:
                result["error"] = error
                # An optional step may fail; without a browser no step can follow.
                if not action.optional or result["reason"] == "gone":
                    output.success, output.error = False, f"Step {number} ({action.type}): {error}"
                    break

    return output


def _targets(params: ActionsInput) -> list[CallTarget]:
    return [host_of(action.url) for action in params.actions if isinstance(action, Navigate)]


async def _perform_step(
    tab: Tab, action: Action, seconds: float, output: ActionsOutput, result: dict[str, Any]
) -> str | None:
    """Perform one step and record its values. Returns the reason of a failure, else None."""
    try:
        outcome = await tab.act(action, min(action.timeout or seconds, seconds))
        # Before the values are added: the whole response is in memory and in the run's record.
        if _size(output.data) + _size(outcome.values) > MAX_DATA:
            raise StepFailed("too_large", f"The steps together read more than {MAX_DATA:,} characters.")
    except StepFailed as failed:
        result["reason"] = failed.reason
        return failed.message
    except BrowserGone as gone:
        result["reason"] = "gone"
        return gone.message

    output.url, output.title = outcome.url, outcome.title
    # The status is that of a page, and was not asked for.
    output.data |= {name: value for name, value in outcome.values.items() if name != "status"}
    small_values = {name: value for name, value in outcome.values.items() if name not in _LARGE}
    result |= {"success": True, "url": outcome.url, "title": outcome.title} | small_values
    if outcome.notes:
        result["notes"] = list(outcome.notes)
    return None


def _size(values: Any) -> int:
    """Count the characters of all texts in some values."""
    return sum(
        len(value) if isinstance(value, str) else sum(map(len, value))
        for value in values.values()
        if _is_text(value)
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, list))


_STEPS = [{"type": "navigate", "url": "https://example.org/"}, {"type": "extract_html"}]

SERVICE = Service(
    name="chrome_extension",
    title="Chrome extension",
    summary="Steps in a browser, one after the other: go to a page, click, type, choose, scroll, read its text or HTML, "
    "take a picture. Calls of one run go on in the same browser.",
    unavailable=browser_unavailable,
    operations=(
        Operation(
            "Do steps in a browser",
            ActionsInput,
            ActionsOutput,
            call,
            effect="writes",
            targets=_targets,
            aliases=("actions",),
            example={"actions": _STEPS},
        ),
    ),
)
