"""Actions of connected apps in recordings: answered from them in replays, held in dry runs, sent once after a yes."""

from __future__ import annotations

import httpx
import pytest
from tests.integration.integrations.helpers import USER, told
from tests.support.runtime import workflow
from tests.support.waiting import until

from codewords_testing.pipedream import LoopbackConnect
from codewords_testing.pipedream.connect import succeeded

REFUNDS = workflow(
    """
from codewords_client import AsyncCodewordsClient

@app.post("/")
async def refund(request: Request):
    asked = {"app": "stripe", "action": "create-refund", "props": await request.json()}
    async with AsyncCodewordsClient() as client:
        answer = await client.run("pipedream", inputs=asked)
    return {"status": answer.status_code, "told": answer.json()}
""",
    env=("PIPEDREAM_STRIPE_ACCESS",),
    title="Refunds",
).replace('"httpx==0.28.1"', '"httpx==0.28.1", "codewords-client==0.4.11"')


@pytest.fixture
def refunds(http: httpx.Client, connect: LoopbackConnect) -> str:
    """The id of a workflow that makes a refund, with its account connected."""
    connect.connect_account(USER, "stripe")
    connect.on_run = lambda run: succeeded("Refunded", {"charge": run.props["charge"]})
    made = http.post("/deploy", json={"code": REFUNDS, "name": "Refunds", "allow": True}, timeout=300)
    return str(told(made)["service_id"])


@pytest.mark.requirement("integrations:recorded")
def test_an_action_is_on_record_and_a_replay_is_answered_from_it(
    http: httpx.Client, connect: LoopbackConnect, refunds: str
) -> None:
    ran = http.post(f"/run/{refunds}/", json={"charge": "ch_1"}, timeout=120)
    assert told(ran)["told"]["ret"] == {"charge": "ch_1"}
    run_id = ran.headers["x-request-id"]
    until(lambda: http.get(f"/recordings/{run_id}").status_code == 200)
    exchanges = told(http.get(f"/recordings/{run_id}"))["exchanges"]
    assert ["pipedream" in one["url"] for one in exchanges].count(True) == 1
    connect.runs.clear()
    replay = told(http.post("/replays", json={"service_id": refunds, "runs": [run_id]}, timeout=120))
    assert replay["report"]["verdict"] == "same", replay
    assert connect.runs == []


@pytest.mark.requirement("integrations:recorded")
def test_a_dry_run_holds_an_action_until_a_person_agrees_to_it(
    http: httpx.Client, connect: LoopbackConnect, refunds: str
) -> None:
    headers = {"Codewords-Dry-Run": "yes"}
    held = http.post(f"/run/{refunds}/", json={"charge": "ch_2"}, headers=headers, timeout=120)
    assert held.status_code == 200, held.text
    run_id = held.headers["x-request-id"]
    assert connect.runs == []
    [write] = told(http.get(f"/runs/{run_id}/writes"))["writes"]
    assert (write["state"], write["address"]) == ("held", "pipedream")
    assert "ch_2" in write["body"]

    told(http.post(f"/runs/{run_id}/apply", json={"allow": True}, timeout=120))
    # A write counts as sent before its first byte leaves.
    until(lambda: told(http.get(f"/runs/{run_id}/writes"))["writes"][0]["status"] == 200)
    assert [run.props["charge"] for run in connect.runs] == ["ch_2"]
