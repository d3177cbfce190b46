"""`codewords keys create | list | revoke`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, part

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="API keys of this runtime.")


class Scope(StrEnum):
    """What a key may do: `user` its own workflows and runs; `admin` also keys and stopping the runtime."""

    user = "user"
    admin = "admin"


@app.command()
def create(
    scope: Annotated[
        Scope, typer.Option(help="`user`: own workflows and runs. `admin`: everything.")
    ] = Scope.user,
    owner: Annotated[
        str | None,
        typer.Option(help="Who it is for; owners do not see each other's things.", show_default=False),
    ] = None,
    one_time: Annotated[bool, typer.Option("--one-time", help="Valid for one request.")] = False,
    expires_in: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Valid for this long.", show_default=False)
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="The only models that it may ask, parted by commas: `gpt-4o*,anthropic/*`.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Make a key and print it, once: it is kept hashed. `codewords budget set key` limits what it may spend."""
    listed = None if models is None else [name.strip() for name in models.split(",") if name.strip()]
    body = {
        "kind": scope.value,
        "owner": owner,
        "one_time": one_time,
        "expires_in": expires_in,
        "models": listed,
    }
    with connect() as client:
        made = client.call(
            "POST", "/keys", body={key: value for key, value in body.items() if value is not None}
        )
    if as_json:
        _output.print_json(made)
    else:
        _output.line(str(made["key"]))
        _output.note("This is the only time it is shown. Keep it like a password.", always=True)
    return OK


@app.command("list")
def list_keys(as_json: AsJson = False) -> int:
    """List the keys, without their text."""
    with connect() as client:
        items = client.items("/keys")
    if as_json:
        _output.print_json(items)
        return OK
    rows = [
        [
            k["id"],
            f"{k['prefix']}…",
            k["kind"],
            k["owner"],
            _state(k),
            "all" if k.get("models") is None else ", ".join(k["models"]) or "none",
            str(k["created_at"])[:16].replace("T", " "),
        ]
        for k in items
    ]
    _output.table(["ID", "KEY", "SCOPE", "OWNER", "STATE", "MODELS", "CREATED (UTC)"], rows, empty="No keys.")
    return OK


@app.command()
def revoke(
    key_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="The key's id, as `codewords keys list` shows it.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> int:
    """Make a key invalid from now on."""
    with connect() as client:
        client.call("DELETE", f"/keys/{part(key_id)}")
    if as_json:
        _output.print_json({"id": key_id, "revoked": True})
    else:
        _output.line(f"{key_id} is revoked.")
    return OK


def _state(key: dict[str, object]) -> str:
    if key.get("revoked"):
        return "revoked"
    if key.get("one_time"):
        return "used" if key.get("used_at") else "one-time"
    return f"until {str(key['expires_at'])[:16]}" if key.get("expires_at") else "valid"
