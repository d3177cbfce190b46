"""The part of a server's page that is about a package: what it may reach and gets, and the form that changes it."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from codewords_mcp.runtime.model.mcp import ANY_HOST, LaunchChoice, McpServer, ServerLaunch, ServerReview
from codewords_mcp.runtime.model.plain_text import one_line

_REGISTRIES = {
    "pypi": ("PyPI", "https://pypi.org/project/{}/"),
    "npm": ("npm", "https://www.npmjs.com/package/{}"),
}
_LAUNCH_FIELDS = ("arguments", "hosts", "variables")


def package_intro(server: McpServer, launch: ServerLaunch) -> str:
    """The origin of a program, and the place where it runs."""
    registry, _, name = server.url.partition(":")
    title, address = _REGISTRIES[registry]
    if launch.version:
        version = f", version {escape(launch.version)}"
    else:
        version = ""
    link = escape(address.format(quote(name, safe="@/")))
    return (
        f'<p>It is a program from <a href="{link}" rel="noreferrer">{title}</a>{version}, where anybody may publish: look '
        "whose it is. It runs in a sandbox of this machine, in which it sees no files of yours.</p>"
    )


def package_manifest(review: ServerReview, launch: ServerLaunch, nonce: str, *, unfolded: bool) -> str:
    """A table of what the program may reach and gets, and a form to change it."""
    if launch.hosts == (ANY_HOST,):
        reach = "<b>every public host</b>"
    else:
        reach = _codes(launch.hosts) or "no host"
    rows = {
        "It reaches": reach,
        "Secrets that it gets": _codes(launch.variables) or "none",
        "Arguments": _codes(launch.arguments) or "none",
    }
    table = "".join(f"<tr><th>{title}</th><td>{cell}</td></tr>" for title, cell in rows.items())
    refused = ""
    if review.refused_host:
        refused = f'<p class="bad">It tried to reach <code>{escape(one_line(review.refused_host))}</code>, which it may not.</p>'
    return f"<h2>What it may do</h2><table>{table}</table>{refused}{_form(launch, nonce, unfolded=unfolded)}"


def read_launch(form: dict[str, list[str]]) -> LaunchChoice | None:
    """The choice of a person in the form of a package; None where another form was sent."""
    if any(name not in form for name in _LAUNCH_FIELDS):
        return None
    lines = {
        name: tuple(line.strip() for line in form[name][0].splitlines() if line.strip())
        for name in _LAUNCH_FIELDS
    }
    return LaunchChoice(**lines)


def _form(launch: ServerLaunch, nonce: str, *, unfolded: bool) -> str:
    fields = (
        ("hosts", "Hosts that it may reach", "A line each, as in api.example.com or *.example.com; * is every public host."),
        ("variables", "Secrets that it gets", "Names, a line each. One with a host rule stays hidden from it."),
        ("arguments", "Arguments", "A line each, as its description asks for."),
    )  # fmt: skip
    inputs = "".join(
        f'<label for="{name}">{title}</label><textarea class="short" rows="3" id="{name}" name="{name}" autocapitalize="none"'
        f' spellcheck="false">{escape(chr(10).join(getattr(launch, name)))}</textarea><p class="dim">{help_text}</p>'
        for name, title, help_text in fields
    )
    return (
        f"<details{' open' if unfolded else ''}><summary>Change what it may do</summary>"
        f'<form method="post" action="/connect/{escape(nonce)}">{inputs}'
        '<button class="quiet">Start it with these</button></form></details>'
    )


def _codes(values: tuple[str, ...]) -> str:
    return " ".join(f"<code>{escape(one_line(value))}</code>" for value in values)
