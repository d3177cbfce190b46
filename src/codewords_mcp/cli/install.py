"""`codewords-mcp install`: this server in a chat host's configuration, shown before it is written, and out again."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from codewords_mcp.cli import _output, _runtime_choice
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._difference import print_rows
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.cli.hosts.config_change import Change, adding, removing
from codewords_mcp.cli.hosts.hosts import HOSTS, Host, HostFolders
from codewords_mcp.cli.hosts.links import WITH_LINKS, app_link
from codewords_mcp.errors import InvalidInput

_PASSED_ON: Final = ("CODEWORDS_HOME", "CODEWORDS_RUNTIME_URL", "CODEWORDS_PORT")
"""Variables without which the server that a host starts would not be the one of this terminal."""


class HostId(StrEnum):
    """The ids of `HOSTS`, as choices."""

    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VSCODE = "vscode"
    WINDSURF = "windsurf"
    ZED = "zed"
    CONTINUE = "continue"
    CODEX = "codex"
    GEMINI = "gemini"
    LM_STUDIO = "lm-studio"
    GOOSE = "goose"
    CLINE = "cline"
    CLINE_CLI = "cline-cli"
    AMP = "amp"
    OPENCODE = "opencode"
    JETBRAINS = "jetbrains"


def install(
    client: Annotated[
        list[HostId] | None,
        typer.Option(
            help="The chat host; may be given several times. Without it: every one found here.",
            show_default=False,
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="container|e2b|local|URL",
            help="What runs the workflows: a container engine, E2B, this machine, or a runtime elsewhere.",
            show_default=False,
        ),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the server out again.")] = False,
    only_print: Annotated[
        bool, typer.Option("--print", help="Show what belongs into which file; write nothing.")
    ] = False,
    link: Annotated[
        bool,
        typer.Option(
            "--link", help="Show the links by which Cursor, VS Code and LM Studio add it themselves."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    as_json: AsJson = False,
) -> int:
    """Write this server into your chat host's configuration, after showing you the difference.

    The file as it was is kept beside it; comments and everything else in it stay as they are.
    """  # fmt: skip
    folders = HostFolders.here()
    variables = _variables()
    if not undo:
        choice = _runtime_choice.choose(runtime, yes=yes or only_print or link)
        variables |= _runtime_choice.variables(choice)
        if not (only_print or link):
            _runtime_choice.keep(choice, always=runtime is not None)
            if runtime is not None and not as_json:
                _output.line(_runtime_choice.describe(choice))

    if link:
        return _links([name.value for name in client or []], variables, as_json=as_json)
    if client:
        hosts = [HOSTS[name.value] for name in client]
    else:
        hosts = [host for host in HOSTS.values() if host.is_here(folders)]

    if not hosts and only_print:
        hosts = list(HOSTS.values())  # for a host elsewhere
    if not hosts:
        raise InvalidInput(
            "No chat host was found here.", hint=f"Name one with --client: {', '.join(HOSTS)}."
        )

    entries = {host.id: host.entry(_command(), variables) for host in hosts}
    if only_print:
        return _print(hosts, entries, folders, as_json=as_json)

    # All changes are worked out before the first is written: a file that can't be parsed stops
    # the command with nothing done.
    changes = [
        (
            host,
            removing(host, host.file(folders))
            if undo
            else adding(host, host.file(folders), entries[host.id]),
        )
        for host in hosts
    ]
    results: list[dict[str, Any]] = []
    for host, change in changes:
        results.append(_carry_out(host, change, undo=undo, yes=yes, as_json=as_json))
    if as_json:
        _output.print_json({"clients": results})
    return OK


def _carry_out(host: Host, change: Change, *, undo: bool, yes: bool, as_json: bool) -> dict[str, Any]:
    status = "unchanged"
    if not change.is_none:
        if not as_json:
            _output.line(host.title, "bold")
            _output.line(str(change.file), "dim")
            print_rows(change.diff())

        status = "removed" if undo else "installed"
        if yes or _agreed(change.file):
            _write(change, undo=undo)
        else:
            status = "declined"

    message = {
        "unchanged": f"{host.title}: {'it is not in' if undo else 'it is already in'} {change.file}.",
        "removed": f"{host.title}: taken out of {change.file}.",
        "installed": f"{host.title}: written into {change.file}. {host.after.format(title=host.title)}",
        "declined": f"{host.title}: nothing was written.",
    }[status]
    if not as_json:
        _output.line(message)
    return {"client": host.id, "file": str(change.file), "status": status}


def _write(change: Change, *, undo: bool) -> None:
    if not undo:
        change.keep_old()
    change.write()
    if undo:
        change.drop_backup()


def _agreed(file: Path) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidInput(
            f"{file} would be changed, and nobody is here to ask.", hint="Add --yes to write it."
        )
    return typer.confirm(f"Write {file}?", default=True, err=True)


def _print(
    hosts: list[Host], entries: dict[str, dict[str, Any]], folders: HostFolders, *, as_json: bool
) -> int:
    if as_json:
        shown = [
            {
                "client": host.id,
                "file": str(host.file(folders)),
                "path": list(host.path),
                "entry": entries[host.id],
            }
            for host in hosts
        ]
        _output.print_json({"clients": shown})
        return OK

    for host in hosts:
        _output.line(f"{host.title}: {host.file(folders)}", "bold")
        # As if into an empty file, so that nothing but the entry is shown.
        _output.line(adding(host, Path(os.devnull), entries[host.id]).new or "")

    return OK


def _links(clients: list[str], variables: dict[str, str], *, as_json: bool) -> int:
    without = [HOSTS[client].title for client in clients if client not in WITH_LINKS]
    if without:
        raise InvalidInput(
            f"{', '.join(without)} has no links that add a program of this machine.",
            hint=f"Links are for {', '.join(WITH_LINKS)}.",
        )

    found = {client: app_link(client, _command(), variables) for client in clients or WITH_LINKS}
    if as_json:
        _output.print_json({"links": [{"client": name, "url": url} for name, url in found.items()]})
        return OK

    for client, url in found.items():
        _output.line(HOSTS[client].title, "bold")
        _output.line(url)
    return OK


def _command() -> str:
    """The whole path of `codewords-mcp`: a chat host has another PATH than a terminal."""
    beside = Path(sys.executable).with_name("codewords-mcp" + (".exe" if sys.platform == "win32" else ""))
    return str(beside if beside.exists() else Path(sys.argv[0]).resolve())


def _variables() -> dict[str, str]:
    return {name: value for name in _PASSED_ON if (value := os.environ.get(name))}
