"""Questions of runs over the API: listed, read, answered by a person at the console, and by no key."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.integration.approvals.helpers import ask, asking
from tests.support.browser_client import sign_in
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(door: Door) -> str:
    with door.client() as http:
        reply = http.post("/deploy", json={"code": asking(), "name": "Asking", "allow": True}, timeout=300)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["service_id"])


def own(door: Door) -> dict[str, str]:
    """Headers of the console's own requests."""
    return {"X-Codewords-Console": "1", "Sec-Fetch-Site": "same-origin", "Origin": door.url}


def asked(http: httpx.Client, service: str, **more: Any) -> tuple[str, str]:
    """(run, question) of a run that waits without a sandbox."""
    run_id = http.post(f"/run_async/{service}/", json={"steps": [[ask(**more)]]}).json()["request_id"]
    until(lambda: http.get(f"/request/{run_id}").json()["waitsFor"] == "answer", "the suspension")
    (found,) = http.get(f"/runs/{run_id}/approvals").json()["items"]
    return run_id, found["id"]


@pytest.mark.requirement("approvals:ask", "approvals:person")
def test_a_question_is_in_the_inbox_until_its_person_answers(
    door: Door, http: httpx.Client, service: str
) -> None:
    run_id, question = asked(http, service, title="Pay it?", details="Invoice 7", options=["pay", "reject"])
    record = http.get(f"/request/{run_id}").json()
    assert (record["status"], record["waitsFor"]) == ("queued", "answer")
    assert http.get(f"/result/{run_id}?timeout=0").status_code == 504
    (listed,) = [one for one in http.get("/waiting").json()["items"] if one["path"].endswith(question)]
    assert (listed["kind"], listed["title"]) == ("approval", "“Pay it?”")
    found = http.get(f"/questions/{question}").json()
    assert (found["title"], found["details"], found["options"]) == ("Pay it?", "Invoice 7", ["pay", "reject"])
    assert (found["run_id"], found["service_id"], found["yes"]) == (run_id, service, "")

    path, body = f"{door.url}/questions/{question}", {"answer": "pay"}
    by_key = http.post(path, json=body)
    assert (by_key.status_code, "a key is no answer" in by_key.text) == (403, True)
    with door.client(door.make_key(owner="another")) as other:
        assert other.get(f"/questions/{question}").status_code == 404
    with sign_in(door.url, ADMIN_KEY) as person:
        page = person.get(f"{door.url}/approvals/{question}", follow_redirects=False)
        assert page.headers["location"] == f"/console/inbox?item={question}"
        for wrong in ({"agreed": True}, {"answer": "neither"}, {"answer": "pay", "fields": {"a": 1}}):
            assert person.post(path, json=wrong, headers=own(door)).status_code == 400
        told = person.post(path, json=body, headers=own(door))
        assert told.status_code == 200, told.text
        assert told.json()["answer"] == "pay"
        late = person.post(path, json=body, headers=own(door))
        assert (late.status_code, "has answered this question already" in late.text) == (409, True)

    run = http.get(f"/result/{run_id}?timeout=60").json()
    assert json.loads(run["responseJson"]["replies"][0][0][1])["answer"] == "pay"
    (kept,) = http.get(f"/runs/{run_id}/approvals").json()["items"]
    assert (kept["answered_by"], kept["answered_from"].endswith("at 127.0.0.1")) == ("local", True)
    assert not [one for one in http.get("/waiting").json()["items"] if one["path"].endswith(question)]
