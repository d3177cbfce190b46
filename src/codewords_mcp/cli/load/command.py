"""`codewords load`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import INTERRUPTED, OK
from codewords_mcp.cli._call import read_input
from codewords_mcp.cli._client import SLOW, RuntimeClient
from codewords_mcp.cli._completion import complete_workflow
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, part, workflow_id
from codewords_mcp.cli.load.load_findings import bend, is_over, limit_of, summary
from codewords_mcp.cli.load.load_steps import LoadStep, LoadTest
from codewords_mcp.errors import CodewordsError, InvalidInput

NO_OP = """\
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn==0.34.2"]
# [tool.env-checker]
# env_vars = ["PORT=8000"]
# [tool.codewords]
# record = "off"
# ///
import os

import uvicorn
from fastapi import FastAPI

app = FastAPI(title="Load test")


@app.post("/")
async def answer() -> dict[str, bool]:
    return {"done": True}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""
"""A workflow that does nothing: what is left is what the runtime itself costs."""
NAME = "codewords load"
DELETE_ATTEMPTS, DELETE_PAUSE = 60, 0.5
"""Attempts at deleting the workflow while runs of it end, and seconds between two."""
SMALLEST_BATCH = 10
"""Background runs in the first batch."""
HEADERS = ("AT ONCE", "RUNS", "RUNS/S", "P50 MS", "P95 MS", "P99 MS", "FAILED", "CPU")


def load(
    workflow: Annotated[
        str | None,
        typer.Argument(
            metavar="WORKFLOW",
            help="Load this workflow. Without it, one that does nothing is deployed for the test, and deleted after it.",
            show_default=False,
            autocompletion=complete_workflow,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="JSON|@FILE|-", help="The input. `{}` without it.", show_default=False
        ),
    ] = None,
    path: Annotated[str, typer.Option(help="The workflow's route.")] = "/",
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="How long each step of synchronous runs lasts.")
    ] = 5,
    callers: Annotated[
        int, typer.Option(min=1, max=512, help="Callers at once, at most: 1, 2, 4 and so on up to these.")
    ] = 64,
    batch: Annotated[
        int,
        typer.Option(
            min=0, max=100_000, help="Background runs at once, at most: 10, 40, 160 and so on. 0: none."
        ),
    ] = 640,
    as_json: AsJson = False,
) -> int:
    """Tell how many runs a second this runtime carries, and what limits it.

    It calls the workflow from more and more callers at once, and then submits larger and larger batches of background
    runs, until more load gives no more runs. Each run is a real one: of a workflow that sends or spends, all do.

    Behind a balancer this loads all replicas. Nothing else should run meanwhile. Ctrl-C ends the runs that go on, and
    deletes what was deployed. Records of the runs stay as long as any (`CODEWORDS_RUN_TTL`).
    """
    if workflow is None and (data is not None or path != "/"):
        raise InvalidInput("--input and --path are for a workflow of yours.", hint="Name the workflow.")
    body = read_input(data)

    with connect() as client:
        concurrency = _concurrency(client)
        with _target(client, workflow) as service_id, _output.spinner("Loading") as say:
            test = LoadTest(client.endpoint, service_id, path, body, local=_is_local(client.endpoint.url))
            synchronous, background = list[LoadStep](), list[LoadStep]()
            try:
                _ramp(
                    synchronous,
                    callers,
                    1,
                    2,
                    lambda size: test.synchronous(size, seconds),
                    say,
                    "callers at once",
                )
                _ramp(background, batch, SMALLEST_BATCH, 4, test.background, say, "background runs")
            except KeyboardInterrupt:
                _output.note("Interrupted: what goes on is ended.", "yellow", always=True)
                return INTERRUPTED
            finally:
                test.cancel_open()

    if as_json:
        _output.print_json(
            {
                "workflow": service_id,
                "synchronous": summary(synchronous, concurrency),
                "background": summary(background, concurrency),
            }
        )
        return OK

    _show("Synchronous runs", synchronous, concurrency)
    _show("Background runs, from accepted to ended", background, concurrency)
    return OK


def _ramp(
    steps: list[LoadStep],
    largest: int,
    size: int,
    factor: int,
    measure: Callable[[int], LoadStep],
    say: Callable[[str], None],
    unit: str,
) -> None:
    """Add steps of growing size, until the bend is known or the size is too large."""
    while size <= largest and not is_over(steps):
        say(f"{size} {unit}")
        step = measure(size)
        steps.append(step)
        _output.note(f"{size} {unit}: {step.rate:.1f} runs a second, p95 {step.percentile(0.95):.0f} ms")
        size *= factor


@contextmanager
def _target(client: RuntimeClient, workflow: str | None) -> Generator[str]:
    """The id of the workflow to load. One that was deployed for it is deleted at the end, also after Ctrl-C."""
    if workflow is not None:
        yield workflow_id(client, workflow)
        return

    # Two load tests at once are two workflows.
    name = f"{NAME} {secrets.token_hex(3)}"
    body = {
        "code": NO_OP,
        "name": name,
        "allow": True,
        "description": "Made by a load test, and deleted after it.",
    }
    try:
        deployed = client.record("POST", "/deploy", body=body, timeout=SLOW)
    except KeyboardInterrupt:
        _delete_by_name(client, name)
        raise

    service_id = str(deployed["service_id"])
    try:
        # The first run of a version starts its fork server, which is no part of the load.
        client.call("POST", f"/run/{part(service_id)}/", body={}, timeout=SLOW)
        yield service_id
    finally:
        _delete(client, service_id)


def _delete_by_name(client: RuntimeClient, name: str) -> None:
    """Delete a workflow whose deploy was interrupted, and may have been done all the same."""
    for found in client.items("/workflows"):
        if found.get("name") == name:
            _delete(client, str(found["service_id"]))


def _delete(client: RuntimeClient, service_id: str) -> None:
    """Delete the workflow of the test as soon as its last cancelled run has ended. Says so where that fails."""
    for pauses_left in reversed(range(DELETE_ATTEMPTS)):
        try:
            client.call("DELETE", f"/workflows/{part(service_id)}", body={"allow": True}, timeout=SLOW)
        except CodewordsError as error:
            if error.code == "conflict" and pauses_left:
                time.sleep(DELETE_PAUSE)
                continue
            hint = f"`codewords delete {service_id}` deletes it."
            _output.error(f"The workflow of the load test is still there: {error.message}", hint)
        return


def _concurrency(client: RuntimeClient) -> int | None:
    """The caller's runs at once, where this key may read the runtime's settings."""
    try:
        limits: Any = client.record("GET", "/status").get("limits", {})
    except CodewordsError:
        return None
    return limits.get("concurrency")


def _is_local(url: str) -> bool:
    """Whether the runtime's address is one of this machine only."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _show(title: str, steps: list[LoadStep], concurrency: int | None) -> None:
    """Print the steps of one kind of runs, their bend, and what limited the last one."""
    if not steps:
        return

    _output.line(title, "bold")
    rows = [
        [
            str(step.size), str(len(step.latencies)), f"{step.rate:.1f}",
            *(f"{step.percentile(share):.0f}" for share in (0.5, 0.95, 0.99)),
            str(step.failures.total() or ""), "" if step.cpu is None else f"{step.cpu:.0%}",
        ]
        for step in steps
    ]  # fmt: skip
    _output.table(HEADERS, rows, empty="")

    best = bend(steps)
    if best is None:
        _output.prose("More load still gave more runs: the end was not reached.")
    else:
        _output.prose(
            f"From {best.size} at once on, more load gives no more runs: {best.rate:.1f} a second,"
            f" p95 {best.percentile(0.95):.0f} ms."
        )
    _output.prose(limit_of(steps[-1], concurrency).message)
    _output.line()
