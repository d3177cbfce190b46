"""Integrations by a broker, over the HTTP door: found, described, connected, run."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx
import pytest
from tests.integration.integrations.helpers import USER, call, refused, service, told
from tests.support.browser_client import sign_in
from tests.support.http_runtime import ADMIN_KEY, Door

from codewords_mcp.runtime.integrations import accounts
from codewords_testing.pipedream import LoopbackConnect, StubReply
from codewords_testing.pipedream.connect import succeeded

pytestmark = [pytest.mark.requirement("integrations:broker")]
ROW = {"sheetId": "sheet-1", "hasHeaders": "Yes", "col_name": "Ann"}


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


@pytest.mark.requirement("integrations:search")
def test_without_a_question_the_most_used_apps_are_listed(http: httpx.Client) -> None:
    found = told(http.get("/integrations", params={"limit": 2}))
    assert [app["slug"] for app in found["apps"]] == ["slack_v2", "google_sheets"]
    assert found["actions"] == []


@pytest.mark.requirement("integrations:catalogue")
def test_the_catalogue_is_read_page_by_page_once_and_kept(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    told(http.get("/integrations", params={"query": "refund"}))
    pages = len(connect.requests_to("/actions"))
    found = told(http.get("/integrations/stripe"))
    assert [one["key"] for one in found["actions"]] == ["stripe-create-customer", "stripe-create-refund"]
    assert len(connect.requests_to("/actions")) == pages
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
    door: Door, http: httpx.Client, connect: LoopbackConnect
) -> None:
    found = told(http.post("/integrations/slack/connect"))
    assert (found["status"], found["connected"]) == ("missing", False)
    assert found["env_var"] == "PIPEDREAM_SLACK_ACCESS"
    minted = len(connect.requests_to("/tokens"))
    again = told(http.post("/integrations/slack/connect"))
    assert again["connect_link_url"] == found["connect_link_url"]
    url = found["connect_link_url"]
    with sign_in(door.url, ADMIN_KEY) as person:
        page = person.get(url)
        assert page.status_code == 200
        assert "Connect" in page.text
        assert "slack_v2" in page.text
        assert len(connect.requests_to("/tokens")) == minted, (
            "the broker is asked for a link when it is wanted"
        )
        led_back = person.get(f"{url}/go", headers={"Sec-Fetch-Site": "cross-site"})
        assert led_back.headers["location"] == url.removeprefix(door.url), (
            "the page says first what is connected"
        )
        onward = person.get(f"{url}/go", headers={"Sec-Fetch-Site": "same-origin"})
        assert onward.status_code == 303
        assert len(connect.requests_to("/tokens")) == minted + 1
        back = person.post(onward.headers["location"])
        assert back.status_code == 303
        assert "slack_v2 is connected" in person.get(back.headers["location"]).text
        assert person.get(url).status_code == 404, "a link is good for one account"
    assert told(http.post("/integrations/slack/connect"))["status"] == "connected"
    assert [one["app"] for one in http.get("/connections").json()["items"]] == ["slack_v2"]


@pytest.mark.requirement("integrations:connect")
def test_a_link_that_is_none_shows_a_page_that_says_so(door: Door) -> None:
    with sign_in(door.url, ADMIN_KEY) as person:
        for path in ("nonce", "nonce/go", "nonce/done"):
            answer = person.get(f"{door.url}/connect/{path}", headers={"Sec-Fetch-Site": "same-origin"})
            assert answer.status_code == 404
            assert "This link no longer works" in answer.text


@pytest.mark.requirement("integrations:connect")
def test_waiting_ends_when_the_account_is_there(
    http: httpx.Client, connect: LoopbackConnect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "POLL_INTERVAL_S", 0.01)
    connect.answer_next(
        "/accounts", *[StubReply(200, json.dumps({"page_info": {}, "data": []}).encode()) for _ in range(2)]
    )
    connect.connect_account(USER, "stripe")
    found = told(http.post("/integrations/stripe/connect", json={"wait_seconds": 20}))
    assert found["connected"]


@pytest.mark.requirement("integrations:accounts")
def test_a_none_of_the_broker_is_asked_for_twice(http: httpx.Client, connect: LoopbackConnect) -> None:
    connect.connect_account(USER, "stripe")
    connect.answer_next("/accounts", StubReply(200, b'{"page_info": {}, "data": []}'))
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


@pytest.mark.requirement("integrations:run")
def test_an_app_that_needs_no_account_is_used_without_one(
    http: httpx.Client, connect: LoopbackConnect
) -> None:
    assert told(http.post("/integrations/openweather/connect"))["status"] == "not_required"
    done = told(call(http, "openweather", "get-weather", {"city": "Lisbon"}))
    assert (done["account"], done["ret"]) == (None, {"city": "Lisbon"})
