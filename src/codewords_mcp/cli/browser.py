"""`codewords browser status | pair | forget`: your own Chrome as the browser of workflows."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.cli._remedies import worded
from codewords_mcp.cli.open_page import open_signed_in
from codewords_mcp.errors import StorageFailed
from codewords_mcp.stdio import home

app = typer.Typer(no_args_is_help=True, help="Your own Chrome as the browser of workflows.")
_WAIT = 10


@app.command("status")
def status(as_json: AsJson = False) -> int:
    """Say which Chrome is paired, whether it is connected, and what acts in it now."""
    with connect() as client:
        found = client.record("GET", "/browser")
    return _print_status(found, as_json=as_json)


@app.command("pair")
def pair(
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where to put the extension, if not in the home. A Chromium from Snap or Flatpak reads no hidden folders.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[int, typer.Option(min=0, max=3600, help="Seconds to wait until it is paired.")] = 300,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the default browser.")
    ] = True,
    as_json: AsJson = False,
) -> int:
    """Put the extension into a folder, open the page on which Chrome is paired, and wait until it is."""
    unpacked = _unpack(folder or Path(home.home_folder()) / "extension")
    with connect() as client:
        before = client.record("GET", "/browser")
        page: str = client.record("POST", "/browser/pair")["url"]
        url = client.record("POST", "/sign-ins", body={"page": urlsplit(page).path})["url"]
        if as_json:
            _output.print_json({"extension": str(unpacked), "url": page, "sign_in": url})
            return OK

        _output.line(
            f"1. In Chrome, open chrome://extensions, switch on Developer mode, press Load unpacked: {unpacked}"
        )
        _output.line(f"2. Open this page in that Chrome: {page}", "bold")
        _output.line(
            "3. There press the CodeWords icon (behind the puzzle piece, at first), and Pair with it."
        )
        if not (open_page and open_signed_in(url)):
            _output.line(f"   Where it asks for you, open this within five minutes instead, once: {url}")
        _output.note("Waiting until it is paired; Ctrl-C leaves it to you.")
        found, after = before, before["paired_at"]
        for _ in range(0, wait, _WAIT):
            query = {"wait_seconds": min(wait, _WAIT), "paired_after": after}
            found = client.record("GET", "/browser", params=query, timeout=_WAIT + 30)
            # A Chrome that was paired before may be connected as well.
            if found["connected"] and found["paired_at"] != after:
                break

    return _print_status(found, as_json=False)


@app.command("forget")
def forget(as_json: AsJson = False) -> int:
    """End the pairing: the extension is told, and what it held is worth nothing."""
    with connect() as client:
        done = client.record("DELETE", "/browser")
    if as_json:
        _output.print_json(done)
    else:
        _output.line("It is forgotten." if done["forgotten"] else "No Chrome of yours was paired.")
    return OK


def _print_status(found: Json, *, as_json: bool) -> int:
    if as_json:
        _output.print_json(found)
        return OK

    _output.line(found["sentence"], "green" if found["connected"] else "yellow")
    if found["paired"]:
        _output.line(f"{found['browser']}, extension {found['extension']}, paired {found['paired_at'][:10]}.")
    for title in found["acting"]:
        _output.line(f"Acting in it now: {title}")
    if found["fix"]:
        _output.line(worded(found["fix"], found.get("remedy")))
    if found["connected"]:
        return OK

    return FAILED


def _unpack(folder: Path) -> Path:
    """The extension, as this version has it, in a folder that stays where it is. Raises StorageFailed."""
    source = resources.files("codewords_mcp") / "extension"
    try:
        with resources.as_file(source) as files:
            # Chrome loads the extension from this folder at each start, so an update overwrites
            # it.
            shutil.copytree(files, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    except OSError as error:
        raise StorageFailed(
            f"The extension cannot be put into {folder}: {(error.strerror or str(error)).lower()}.",
            hint="Name a folder that can be written with --folder.",
        ) from error

    return folder
