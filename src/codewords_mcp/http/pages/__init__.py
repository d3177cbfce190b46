"""Pages that people look at: self-contained, no script, nothing fetched from anywhere, not framed, not cached."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html import escape

from starlette.responses import HTMLResponse, Response

from codewords_mcp.errors import CodewordsError, NotFound

STYLE = """
:root { color-scheme: light dark; --ink: #1b1d22; --dim: #5b616e; --page: #f4f5f7; --card: #fff; --line: #d5d8de;
  --accent: #2456d6; --bad: #b3261e; --good: #17703a }
@media (prefers-color-scheme: dark) { :root { --ink: #e9eaee; --dim: #a3a9b6; --page: #14161a; --card: #1d2026;
  --line: #3a3f4a; --accent: #86a8ff; --bad: #ff8a80; --good: #74d39a } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 34rem; margin: 8vh auto; padding: 1.75rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 12px }
main.wide { max-width: 60rem; margin: 2rem auto }
h1 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .75rem; overflow-wrap: anywhere }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
p, ul { margin: 0 0 1rem } ul { padding-left: 1.25rem } li { overflow-wrap: anywhere }
code { font: .92em ui-monospace, monospace; overflow-wrap: anywhere }
label { display: block; font-weight: 600; margin-bottom: .35rem } details + label { margin-top: 1.25rem }
label.tick { display: flex; align-items: center; gap: .7rem; min-height: 44px; margin: 0; font-weight: 400 }
label.tick input { width: 1.2rem; height: 1.2rem; flex: none; accent-color: var(--accent) }
input, textarea, select { width: 100%; padding: .7rem .8rem; font: 16px ui-monospace, monospace; color: inherit;
  background: var(--page); border: 1px solid var(--line); border-radius: 8px }
textarea { min-height: 8rem; margin-top: .6rem } textarea.short { min-height: 0; margin: 0 }
textarea + .dim { margin-top: .4rem }
input:focus-visible, textarea:focus-visible, select:focus-visible, button:focus-visible, summary:focus-visible {
  outline: 3px solid var(--accent); outline-offset: 2px }
a.button { display: block; box-sizing: border-box; text-align: center; text-decoration: none; border-radius: 8px }
button, a.button { width: 100%; margin-top: 1.25rem; padding: .8rem; font: 600 16px system-ui, sans-serif; color: var(--card);
  background: var(--accent); border: 0; border-radius: 8px; cursor: pointer }
button.quiet { margin-top: .6rem; color: var(--ink); background: none; border: 1px solid var(--line) }
summary { margin-top: .8rem; color: var(--dim); cursor: pointer } summary + form { margin-top: .8rem }
form > p.dim { margin: .4rem 0 1rem } form > input, form > select, form > textarea { margin-bottom: 1rem }
.data { margin: 0 0 1rem; padding: .7rem .8rem; border: 1px solid var(--line); border-radius: 8px; white-space: pre-wrap;
  overflow-wrap: anywhere }
.dim { color: var(--dim); font-size: .92rem } .bad { color: var(--bad); font-weight: 600 } .good { color: var(--good) }
.last { margin: 1.25rem 0 0 }
pre.diff { margin: .6rem 0 0; padding: .7rem .8rem; max-height: 24rem; overflow: auto; background: var(--page);
  border: 1px solid var(--line); border-radius: 8px; font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere }
pre.diff > * { display: block; min-height: 1.45em; padding-left: 2ch; text-indent: -2ch }
table + form { margin-top: 1.25rem }
ins { color: var(--good); text-decoration: none } del { color: var(--bad); text-decoration: none }
table { width: 100%; border-collapse: collapse } td, th { padding: .45rem .75rem .45rem 0; text-align: left;
  vertical-align: top; border-top: 1px solid var(--line) } td { overflow-wrap: anywhere }
th { font-weight: 600; white-space: nowrap }
ul.items { list-style: none; margin: 0; padding: 0 } ul.items li { padding: .4rem 0; border-top: 1px dashed var(--line) }
ul.items li:first-child { padding-top: 0; border: 0 }
.wide th { width: 23rem; white-space: normal } a { color: var(--accent) }
@media (max-width: 40rem) { main, main.wide { margin: 0; min-height: 100vh; border: 0; border-radius: 0;
  padding: 1.25rem } tr, td, th, .wide th { display: block; width: auto; border: 0; padding: 0; white-space: normal;
  overflow-wrap: anywhere } tr { padding: .6rem 0; border-top: 1px solid var(--line) } }
"""

# The policy allows exactly this style sheet by its hash, so an injected one is ignored.
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    # `no-referrer` would make browsers send `Origin: null` with the form, and the same-origin check could not tell.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def prose(text: str) -> str:
    """A sentence of ours as HTML: what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def page(title: str, body: str, *, status: int = 200, wide: bool = False) -> HTMLResponse:
    """A page around `body`, which is HTML already; `title` is text."""
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>'
        f"<body><main{' class=wide' if wide else ''}>{body}</main></body></html>",
        status_code=status,
        headers=HEADERS,
    )


def sorry(otherwise: str) -> Callable[[CodewordsError], Response]:
    """Shows what a one-time link's page raised; `otherwise` is the title where it is not the link that is gone."""

    def render(error: CodewordsError) -> Response:
        if isinstance(error, NotFound):
            title = "This link no longer works"
        else:
            title = otherwise

        if error.hint:
            hint = f'<p class="last">{prose(error.hint)}</p>'
        else:
            hint = ""

        return page(
            title, f'<h1 class="bad">{title}</h1><p>{prose(error.message)}</p>{hint}', status=error.status
        )

    return render
