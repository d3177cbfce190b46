"""`codewords members passkeys list | rename | revoke`."""

from __future__ import annotations

from typing import Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, part
from codewords_mcp.cli._times import to_minute

app = typer.Typer(
    no_args_is_help=True,
    help="Passkeys by which members sign in. They are added in the console, on the page Members.",
)
PasskeyId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The passkey's id, as `codewords members passkeys list` shows it.",
        show_default=False,
    ),
]


@app.command("list")
def list_passkeys(as_json: AsJson = False) -> int:
    """List the passkeys: your own, and as an admin those of all members."""
    with connect() as client:
        items = client.items("/passkeys")
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            item["id"],
            item["member"],
            item["name"],
            item["site"],
            to_minute(item["created_at"]),
            to_minute(item["used_at"]) if item.get("used_at") else "never",
        ]
        for item in items
    ]
    _output.table(["ID", "MEMBER", "NAME", "SITE", "ADDED", "USED"], rows, empty="No passkeys.")
    return OK


@app.command()
def rename(
    passkey_id: PasskeyId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new name.", show_default=False)],
    as_json: AsJson = False,
) -> int:
    """Give a passkey another name."""
    with connect() as client:
        changed = client.record("PUT", f"/passkeys/{part(passkey_id)}", body={"name": name})
    if as_json:
        _output.print_json(changed)
    else:
        _output.line(f"{changed['id']} is called {changed['name']}.")
    return OK


@app.command()
def revoke(passkey_id: PasskeyId, as_json: AsJson = False) -> int:
    """Revoke a passkey: nobody signs in by it any more. Sessions go on."""
    with connect() as client:
        client.call("DELETE", f"/passkeys/{part(passkey_id)}")
    if as_json:
        _output.print_json({"id": passkey_id, "revoked": True})
    else:
        _output.line(f"{passkey_id} is revoked.")
    return OK
