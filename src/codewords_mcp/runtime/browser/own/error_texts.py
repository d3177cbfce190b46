"""Sentences for the extension's reasons. No text that comes over the connection gets into an error."""

from __future__ import annotations

import re
from typing import Any, Final

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.browser.base import BrowserGone, FailureReason, StepFailed

PICTURES: Final = "pictures of its window"
"""Name of the right to take pictures, among the sites; the same as in sites.js of the extension."""
_SITE = re.compile(r"[a-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9a-f:]{2,39}\](:\d{1,5})?")
_KEYS = "Enter, Tab, Escape, Backspace, Delete, Space, Arrow…, Home, End, PageUp, PageDown"
_GO_THERE = "Navigate to that site itself, so that they are asked."
_LIST_IT = "If it should be, add it to `hosts` under [tool.codewords] in the header and deploy again."
_ALLOW_IT = (
    "Its person is asked in Chrome, by the CodeWords icon too; once it is allowed there, run this again."
)
_REASONS: Final[dict[str, tuple[FailureReason, str]]] = {
    "no_element": ("no_element", "Nothing on the page is what the step names."),
    "not_visible": ("not_ready", "What the step names is on the page, and not visible."),
    "disabled": ("not_ready", "The element stayed disabled."),
    "stale_ref": ("no_element", "This ref is not of the last snapshot of this page; take another one."),
    "bad_selector": ("bad_step", "The selector is not one of CSS."),
    "bad_key": ("bad_step", f"There is no such key: a character, {_KEYS}."),
    "bad_address": ("bad_step", "The address is not one of http or https."),
    "not_a_field": ("not_ready", "The element is no field that takes text."),
    "not_a_select": ("not_ready", "The element is no `select`."),
    "no_option": ("no_element", "The list has no such option."),
    "no_history": ("bad_step", "There is no page before this one."),
    "no_page": ("no_page", "No page was opened yet; begin with `navigate`."),
    "no_picture": ("timed_out", "Chrome took no picture of the window; it may be minimized."),
    "too_large": ("too_large", "The page gives more than is taken."),
    "timed_out": ("timed_out", "It was not done in its time; a dialog may wait for the person in front of it."),
    "unreachable": ("unreachable", "The address does not answer, or its name does not exist."),
    "unseen": ("refused", f"The page went on to a site that its person has not allowed. {_GO_THERE}"),
    "runtime": ("refused", "The runtime's own pages are a person's: no workflow acts on them."),
    "not_listed": ("refused", f"{{site}} is not among the hosts that the workflow may reach. {_LIST_IT}"),
    "not_allowed": ("refused", f"{{site}} was not allowed in time. {_ALLOW_IT}"),
    "declined": ("refused", "The person in front of this Chrome does not allow {site}."),
}  # fmt: skip
_FAILED: Final = ("bad_step", "The extension could not do this step.")
GONE: Final = {
    "stopped": "The person in front of this Chrome pressed Stop.",
    "closed": "The window that the workflow acted in was closed.",
}
LOST: Final = "The connection to the person's Chrome ended."


def failure(reason: Any, more: Any = None) -> StepFailed:
    """Return the error for a reason of the extension. `more` names a site, which is in the text if it is well-formed."""
    kind, sentence = _REASONS.get(str(reason), _FAILED)
    # A text of the page could pose as a sentence of the runtime's.
    site: Any = object_of(more).get("site")
    named = isinstance(site, str) and (site == PICTURES or _SITE.fullmatch(site) is not None)
    return StepFailed(kind, sentence.format(site=site if named else "This site"))


def gone(why: Any) -> BrowserGone:
    """Return the error for the extension's reason why a session ended."""
    return BrowserGone(GONE.get(str(why), GONE["closed"]))
