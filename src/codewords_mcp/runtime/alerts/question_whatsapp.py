"""Questions as WhatsApp messages: up to three reply buttons, else one that opens the page of the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from codewords_mcp.runtime.model.run_wait import RunWait

MOST_BUTTONS: Final = 3
LONGEST_LABEL: Final = 20
_BODY, _FOOTER = 1024, 60
_MORE: Final = " […]"


def fits(wait: RunWait) -> bool:
    """Whether the options are reply buttons: at most three, short, and nothing is to be typed or read on a page."""
    options = wait.question["options"]
    return (
        len(options) <= MOST_BUTTONS
        and all(len(option) <= LONGEST_LABEL for option in options)
        # Titles of the buttons of a message have to differ.
        and len({option.strip() for option in options}) == len(options)
        and not wait.question["fields"]
        and len(_whole(wait)) <= _BODY
    )


def with_buttons(wait: RunWait, target: str, buttons: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A message with reply buttons: labels with tokens."""
    replies = [{"type": "reply", "reply": {"id": token, "title": label}} for label, token in buttons]
    return _message(wait, target, "button", {"buttons": replies})


def with_link(wait: RunWait, target: str, url: str) -> dict[str, Any]:
    """A message with a button that opens the page of the question."""
    parameters = {"display_text": "Open and answer", "url": url}
    return _message(wait, target, "cta_url", {"name": "cta_url", "parameters": parameters})


def text(target: str, body: str) -> dict[str, Any]:
    """A message that only says something."""
    return {"messaging_product": "whatsapp", "to": target, "type": "text", "text": {"body": body[:4096]}}


def _message(wait: RunWait, target: str, kind: str, action: dict[str, Any]) -> dict[str, Any]:
    body = _whole(wait)
    if len(body) > _BODY:
        body = body[: _BODY - len(_MORE)] + _MORE
    footer = f"Until {wait.due_at.strftime('%d %B %Y, %H:%M')} UTC"[:_FOOTER]
    interactive = {"type": kind, "body": {"text": body}, "footer": {"text": footer}, "action": action}
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": target,
        "type": "interactive",
        "interactive": interactive,
    }


def _whole(wait: RunWait) -> str:
    return "\n\n".join(filter(None, [wait.title, wait.question["details"]]))
