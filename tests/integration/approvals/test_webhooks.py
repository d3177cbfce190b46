"""Runs that wait for a request to an address of their own: once, signed where asked, after a restart, and before they wait."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.integration.approvals.helpers import address, asking, deploy_over
from tests.support.background_runs import with_options
from tests.support.browser_client import sign_in
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import workflow
from tests.support.waiting import until

pytestmark = pytest.mark.slow
PARENT = """
import os, httpx

@app.post("/")
async def act(body: dict):
    async with httpx.AsyncClient(timeout=60, base_url=os.environ["CODEWORDS_RUNTIME_URI"]) as client:
        client.headers["Authorization"] = os.environ["CODEWORDS_API_KEY"]
        made = (await client.post("/run/wait/", json={"new_webhook": True})).json()
        post_to = "/webhook/" + made["id"]
        await client.post(f"/run_async/{body['child']}/", json={"post_to": post_to})
        waited = await client.post("/run/wait/", json={"for_webhook": made["id"]})
    return waited.json()
"""
CHILD = """
import os, httpx

@app.post("/")
async def act(body: dict):
    async with httpx.AsyncClient(timeout=60, base_url=os.environ["CODEWORDS_RUNTIME_URI"]) as client:
        client.headers["Authorization"] = os.environ["CODEWORDS_API_KEY"]
        asked = (await client.post("/run/approvals/", json={"title": "Of the child?"})).json()
        reply = await client.post(body["post_to"], json=asked["answer"])
    return {"status": reply.status_code, "text": reply.text}
"""


@pytest.fixture
def outside(door: Door) -> Iterator[httpx.Client]:
    """A sender: it has no key."""
    with door.client(key=None) as client:
        yield client


def start(http: httpx.Client, service: str, **body: Any) -> str:
    return str(http.post(f"/run_async/{service}/", json=body).json()["request_id"])


def suspended(http: httpx.Client, run_id: str) -> None:
    until(lambda: http.get(f"/request/{run_id}").json()["waitsFor"] == "wait", "the suspension")


def result(http: httpx.Client, run_id: str) -> dict[str, Any]:
    run = http.get(f"/result/{run_id}?timeout=60").json()
    assert run["status"] == "succeeded", run["error"]
    return dict(run["responseJson"])


@pytest.mark.requirement("approvals:webhook")
def test_a_request_to_its_address_resumes_a_run_that_has_no_sandbox(
    http: httpx.Client, outside: httpx.Client, service: str
) -> None:
    run_id = start(http, service)
    path = address(http, run_id)
    suspended(http, run_id)
    assert outside.get(path).status_code == 404
    assert outside.post("/webhook/hook_00000000000000000000000000000000").status_code == 404
    sent = outside.post(
        path, params={"from": "bank"}, json={"paid": True}, headers={"X-Bank": "1", "Cookie": "a=b"}
    )
    assert (sent.status_code, sent.json()) == (200, {"ok": True, "repeated": False})

    repeated = outside.post(path, params={"from": "bank"}, json={"paid": True})
    assert (repeated.status_code, repeated.json()) == (200, {"ok": True, "repeated": True})
    other = outside.post(path, json={"paid": False})
    assert (other.status_code, "takes one" in other.text) == (409, True)

    found = result(http, run_id)
    assert found["made"]["url"].endswith(path)
    assert found["waited"]["status"] == "received"
    request = found["waited"]["request"]
    assert (request["body"], request["query"], request["headers"]["x-bank"]) == (
        {"paid": True},
        {"from": "bank"},
        "1",
    )
    assert "cookie" not in request["headers"]
    assert found["again"]
    outcomes = [one["outcome"] for one in http.get(f"/request/{run_id}").json()["attempts"]]
    assert outcomes == ["suspended", "succeeded"]


@pytest.mark.requirement("approvals:webhook")
def test_a_request_that_comes_before_the_run_waits_for_it_is_kept(
    http: httpx.Client, outside: httpx.Client, service: str
) -> None:
    run_id = start(http, service, first=3)
    path = address(http, run_id)
    suspended(http, run_id)
    assert outside.post(path, content=b"\xff\x00", headers={"Content-Type": "image/png"}).status_code == 200
    assert http.get(f"/request/{run_id}").json()["status"] == "queued"
    request = result(http, run_id)["waited"]["request"]
    assert (request["body"], request["body_base64"]) == (None, "/wA=")


@pytest.mark.requirement("approvals:webhook")
def test_a_request_is_refused_unsigned_late_and_after_the_run(
    http: httpx.Client, outside: httpx.Client, service: str
) -> None:
    http.put("/secrets/BANK_SECRET", json={"value": "word"}).raise_for_status()
    run_id = start(http, service, new={"signed_as": "hub", "secret": "BANK_SECRET"})
    path, body = address(http, run_id), b'{"paid": true}'
    suspended(http, run_id)
    signature = "sha256=" + hmac.new(b"word", body, hashlib.sha256).hexdigest()
    assert outside.post(path, content=body).status_code == 401
    assert (
        outside.post(path, content=body + b" ", headers={"X-Hub-Signature-256": signature}).status_code == 401
    )
    assert outside.post(path, content=body, headers={"X-Hub-Signature-256": signature}).status_code == 200
    assert result(http, run_id)["waited"]["request"]["body"] == {"paid": True}

    late = start(http, service, **{"for": {"timeout": 1}})
    path = address(http, late)
    assert result(http, late)["waited"] == {"status": "timed_out", "id": path.removeprefix("/webhook/")}
    assert (
        "waited for this until" in outside.post(path, json={}).text
        or "has ended" in outside.post(path, json={}).text
    )

    ended = start(http, service)
    path = address(http, ended)
    suspended(http, ended)
    http.post(f"/runs/{ended}/cancel").raise_for_status()
    refused = outside.post(path, json={})
    assert (refused.status_code, "has ended" in refused.text) == (409, True)


@pytest.mark.requirement("approvals:webhook")
def test_a_run_waits_for_its_own_addresses_only(http: httpx.Client, door: Door) -> None:
    service = deploy_over(door, asking("Foreign"), "Foreign")
    steps: list[Any] = [
        [["POST", "/run/wait/", {"for_webhook": "hook_00000000000000000000000000000000"}]],
        [["POST", "/run/wait/", {"new_webhook": True, "seconds": 1}]],
        [["POST", "/run/wait/", {"new_webhook": True, "signed_as": "hub"}]],
    ]
    run_id = str(http.post(f"/run_async/{service}/", json={"steps": steps}).json()["request_id"])
    replies = result(http, run_id)["replies"]
    assert [reply[0][0] for reply in replies] == [404, 400, 400]
    assert "has made no such address" in json.dumps(replies[0])


@pytest.mark.requirement("approvals:webhook")
def test_a_workflow_that_another_one_started_posts_to_its_address_and_neither_holds_a_sandbox(
    http: httpx.Client, door: Door
) -> None:
    child = deploy_over(door, workflow(CHILD, title="Child"), "Child")
    parent = deploy_over(
        door, with_options(workflow(PARENT, title="Parent"), f'services = ["wait", "{child}"]'), "Parent"
    )
    run_id = start(http, parent, child=child)
    suspended(http, run_id)
    (of_child,) = http.get("/runs", params={"service_id": child}).json()["items"]
    until(
        lambda: http.get(f"/request/{of_child['id']}").json()["waitsFor"] == "answer",
        "the child's suspension",
    )
    (question,) = http.get(f"/runs/{of_child['id']}/approvals").json()["items"]
    with sign_in(door.url, ADMIN_KEY) as person:
        own = {"X-Codewords-Console": "1", "Sec-Fetch-Site": "same-origin", "Origin": door.url}
        person.post(
            f"{door.url}/questions/{question['id']}", json={"answer": "approve"}, headers=own
        ).raise_for_status()
    assert result(http, of_child["id"])["status"] == 200
    assert result(http, run_id)["request"]["body"] == "approve"
