"""`codewords secrets set | list | rm | rotate-key`: values come from a hidden prompt or stdin, never from an argument."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._deletion import deletes, tell_deleted
from codewords_mcp.cli._refs import AsJson, part
from codewords_mcp.cli._times import to_minute
from codewords_mcp.cli.secret_files import export_secrets, import_secrets
from codewords_mcp.common.counts import counted
from codewords_mcp.errors import InvalidInput

app = typer.Typer(
    no_args_is_help=True, help="Secrets that workflows declare by name. No command shows a value."
)

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*\Z")


@app.command("set")
def set_secret(
    # A list, though one name is wanted: the parser's complaint about a second argument would print it.
    name: Annotated[
        list[str], typer.Argument(metavar="NAME", help="Like SLACK_BOT_TOKEN.", show_default=False)
    ],
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="A host that gets the value; may be repeated.",
            show_default=False,
        ),
    ] = None,
    place: Annotated[
        list[str] | None,
        typer.Option(
            "--in",
            metavar="PLACE",
            help="Where it stands in a request: header, basic, query, path; or in one of them: header:X-Api-Key, query:api_key.",
            show_default=False,
        ),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Give workflows the value itself, which they can read.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="REFERENCE",
            help="Keep the value where it is, and read it there at each use: vault://MOUNT/PATH#FIELD, aws-sm://NAME, "
            "gcp-sm://PROJECT/NAME, op://VAULT/ITEM/FIELD, file:///run/secrets/NAME, env://NAME.",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="The end of the value, like 2027-01-31: an alert tells it before.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Store a secret. Its value is asked for, or read from stdin, or stays elsewhere (--from).

    With hosts, workflows hold a placeholder that becomes the value on its way there and nowhere else. Well-known names
    (STRIPE_API_KEY, GITHUB_TOKEN …) bring their hosts.

    For example: `pass show slack | codewords secrets set SLACK_BOT_TOKEN`.
    """
    checked = _one_name(name)
    end = {} if expires is None else {"expires_at": _read_end(expires)}
    if source is None:
        content = {"value": _read_value(checked)}
    else:
        content = {"source": source}
    body = {**content, "hosts": host or [], "places": place or [], "plain": plain, **end}
    with connect() as client:
        stored = client.record("PUT", f"/secrets/{part(checked)}", body=body)
    if as_json:
        _output.print_json(stored)
    else:
        where = f"kept in {stored['source']}" if stored["source"] else "stored"
        _output.line(f"{checked} is {where}. {_access(stored)}")
        if stored["expires_at"]:
            _output.line(f"It ends on {to_minute(stored['expires_at'])}; an alert tells it before.")

    return OK


def _read_end(text: str) -> str:
    """A date or time of this machine's zone, with the zone. Raises InvalidInput."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except ValueError:
        raise InvalidInput("That is no date.", hint="Write it as 2027-01-31 or 2027-01-31T18:00.") from None


def _access(secret: dict[str, Any]) -> str:
    if secret["held"] == "plain":
        return "Workflows that declare it get the value, and can read it, from their next run on."
    hosts, places = ", ".join(secret["hosts"]), ", ".join(secret["places"])
    return f"Workflows that declare it cannot read it: it goes to {hosts} only ({places})."


@app.command("list")
def list_secrets(as_json: AsJson = False) -> int:
    """List the names, and which workflows use them."""
    with connect() as client:
        items = client.items("/secrets")
    if as_json:
        _output.print_json(items)
    else:
        rows = [
            [
                s["name"],
                to_minute(s["updated_at"]),
                s.get("source") or "here",
                ", ".join(s["hosts"]) or "workflows themselves",
                ", ".join(s.get("used_by", [])),
            ]
            for s in items
        ]
        _output.table(
            ["NAME", "UPDATED", "KEPT IN", "GOES TO", "USED BY"],
            rows,
            empty="No secrets. `codewords secrets set NAME` stores one.",
        )

    return OK


@deletes(app)
def delete_secret(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The secret to delete.", show_default=False)],
    as_json: AsJson = False,
) -> int:
    """Delete a secret."""
    checked = _one_name([name])
    with connect() as client:
        client.call("DELETE", f"/secrets/{part(checked)}")
    return tell_deleted(checked, {"name": checked}, as_json=as_json)


app.command("export")(export_secrets)
app.command("import")(import_secrets)


@app.command("rotate-key")
def rotate_key(as_json: AsJson = False) -> int:
    """Encrypt every secret with a new master key. Killed half-way, it is gone on with by the same command."""
    with connect() as client:
        done = client.record("POST", "/secrets/rotate-key", body={})
    if as_json:
        _output.print_json(done)
    else:
        _output.line(
            f"Encrypted with key {done['key_id']}: {counted(done['secrets'], 'secret')}; {done['old_key']}."
        )
    return OK


def _one_name(options: list[str]) -> str:
    """The name, checked without ever repeating what was typed: it may be a value."""
    hint = "Type `codewords secrets set NAME`, then the value when asked. Your shell may keep what was typed."
    if len(options) != 1 or "=" in options[0]:
        raise InvalidInput("A secret's value is never an argument.", hint=hint)
    if not _NAME.match(options[0]):
        raise InvalidInput("That is not a secret's name: capital letters, digits and _ only.", hint=hint)
    return options[0]


def _read_value(name: str) -> str:
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"Value of {name} (not shown): ")

    # Bytes: the text layer would change line ends.
    raw = sys.stdin.buffer.read()
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            "The value on stdin is not UTF-8 text.", hint="Encode binary values, for example with base64."
        ) from error

    # `echo value |` adds a newline that nobody means; inner newlines (a PEM key) stay.
    return text.removesuffix("\n").removesuffix("\r")
