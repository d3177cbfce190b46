"""`codewords quotas list | set | delete`: ceilings of the owners of one database."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._deletion import deletes, tell_deleted
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.errors import InvalidInput

app = typer.Typer(
    no_args_is_help=True, help="Quotas of the owners of one database. None takes from another's."
)
Owner = Annotated[
    str,
    typer.Argument(
        metavar="OWNER",
        help="As of `codewords keys create --owner`; '*' is each other one.",
        show_default=False,
    ),
]
_BYTES = ("memory", "storage")
_SHOWN = {
    "concurrency": "at once", "queue_limit": "waiting", "runs_per_hour": "in an hour", "runs_per_day": "in a day",
    "memory": "of memory", "storage": "stored",
}  # fmt: skip


@app.command("set")
def set_quota(
    owner: Owner,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Runs at once.", show_default=False)] = None,
    queue_limit: Annotated[
        int | None, typer.Option(min=0, help="Runs that wait.", show_default=False)
    ] = None,
    runs_per_hour: Annotated[
        int | None, typer.Option(min=0, help="Runs that begin within an hour.", show_default=False)
    ] = None,
    runs_per_day: Annotated[
        int | None, typer.Option(min=0, help="Runs that begin within a day.", show_default=False)
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory of all sandboxes at once, as 8GB.", show_default=False),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Bytes of all that is stored, as 20GB.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Set the quota of an owner, in place of an earlier one. Spending: `codewords budgets set owner USD --of OWNER`."""
    limits = {
        "concurrency": concurrency, "queue_limit": queue_limit, "runs_per_hour": runs_per_hour,
        "runs_per_day": runs_per_day, "memory": _size_of(memory), "storage": _size_of(storage),
    }  # fmt: skip
    with connect() as client:
        made = client.record("PUT", f"/quotas/{owner}", body={"limits": limits})
    if as_json:
        _output.print_json(made)
    else:
        _output.line(f"{_name(made)}: {_worded(made['limits'])}. It holds from the next run on.")
    return OK


@app.command("list")
def list_quotas(as_json: AsJson = False) -> int:
    """List the quotas, with what is used of them; without the rights of an owner of the home, the own one."""
    with connect() as client:
        items = client.items("/quotas")
    if as_json:
        _output.print_json(items)
        return OK

    rows = [[_name(item), *(_cell(item, name) for name in _SHOWN)] for item in items]
    _output.table(
        ["OWNER", "AT ONCE", "WAITING", "IN AN HOUR", "IN A DAY", "MEMORY", "STORED"],
        rows,
        empty="No quotas. `codewords quotas set OWNER --concurrency 5` sets one.",
    )
    return OK


@deletes(app)
def delete_quota(owner: Owner, as_json: AsJson = False) -> int:
    """Delete the quota of an owner."""
    with connect() as client:
        client.call("DELETE", f"/quotas/{owner}")
    return tell_deleted(f"The quota of {owner}", {"owner": owner}, as_json=as_json)


def _size_of(text: str | None) -> int | None:
    """Read a size. Raises InvalidInput."""
    from codewords_mcp.runtime.workflows.resources import parse_size

    if text is None:
        return None
    size = parse_size(text)
    if size is None:
        raise InvalidInput(f"{text} is not a size.", hint="Write it with its unit: 512MB, 20GB.")
    return size


def _name(quota: dict[str, Any]) -> str:
    return "each other owner" if quota["owner"] == "*" else str(quota["owner"])


def _value(name: str, number: int) -> str:
    return _output.size(number) if name in _BYTES else str(number)


def _worded(limits: dict[str, Any]) -> str:
    """The limits in a sentence: `at most 5 at once, 100 in an hour`."""
    found = [
        f"{_value(name, limits[name])} {words}" for name, words in _SHOWN.items() if limits[name] is not None
    ]
    return f"at most {', '.join(found)}" if found else "no limit"


def _cell(quota: dict[str, Any], name: str) -> str:
    """The used part of a limit: `3 of 5`."""
    most, used = quota["limits"][name], quota["used"]
    if most is None:
        return ""
    if used is None:
        return _value(name, most)
    return f"{_value(name, used[name])} of {_value(name, most)}"
