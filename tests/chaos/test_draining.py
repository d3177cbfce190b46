"""One of two runtimes is told to end while it is at work: what it has begun goes on there, the rest with the other."""

from __future__ import annotations

import http.client
import json
import os
import signal
from contextlib import closing
from pathlib import Path

import pytest
from tests.chaos.helpers import outcomes, result, running, start, starting
from tests.support.background_runs import WORK
from tests.support.postgres import Postgres
from tests.support.runtime import make_home, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

pytestmark = pytest.mark.slow

CALLS = workflow(
    """
import asyncio, os, urllib.request
@app.post("/")
async def calls(request: Request):
    asked = await request.json()
    print("began", flush=True)
    for _ in range(30):
        await asyncio.sleep(0.1)
        url = os.environ["CODEWORDS_RUNTIME_URI"] + "/run/" + asked["name"] + "/"
        headers = {"Authorization": os.environ["CODEWORDS_API_KEY"], "Content-Type": "application/json"}
        call = urllib.request.Request(url, data=b'{"name": "called"}', headers=headers)
        await asyncio.to_thread(lambda: urllib.request.urlopen(call, timeout=60).read())
    return {"calls": 30}
""",
    title="Calls",
)


@pytest.mark.requirement("replicas:rolling", "runs:drain")
def test_a_replica_that_drains_finishes_what_it_began_and_leads_away_who_comes(
    postgres: Postgres, tmp_path: Path
) -> None:
    with starting(postgres.url(), tmp_path) as replicas:
        first, second = replicas(2, CODEWORDS_DRAIN_TIMEOUT="60", CODEWORDS_REPLICA_TTL="30")
        service, calls = first.deploy(WORK, "work"), first.deploy(CALLS, "calls")
        port = _port(first)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as kept:
            assert _post(kept, first, f"/run/{service}/")[0] is None
            calling = start(first, calls, service)
            running(second, calling)
            os.kill(first.pid, signal.SIGTERM)
            until(lambda: _refuses(port), "its door to close")
            connection, answer = _post(kept, first, f"/run_async/{service}/")
        assert connection == "close"
        first.wait()
        ended = [result(second, one) for one in (answer["request_id"], calling)]
        assert [(run["status"], outcomes(run)) for run in ended] == [("succeeded", ["succeeded"])] * 2


@pytest.mark.requirement("runs:drain")
def test_who_waits_for_a_run_that_outlasts_the_drain_is_told_that_the_runtime_ended(tmp_path: Path) -> None:
    with start_runtime(make_home(tmp_path / "home"), CODEWORDS_DRAIN_TIMEOUT="0") as runtime:
        service = runtime.deploy(WORK, "work")
        with closing(http.client.HTTPConnection("127.0.0.1", _port(runtime), timeout=60)) as waiting:
            waiting.request("POST", f"/run/{service}/", b'{"seconds": 600}', _headers(runtime))
            until(lambda: runtime.call("GET", "/runs?status=running")["items"] != [], "it to be running")
            os.kill(runtime.pid, signal.SIGTERM)
            answer = waiting.getresponse()
            assert (answer.status, json.loads(answer.read())["error"]["code"]) == (503, "interrupted")
        runtime.wait()


def _post(
    kept: http.client.HTTPConnection, runtime: ServedRuntime, path: str
) -> tuple[str | None, dict[str, str]]:
    """(what the answer says of the connection, its JSON)."""
    kept.request("POST", path, b'{"name": "x", "seconds": 0}', _headers(runtime))
    answer = kept.getresponse()
    content = json.loads(answer.read())
    assert answer.status == 200, content
    return answer.getheader("Connection"), content


def _port(runtime: ServedRuntime) -> int:
    return int(runtime.url.rpartition(":")[2])


def _headers(runtime: ServedRuntime) -> dict[str, str]:
    return {"Authorization": runtime.key, "Content-Type": "application/json"}


def _refuses(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.connect()
        except ConnectionRefusedError:
            return True
    return False
