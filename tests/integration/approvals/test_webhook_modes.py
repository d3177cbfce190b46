"""Waits for a request in dry runs, in replays, and when the runtime is killed between the request and its answer."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.approvals.helpers import WAITS_FOR_REQUEST, address
from tests.support.http_runtime import Door
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

pytestmark = pytest.mark.slow


def run_of(http: httpx.Client, service: str) -> str:
    """The latest run of the workflow, as soon as there is one that has not ended."""

    def find() -> str:
        items = http.get("/runs", params={"service_id": service, "limit": 1}).json()["items"]
        return str(items[0]["id"]) if items and items[0]["status"] in {"queued", "running"} else ""

    return until(find, "the run")


@pytest.mark.requirement("approvals:webhook")
def test_a_dry_run_waits_for_a_request_to_its_address_too(
    http: httpx.Client, door: Door, service: str
) -> None:
    replies: list[httpx.Response] = []

    def call() -> None:
        with door.client() as client:
            head = {"Codewords-Dry-Run": "1"}
            replies.append(client.post(f"/run/{service}/", json={}, headers=head, timeout=120))

    caller = threading.Thread(target=call)
    caller.start()
    path = address(http, run_of(http, service))
    with door.client(key=None) as outside:
        assert outside.post(path, json={"paid": True}).status_code == 200
    caller.join(120)
    (reply,) = replies
    assert reply.status_code == 200, reply.text
    assert reply.json()["waited"]["request"]["body"] == {"paid": True}


@pytest.mark.requirement("approvals:webhook")
def test_a_replay_is_answered_from_its_recording_and_waits_for_nothing(
    http: httpx.Client, door: Door, service: str
) -> None:
    run_id = str(http.post(f"/run_async/{service}/", json={}).json()["request_id"])
    path = address(http, run_id)
    until(lambda: http.get(f"/request/{run_id}").json()["waitsFor"] == "wait", "the suspension")
    with door.client(key=None) as outside:
        assert outside.post(path, json={"paid": True}).status_code == 200
    assert http.get(f"/result/{run_id}?timeout=60").json()["status"] == "succeeded"
    until(lambda: http.get(f"/recordings/{run_id}").status_code == 200, "the recording")

    replay = http.post("/replays", json={"service_id": service, "runs": [run_id]}, timeout=120)
    assert replay.status_code == 200, replay.text
    assert replay.json()["report"]["verdict"] == "same", replay.text


@pytest.mark.requirement("approvals:webhook")
@pytest.mark.parametrize("grace", ["0", "600"])
def test_a_kill_between_the_request_and_its_answer_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, grace: str
) -> None:
    """With a grace of 600 seconds the program is in its sandbox when the request comes."""
    home = make_home(tmp_path / "home")
    with start_runtime(home, CODEWORDS_WAITING_GRACE=grace) as runtime:
        service = runtime.deploy(WAITS_FOR_REQUEST, "Hooked")
        run_id = str(runtime.call("POST", f"/run_async/{service}/", {})["request_id"])
        path = until(lambda: logged_address(runtime, run_id), "the address")
        if grace == "0":
            until(lambda: runtime.call("GET", f"/request/{run_id}")["waitsFor"] == "wait", "the suspension")
        # The request is taken, and nothing after it: not the run, and maybe not the answer to its sender.
        assert (
            httpx.post(runtime.url + path, json={"paid": True}, trust_env=False, timeout=60).status_code
            == 200
        )
        runtime.kill()

    with start_runtime(home, CODEWORDS_WAITING_GRACE=grace) as runtime:
        again = httpx.post(runtime.url + path, json={"paid": True}, trust_env=False, timeout=60)
        assert again.json() == {"ok": True, "repeated": True}
        assert (
            httpx.post(runtime.url + path, json={"paid": False}, trust_env=False, timeout=60).status_code
            == 409
        )
        run = runtime.call("GET", f"/result/{run_id}?timeout=60")
        assert run["status"] == "succeeded", run["error"]
        found: dict[str, Any] = run["responseJson"]
        assert found["waited"]["request"]["body"] == {"paid": True}
        assert found["again"]


def logged_address(runtime: ServedRuntime, run_id: str) -> str:
    text = httpx.get(
        f"{runtime.url}/logs/{run_id}",
        params={"follow": "false"},
        headers={"Authorization": runtime.key},
        trust_env=False,
        timeout=60,
    ).text
    if "/webhook/" not in text:
        return ""
    return "/webhook/" + text.partition("/webhook/")[2].split('"')[0].split("\\")[0].split()[0]
