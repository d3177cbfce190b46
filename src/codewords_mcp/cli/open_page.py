"""`codewords open`: sign the person's browser in, and show the page that waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect, read_settings
from codewords_mcp.cli._refs import AsJson, part, workflow_id
from codewords_mcp.cli.doctor.findings import UNATTENDED

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json


def open_page(
    page: Annotated[
        str | None,
        typer.Argument(
            metavar="PAGE",
            help="A workflow's id or name (ID/form: a page of it); a page's address, path or token; or what waits for you.",
            show_default=False,
        ),
    ] = None,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the one-time address and open no browser.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Open what waits for you in your browser, signed in: a question, a secret to type, an account to connect; or a workflow's
    own page.

    The address signs in whoever opens it, once, within five minutes: do not pass it on.
    """
    with connect() as client:
        items = client.items("/waiting")
        if page and _names_workflow(page, items):
            name, slash, path = page.partition("/")
            body = {"path": slash + path} if path else {}
            url = client.record("POST", f"/workflows/{part(workflow_id(client, name))}/page", body=body)[
                "url"
            ]
        else:
            url = client.record("POST", "/sign-ins", body={"page": _target(page, items)})["url"]
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


def _names_workflow(page: str, items: list[Json]) -> bool:
    """Whether this is neither an address or a path, nor the token of a page that waits."""
    return (
        not page.startswith("/")
        and "://" not in page
        and not any(item["path"].endswith(f"/{page}") for item in items)
    )


def _target(page: str | None, items: list[Json]) -> str:
    if page:
        return _path_of(page)
    return items[0]["path"] if len(items) == 1 else "/"


def _path_of(page: str) -> str:
    """The path of an address; a path or a token as it is."""
    if "://" in page:
        return urlsplit(page).path or "/"
    return page
