"""`codewords alerts list | ack | dismiss | settings | test`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, cast

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, part
from codewords_mcp.cli._times import to_minute

app = typer.Typer(no_args_is_help=True, help="Failed background and scheduled runs.")


class AlertedRuns(StrEnum):
    """Runs whose failure is an alert."""

    triggered = "triggered"
    background = "background"
    none = "none"


AlertRef = Annotated[
    str, typer.Argument(metavar="ID", help="As `codewords alerts list` shows it.", show_default=False)
]


@app.command("list")
def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    as_json: AsJson = False,
) -> int:
    """List what failed and does not work again yet, the newest failure first."""
    with connect() as client:
        query = {"state": "all" if everything else "unresolved", "limit": 500}
        items = client.record("GET", "/alerts", params=query)["items"]
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [
            item["id"],
            item["status"],
            to_minute(item["last_at"]),
            str(item["count"]),
            f"{item['title']}: {item['message']}",
            item["run_id"] or "-",
        ]
        for item in items
    ]
    headers = ["ID", "STATUS", "LAST", "TIMES", "WHAT FAILED", "RUN"]
    _output.table(headers, rows, empty="No alerts: everything that ran by itself works.")
    return OK


@app.command()
def ack(alert: AlertRef, as_json: AsJson = False) -> int:
    """Say that you know: the alert stays until what failed works again, and is sent no more."""
    return _answer(alert, "acknowledge", "is acknowledged; it ends when what failed works again.", as_json)


@app.command()
def dismiss(alert: AlertRef, as_json: AsJson = False) -> int:
    """Put an alert away; the next such failure opens it again."""
    return _answer(alert, "dismiss", "is dismissed.", as_json)


@app.command()
def settings(
    runs: Annotated[
        AlertedRuns | None,
        typer.Option(
            help="Whose failures are alerts: those of schedules and webhooks, all background runs, or none.",
            show_default=False,
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help='Address that gets signed messages; "" for none.', show_default=False
        ),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Secret that signs them; ALERT_WEBHOOK_SECRET at first.", show_default=False
        ),
    ] = None,
    email: Annotated[
        list[str] | None, typer.Option(help='Address for mail, repeatable; "" for none.', show_default=False)
    ] = None,
    slack: Annotated[
        str | None, typer.Option(metavar="CHANNEL", help='Channel of Slack; "" for none.', show_default=False)
    ] = None,
    quiet: Annotated[
        str | None,
        typer.Option(metavar="FROM-UNTIL", help='As in 22:00-07:00; "" for none.', show_default=False),
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="Zone of the quiet hours.", show_default=False)] = None,
    every: Annotated[
        int | None,
        typer.Option(
            min=1, max=1440, help="Minutes in which an alert is sent once at the most.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show where alerts go beside the inbox, or change what options name.

    For example: `codewords alerts settings --email me@example.org --quiet 22:00-07:00 --timezone Europe/Berlin`.
    """
    changes: dict[str, object] = {
        "runs": runs.value if runs else None,
        "webhook": webhook,
        "webhook_secret": secret,
        "email": None if email is None else [address for address in email if address],
        "slack": slack,
        "timezone": timezone,
        "interval_minutes": every,
    }
    if quiet is not None:
        changes["quiet_from"], _, changes["quiet_until"] = quiet.partition("-")
    # Only None is left out: an empty text or list takes a channel away.
    changes = {name: value for name, value in changes.items() if value is not None}
    with connect() as client:
        if changes:
            found = client.record("PUT", "/alerts/settings", body=changes)
        else:
            found = client.record("GET", "/alerts/settings")
    if as_json:
        _output.print_json(found)
        return OK

    for name, value in found["settings"].items():
        if isinstance(value, list):
            shown = ", ".join(cast("list[str]", value))
        else:
            shown = value
        _output.line(f"{name.replace('_', ' '):17} {shown or '-'}")
    for channel, problem in found["problems"].items():
        _output.line(f"{channel} failed: {problem}")
    return OK


@app.command("test")
def send_test(as_json: AsJson = False) -> int:
    """Send a test message by each channel that is set."""
    with connect() as client:
        items = client.record("POST", "/alerts/test")["items"]
    if as_json:
        _output.print_json(items)
    else:
        for item in items:
            _output.line(f"{item['channel']}: {item['problem'] or 'accepted'}")
    if any(item["problem"] for item in items):
        return FAILED
    return OK


def _answer(alert: str, action: str, sentence: str, as_json: bool) -> int:
    with connect() as client:
        found = client.record("POST", f"/alerts/{part(alert)}/{action}")
    if as_json:
        _output.print_json(found)
    else:
        _output.line(f"{found['id']} {sentence}")
    return OK
