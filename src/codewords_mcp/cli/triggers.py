"""`codewords triggers add | list | show | edit | test | pause | resume | delete | kinds`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._call import read_input
from codewords_mcp.cli._client import Json, RuntimeClient
from codewords_mcp.cli._completion import complete_workflow
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._deletion import deletes, tell_deleted
from codewords_mcp.cli._refs import AsJson, WorkflowRef, part, workflow_id
from codewords_mcp.cli._times import to_second
from codewords_mcp.common.bounded_json import JsonValue, parse
from codewords_mcp.errors import InvalidInput

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Everything that starts workflows: schedules, webhooks, feeds, addresses, other runs.",
)

TriggerRef = Annotated[
    str,
    typer.Argument(metavar="ID", help="As `codewords triggers list` shows it.", show_default=False),
]
KindRef = Annotated[
    str,
    typer.Argument(metavar="KIND", help="As `codewords triggers kinds` shows it.", show_default=False),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-o", metavar="NAME=VALUE", help="An option of its kind; repeatable.", show_default=False
    ),
]
Every = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="The pause between two looks at its source.", show_default=False),
]


@app.command()
def add(
    workflow: WorkflowRef,
    kind: KindRef,
    option: Options = None,
    path: Annotated[str, typer.Option(help="The workflow's route.")] = "/",
    name: Annotated[str, typer.Option(help="A name for people.", show_default=False)] = "",
    every: Every = None,
    catch_up: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=1000,
            help="Events to start of those that came while nobody looked.",
            show_default=False,
        ),
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Add it paused.")] = False,
    check: Annotated[bool, typer.Option(help="Look at its source once before.")] = True,
    as_json: AsJson = False,
) -> int:
    """Let something start a workflow, and print the trigger's id.

    For example: `codewords triggers add report feed -o url=https://example.org/feed.xml`.
    """
    with connect() as client:
        body: Json = {
            "service_id": workflow_id(client, workflow),
            "kind": kind,
            "options": _options(client, kind, option),
            "path": path,
            "name": name,
            "paused": paused,
            "check": check,
        }
        body |= {"interval_s": every} if every is not None else {}
        body |= {"catch_up": catch_up} if catch_up is not None else {}
        added = client.record("POST", "/triggers", body=body)
    if as_json:
        _output.print_json(added)
        return OK

    trigger = added["trigger"]
    _output.line(str(trigger["id"]))
    if trigger["url"]:
        _output.note(f"Its address: {trigger['url']}")
    if added["sample"] is not None:
        _tell_sample(added["sample"])
    if added["misfit"] is not None:
        _output.note(f"The workflow would refuse this item: {added['misfit']}.")
    return OK


@app.command("list")
def list_triggers(
    workflow: Annotated[
        str | None,
        typer.Option(
            metavar="WORKFLOW",
            help="Only what starts this workflow.",
            show_default=False,
            autocompletion=complete_workflow,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List what starts workflows: schedules, webhooks and event sources."""
    with connect() as client:
        items = client.items("/triggers")
        if workflow:
            service_id = workflow_id(client, workflow)
            items = [item for item in items if item["service_id"] == service_id]
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [t["id"], t["kind"], t["service_id"], t["name"], t["state"], _when(t["next_at"]), _when(t["last_at"]), _note(t)]
        for t in items
    ]  # fmt: skip
    headers = ["ID", "KIND", "STARTS", "NAME", "STATE", "NEXT", "LAST", "NOTE"]
    _output.table(headers, rows, empty="No triggers. `codewords triggers add WORKFLOW KIND` adds one.")
    return OK


@app.command()
def kinds(as_json: AsJson = False) -> int:
    """List the kinds of triggers with their options."""
    with connect() as client:
        items = client.record("GET", "/triggers/kinds")["items"]
    if as_json:
        _output.print_json(items)
        return OK
    for item in items:
        _output.line(f"{item['kind']:12} {item['title']}")
        required: list[str] = item["options"].get("required", [])
        for name, field in item["options"].get("properties", {}).items():
            must = "" if name in required else " (optional)"
            _output.line(f"    {name}{must}  {field.get('description', '')}".rstrip())
    return OK


@app.command()
def show(trigger: TriggerRef, as_json: AsJson = False) -> int:
    """Show a trigger, and the last events of an event source with their runs."""
    with connect() as client:
        found = client.record("GET", f"/triggers/{part(trigger)}")
        events: list[Json] = []
        if found["schedule"] is None and found["webhook"] is None:
            events = client.record("GET", f"/triggers/{part(trigger)}/events", params={"limit": 20})["items"]
    if as_json:
        _output.print_json(found | {"events": events})
        return OK

    facts = {
        "trigger": found["id"],
        "kind": found["kind"],
        "workflow": found["service_id"] + found["path"],
        "state": found["state"],
        "address": found["url"],
        "options": json.dumps(found["options"], ensure_ascii=False) if found["options"] else None,
        "next": _when(found["next_at"]),
        "looked": _when(found["polled_at"]),
        "last event": _when(found["last_at"]),
        "waiting": found["waiting"] or None,
        "missed": found["missed"] or None,
        "note": _note(found) if _note(found) != "-" else None,
    }
    for label, value in facts.items():
        if value not in {None, "-"}:
            _output.line(f"{label:10} {value}")
    if events:
        rows = [[_when(e["received_at"]), e["status"], e["run_id"] or "-", e["key"]] for e in events]
        _output.table(["CAME", "STATUS", "RUN", "EVENT"], rows, empty="")
    return OK


@app.command()
def edit(
    trigger: TriggerRef,
    option: Options = None,
    name: Annotated[str | None, typer.Option(help="A name for people.", show_default=False)] = None,
    every: Every = None,
    as_json: AsJson = False,
) -> int:
    """Change the trigger of an event source. Given options replace all of them, and it begins anew."""
    with connect() as client:
        body: Json = {"name": name} if name is not None else {}
        body |= {"interval_s": every} if every is not None else {}
        if option is not None:
            found = client.record("GET", f"/triggers/{part(trigger)}")
            body["options"] = _options(client, found["kind"], option)
        _tell_state(client.record("PATCH", f"/triggers/{part(trigger)}", body=body), as_json=as_json)
    return OK


@app.command("test")
def try_trigger(
    trigger: TriggerRef,
    run: Annotated[bool, typer.Option("--run", help="Start a run with it.")] = False,
    data: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="JSON|@FILE|-", help="Instead of the newest item.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show the newest item of a source as its runs get it. A webhook is sent a signed test, which starts a run."""
    body: Json = {"run": run}
    if data is not None:
        body["data"] = parse(read_input(data))
    with connect() as client:
        found = client.record("POST", f"/triggers/{part(trigger)}/test", body=body)
    if as_json:
        _output.print_json(found)
    else:
        _tell_sample(found)
    return OK


@app.command()
def pause(trigger: TriggerRef, as_json: AsJson = False) -> int:
    """Let it start nothing until it is resumed."""
    with connect() as client:
        _tell_state(client.record("POST", f"/triggers/{part(trigger)}/pause"), as_json=as_json)
    return OK


@app.command()
def resume(
    trigger: TriggerRef,
    skip: Annotated[
        bool, typer.Option("--skip", help="Begin anew: what came meanwhile starts nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Let it start runs again, also for what an event source has got meanwhile."""
    with connect() as client:
        body = {"skip_waiting": skip}
        _tell_state(client.record("POST", f"/triggers/{part(trigger)}/resume", body=body), as_json=as_json)
    return OK


@deletes(app)
def delete(trigger: TriggerRef, as_json: AsJson = False) -> int:
    """Delete a trigger; its runs stay."""
    with connect() as client:
        client.call("DELETE", f"/triggers/{part(trigger)}")
    return tell_deleted(trigger, {"id": trigger}, as_json=as_json)


app.command("remove", hidden=True)(delete)


def _options(client: RuntimeClient, kind: str, pairs: list[str] | None) -> Json:
    """Return options by name; those that are no text are read as JSON. Raises InvalidInput."""
    if not pairs:
        return {}
    kinds = client.record("GET", "/triggers/kinds")["items"]
    schemas: dict[str, Json] = {item["kind"]: item["options"] for item in kinds}
    fields: Json = schemas.get(kind, Json()).get("properties", Json())
    options: Json = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidInput("`--option` needs NAME=VALUE.", hint="`codewords triggers kinds` shows names.")
        # A text that looks like a number, as an id of digits does, stays a text.
        options[name] = value if _is_text(fields.get(name, {})) else _parse_option(value)
    return options


def _is_text(field: Any) -> bool:
    types = {field.get("type"), *(choice.get("type") for choice in field.get("anyOf", []))}
    return "string" in types


def _parse_option(value: str) -> JsonValue:
    try:
        parsed: JsonValue = parse(value)
        return parsed
    except ValueError:
        return value


def _tell_sample(sample: Json) -> None:
    if not sample["found"]:
        _output.note("Its source has no item yet.")
    elif sample["data"] is not None:
        _output.note("Its newest item, as its runs get it:")
        _output.line(json.dumps(sample["data"], ensure_ascii=False, indent=2))
    if sample["run_id"] is not None:
        _output.line(f"Run {sample['run_id']} was started.")


def _tell_state(trigger: Json, *, as_json: bool) -> None:
    if as_json:
        _output.print_json(trigger)
    else:
        _output.line(f"{trigger['id']} of {trigger['service_id']} is {trigger['state']}.")


def _note(trigger: Json) -> str:
    return str(trigger["note"] or trigger["problem"] or "-")


def _when(moment: str | None) -> str:
    return to_second(moment) if moment else "-"
