"""Integrations by a broker, over the HTTP door: found, described, connected, run, and whatever can go wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.integration.http.doors import ADMIN_KEY, Door
from tests.workshop import make_home

from codewords_mcp.settings import Settings
from codewords_mcp.testing.pipedream import LoopbackConnect, Reply, Run
from codewords_mcp.testing.pipedream.connect import failed, succeeded

from .conftest import USER

pytestmark = [pytest.mark.requirement("integrations:broker")]
ROW = {"sheetId": "sheet-1", "hasHeaders": "Yes", "col_name": "Ann"}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, connect: LoopbackConnect) -> Iterator[Door]:
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("broker") / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "pipedream_base_url": connect.url,
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in connect.credentials:
            patch.delenv(name, raising=False)
        with Door(settings) as opened:
            with opened.client() as client:
                for name, value in connect.credentials.items():
                    client.put(f"/secrets/{name}", json={"value": value}).raise_for_status()
            yield opened


@pytest.fixture
def http(door: Door, connect: LoopbackConnect) -> Iterator[httpx.Client]:
    """Nobody has connected anything."""
    connect.forget_accounts()
    connect.runs.clear()
    connect.on_run = None
    with door.client() as client:
        yield client


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return answer.json().get("error", answer.json())


def call(http: httpx.Client, app: str, action: str, props: dict[str, Any], **more: Any) -> httpx.Response:
    return http.post(f"/integrations/{app}/call", json={"action": action, "props": props, **more})


def service(http: httpx.Client, **asked: Any) -> httpx.Response:
    return http.post("/run/pipedream/", json=asked)


@pytest.mark.requirement("integrations:search")
def test_a_search_finds_the_action_in_the_catalogue_of_the_project(http: httpx.Client) -> None:
    found = told(http.get("/integrations", params={"query": "post a message to slack", "limit": 3}))
    assert found["actions"][0]["key"] == "slack_v2-post-message"
    assert found["actions"][0]["writes"] is True
    assert "slack_v2" in [app["slug"] for app in found["apps"]]


@pytest.mark.requirement("integrations:search")
def test_a_search_that_finds_nothing_says_so_and_an_empty_one_is_refused(http: httpx.Client) -> None:
    found = told(http.get("/integrations", params={"query": "zzzz qqqq"}))
    assert found["actions"] == []
    assert "Nothing was found" in found["note"]
    assert refused(http.get("/integrations", params={"query": "  "}), 400)["code"] == "invalid_input"


@pytest.mark.requirement("integrations:catalogue")
def test_the_catalogue_is_read_page_by_page_once_and_kept(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    told(http.get("/integrations", params={"query": "refund"}))
    pages = len(connect.asked("/actions"))
    found = told(http.get("/integrations/stripe"))
    assert [one["key"] for one in found["actions"]] == ["stripe-create-customer", "stripe-create-refund"]
    assert len(connect.asked("/actions")) == pages
    assert pages >= 1


def test_an_app_that_there_is_not_is_told_with_the_nearest(http: httpx.Client) -> None:
    error = refused(http.get("/integrations/googel_sheets"), 404)
    assert "google_sheets" in error["hint"]


@pytest.mark.requirement("integrations:schema")
def test_an_action_is_described_with_its_fields_and_those_that_depend_on_others(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "google_sheets")
    path, action = "/integrations/google_sheets/describe", "google_sheets-add-single-row"
    fields = {one["name"]: one for one in told(http.post(path, json={"action": action}))["action"]["props"]}
    assert fields["sheetId"]["remote"]
    assert fields["hasHeaders"]["options"] == ["Yes", "No"]
    assert fields["hasHeaders"]["reloads"]
    set_now = {"sheetId": "sheet-1", "hasHeaders": "Yes"}
    later = told(http.post(path, json={"action": action, "props": set_now}))
    names = {one["name"]: one["required"] for one in later["action"]["props"]}
    assert names["col_name"] is True
    assert names["col_amount"] is False
    assert later["dynamic_props_id"].startswith("dyp_")


@pytest.mark.requirement("integrations:schema")
def test_the_values_of_a_remote_field_come_from_the_app_and_are_narrowed(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "google_sheets")
    asked = {"action": "google_sheets-add-single-row", "prop": "sheetId"}
    found = told(http.post("/integrations/google_sheets/describe", json=asked))
    assert [one["label"] for one in found["options"]] == ["Orders", "Customers"]
    found = told(http.post("/integrations/google_sheets/describe", json=asked | {"query": "cust"}))
    assert [one["value"] for one in found["options"]] == ["sheet-2"]


@pytest.mark.requirement("integrations:connect")
def test_a_person_connects_by_a_page_of_ours_that_leads_to_the_broker_and_back(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    found = told(http.post("/integrations/slack/connect"))
    assert (found["status"], found["connected"]) == ("missing", False)
    assert found["env_var"] == "PIPEDREAM_SLACK_ACCESS"
    minted = len(connect.asked("/tokens"))
    again = told(http.post("/integrations/slack/connect"))
    assert again["connect_link_url"] == found["connect_link_url"]
    url = found["connect_link_url"]
    with httpx.Client() as person:
        page = person.get(url)
        assert page.status_code == 200
        assert "Connect" in page.text
        assert "slack_v2" in page.text
        assert len(connect.asked("/tokens")) == minted, "the broker is asked for a link when it is wanted"
        onward = person.get(f"{url}/go")
        assert onward.status_code == 303
        assert person.get(f"{url}/go").headers["location"] == onward.headers["location"]
        assert len(connect.asked("/tokens")) == minted + 1
        back = person.post(onward.headers["location"])
        assert back.status_code == 303
        assert "slack_v2 is connected" in person.get(back.headers["location"]).text
        assert "is connected" in person.get(url).text
    assert told(http.post("/integrations/slack/connect"))["status"] == "connected"
    assert [one["app"] for one in http.get("/connections").json()["items"]] == ["slack_v2"]


@pytest.mark.requirement("integrations:connect")
def test_a_link_that_is_none_shows_a_page_that_says_so(door: Door) -> None:
    with httpx.Client() as person:
        for path in ("nonce", "nonce/go", "nonce/done"):
            answer = person.get(f"{door.url}/connect/{path}")
            assert answer.status_code == 404
            assert "This link no longer works" in answer.text


@pytest.mark.requirement("integrations:connect")
def test_waiting_ends_when_the_account_is_there(http: httpx.Client, connect: LoopbackConnect) -> None:
    connect.answer_next(
        "/accounts", *[Reply(200, json.dumps({"page_info": {}, "data": []}).encode()) for _ in range(2)]
    )
    connect.connect_account(USER, "stripe")
    found = told(http.post("/integrations/stripe/connect", json={"wait_seconds": 20}))
    assert found["connected"]


@pytest.mark.requirement("integrations:accounts")
def test_a_none_of_the_broker_is_asked_for_twice(http: httpx.Client, connect: LoopbackConnect) -> None:
    connect.connect_account(USER, "stripe")
    connect.answer_next("/accounts", Reply(200, b'{"page_info": {}, "data": []}'))
    assert told(http.post("/integrations/stripe/connect"))["status"] == "connected"


@pytest.mark.requirement("integrations:accounts")
def test_of_two_accounts_the_newest_healthy_one_is_used_and_any_can_be_named(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    old, new = connect.connect_account(USER, "stripe"), connect.connect_account(USER, "stripe")
    found = told(http.post("/integrations/stripe/connect"))
    assert "2 accounts" in found["message"]
    props = {"email": "a@example.org"}
    assert told(call(http, "stripe", "create-customer", props))["account"] == new
    assert told(call(http, "stripe", "create-customer", props, account=old))["account"] == old
    assert connect.runs[-1].props["app"] == {"authProvisionId": old}
    connect.revoke(new)
    assert told(call(http, "stripe", "create-customer", props))["account"] == old
    assert refused(call(http, "stripe", "create-customer", props, account="apn_none"), 404)
    assert refused(call(http, "stripe", "create-customer", props, account=new), 424)["state"] == "unhealthy"


@pytest.mark.requirement("integrations:accounts")
def test_an_account_is_disconnected_by_its_own_owner_only(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    other = connect.connect_account("codewords-somebody", "stripe")
    own = connect.connect_account(USER, "stripe")
    assert refused(http.delete(f"/connections/{other}"), 404)
    assert http.delete(f"/connections/{own}").status_code == 204
    assert told(http.post("/integrations/stripe/connect"))["status"] == "missing"


@pytest.mark.requirement("integrations:run")
def test_an_action_is_run_with_its_account_defaults_and_dynamic_fields_put_in(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    account = connect.connect_account(USER, "google_sheets")
    done = told(call(http, "google_sheets", "google_sheets-add-single-row", ROW))
    assert done["summary"] == "Ran google_sheets-add-single-row"
    [run] = connect.runs
    assert run.user == USER
    assert run.props["googleSheets"] == {"authProvisionId": account}
    assert run.props["sheetId"] == {"__lv": {"label": "sheet-1", "value": "sheet-1"}}
    assert run.body["dynamic_props_id"].startswith("dyp_")
    assert run.body["version"] == "2.1.2"


@pytest.mark.requirement("integrations:props")
@pytest.mark.parametrize(
    ("props", "says"),
    [
        ({}, "`charge`"),
        ({"charge": "ch_1", "amount": "ten"}, "`amount` must be of type integer"),
        ({"Charge": "ch_1"}, "perhaps `charge` is meant"),
        ({"charge": "ch_1", "secret-thing": 1}, "fields that it does not have"),
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
    assert "--prop repoFullname" in error["hint"]


@pytest.mark.requirement("integrations:names")
def test_the_seeds_names_are_run_where_they_certainly_mean_an_action(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "slack_v2")
    connect.connect_account(USER, "hubspot")
    seed = {"app_slug": "slack", "action_name": "send-message", "props": {"channel": "#c", "text": "Hi"}}
    assert told(service(http, **seed))["action"] == "slack_v2-post-message"
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
    connect.connect_account(USER, app) if app in {"discord", "hubspot"} else None
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
    before, looked = len(connect.asked("/actions/run")), len(connect.asked("/accounts"))
    connect.answer_next("/actions/run", Reply(status, b'{"error": "broken"}'))
    connect.answer_next("/accounts", Reply(status, b'{"error": "broken"}'))
    error = refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 502)
    assert error["upstream_status"] == status
    assert error["upstream_said"] == "broken"
    assert len(connect.asked("/actions/run")) == before + 1
    assert len(connect.asked("/accounts")) == looked + 2
    assert connect.runs == []


@pytest.mark.requirement("integrations:once")
def test_a_broker_that_hangs_up_during_a_run_is_not_asked_again(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "stripe")
    before = len(connect.asked("/actions/run"))
    connect.answer_next("/actions/run", Reply(hangs_up=True))
    assert (
        refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 502)["code"] == "upstream_failed"
    )
    assert len(connect.asked("/actions/run")) == before + 1


@pytest.mark.requirement("integrations:limits")
def test_a_broker_without_time_is_waited_for_a_little_and_else_said(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "stripe")
    short, long = (
        Reply(429, b'{"error": "slow down"}', headers=[("retry-after", wait)]) for wait in ("1", "77")
    )
    connect.answer_next("/accounts", short)
    assert told(http.post("/integrations/stripe/connect"))["connected"]
    connect.answer_next("/accounts", long)
    error = refused(http.post("/integrations/stripe/connect"), 429)
    assert error["retry_after"] == 77
    connect.answer_next("/actions/run", Reply(429, b"{}", headers=[("retry-after", "1")]))
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
    connect.on_run = lambda _: answer
    error = refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 502)
    assert (error["code"], error["upstream_said"]) == ("integration_failed", said)
    assert said not in error["message"]


@pytest.mark.requirement("integrations:errors")
@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"text"', b"{}", b'{"data": 1}', b""])
def test_a_malformed_answer_is_said_to_be_one(
    http: httpx.Client, connect: LoopbackConnect, body: bytes
) -> None:
    connect.connect_account(USER, "stripe")
    connect.answer_next("/actions/run", Reply(200, body))
    error = refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 502)
    assert error["code"] == "upstream_failed"
    connect.answer_next("/accounts", Reply(200, body))
    assert refused(http.post("/integrations/stripe/connect"), 502)["code"] == "upstream_failed"


@pytest.mark.requirement("integrations:revoked")
def test_an_account_that_is_revoked_in_the_middle_of_a_run_is_told_with_a_link(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    account = connect.connect_account(USER, "stripe")

    def revoked(_: Run) -> dict[str, Any]:
        connect.revoke(account)
        return failed("AxiosError", "Request failed with status code 401")

    connect.on_run = revoked
    error = refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 424)
    assert (error["code"], error["state"], error["app"]) == ("not_connected", "unhealthy", "stripe")
    assert "/connect/" in error["connect_link_url"]
    assert told(http.post("/integrations/stripe/connect"))["status"] == "unhealthy"


@pytest.mark.requirement("integrations:revoked")
def test_an_account_that_is_gone_at_the_broker_is_told_as_one_that_cannot_be_used(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "stripe")
    connect.answer_next("/actions/run", Reply(400, b'{"error": {"account": ["account and user mismatch"]}}'))
    assert refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 424)["state"] == "unhealthy"


@pytest.mark.requirement("integrations:gone")
def test_an_action_that_exists_no_longer_is_told_with_the_nearest(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "stripe")
    told(http.post("/integrations/stripe/describe", json={"action": "create-refund"}))
    connect.answer_next("/actions/run", Reply(404, b'{"error": "record not found"}'))
    error = refused(call(http, "stripe", "create-refund", {"charge": "ch_1"}), 404)
    assert "stripe-create-customer" in error["hint"]


@pytest.mark.requirement("integrations:token")
def test_a_token_that_was_withdrawn_is_replaced_and_one_token_serves_many_calls(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "stripe")
    told(http.post("/integrations/stripe/connect"))
    before = len(connect.asked("/oauth/token"))
    told(call(http, "stripe", "create-refund", {"charge": "ch_1"}))
    assert len(connect.asked("/oauth/token")) == before
    connect.tokens.clear()
    refused(http.post("/integrations/stripe/connect"), 424)
    assert told(http.post("/integrations/stripe/connect"))["connected"]
    assert len(connect.asked("/oauth/token")) == before + 1


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


@pytest.mark.requirement("integrations:service")
def test_the_service_answers_in_both_dialects(http: httpx.Client, connect: LoopbackConnect) -> None:
    connect.connect_account(USER, "slack_v2")
    connect.on_run = lambda run: succeeded("Sent", {"ok": True, "text": run.props["text"]})
    public = told(
        service(http, app="slack_v2", action="slack_v2-post-message", props={"channel": "#c", "text": "Hi"})
    )
    assert public["ret"] == {"ok": True, "text": "Hi"}
    assert public["exports"] == {"$summary": "Sent"}
    assert public["os"] == []
    seed = told(service(http, operation="check_auth", app_slug="slack"))
    assert seed["connected"] is True
    assert seed["success"] is True
    missing = told(service(http, operation="check_auth", app_slug="google_calendar"))
    assert missing["connected"] is False
    assert "/connect/" in missing["connect_link_url"]
    found = told(service(http, operation="search_apps", q="refund a charge"))
    assert found["actions"][0]["key"] == "stripe-create-refund"
    described = told(
        service(http, operation="describe_action", app_slug="stripe", action_name="create-refund")
    )
    assert [one["name"] for one in described["definition"]["props"]] == ["app", "charge", "amount"]
    assert refused(service(http, app="slack"), 400)["message"] == "`action` is missing."


CLIENT = """
import asyncio, json, os, sys
from codewords_client import AsyncCodewordsClient
async def main():
    async with AsyncCodewordsClient() as client:
        state = await client.discover_pipedream_integrations(operation="check_auth", app_slug="google_calendar")
        found = await client.discover_pipedream_integrations(operation="search", query="refund a charge")
        done = await client.run(service_id="pipedream", data={"app_slug": "slack", "action_name": "send-message",
            "props": {"channel": "#c", "text": "Hi"}})
        print(json.dumps([state.connected, state.connect_link_url, found.actions[0].key, done["success"]]))
asyncio.run(main())
"""


@pytest.mark.requirement("integrations:client")
def test_our_client_discovers_integrations_as_the_seed_does(
    http: httpx.Client, door: Door, connect: LoopbackConnect
) -> None:
    connect.connect_account(USER, "slack_v2")
    environment = {
        "CODEWORDS_API_KEY": ADMIN_KEY,
        "CODEWORDS_RUNTIME_URI": door.url,
        "PYTHONPATH": "packages/codewords-client/src",
        "PATH": "/usr/bin",
    }
    ran = subprocess.run(
        [sys.executable, "-c", CLIENT],
        check=False,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    connected, url, key, success = json.loads(ran.stdout)
    assert (connected, key, success) == (False, "stripe-create-refund", True)
    assert url.startswith(f"{door.url}/connect/")
