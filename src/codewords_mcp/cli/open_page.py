"""`codewords open`: sign the person's browser in, and show the page that waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect, read_settings
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.cli.doctor.findings import UNATTENDED

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json


def open_page(
    page: Annotated[
        str | None,
        typer.Argument(
            metavar="PAGE",
            help="The page's address, its path, or its token; without it, what waits for you.",
            show_default=False,
        ),
    ] = None,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the one-time address and open no browser.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Open what waits for you in your browser, signed in: a question, a secret to type, an account to connect.

    The address signs in whoever opens it, once, within five minutes: do not pass it on.
    """
    with connect() as client:
        items = client.items("/waiting")
        if page:
            target = _path_of(page)
        elif len(items) == 1:
            target = items[0]["path"]
        else:
            target = "/"

        url = client.record("POST", "/sign-ins", body={"page": target})["url"]
        unattended = client.record("GET", "/status").get("consent") == "token"

    if unattended:
        _output.note(f"Warning: {UNATTENDED}", "yellow", always=True)
    if as_json:
        _output.print_json({"url": url, "waiting": items})
        return OK

    _tell(page, items)
    if not print_only and open_signed_in(url):
        _output.line("It is open in your browser, signed in.")
    else:
        _output.line("Open this address within five minutes; it works once:")
        _output.line(url, "bold")

    return OK


def open_signed_in(url: str) -> bool:
    """Open a one-time address in the default browser; False if there is no desktop, or the settings forbid it."""
    from codewords_mcp.runtime.auth.desktop import has_desktop

    if read_settings().open_browser == "never" or not has_desktop():
        return False
    import webbrowser

    return webbrowser.open(url)


def _tell(page: str | None, items: list[Json]) -> None:
    if page:
        return
    if not items:
        _output.line("Nothing waits for you.")
    elif len(items) == 1:
        _output.line(items[0]["title"])
    else:
        _output.line(f"{len(items)} pages wait for you; the page that opens lists them:")
        for item in items:
            _output.line(f"  {item['title']}")


def _path_of(page: str) -> str:
    """The path of an address; a path or a token as it is."""
    if "://" in page:
        return urlsplit(page).path or "/"
    return page
