"""The page on which a person agrees to an MCP server: what it says of its tools, and whose word that is."""

from __future__ import annotations

from html import escape

from starlette.responses import Response

from codewords_mcp.common.counts import counted
from codewords_mcp.http.pages import page, prose
from codewords_mcp.http.pages.server_package import package_intro, package_manifest
from codewords_mcp.runtime.api.connections import LinkPage
from codewords_mcp.runtime.model.mcp import AgreedTool, ServerReview
from codewords_mcp.runtime.model.plain_text import one_line, quoted

_SHOWN_TOOLS = 200
_SHOWN_CHANGES = 50


def server_page(found: LinkPage, review: ServerReview, nonce: str) -> Response:
    """The page of a server: connected, with something missing, or with what is to be agreed."""
    server, app = review.server, escape(found.app)
    if found.connected:
        return page(
            f"{found.app} is connected",
            f'<h1 class="good">{app} is connected</h1><p>{counted(len(review.tools), "tool")} of '
            f'<code>{escape(server.url)}</code>.</p><p class="last">You can close this page, or '
            f'<a href="/console/integrations/{app}">see what it can do</a>.</p>',
        )

    if server.agreed:
        title = f"Agree to {found.app} as it is now"
        head = f"<h1>Agree to the MCP server <code>{escape(one_line(server.url))}</code> as it is now</h1>"
    else:
        title = f"Connect {found.app}"
        head = f"<h1>Connect the MCP server <code>{escape(one_line(server.url))}</code></h1>"
    head += (
        f"<p>It is <code>{app}</code> of <b>{escape(found.owner)}</b> in this CodeWords runtime. Calls that you agree "
        "to, and workflows that you deploy and that name its tools, can use it. What they send, it gets.</p>"
    )
    manifest = ""
    if server.launch is not None:
        head += package_intro(server, server.launch)
        manifest = package_manifest(review, server.launch, nonce, unfolded=bool(server.problem))
    if server.problem:
        return page(title, head + _missing(found, review, nonce) + manifest)
    return page(title, head + _agreement(review, nonce, manifest), wide=True)


def _missing(found: LinkPage, review: ServerReview, nonce: str) -> str:
    server = review.server
    problem = prose(server.problem[:1].upper() + server.problem[1:]).rstrip(".")
    again = f'<a href="/connect/{escape(nonce)}">Look again</a>'
    if server.auth == "sign_in":
        return (
            f'<p class="bad">{problem}.</p>'
            f'<p><a class="button" href="/connect/{escape(nonce)}/go" rel="noreferrer">Go on to sign in</a></p>'
            '<p class="dim last">The server names the page where you sign in: look at its address before you type a '
            "password. Neither the assistant nor this runtime sees it. If you did not ask for this, close the page.</p>"
        )
    if found.token_url:
        return (
            f'<p class="bad">{problem}.</p>'
            f'<p><a class="button" href="{escape(found.token_url)}">Type the {"secret" if server.launch else "token"}</a></p>'
            f'<p class="dim last">It is kept as the secret <code>{escape(found.token_name)}</code>. Then come back: {again}. '
            "If you did not ask for this, close the page.</p>"
        )
    words = ""
    if review.last_words:
        words = f'<p>The end of what it wrote to its standard error:</p><div class="data">{escape(review.last_words)}</div>'
    return f'<p class="bad">{problem}.</p>{words}<p class="last">{again}, or close the page.</p>'


def _agreement(review: ServerReview, nonce: str, manifest: str) -> str:
    changes = ""
    if review.changes:
        rows = "".join(
            f"<tr><th><code>{escape(name)}</code></th><td>{escape('; '.join(lines))}</td></tr>"
            for name, lines in review.changes[:_SHOWN_CHANGES]
        )
        changes = f"<h2>Changed since you agreed</h2><table>{rows}</table>"

    listed = "".join(map(_tool_row, review.tools[:_SHOWN_TOOLS]))
    more = len(review.tools) - _SHOWN_TOOLS
    if more > 0:
        listed += f"<tr><td colspan=2>and {more} more</td></tr>"
    total, reading = len(review.tools), review.reading
    title = ""
    if review.server.title:
        title = f"<p>It calls itself {escape(quoted(review.server.title))}.</p>"
    verb = "Agree" if review.server.agreed else "Connect it"
    buttons = f'<button name="believe" value="no">{verb}, and ask me before each call</button>'
    believe = ""
    if reading:
        believe = (
            f"<p>Of its {counted(total, 'tool')}, {reading} only read, by the server's own word. Nobody has checked that: a "
            "server can lie. If you believe it, these are called without a question. Workflows ask you at their deployment "
            "either way.</p>"
        )
        if reading == 1:
            which = "that 1 tool only reads"
        else:
            which = f"which {reading} tools only read"
        buttons += f'<button class="quiet" name="believe" value="yes">{verb}, and believe {which}</button>'
    return (
        f"{title}{changes}{manifest}<h2>What it says that it can do</h2><table>{listed}</table>"
        f'<form method="post" action="/connect/{escape(nonce)}">{believe}'
        # What was shown comes back, so that tools that changed meanwhile are not agreed to.
        f'<input type="hidden" name="seen" value="{review.seen}">{buttons}</form>'
        '<p class="dim last">If you did not ask for this, close the page: nothing changes then.</p>'
    )


def _tool_row(tool: AgreedTool) -> str:
    now = tool.now
    if now is None:
        return ""
    how = "says that it only reads" if now.reads else "may write"
    return (
        f"<tr><th><code>{escape(now.name)}</code></th>"
        f"<td>{escape(one_line(now.description or now.title, 300))} <span class=dim>({how})</span></td></tr>"
    )
