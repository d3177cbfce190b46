"""`codewords webhooks create | list | pause | resume | rm | deliveries | show | redeliver`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._deletion import deletes, tell_deleted
from codewords_mcp.cli._refs import AsJson, WorkflowRef, part, workflow_id
from codewords_mcp.cli._times import to_second

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", help="Addresses that start workflows, and what came."
)

WebhookRef = Annotated[
    str,
    typer.Argument(metavar="ID", help="As `codewords webhooks list` shows it.", show_default=False),
]
DeliveryRef = Annotated[
    str,
    typer.Argument(metavar="ID", help="As `codewords webhooks deliveries` shows it.", show_default=False),
]


class Kind(StrEnum):
    """The sender's way to sign."""

    plain = "plain"
    hub = "hub"
    standard = "standard"
    stripe = "stripe"


class DeliveryStatus(StrEnum):
    """The outcome of a delivery."""

    received = "received"
    started = "started"
    ignored = "ignored"
    paused = "paused"
    failed = "failed"
    refused = "refused"


@app.command()
def create(
    workflow: WorkflowRef,
    path: Annotated[str, typer.Option(help="The workflow's route.")] = "/",
    kind: Annotated[
        Kind,
        typer.Option(
            help="How the sender signs: not at all, like GitHub, by standardwebhooks.com, like Stripe."
        ),
    ] = Kind.plain,
    secret: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The secret that the sender signs with.", show_default=False),
    ] = None,
    name: Annotated[str, typer.Option(help="A name for people.", show_default=False)] = "",
    as_json: AsJson = False,
) -> int:
    """Give a workflow an address of its own, and print it. Whoever knows a plain one can start the workflow.

    For example: `codewords webhooks create report --kind hub --secret GITHUB_WEBHOOK_SECRET`.
    """
    with connect() as client:
        body = {"service_id": workflow_id(client, workflow), "path": path, "kind": kind.value, "name": name}
        body |= {"secret": secret} if secret else {}
        made = client.record("POST", "/webhooks", body=body)

    if as_json:
        _output.print_json(made)
        return OK

    _output.line(str(made["url"]))
    if made.get("paused"):
        # An equal one was there already, and somebody has paused it.
        _output.note(f"It is paused: `codewords webhooks resume {made['id']}`.", "yellow", always=True)
    return OK


@app.command("list")
def list_webhooks(as_json: AsJson = False) -> int:
    """List the addresses, newest first."""
    with connect() as client:
        items = client.items("/webhooks")
    if as_json:
        _output.print_json(items)
        return OK
    rows = [[w["id"], w["kind"], w["service_id"] + w["path"], w["name"], _state(w), w["url"]] for w in items]
    headers = ["ID", "KIND", "STARTS", "NAME", "STATE", "ADDRESS"]
    _output.table(headers, rows, empty="No webhooks. `codewords webhooks create WORKFLOW` makes one.")
    return OK


@app.command()
def pause(webhook: WebhookRef, as_json: AsJson = False) -> int:
    """Store what comes, and start nothing, until it is resumed."""
    return _change(webhook, "pause", as_json=as_json)


@app.command()
def resume(webhook: WebhookRef, as_json: AsJson = False) -> int:
    """Start runs again for what comes from now on; `redeliver` starts those of what came meanwhile."""
    return _change(webhook, "resume", as_json=as_json)


@deletes(app)
def delete(webhook: WebhookRef, as_json: AsJson = False) -> int:
    """Delete an address; what came by it stays in the log."""
    with connect() as client:
        client.call("DELETE", f"/webhooks/{part(webhook)}")
    return tell_deleted(webhook, {"id": webhook}, as_json=as_json)


@app.command()
def deliveries(
    status: Annotated[
        DeliveryStatus | None, typer.Option(help="Only with this status.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> int:
    """List what came, newest first."""
    query: dict[str, Any] = {"limit": limit}
    if status:
        query["status"] = status.value
    with connect() as client:
        items = client.record("GET", "/webhooks/deliveries", params=query)["items"]
    if as_json:
        _output.print_json(items)
        return OK
    rows = [[d["id"], _when(d), d["kind"], d["event"] or "-", d["status"], _became(d)] for d in items]
    _output.table(["ID", "CAME", "KIND", "EVENT", "STATUS", "RUN"], rows, empty="Nothing came yet.")
    return OK


@app.command()
def show(delivery: DeliveryRef, as_json: AsJson = False) -> int:
    """Show one delivery: what it said, and the runs that it started."""
    with connect() as client:
        found = client.record("GET", f"/webhooks/deliveries/{part(delivery)}")
    if as_json:
        _output.print_json(found)
        return OK

    facts = {
        "delivery": found["id"],
        "came": _when(found),
        "kind": found["kind"],
        "event": found["event"] or "-",
        "status": found["status"],
        "reason": found["reason"] or "-",
        "repeats": found["repeats"],
        "runs": ", ".join(run["run_id"] for run in found["runs"]) or "-",
    }
    for label, value in facts.items():
        _output.line(f"{label:9} {value}")
    headers: dict[str, str] = found["headers"] or {}
    for name, value in headers.items():
        _output.line(f"{name}: {value}")
    _output.line("")
    _output.line(str(found["body"]))
    return OK


@app.command()
def redeliver(delivery: DeliveryRef, as_json: AsJson = False) -> int:
    """Start its runs once more, for the webhooks that there are now."""
    with connect() as client:
        found = client.record("POST", f"/webhooks/deliveries/{part(delivery)}/redeliver")
    if as_json:
        _output.print_json(found)
    else:
        _output.line(
            f"{found['id']} is delivered again; `codewords webhooks show {found['id']}` names its runs."
        )
    return OK


def _change(webhook: str, action: str, *, as_json: bool) -> int:
    with connect() as client:
        changed = client.record("POST", f"/webhooks/{part(webhook)}/{action}")
    if as_json:
        _output.print_json(changed)
    else:
        _output.line(f"{changed['id']} of {changed['service_id']} is {_state(changed)}.")
    return OK


def _state(webhook: Json) -> str:
    # A runtime from before webhooks could be paused does not send it.
    if webhook.get("paused"):
        return "paused"
    return "active"


def _when(delivery: Json) -> str:
    return to_second(delivery["received_at"])


def _became(delivery: Json) -> str:
    runs = delivery["runs"]
    if runs:
        return str(runs[-1]["run_id"])
    return str(delivery["reason"] or "-")
