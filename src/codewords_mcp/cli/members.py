"""`codewords members list | invite | add-service | role | remove | passkeys`, and `codewords sessions list | revoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from codewords_mcp.cli import _output, passkeys
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, part
from codewords_mcp.cli._times import to_minute
from codewords_mcp.common.counts import counted
from codewords_mcp.runtime.auth.roles import ROLES

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json

app = typer.Typer(
    no_args_is_help=True,
    help="People who share this home, and service accounts. A home without members is one person's, who signs in nowhere.",
)
app.add_typer(passkeys.app, name="passkeys")
sessions_app = typer.Typer(no_args_is_help=True, help="Browsers that are signed in.")
_ROLES = ", ".join(f"`{role}`" for role in ROLES)
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The member's name or id, as `codewords members list` shows it.",
        show_default=False,
    ),
]
RoleOption = Annotated[
    str, typer.Option("--role", metavar="ROLE", help=f"One of {_ROLES}.", show_default=False)
]


@app.command("list")
def list_members(as_json: AsJson = False) -> int:
    """List the members with their roles."""
    with connect() as client:
        items = client.items("/members")
    if as_json:
        _output.print_json(items)
        return OK

    rows = [[item["name"], item["role"], item["kind"], _state(item), item["id"]] for item in items]
    _output.table(
        ["NAME", "ROLE", "KIND", "STATE", "ID"], rows, empty="No members: the home is one person's own."
    )
    return OK


@app.command()
def invite(name: Name, role: RoleOption = "", as_json: AsJson = False) -> int:
    """Invite a person by a one-time link, good for a week; without `--role` make a new link for a member that there is.

    Whoever opens the link is that member: give it to nobody else.
    """
    with connect() as client:
        if role:
            made = client.record("POST", "/members", body={"name": name, "role": role})
        else:
            made = client.record("POST", f"/members/{part(name)}/invitation", body={})

    if as_json:
        _output.print_json(made)
    else:
        _output.note(
            f"The link for {made['member']['name']} works once, until {to_minute(made['expires_at'])}:",
            always=True,
        )
        _output.line(str(made["url"]))
    return OK


@app.command("add-service")
def add_service(name: Name, role: RoleOption, as_json: AsJson = False) -> int:
    """Add an account for a program. It has keys only: `codewords keys create --member NAME`."""
    with connect() as client:
        made = client.record("POST", "/members", body={"name": name, "role": role, "kind": "service"})
    if as_json:
        _output.print_json(made)
    else:
        _output.line(f"{name} is a service account with the role {role}.")
    return OK


@app.command("role")
def set_role(
    name: Name,
    role: Annotated[str, typer.Argument(metavar="ROLE", help=f"One of {_ROLES}.", show_default=False)],
    as_json: AsJson = False,
) -> int:
    """Change a member's role. It counts from the next request on."""
    with connect() as client:
        changed = client.record("PUT", f"/members/{part(name)}", body={"role": role})
    if as_json:
        _output.print_json(changed)
    else:
        _output.line(f"{changed['name']} has the role {changed['role']}.")
    return OK


@app.command()
def remove(name: Name, as_json: AsJson = False) -> int:
    """Remove a member. Keys and sessions end at once; runs, schedules and all else go on as the home's."""
    with connect() as client:
        removed = client.record("DELETE", f"/members/{part(name)}")
    if as_json:
        _output.print_json(removed)
    else:
        _output.line(
            f"{removed['name']} is removed. Ended: {counted(removed['keys'], 'key')}, "
            f"{counted(removed['passkeys'], 'passkey')}, {counted(removed['sessions'], 'session')}, "
            f"{counted(removed['questions'], 'question')} about an agreement."
        )
    return OK


@sessions_app.command("list")
def list_sessions(as_json: AsJson = False) -> int:
    """List the browsers that are signed in: your own, and as an admin those of all members."""
    with connect() as client:
        items = client.items("/sessions")
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            item["id"],
            item.get("member") or "",
            item["browser"],
            to_minute(item["began_at"]),
            to_minute(item["used_at"]),
        ]
        for item in items
    ]
    _output.table(["ID", "MEMBER", "BROWSER", "BEGAN", "USED"], rows, empty="No browser is signed in.")
    return OK


@sessions_app.command()
def revoke(
    session_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="The session's id, as `codewords sessions list` shows it.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> int:
    """Sign a browser out."""
    with connect() as client:
        client.call("DELETE", f"/sessions/{part(session_id)}")
    if as_json:
        _output.print_json({"id": session_id, "revoked": True})
    else:
        _output.line(f"{session_id} is signed out.")
    return OK


def _state(item: Json) -> str:
    if item["joined_at"] is None:
        return "invited" if item["invited_until"] else "invitation is over"
    return "has a new link" if item["invited_until"] else ""
