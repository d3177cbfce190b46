"""`codewords audit list | export | verify`: who did what in this home, from where."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.cli._times import to_second
from codewords_mcp.common.counts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codewords_mcp.cli._client import Json, RuntimeClient

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Who did what, from where.")
_POLL_INTERVAL = 1.0
_AT_ONCE = 1000

Action = Annotated[
    str | None,
    typer.Option("--action", help="`consent.agreed`, or `consent` for all of a kind.", show_default=False),
]
Target = Annotated[
    str | None, typer.Option("--target", help="Only about this id or name.", show_default=False)
]
Actor = Annotated[
    str | None, typer.Option("--actor", metavar="OWNER", help="Only by this owner.", show_default=False)
]
KeyId = Annotated[
    str | None, typer.Option("--key", metavar="ID", help="Only by this key.", show_default=False)
]
Outcome = Annotated[
    str | None, typer.Option("--outcome", help="`done`, `refused` or `failed`.", show_default=False)
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="A time, or an age like 24h.", show_default=False),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="A time, or an age like 24h.", show_default=False),
]


@app.command("list")
def list_entries(
    action: Action = None,
    target: Target = None,
    actor: Actor = None,
    key: KeyId = None,
    outcome: Outcome = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print entries as they are sealed, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """List the newest entries, or follow those to come. With `--json` one line for each."""
    from codewords_mcp.cli._client import pages

    params: Json = {
        "action": action, "target": target, "actor": actor, "key_id": key, "outcome": outcome, "since": since, "until": until,
    }  # fmt: skip
    with connect() as client:
        if follow:
            for entry in _followed(client, params):
                _show(entry, as_json=as_json)
            return OK
        items = pages(client, "/audit", params, limit)

    if as_json:
        for entry in items:
            _output.json_line(entry)
        return OK
    rows = [
        [to_second(e["at"]), e["actor"] or e["front_door"], e["action"], _about(e), _outcome(e), _origin(e)]
        for e in items
    ]
    _output.table(["AT", "BY", "ACTION", "ABOUT", "OUTCOME", "FROM"], rows, empty="No entries.")
    return OK


@app.command()
def export(
    after: Annotated[int, typer.Option("--after", metavar="SEQ", min=0, help="Begin behind this place.")] = 0,
    action: Action = None,
    since: Since = None,
    until: Until = None,
) -> int:
    """Print all sealed entries as JSON, one a line, in the order of the chain."""
    with connect() as client:
        for entry in _sealed(client, {"action": action, "since": since, "until": until}, after):
            _output.json_line(entry)
    return OK


@app.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="A head that an earlier verification printed.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check that no entry was changed, removed or inserted since it was sealed. Exit code 1 if one was."""
    with connect() as client:
        report = client.record("GET", "/audit/verification", params={"head": head}, timeout=3600)

    problems = [str(problem["message"]) for problem in report["problems"]]
    if report["head_found"] is False:
        problems.append("The head is none of this chain: it was made anew since, or is another home's.")
    if as_json:
        _output.print_json(report)
    else:
        for problem in problems:
            _output.line(problem, "red")
        if report["removed_through"]:
            _output.line(f"Retention removed the entries up to {report['removed_through']}.")
        _output.line(
            f"{counted(report['entries'], 'entry', 'entries')} in {counted(report['blocks'], 'block')}, "
            f"{report['unsealed']:,} not sealed yet."
        )
        _output.line(f"Head: {report['head']}")
        if not problems:
            _output.note("Keep the head elsewhere: `codewords audit verify --head` finds a chain made anew.")
    return FAILED if problems else OK


def _sealed(client: RuntimeClient, params: Json, after: int) -> Iterator[Json]:
    while True:
        page = client.record("GET", "/audit", params={**params, "after": after, "limit": _AT_ONCE})
        yield from page["items"]
        if len(page["items"]) < _AT_ONCE:
            return
        after = page["items"][-1]["seq"]


def _followed(client: RuntimeClient, params: Json) -> Iterator[Json]:
    newest = client.record("GET", "/audit", params={"limit": 100})["items"]
    after = max((int(entry["seq"]) for entry in newest if entry["seq"] is not None), default=0)
    while True:
        for entry in _sealed(client, params, after):
            after = entry["seq"]
            yield entry
        time.sleep(_POLL_INTERVAL)


def _show(entry: Json, *, as_json: bool) -> None:
    if as_json:
        _output.json_line(entry)
        return
    parts = (to_second(entry["at"]), entry["actor"] or entry["front_door"], entry["action"], _about(entry))
    _output.line("  ".join(str(part) for part in (*parts, _outcome(entry), _origin(entry)) if part))


def _about(entry: dict[str, Any]) -> str:
    if entry["action"] in {"call", "refuse"}:
        return " ".join(part for part in (entry["operation"], entry["target"]) if part)
    return str(entry["target"])


def _outcome(entry: dict[str, Any]) -> str:
    return f"{entry['outcome']}: {entry['error']}" if entry["error"] else str(entry["outcome"])


def _origin(entry: dict[str, Any]) -> str:
    if entry["run_id"]:
        return f"run {entry['run_id']}"
    return " ".join(part for part in (entry["front_door"], entry["address"], entry["key_id"]) if part)
