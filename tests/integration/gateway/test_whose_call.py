"""On every way by which a run can begin, its calls keep to the models and budgets of the key that first asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.integration.gateway.helpers import CHAT, costs, with_table
from tests.support.http_runtime import Door
from tests.support.runtime import HEADER, workflow
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.requirement("gateway:model-lists", "gateway:attribution")]
WORK = """
import os
import httpx
KEY = {"Authorization": "Bearer " + os.environ["CODEWORDS_API_KEY"]}

@app.post("/")
def work(data: dict):
    told = []
    with httpx.Client(base_url=os.environ["RUNTIME_URI"], headers=KEY, timeout=60) as client:
        for _ in range(data.get("calls", 1)):
            told.append(client.post("/openai/chat/completions", json=data["chat"]).status_code)
        if data.get("then"):
            how = "run_async" if data.get("later") else "run"
            headers = {"codewords-delay": "0.5"} if how == "run_async" else {}
            answer = client.post(f"/{how}/{data['then']}/", json=data["with"], headers=headers)
            told.append(answer.json())
        if data.get("to"):
            told.append(client.post("/" + data["to"], json=data["with"]).json())
    if data.get("fails"):
        raise RuntimeError("it fails")
    return told
"""
OTHER = CHAT | {"model": "gpt-4o"}


class Ada:
    """An owner whose key may ask gpt-4o-mini only, and her workflow."""

    def __init__(self, door: Door, admin: httpx.Client) -> None:
        made = admin.post("/keys", json={"owner": "ada of lists", "models": ["gpt-4o-mini"]}).json()
        self.key_id: str = made["id"]
        self.http = door.client(key=made["key"])
        self.free = door.client(key=door.make_key(owner="ada of lists"))
        self.work = self.deploy("Work")

    def deploy(self, name: str, *table: str) -> str:
        lines = "".join(f"# {line}\n" for line in ("[tool.codewords]", *table))
        code = workflow(WORK, title=name).replace(HEADER.format(more=""), with_table(f"{lines}# ///"))
        answer = self.http.post("/deploy", json={"code": code, "name": name, "allow": True}, timeout=300)
        assert answer.status_code == 200, answer.text
        return answer.json()["service_id"]

    def later(self, service: str, data: dict[str, Any], **headers: str) -> Any:
        """The result of a run in the background."""
        run_id = self.http.post(f"/run_async/{service}/", json=data, headers=headers).json()["request_id"]
        return self.result(run_id)

    def result(self, run_id: str) -> Any:
        answer = self.http.get(f"/result/{run_id}?timeout=60")
        assert answer.status_code == 200, (answer.text, self.http.get(f"/request/{run_id}").text)
        return answer.json()["responseJson"]

    def counted(self) -> int:
        """Calls that are on her key's account."""
        return sum(one["calls"] for one in costs(self.http, "key") if one["key_id"] == self.key_id)


@pytest.fixture(scope="module")
def ada(door: Door) -> Iterator[Ada]:
    with door.client() as admin:
        made = Ada(door, admin)
    yield made
    made.http.close()
    made.free.close()


def test_a_run_and_the_runs_that_it_calls_ask_only_what_the_key_may(ada: Ada) -> None:
    inner = {"chat": OTHER}
    assert ada.http.post(f"/run/{ada.work}/", json={"chat": CHAT}).json() == [200]
    told = ada.http.post(f"/run/{ada.work}/", json={"chat": OTHER, "then": ada.work, "with": inner})
    assert told.json() == [403, [403]]
    assert ada.free.post(f"/run/{ada.work}/", json=inner).json() == [200]


def test_so_does_a_run_in_the_background_and_what_it_leaves_to_start_after_it(ada: Ada) -> None:
    before = ada.counted()
    inner = {"chat": OTHER}
    assert ada.later(ada.work, inner) == [403]
    status, begun = ada.later(ada.work, {"chat": CHAT, "then": ada.work, "with": inner, "later": True})
    assert (status, ada.result(begun["request_id"])) == (200, [403])
    assert ada.later(ada.work, {"chat": CHAT}, **{"codewords-delay": "0.1"}) == [200]
    assert ada.counted() == before + 2


def test_so_does_each_attempt_of_a_run_that_is_tried_again(ada: Ada) -> None:
    service, before = ada.deploy("Again", "retries = 1"), ada.counted()
    run_id = ada.http.post(f"/run_async/{service}/", json={"chat": CHAT, "fails": True}).json()["request_id"]
    ada.result(run_id)
    assert len(ada.http.get(f"/request/{run_id}").json()["attempts"]) == 2
    assert ada.counted() == before + 2


def _scheduled(client: httpx.Client, service: str, data: dict[str, Any]) -> str:
    """The run that a schedule for one time, now, starts."""
    soon = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
    answer = client.post("/schedules", json={"service_id": service, "at": soon, "input": data})
    assert answer.status_code == 200, answer.text
    schedule = answer.json()["id"]
    until(lambda: client.get(f"/schedules/{schedule}").json()["last_run_id"], "its run")
    return client.get(f"/schedules/{schedule}").json()["last_run_id"]


@pytest.mark.requirement("gateway:budgets", "schedules:key")
def test_so_does_a_schedule_that_the_key_made_whoever_asks_afterwards(ada: Ada, http: httpx.Client) -> None:
    before = ada.counted()
    assert ada.result(_scheduled(ada.http, ada.work, {"chat": OTHER})) == [403]
    assert ada.result(_scheduled(ada.http, ada.work, {"chat": CHAT})) == [200]
    assert ada.counted() == before + 1
    assert ada.result(_scheduled(ada.free, ada.work, {"chat": OTHER})) == [200]
    budget = {"usd": 0.0, "subject": ada.key_id}
    assert http.put("/budgets/key", json=budget).status_code == 200
    try:
        assert ada.result(_scheduled(ada.http, ada.work, {"chat": CHAT})) == [429]
    finally:
        http.delete("/budgets/key", params={"subject": ada.key_id})


@pytest.mark.requirement("gateway:budgets")
def test_a_runs_budget_holds_for_what_it_starts_and_does_not_wait_for(ada: Ada) -> None:
    """The limit holds one of these calls and no two, although the run that set it has ended when the other one is made."""
    thrifty = ada.deploy("Thrifty", "budget = {run = 0.00012}")
    inner = {"chat": CHAT, "calls": 30}
    _, begun = ada.later(thrifty, {"chat": CHAT, "then": ada.work, "with": inner, "later": True})
    told = ada.result(begun["request_id"])
    assert 429 in told
    assert ada.later(ada.work, inner) == [200] * 30


def test_a_webhook_starts_runs_that_ask_what_the_key_may_that_made_it(
    ada: Ada, door: Door, http: httpx.Client
) -> None:
    """Anybody may send to it, and each key of an owner that makes one like it has its own."""

    def delivered(client: httpx.Client, chat: dict[str, Any]) -> Any:
        hook = client.post("/webhooks", json={"service_id": ada.work}).json()
        with httpx.Client(base_url=door.url) as sender:
            told = sender.post(f"/webhook/{hook['url'].rpartition('/')[2]}", json={"chat": chat})
        path = f"/webhooks/deliveries/{told.json()['delivery']}"
        until(lambda: ada.free.get(path).json()["runs"], "its run")
        return ada.result(ada.free.get(path).json()["runs"][0]["run_id"])

    assert delivered(ada.free, OTHER) == [200]
    before = ada.counted()
    assert delivered(ada.http, OTHER) == [403]
    assert delivered(ada.http, CHAT) == [200]
    assert ada.counted() == before + 1


def test_a_run_that_sends_to_a_webhook_of_another_key_keeps_to_its_own(ada: Ada) -> None:
    hook = ada.free.post("/webhooks", json={"service_id": ada.work}).json()
    address = f"webhook/{hook['url'].rpartition('/')[2]}"
    told = ada.later(ada.work, {"calls": 0, "chat": CHAT, "to": address, "with": {"chat": OTHER}})
    path = f"/webhooks/deliveries/{told[0]['delivery']}"
    until(lambda: ada.free.get(path).json()["runs"], "its run")
    assert ada.result(ada.free.get(path).json()["runs"][0]["run_id"]) == [403]


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ("budget = {run = 0.0000001}", "budget_exceeded"),
        ("budget = {day = 0.0000001}", "budget_exceeded"),
        ('models = ["gpt-4.1-nano"]', "model_not_allowed"),
    ],
)
@pytest.mark.requirement("gateway:budgets")
def test_a_service_that_a_run_calls_for_later_keeps_to_the_header_of_its_workflow(
    ada: Ada, table: str, code: str
) -> None:
    """The run has ended when the service asks the model."""
    service = ada.deploy(f"Late {table[:14]}", table)
    asked = {"prompt": "hi", "model": "gpt-4o-mini"}
    (begun,) = ada.later(service, {"calls": 0, "then": "openai", "with": asked, "later": True})
    ended = ada.http.get(f"/result/{begun['request_id']}?timeout=60").json()
    assert ended["status"] == "failed"
    assert ended["error"]["code"] == code


@pytest.mark.requirement("gateway:budgets")
def test_a_service_that_a_run_calls_for_later_is_held_to_the_budgets_of_its_workflow(
    ada: Ada, http: httpx.Client
) -> None:
    service = ada.deploy("Late and budgeted")
    assert http.put("/budgets/workflow", json={"usd": 0.0, "subject": service}).status_code == 200
    asked = {"prompt": "hi", "model": "gpt-4o-mini"}
    (begun,) = ada.later(service, {"calls": 0, "then": "openai", "with": asked, "later": True})
    ended = ada.http.get(f"/result/{begun['request_id']}?timeout=60").json()
    assert ended["error"]["code"] == "budget_exceeded"
