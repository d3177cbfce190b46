"""Show a workflow's permissions to a person at a terminal, and ask for consent."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._client import RemoteError, RuntimeClient
from codewords_mcp.cli._refs import part
from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import ConsentNeeded, Forbidden

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json

T = TypeVar("T")
_NOT_DEPLOYED = Forbidden(
    "You declined; nothing was deployed.", hint="Change what the workflow reaches, then deploy again."
)


def print_capabilities(record: Json) -> None:
    """The manifest of a report, deployment or workflow, where it has one."""
    lines = cast("list[str]", record.get("capabilities") or [])
    if lines:
        # Lines are aligned as a table; of a table of one line its words are enough.
        only = " ".join(lines[0].split())
        _output.prose("May do this and no more:" if len(lines) > 1 else f"May do: {only}", "bold")
    for line in lines if len(lines) > 1 else []:
        _output.line(f"  {line}")


def agreed(
    question: RemoteError,
    *,
    as_json: bool,
    declined: Forbidden = _NOT_DEPLOYED,
    ask: str = "Do you agree?",
) -> str:
    """The question's token, once the person at the terminal has agreed. `declined` is raised where they do not.

    Raises ConsentNeeded with the command to type where nobody is there to ask, Forbidden where they decline.
    """
    details = question.details()
    asks = cast("list[str]", details.get("asks") or [])
    confirm, url = str(details.get("confirm") or ""), str(details.get("url") or "")

    # Nobody to ask: the question goes into the error, and the next command is written out.
    if as_json or not someone_there():
        if not as_json:
            _show("What it asks for:", asks)
        command = shlex.join([*_called(), "--allow"])
        raise ConsentNeeded(
            question.message,
            asks=asks,
            confirm=confirm,
            url=url,
            hint=f"To agree to all of this, run: {command}",
        )

    _show(question.message, asks)
    if declined is _NOT_DEPLOYED:
        _output.note(f"The code and its difference: {url}", always=True, whole=True)
    # On stderr: stdout may be piped, and has the result only.
    if not typer.confirm(ask, default=False, err=True):
        raise declined

    return confirm


def with_agreement(client: RuntimeClient, service: str, work: Callable[[], T], *, as_json: bool) -> T:
    """Do what runs or schedules a workflow. Where it is another owner's that the person has not agreed to, ask and do it again.

    Only a person at the terminal is asked; else the question itself is raised. Raises Forbidden where the person declines.
    """
    try:
        return work()
    except RemoteError as error:
        if error.code != "consent_needed" or as_json or not someone_there():
            raise

        details = error.details()
        _show(error.message, cast("list[str]", details.get("asks") or []))
        if not typer.confirm("Do you agree?", default=False, err=True):
            raise Forbidden("You declined; nothing was run.") from None

        client.call(
            "PUT", f"/agreements/{part(service)}", body={"confirm": str(details.get("confirm") or "")}
        )
        _output.note(f"To withdraw it: codewords agreements withdraw {service}")

    return work()


def confirm_service(client: RuntimeClient, service: str, path: str, body: bytes | None) -> None:
    """Ask the person at the terminal before a library service sends, changes or acts on something.

    A script is not asked: whoever has a key may call what they like. Raises Forbidden where the person declines.
    """
    if not someone_there():
        return
    name, _, rest = service.strip("/ ").partition("/")
    call = {"path": f"{rest}/{path}", "input": None if body is None else parse(body)}
    _confirm_preview(client, f"/services/{part(name)}/preview", call)


def confirm_action(client: RuntimeClient, app: str, call: Json) -> None:
    """Ask the person at the terminal before an action of another app changes something; see `confirm_service`."""
    if someone_there():
        _confirm_preview(client, f"/integrations/{part(app)}/preview", call)


def _confirm_preview(client: RuntimeClient, path: str, call: Json) -> None:
    """Show what a call would do, where it writes. Raises Forbidden where the person declines."""
    try:
        preview = client.record("POST", path, body=call)
    except RemoteError as error:
        # A workflow has no preview, and an older runtime has no such route. Any other error of
        # these codes comes again with the call itself.
        if error.status in {
            404,
            405,
        }:  # a workflow, an older runtime, or an error that the call itself will have
            return
        raise

    if not preview["writes"]:
        return

    _show("This may send, change or act on something:", preview["asks"])
    if not typer.confirm("Do it?", default=False, err=True):
        raise Forbidden("You declined; nothing was done.", hint="--yes does not ask.")


def someone_there() -> bool:
    """Whether a person is at the terminal, who can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _show(message: str, asks: list[str]) -> None:
    _output.note(message, "bold", always=True)
    for line in asks:
        _output.note(f"  + {line}", "yellow", always=True)


def _called() -> list[str]:
    """The command as it was typed, with the program's own name."""
    return ["codewords", *sys.argv[1:]]
