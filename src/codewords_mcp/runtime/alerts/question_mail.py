"""The mail of a question: title, details as text, and a button for each option, which opens the page that asks once more."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate
from html import escape
from typing import Final

from codewords_mcp.runtime.model.plain_text import one_line
from codewords_mcp.runtime.model.run_wait import RunWait
from codewords_mcp.runtime.store.question_messages import QuestionMessage

_SUBJECT: Final = 150
# For the dark scheme only: many mail programs drop style sheets, so all else stands in the elements.
_STYLE: Final = """
:root { color-scheme: light dark; supported-color-schemes: light dark }
@media (prefers-color-scheme: dark) {
  .page { background: #14161a !important } .card { background: #1d2026 !important; border-color: #3a3f4a !important }
  .ink { color: #e9eaee !important } .dim { color: #a3a9b6 !important } .line { border-color: #3a3f4a !important }
  .button { background: #86a8ff !important; color: #14161a !important }
  .quiet { background: #1d2026 !important; color: #e9eaee !important; border-color: #5b616e !important }
}
"""
_FONT: Final = "font-family: system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"


def compose(
    message: QuestionMessage, wait: RunWait, workflow: str, sender: str, links: Sequence[tuple[str, str]]
) -> EmailMessage:
    """The mail. `workflow` is the name of the one that asks, `links` are the options with their addresses."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = message.target
    mail["Subject"] = one_line(wait.title, _SUBJECT)
    mail["Date"] = formatdate(localtime=False)
    # The same at each try, so that a second copy is known as such.
    mail["Message-ID"] = f"<{message.id}@{sender.rpartition('@')[2]}>"
    # Out-of-office programs answer nothing then.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(_text(wait, workflow, links))
    mail.add_alternative(_html(wait, workflow, links), subtype="html")
    return mail


def _about(workflow: str) -> str:
    return f"The workflow {one_line(workflow, 80)} asks you:"


def _deadline(wait: RunWait) -> str:
    until = f"Until {wait.due_at.strftime('%d %B %Y, %H:%M')} UTC"
    default = wait.question.get("default")
    if default:
        after = f"; after that it counts as “{one_line(default, 80)}”."
    else:
        after = "."
    return until + after


def _text(wait: RunWait, workflow: str, links: Sequence[tuple[str, str]]) -> str:
    details = wait.question["details"]
    choices = [f"{one_line(option, 80)}: {url}" for option, url in links]
    parts = [_about(workflow), wait.title, details, *choices, _deadline(wait), _ONCE]
    return "\n\n".join(part for part in parts if part) + "\n"


_ONCE: Final = "A link opens a page that asks once more before it counts. Who has this mail can answer, so do not forward it."


def _html(wait: RunWait, workflow: str, links: Sequence[tuple[str, str]]) -> str:
    details = wait.question["details"]
    shown = (
        f'<div class="ink line" style="margin: 0 0 20px; padding: 12px 14px; border: 1px solid #d5d8de; border-radius: 8px; '
        f'color: #1b1d22; white-space: pre-wrap; word-break: break-word">{escape(details)}</div>'
        if details
        else ""
    )
    buttons = "".join(
        _button(option, url, is_first=number == 0) for number, (option, url) in enumerate(links)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        f"<title>{escape(one_line(wait.title, _SUBJECT))}</title><style>{_STYLE}</style></head>"
        f'<body class="page" style="margin: 0; padding: 0; background: #f4f5f7">'
        '<table role="presentation" class="page" width="100%" cellspacing="0" cellpadding="0" '
        'style="background: #f4f5f7"><tr><td align="center" style="padding: 24px 12px">'
        '<table role="presentation" class="card" width="100%" cellspacing="0" cellpadding="0" style="max-width: 544px; '
        'background: #ffffff; border: 1px solid #d5d8de; border-radius: 12px"><tr>'
        f'<td style="padding: 24px 20px; {_FONT}; font-size: 16px; line-height: 1.5; text-align: left">'
        f'<p class="dim" style="margin: 0 0 8px; font-size: 14px; color: #5b616e">{escape(_about(workflow))}</p>'
        f'<h1 class="ink" style="margin: 0 0 16px; font-size: 21px; line-height: 1.3; color: #1b1d22; '
        f'word-break: break-word">{escape(wait.title)}</h1>{shown}{buttons}'
        f'<p class="dim" style="margin: 20px 0 0; font-size: 14px; color: #5b616e">{escape(_deadline(wait))}<br>'
        f"{escape(_ONCE)}</p></td></tr></table></td></tr></table></body></html>"
    )


def _button(option: str, url: str, *, is_first: bool) -> str:
    name, colors = "button", "background: #2456d6; color: #ffffff; border: 1px solid transparent"
    if not is_first:
        name, colors = "quiet", "background: #ffffff; color: #1b1d22; border: 1px solid #8a909c"
    return (
        f'<a class="{name}" href="{escape(url)}" style="display: block; margin: 0 0 10px; padding: 12px 16px; {colors}; '
        f"border-radius: 8px; {_FONT}; font-size: 16px; font-weight: 600; text-align: center; text-decoration: none; "
        f'word-break: break-word">{escape(option)}</a>'
    )
