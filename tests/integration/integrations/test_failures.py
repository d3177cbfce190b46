"""What can go wrong between a runtime and a broker: each is told, and nothing is done twice."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.integration.integrations.helpers import USER, call, refused, service, told
from tests.support.http_runtime import Door
from tests.support.runtime import ADMIN, workflow
from tests.support.waiting import until

from codewords_mcp.errors import UpstreamTimedOut
from codewords_testing.pipedream import ActionRun, LoopbackConnect, StubReply
from codewords_testing.pipedream.connect import failed


@pytest.mark.requirement("integrations:props")
@pytest.mark.parametrize(
    ("props", "says"),
    [
        ({}, "`charge`"),
        ({"charge": "ch_1", "amount": "ten"}, "`amount` must be of type integer"),
        ({"Charge": "ch_1"}, "did you mean `charge`"),
        ({"charge": "ch_1", "secret-thing": 1}, "no fields of these names."),
    ],
)
def test_wrong_fields_are_named_before_anything_is_run(
    http: httpx.Client, connect: LoopbackConnect, props: dict[str, Any], says: str
) -> None:
    connect.connect_account(USER, "stripe")
    error = refused(call(http, "stripe", "create-refund", props), 400)
    assert says in error["message"]
    assert "ch_1" not in json.dumps(error)
    assert connect.runs == []


@pytest.mark.requirement("integrations:props")
def test_a_missing_field_whose_values_the_app_tells_says_how_they_are_found(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "github")
    error = refused(call(http, "github", "github-create-issue", {"title": "It breaks"}), 400)
    assert error["remedy"]["arguments"]["field"] == "repoFullname"


@pytest.mark.requirement("integrations:names")
def test_the_seeds_names_are_run_where_they_certainly_mean_an_action(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "slack_v2")
    connect.connect_account(USER, "hubspot")
    seed = {"app_slug": "slack", "action_name": "send-message", "props": {"channel": "#c", "text": "Hi"}}
    assert told(service(http, **seed))["action"] == "slack_v2-post-message"
    whole = {
        "app": "slack",
        "action": "slack-send-message-to-channel",
        "props": {"conversation": "C1", "text": "Hi"},
    }
    connect.connect_account(USER, "slack")
    assert told(service(http, **whole))["action"] == "slack-send-message-to-channel", "a whole key is itself"
    contact = {"email": "user@example.com", "firstName": "John", "lastName": "Doe"}
    told(service(http, app_slug="hubspot", action_name="create-contact", props=contact))
    assert connect.runs[-1].action == "hubspot-create-or-update-contact"
    assert connect.runs[-1].props["objectProperties"] == {
        "email": "user@example.com",
        "firstname": "John",
        "lastname": "Doe",
    }


@pytest.mark.requirement("integrations:names")
@pytest.mark.parametrize(
    ("app", "action", "near"),
    [
        ("discord", "send-message", None),
        ("discord", "send-a-message-somewhere", "discord-send-message"),
        ("hubspot", "update-ticket", "hubspot-search-crm"),
        ("slack", "delete-everything", "slack_v2-list-channels"),
    ],
)
def test_a_name_that_is_not_certain_is_never_run_and_the_nearest_are_named(
    http: httpx.Client, connect: LoopbackConnect, app: str, action: str, near: str | None
) -> None:
    if app != "slack":
        connect.connect_account(USER, app)
    answer = service(http, app=app, action=action, props={"message": "x"})
    if near is None:  # the app of exactly this name has it
        assert told(answer)["action"] == "discord-send-message"
        return
    error = refused(answer, 404)
    assert near in error["hint"]
    assert len(error["hint"].split(",")) <= 5
    assert connect.runs == []


@pytest.mark.requirement("integrations:once")
@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_run_is_never_made_twice_while_looks_are_tried_again(
    http: httpx.Client, connect: LoopbackConnect, status: int
) -> None:
    connect.connect_account(USER, "stripe")
    before, looked = len(connect.requests_to("/actions/run")), len(connect.requests_to("/accounts"))
    connect.answer_next("/actions/run", StubReply(status, b'{"error": "broken"}'))
    connect.answer_next("/accounts", StubReply(status, b'{"error": "broken"}'))
    error = refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 502)
    assert error["upstream_status"] == status
    assert error["upstream_said"] == "broken"
    assert len(connect.requests_to("/actions/run")) == before + 1
    assert len(connect.requests_to("/accounts")) == looked + 2
    assert connect.runs == []


@pytest.mark.requirement("integrations:once")
def test_a_broker_that_hangs_up_during_a_run_is_not_asked_again(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "stripe")
    before = len(connect.requests_to("/actions/run"))
    connect.answer_next("/actions/run", StubReply(hangs_up=True))
    assert (
        refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 502)["code"] == "upstream_failed"
    )
    assert len(connect.requests_to("/actions/run")) == before + 1


@pytest.mark.requirement("integrations:limits")
def test_a_broker_without_time_is_waited_for_a_little_and_else_said(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "stripe")
    short, long = (
        StubReply(429, b'{"error": "slow down"}', headers=[("retry-after", wait)]) for wait in ("1", "77")
    )
    connect.answer_next("/accounts", short)
    assert told(http.post("/integrations/stripe/connect"))["connected"]
    connect.answer_next("/accounts", long)
    error = refused(http.post("/integrations/stripe/connect"), 429)
    assert error["retry_after"] == 77
    connect.answer_next("/actions/run", StubReply(429, b"{}", headers=[("retry-after", "1")]))
    assert refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 429)["retry_after"] == 1
    assert connect.runs == []


@pytest.mark.requirement("integrations:errors")
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (failed("Error", "the card was declined"), "the card was declined"),
        (
            {"error": {"message": "no such charge", "attribution": "customer"}, "os": [], "ret": None},
            "no such charge",
        ),
        ({"error": "it broke", "exports": {}, "os": [], "ret": {"x": 1}}, "it broke"),
    ],
)
def test_an_answer_of_200_that_holds_an_error_is_an_error_whose_words_are_data(
    http: httpx.Client, connect: LoopbackConnect, answer: dict[str, Any], said: str
) -> None:
    connect.connect_account(USER, "stripe")
    # Two of them are of no shape that the broker's own SDK knows.
    connect.on_run = lambda _: StubReply(200, json.dumps(answer).encode())
    error = refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 502)
    assert (error["code"], error["upstream_said"]) == ("integration_failed", said)
    assert said not in error["message"]


@pytest.mark.requirement("integrations:errors")
@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"text"', b"{}", b'{"data": 1}', b""])
def test_a_malformed_answer_is_said_to_be_one(
    http: httpx.Client, connect: LoopbackConnect, body: bytes
) -> None:
    connect.connect_account(USER, "stripe")
    connect.answer_next("/actions/run", StubReply(200, body))
    error = refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 502)
    assert error["code"] == "upstream_failed"
    connect.answer_next("/accounts", StubReply(200, body))
    assert refused(http.post("/integrations/stripe/connect"), 502)["code"] == "upstream_failed"


@pytest.mark.requirement("integrations:revoked")
def test_an_account_that_is_revoked_in_the_middle_of_a_run_is_told_with_a_link(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    account = connect.connect_account(USER, "stripe")

    def revoked(_: ActionRun) -> dict[str, Any]:
        connect.revoke(account)
        return failed("AxiosError", "Request failed with status code 401")

    connect.on_run = revoked
    error = refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 424)
    assert (error["code"], error["state"], error["app"]) == ("not_connected", "unhealthy", "stripe")
    assert "/connect/" in error["connect_link_url"]
    assert told(http.post("/integrations/stripe/connect"))["status"] == "unhealthy"
    until(
        lambda: (
            [(alert["kind"], "stripe" in alert["title"]) for alert in told(http.get("/alerts"))["items"]]
            == [("connection_lost", True)]
        )
    )


@pytest.mark.requirement("integrations:revoked")
def test_an_account_that_is_gone_at_the_broker_is_told_as_one_that_cannot_be_used(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "stripe")
    connect.answer_next(
        "/actions/run", StubReply(400, b'{"error": {"account": ["account and user mismatch"]}}')
    )
    assert refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 424)["state"] == "unhealthy"


CHARGES = workflow(
    """
from codewords_client import AsyncCodewordsClient

@app.post("/")
async def charge():
    async with AsyncCodewordsClient() as client:
        asked = {"app": "stripe", "action": "create-refund", "props": {"charge": "ch_1"}}
        answer = await client.run("pipedream", inputs=asked)
        answer.raise_for_status()
    return {"ok": True}
""",
    env=("PIPEDREAM_STRIPE_ACCESS",),
    title="Charges",
).replace('"httpx==0.28.1"', '"httpx==0.28.1", "codewords-client==0.4.11"')


@pytest.mark.requirement("integrations:dead-named", "alerts:home")
def test_a_run_that_fails_for_a_dead_account_names_it_with_a_link_and_who_else_uses_it(
    http: httpx.Client, door: Door, connect: LoopbackConnect
) -> None:
    account = connect.connect_account(USER, "stripe")
    body = {"code": CHARGES, "name": "Charges", "allow": True}
    charges = told(http.post("/deploy", json=body))["service_id"]
    hourly: dict[str, Any] = {"service_id": charges, "name": "hourly", "input": {}, "cron": "0 * * * *"}
    http.post("/schedules", json=hourly).raise_for_status()
    connect.revoke(account)
    run_id = http.post(f"/run_async/{charges}/").json()["request_id"]
    until(lambda: told(http.get(f"/request/{run_id}"))["status"] == "failed")

    found = told(http.get(f"/runs/{run_id}/diagnosis"))
    assert "of stripe lost its access" in found["diagnosis"]["fix"]
    assert f"{door.url}/connect/" in found["diagnosis"]["fix"]
    assert (found["next_step"], found["remedy"]["arguments"]) == ("connect", {"app": "stripe"})
    [listed] = told(http.get("/connections"))["items"]
    assert listed["healthy"] is False
    assert listed["used_by"] == [{"workflow_id": charges, "name": "Charges", "triggers": ["schedule hourly"]}]

    def lost() -> dict[str, Any] | None:
        alerts = told(http.get("/alerts"))["items"]
        return next((alert for alert in alerts if alert["kind"] == "connection_lost"), None)

    alert = until(lost)
    assert alert is not None
    assert alert["path"] == "/console/integrations/stripe"
    assert alert["message"].endswith("connects it again: “Charges” (schedule hourly).")


@pytest.mark.requirement("integrations:gone")
def test_an_action_that_exists_no_longer_is_told_with_the_nearest(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "stripe")
    told(http.post("/integrations/stripe/describe", json={"action": "create-refund"}))
    connect.answer_next("/actions/run", StubReply(404, b'{"error": "record not found"}'))
    error = refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 404)
    assert "stripe-create-customer" in error["hint"]


@pytest.mark.requirement("integrations:token")
def test_a_token_that_was_withdrawn_is_replaced_and_one_token_serves_many_calls(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "stripe")
    told(http.post("/integrations/stripe/connect"))
    before = len(connect.requests_to("/oauth/token"))
    told(call(http, "stripe", "create-refund", {"charge": "ch_1"}))
    assert len(connect.requests_to("/oauth/token")) == before
    connect.tokens.clear()
    assert told(http.post("/integrations/stripe/connect"))["connected"]
    assert len(connect.requests_to("/oauth/token")) == before + 1


@pytest.mark.requirement("integrations:token")
def test_credentials_that_are_refused_are_said_with_where_they_come_from(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    http.put("/secrets/PIPEDREAM_CLIENT_SECRET", json={"value": "wrong"}).raise_for_status()
    try:
        error = refused(http.post("/integrations/stripe/connect"), 424)
        assert error["code"] == "missing_credential"
        assert "pipedream.com" in error["hint"]
    finally:
        value = connect.credentials["PIPEDREAM_CLIENT_SECRET"]
        http.put("/secrets/PIPEDREAM_CLIENT_SECRET", json={"value": value}).raise_for_status()


@pytest.mark.requirement("integrations:once")
def test_a_broker_that_is_too_slow_is_left_and_the_caller_told_to_look(
    http: httpx.Client, door: Door, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "stripe")
    connect.answer_next("/actions/run", StubReply(200, b"{}", wait=30))
    props = {"charge": "ch_1"}
    with pytest.raises(UpstreamTimedOut) as raised:
        door.ask(
            lambda runtime: runtime.integrations.call(ADMIN, "stripe", "create-refund", props, seconds=0.2)
        )
    assert "may have been done nevertheless" in raised.value.hint
