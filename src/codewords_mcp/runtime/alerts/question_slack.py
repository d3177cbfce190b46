"""Questions as Slack messages: Block Kit with a button for each option, and what stands there when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from codewords_mcp.runtime.model.plain_text import one_line
from codewords_mcp.runtime.model.run_wait import RunWait

ACTION: Final = "codewords_answer"
"""Begins the action id of each button of ours."""
LONGEST_LABEL: Final = 75
"""Characters of a button."""
_HEADER, _SECTION, _FALLBACK = 150, 2900, 3000


def ask(wait: RunWait, workflow: str, buttons: Sequence[tuple[str, str]], *, by_link: bool) -> dict[str, Any]:
    """The text and blocks of a question. `buttons` are labels with tokens, or `by_link` with addresses of pages."""
    elements = [
        _button(number, label, value, by_link=by_link) for number, (label, value) in enumerate(buttons)
    ]
    blocks = [*_head(wait, workflow), {"type": "actions", "elements": elements}, _context(_deadline(wait))]
    return {"text": _cut(wait.title, _FALLBACK), "blocks": blocks, "unfurl_links": False}


def over(wait: RunWait, workflow: str) -> dict[str, Any]:
    """The text and blocks that replace a question that is over: who answered what."""
    notice = outcome(wait)
    return {
        "text": _cut(f"{wait.title} {notice}", _FALLBACK),
        "blocks": [*_head(wait, workflow), _section(notice)],
    }


def outcome(wait: RunWait) -> str:
    """A sentence that says how a question ended."""
    if wait.answer is None:
        answer = ""
    else:
        answer = one_line(str(wait.answer["answer"]), 80)
    if wait.status == "answered" and wait.closed_by is not None:
        return f"Answered: {answer}, by {one_line(wait.closed_by, 80)}."
    if wait.status == "answered":
        return f"Nobody answered in time, so it counts as {answer}."
    if wait.status == "timed_out":
        return "Nobody answered in time."
    return "The run has ended, so no answer counts any more."


def _head(wait: RunWait, workflow: str) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": _cut(wait.title, _HEADER), "emoji": False},
        }
    ]
    # A header is cut at 150 characters, and what a person agrees to has to be whole.
    if len(wait.title) > _HEADER:
        blocks.append(_section(wait.title))
    details = wait.question["details"]
    blocks += [_section(details[start : start + _SECTION]) for start in range(0, len(details), _SECTION)]
    blocks.append(_context(f"The workflow {one_line(workflow, 80)} asks."))
    return blocks


def _section(text: str) -> dict[str, Any]:
    # Plain text, so that a workflow's text makes no links, mentions or marks.
    return {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "plain_text", "text": text, "emoji": False}]}


def _button(number: int, label: str, value: str, *, by_link: bool) -> dict[str, Any]:
    button: dict[str, Any] = {
        "type": "button",
        "text": {"type": "plain_text", "text": _cut(label, LONGEST_LABEL), "emoji": False},
        "action_id": f"{ACTION}_{number}",
    }
    if number == 0:
        button["style"] = "primary"
    return button | ({"url": value} if by_link else {"value": value})


def _deadline(wait: RunWait) -> str:
    default = wait.question.get("default")
    if default:
        after = f"; after that it counts as “{one_line(default, 80)}”."
    else:
        after = "."
    return f"Until {wait.due_at.strftime('%d %B %Y, %H:%M')} UTC{after}"


def _cut(text: str, limit: int) -> str:
    flat = one_line(text, limit)
    if len(flat) <= limit:
        return flat
    return f"{flat[: limit - 1]}…"
