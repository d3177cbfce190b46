"""`codewords keys create | list | revoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, part
from codewords_mcp.cli._times import to_minute
from codewords_mcp.errors import InvalidInput

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json

Own = Annotated[bool, typer.Option("--own", help="Of your own account, as a member who is no admin.")]
app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="API keys of this runtime.")


@app.command()
def create(
    scope: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="`user`: all of its own. `admin`: everything. Or less, by commas: "
            "`read`, `run`, `deploy`, `write`, `audit`, `metrics`.",
        ),
    ] = "user",
    toolsets: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="The only toolsets that it sees, and then over MCP only: `workflows,runs`, or one of published workflows.",
            show_default=False,
        ),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(help="Who it is for; owners do not see each other's things.", show_default=False),
    ] = None,
    member: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The member of the home that it belongs to: it has at most the rights of that role, and ends with the member.",
            show_default=False,
        ),
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
    own: Own = False,
    as_json: AsJson = False,
) -> int:
    """Make a key and print it, once: it is kept hashed. `codewords budgets set key` limits what it may spend."""
    kind, scopes = _scope(scope)
    if own:
        return _create_own(scopes, expires_in, as_json=as_json)

    body = {
        "kind": kind,
        "scopes": scopes,
        "toolsets": _listed(toolsets),
        "owner": owner,
        "member": member,
        "one_time": one_time,
        "expires_in": expires_in,
        "models": _listed(models),
    }

    with connect() as client:
        made = client.record(
            "POST", "/keys", body={key: value for key, value in body.items() if value is not None}
        )

    return _show(made, as_json=as_json)


def _create_own(scopes: list[str] | None, expires_in: float | None, *, as_json: bool) -> int:
    body = {"scopes": scopes, "expires_in": expires_in}
    with connect() as client:
        made = client.record(
            "POST", "/me/keys", body={key: value for key, value in body.items() if value is not None}
        )
    return _show(made, as_json=as_json)


def _show(made: Json, *, as_json: bool) -> int:
    if as_json:
        _output.print_json(made)
    else:
        _output.line(str(made["key"]))
        _output.note("This is the only time it is shown. Keep it like a password.", always=True)

    return OK


@app.command("list")
def list_keys(own: Own = False, as_json: AsJson = False) -> int:
    """List the keys, without their text."""
    with connect() as client:
        items = client.items("/me/keys" if own else "/keys")
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            k["id"],
            f"{k['prefix']}…",
            ", ".join(k.get("scopes") or [k["kind"]]) + _of(k.get("toolsets")),
            k["owner"],
            _state(k),
            "all" if k.get("models") is None else ", ".join(k["models"]) or "none",
            to_minute(k["created_at"]),
        ]
        for k in items
    ]
    _output.table(["ID", "KEY", "SCOPE", "OWNER", "STATE", "MODELS", "CREATED"], rows, empty="No keys.")
    return OK


@app.command()
def revoke(
    key_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="The key's id, as `codewords keys list` shows it.", show_default=False
        ),
    ],
    own: Own = False,
    as_json: AsJson = False,
) -> int:
    """Make a key invalid from now on."""
    with connect() as client:
        client.call("DELETE", f"/me/keys/{part(key_id)}" if own else f"/keys/{part(key_id)}")
    if as_json:
        _output.print_json({"id": key_id, "revoked": True})
    else:
        _output.line(f"{key_id} is revoked.")
    return OK


def _scope(text: str) -> tuple[str, list[str] | None]:
    """Return (kind of key, its scopes, None if it has all scopes of its kind)."""
    names = _listed(text) or []
    if names in (["user"], ["admin"]):
        return names[0], None
    if not names or not set(names) <= {"read", "run", "deploy", "write", "audit", "metrics"}:
        raise InvalidInput(
            "A key's scope is `user`, `admin`, or some of `read`, `run`, `deploy`, `write`, `audit`, `metrics`.",
            hint="For example --scope read,run.",
        )
    return "user", names


def _listed(text: str | None) -> list[str] | None:
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


def _of(toolsets: list[str] | None) -> str:
    if toolsets:
        return f" of {', '.join(toolsets)}"
    return ""


def _state(key: dict[str, object]) -> str:
    if key.get("revoked"):
        return "revoked"
    if key.get("one_time"):
        if key.get("used_at"):
            return "used"
        return "one-time"
    if key.get("expires_at"):
        return f"until {to_minute(str(key['expires_at']))}"
    return "valid"
