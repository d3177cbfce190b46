"""Paused webhooks: what comes is stored, and starts nothing."""

from __future__ import annotations

import time

import httpx
import pytest
from tests.integration.services.webhooks.helpers import delivered, logged, make, register
from tests.support.http_runtime import Door

from codewords_testing.services import LoopbackServices, slack


@pytest.mark.requirement("webhooks:paused")
def test_what_comes_to_a_paused_webhook_is_stored_and_starts_nothing_until_it_is_delivered_again(
    door: Door, http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    hook = make(http, witness)
    with door.client(door.make_key(owner="other")) as other:
        assert other.post(f"/webhooks/{hook['id']}/pause").status_code == 404
    for _ in range(2):
        assert http.post(f"/webhooks/{hook['id']}/pause").json() == hook | {"paused": True}
    assert http.get("/webhooks").json()["items"] == [hook | {"paused": True}]

    answer = outside.post(hook["url"], json={"n": 1})
    assert answer.status_code == 200
    came = logged(http, answer.json()["delivery"])
    assert (came["status"], came["reason"], came["runs"]) == ("paused", "Its webhook is paused.", [])
    listed = http.get("/webhooks/deliveries", params={"status": "paused"}).json()["items"]
    assert came["id"] in {one["id"] for one in listed}

    assert http.post(f"/webhooks/{hook['id']}/resume").json() == hook
    assert http.get(f"/webhooks/deliveries/{came['id']}").json()["runs"] == []
    delivered(http, outside.post(hook["url"], json={"n": 2}).json()["delivery"])
    http.post(f"/webhooks/deliveries/{came['id']}/redeliver").raise_for_status()
    [record] = delivered(http, came["id"])
    assert record["responseJson"]["body"] == '{"n":1}'
    assert http.post("/webhooks/wh_nothing/pause").status_code == 404


@pytest.mark.requirement("webhooks:paused")
def test_of_the_webhooks_of_one_address_only_those_that_are_not_paused_start_runs(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    paused = register(http, "slack_trigger", witness, event_type="app_mention")
    active = register(http, "slack_trigger", witness, event_type="*")
    http.post(f"/webhooks/{paused['id']}/pause").raise_for_status()
    body = slack.event_callback("Ev500")
    answer = outside.post(active["url"], content=body, headers=slack.signed(body, int(time.time())))
    came = logged(http, answer.json()["delivery"])
    assert [run["webhook_id"] for run in came["runs"]] == [active["id"]]
    assert (came["status"], came["reason"]) == ("started", "Webhooks left out because they are paused: 1.")
    again = register(http, "slack_trigger", witness, event_type="app_mention")
    assert (again["id"], again["paused"], again["socket"]) == (paused["id"], True, "paused")


@pytest.mark.requirement("webhooks:paused", "webhooks:slack")
def test_a_socket_is_open_while_one_of_its_triggers_is_not_paused(
    http: httpx.Client, upstream: LoopbackServices, witness: str
) -> None:
    http.put("/secrets/SLACK_APP_TOKEN", json={"value": slack.APP_TOKEN}).raise_for_status()
    first = register(http, "slack_trigger", witness, event_type="app_mention")
    second = register(http, "slack_trigger", witness, event_type="message")
    assert upstream.wait_for(lambda: bool(upstream.slack.sockets))
    http.post(f"/webhooks/{first['id']}/pause").raise_for_status()
    states = {hook["id"]: hook["socket"] for hook in http.get("/webhooks").json()["items"]}
    assert states[first["id"]] == "paused"
    assert upstream.slack.sockets
    http.post(f"/webhooks/{second['id']}/pause").raise_for_status()
    assert upstream.wait_for(lambda: not upstream.slack.sockets)
    http.post(f"/webhooks/{second['id']}/resume").raise_for_status()
    assert upstream.wait_for(lambda: bool(upstream.slack.sockets))
    http.delete("/secrets/SLACK_APP_TOKEN").raise_for_status()
    http.post(f"/webhooks/{second['id']}/pause").raise_for_status()
    assert upstream.wait_for(lambda: not upstream.slack.sockets)
