"""A call with an Idempotency-Key loses its answer, at each point of its way, and is sent again: here or to another replica."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.gate import Gate, open_gate
from tests.chaos.helpers import SHARED
from tests.support.background_runs import with_options
from tests.support.postgres import Postgres
from tests.support.runtime import make_home, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS

pytestmark = pytest.mark.slow

_PROGRAM = """
import asyncio
from fastapi.responses import StreamingResponse
async def gate(name):
    reader, writer = await asyncio.open_connection("{host}", {port})
    writer.write((name + "\\n").encode())
    await writer.drain()
    assert await reader.readline()
    writer.close()
@app.post("/")
async def work(request: Request):
    asked = await request.json()
    await gate(asked["name"])
    return {{"name": asked["name"]}}
@app.post("/at-once")
async def at_once(request: Request):
    return {{"name": (await request.json())["name"]}}
@app.post("/halves")
async def halves(request: Request):
    name = (await request.json())["name"]
    async def body():
        yield '{{"name":'
        await gate(name)
        yield '"' + name + '"}}'
    return StreamingResponse(body(), media_type="application/json")
"""
_PATHS = {"half answered": "halves", "answered": "at-once"}
WAYS = ("killed", "stopped", "drained", "cut")
"""Ways in which an answer is lost: `kill -9`, an end that does not wait for runs, one that does, and the connection's end."""
POINTS = ("arriving", "queued", "running", "half answered", "answered")
"""Points that the call has come to then."""
Answer = tuple[int, Any, bool]
"""Status, JSON, whether it is a repetition."""


@dataclass
class Places:
    """`first` gets the call. `again()` is where it is repeated, once `first` has ended if both have one home."""

    first: ServedRuntime
    again: Callable[[], ServedRuntime]
    shared: bool


@contextlib.contextmanager
def places(url: str | None, folder: Path, gate: Gate, way: str) -> Generator[Places]:
    settings = SHARED | {
        "CODEWORDS_DRAIN_TIMEOUT": "0.2" if way == "stopped" else "60",
        "CODEWORDS_EGRESS_ALLOW_PRIVATE": f'["127.0.0.1:{gate.port}"]',
    }
    with ExitStack() as stack:

        def start(name: str) -> ServedRuntime:
            home = folder / name
            if not home.exists():
                make_home(home)
            return stack.enter_context(start_runtime(home, **settings))

        if url is not None:
            settings |= {"CODEWORDS_DATABASE_URL": url, "CODEWORDS_FILES": str(folder / "files")}
            first, other = start("first"), start("other")
            yield Places(first, lambda: other, shared=True)
        else:
            first = start("first")
            yield Places(first, lambda: first if way == "cut" else start("first"), shared=False)


@pytest.mark.requirement("runs:idempotency", "runs:repeated", "replicas:rolling")
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("point", POINTS)
def test_a_call_that_lost_its_answer_is_repeated_and_runs_once(
    request: pytest.FixtureRequest, tmp_path: Path, point: str, way: str, database: str
) -> None:
    url = None
    if database == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.url()

    with open_gate() as gate, places(url, tmp_path, gate, way) as where, ExitStack() as stack:
        service = where.first.deploy(_program(gate), "called")
        holder = None
        if point == "queued":
            holder = stack.enter_context(_sent(where.first, service, "holder"))
            until(lambda: gate.arrived["holder"], "the holder of the only slot to run")
        with _sent(where.first, service, "called", point) as connection:
            _reach(where.first, gate, connection, point)
            if way == "killed":
                where.first.kill()
            elif way != "cut":
                os.kill(where.first.pid, signal.SIGTERM)
        if way == "stopped":
            where.first.wait()
        if holder is not None and way != "killed":
            gate.let("holder")
            if way != "stopped":
                assert holder.getresponse().status == 200

        status, answer, repeated = _again(where, service, point, gate, way)
        if way != "cut":
            where.first.wait()

    ends = way in {"killed", "stopped"}
    if ends and point in {"running", "half answered"}:
        # It had begun, and nobody knows how far it came: the first caller would have got the same.
        assert (status, answer["error"]["code"]) == (503, "interrupted")
    else:
        anew = point == "arriving" or (ends and point == "queued")
        assert (status, answer, repeated) == (200, {"name": "called"}, not anew)
    assert gate.arrived["called"] == (0 if point == "answered" else 1)


@pytest.mark.requirement("runs:repeated", "replicas:rolling")
def test_a_replica_that_ends_leads_away_a_repetition_that_waits_for_a_run_of_another(
    postgres: Postgres, tmp_path: Path
) -> None:
    with open_gate() as gate, places(postgres.url(), tmp_path, gate, "stopped") as where:
        service = where.first.deploy(_program(gate), "called")
        with _sent(where.first, service, "called") as lost:
            _reach(where.first, gate, lost, "running")
        ending = where.again()
        with _sent(ending, service, "called") as waiting:
            # Nothing of a request that waits is to be seen from outside: it is at the replica when a later one has its answer.
            ending.call("GET", "/runs")
            os.kill(ending.pid, signal.SIGTERM)
            response = waiting.getresponse()
            assert (response.status, json.loads(response.read())["error"]["code"]) == (
                503,
                "runtime_unavailable",
            )
        ending.wait()
        gate.let("called")
        assert _send(where.first, service, "") == (200, {"name": "called"}, True)
        assert gate.arrived["called"] == 1


def _program(gate: Gate) -> str:
    code = workflow(_PROGRAM.format(host=HOST_ALIAS, port=gate.port), title="Called")
    return with_options(code, "concurrency = 1")


@contextlib.contextmanager
def _sent(
    runtime: ServedRuntime, service: str, name: str, point: str = ""
) -> Generator[http.client.HTTPConnection]:
    """A connection on which the call was sent; of one that is arriving, not all. It is cut at the end, with what came unread."""
    connection = http.client.HTTPConnection("127.0.0.1", int(runtime.url.rpartition(":")[2]), timeout=120)
    with closing(connection):
        body = json.dumps({"name": name}).encode()
        connection.putrequest("POST", f"/run/{service}/{_PATHS.get(point, '')}")
        for header, value in (_headers(runtime, name) | {"Content-Length": str(len(body))}).items():
            connection.putheader(header, value)
        connection.endheaders(body[:4] if point == "arriving" else body)
        yield connection
        assert connection.sock is not None or name == "holder"


def _headers(runtime: ServedRuntime, name: str) -> dict[str, str]:
    return {
        "Authorization": runtime.key,
        "Content-Type": "application/json",
        "Idempotency-Key": f"key-of-{name}",
    }


def _reach(runtime: ServedRuntime, gate: Gate, connection: http.client.HTTPConnection, point: str) -> None:
    """Wait until the call has come as far as that."""
    if point == "queued":
        until(lambda: runtime.call("GET", "/runs?status=queued")["items"], "the call to wait for its slot")
    elif point == "answered":
        until(lambda: runtime.call("GET", "/runs?status=succeeded")["items"], "its answer to be on record")
    elif point != "arriving":
        until(lambda: gate.arrived["called"], "the program to be at the gate")
    if point == "half answered":
        assert connection.sock is not None
        until(lambda: connection.sock.recv(1 << 16, socket.MSG_PEEK), "half of the answer")


def _again(where: Places, service: str, point: str, gate: Gate, way: str) -> Answer:
    """Send the call again, to a replica that waits for the first, or once its runtime has ended."""
    if not where.shared and way != "cut":
        gate.let("called")
        where.first.wait()
        return _send(where.again(), service, point)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(_send, where.again(), service, point)
        gate.let("called")
        return asking.result(120)


def _send(runtime: ServedRuntime, service: str, point: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", int(runtime.url.rpartition(":")[2]), timeout=120)
    with closing(connection):
        path = f"/run/{service}/{_PATHS.get(point, '')}"
        connection.request("POST", path, b'{"name": "called"}', _headers(runtime, "called"))
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content), response.headers["Idempotent-Replay"] == "true"
