"""Runs that wait, where several runtimes share a PostgreSQL: answered at another one, and taken over from one that died."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.integration.approvals.helpers import ask, asking
from tests.support.browser_client import sign_in
from tests.support.postgres import Postgres
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.requirement("store:postgres")]
KEY = "cwk-replicas-share-their-admin-key"


@pytest.fixture
def pair(postgres: Postgres, tmp_path: Path) -> Iterator[list[ServedRuntime]]:
    shared = {
        "CODEWORDS_API_KEY": KEY,
        "CODEWORDS_MASTER_KEY": "a1" * 32,
        "CODEWORDS_REPLICA_TTL": "2",
        "CODEWORDS_DATABASE_URL": postgres.migrated_url(),
        "CODEWORDS_FILES": str(tmp_path / "files"),
        "CODEWORDS_WAITING_GRACE": "0.2",
    }
    with ExitStack() as stack:
        homes = [make_home(tmp_path / f"home {number}") for number in range(2)]
        yield [stack.enter_context(start_runtime(home, **shared)) for home in homes]


@pytest.mark.requirement("approvals:suspend")
def test_a_run_goes_on_at_the_runtime_that_takes_the_answer(pair: list[ServedRuntime]) -> None:
    first, second = pair
    upload = ["POST", "/run/files/upload", {"filename": "once.txt", "content": "text"}]
    steps: list[Any] = [[upload], [ask()], [["POST", "/run/files/list", {}]]]
    script = asking().replace('["approvals", "wait"]', '["approvals", "wait", "files"]')
    service = first.deploy(script, "Asking")
    run_id = first.call("POST", f"/run_async/{service}/", {"steps": steps})["request_id"]
    until(lambda: second.call("GET", f"/request/{run_id}")["waitsFor"] == "answer", "the suspension")
    (question,) = second.call("GET", f"/runs/{run_id}/approvals")["items"]
    # The runtime that made the first attempt is gone when the answer comes.
    first.kill()
    own = {"X-Codewords-Console": "1", "Sec-Fetch-Site": "same-origin", "Origin": second.url}
    with sign_in(second.url, KEY) as person:
        path = f"{second.url}/questions/{question['id']}"
        person.post(path, json={"answer": "approve"}, headers=own).raise_for_status()

    run = second.call("GET", f"/result/{run_id}?timeout=60")
    assert run["status"] == "succeeded", run["error"]
    assert [one["outcome"] for one in run["attempts"]] == ["suspended", "succeeded"]
    replies = run["responseJson"]["replies"]
    assert json.loads(replies[1][0][1])["answer"] == "approve"
    assert [file["filename"] for file in json.loads(replies[2][0][1])["files"]] == ["once.txt"]


@pytest.mark.requirement("approvals:suspend", "approvals:default")
def test_a_deadline_comes_where_the_runtime_that_asked_died(pair: list[ServedRuntime]) -> None:
    first, second = pair
    service = first.deploy(asking(), "Asking")
    question = ask(timeout=4, default="reject")
    run_id = first.call("POST", f"/run_async/{service}/", {"steps": [[question]]})["request_id"]
    until(lambda: second.call("GET", f"/runs/{run_id}/approvals")["items"], "the question")
    first.kill()
    run = second.call("GET", f"/result/{run_id}?timeout=90")
    assert run["status"] == "succeeded", run["error"]
    assert json.loads(run["responseJson"]["replies"][0][0][1])["answer"] == "reject"
