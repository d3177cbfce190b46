"""Integrations without a broker: what is done with the caller's own tokens, and what is said of all the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.integration.integrations.helpers import TOKEN
from tests.support.browser_client import sign_in
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.loopback_site import Answer, StandIn, serving
from tests.support.mcp_clients import data_of, in_process, text_of
from tests.support.runtime import ADMIN, make_home, open_runtime

from codewords_mcp.settings import Settings
from codewords_testing.app_records import NOTION_DATABASE, airtable_record
from codewords_testing.apps import LoopbackApps, StubReply

pytestmark = [pytest.mark.requirement("integrations:native")]
TOKENS = ("SLACK_BOT_TOKEN", "GITHUB_TOKEN", "AIRTABLE_API_KEY", "NOTION_TOKEN", "HUBSPOT_ACCESS_TOKEN")
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
PIPEDREAM = ("PIPEDREAM_CLIENT_ID", "PIPEDREAM_CLIENT_SECRET", "PIPEDREAM_PROJECT_ID")


@pytest.fixture(scope="module")
def site() -> Iterator[StandIn]:
    yield from serving(StandIn(answer=lambda asked: Answer(200, asked.body or b"plain")))


@pytest.fixture(scope="module")
def account(apps: LoopbackApps) -> str:
    """A service account of Google's."""
    key = rsa.generate_private_key(65537, 2048)
    apps.account_key = key.public_key()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {"type": "service_account", "client_email": "robot@example.org", "private_key": pem.decode()}
    )


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory, apps: LoopbackApps, account: str, site: StandIn
) -> Iterator[Door]:
    settings = Settings.model_validate(
        {
            "home": tmp_path_factory.mktemp("home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "integration_base_urls": apps.bases,
            "egress_allow_private": [site.url.removeprefix("http://")],
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in (*TOKENS, *PIPEDREAM, "GOOGLE_ACCESS_TOKEN", "GOOGLE_SERVICE_ACCOUNT"):
            patch.delenv(name, raising=False)
        with Door(settings) as opened:
            with opened.client() as client:
                for name, value in {
                    **dict.fromkeys(TOKENS, TOKEN),
                    "GOOGLE_SERVICE_ACCOUNT": account,
                }.items():
                    client.put(f"/secrets/{name}", json={"value": value}).raise_for_status()
            yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


def run(http: httpx.Client, app: str, action: str, props: dict[str, Any]) -> httpx.Response:
    return http.post("/run/pipedream/", json={"app": app, "action": action, "props": props})


def done(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.json()["backend"] == "native"
    return answer.json()["ret"]


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return answer.json().get("error", answer.json())


def test_a_message_is_sent_by_the_seeds_name_and_a_refusal_of_200_is_one(
    http: httpx.Client, apps: LoopbackApps
) -> None:
    assert done(run(http, "slack", "send-message", {"channel": "#general", "text": "Hi"}))["ok"]
    assert apps.requests[-1].json == {"channel": "#general", "text": "Hi"}
    error = refused(run(http, "slack", "send-message", {"channel": "nowhere", "text": "Hi"}), 502)
    assert (error["code"], error["upstream_said"]) == ("integration_failed", "channel_not_found")


def test_an_issue_a_page_a_contact_and_an_event_are_made(http: httpx.Client, apps: LoopbackApps) -> None:
    issue = {"owner": "ann", "repo": "tools", "title": "It breaks", "labels": ["bug"]}
    assert done(run(http, "github", "create-issue", issue))["number"] == 7
    page = {
        "title": "Notes",
        "database_id": NOTION_DATABASE,
        "title_property": "Name",
        "content": "One\n\nTwo",
    }
    assert done(run(http, "notion", "create-page", page))["id"] == "page1"
    assert apps.requests[-1].json["parent"] == {"database_id": NOTION_DATABASE}
    assert len(apps.requests[-1].json["children"]) == 2
    assert apps.requests[-1].headers["notion-version"] == "2025-09-03"
    apps.data_sources["e6" * 16] = "Archive"
    refused(run(http, "notion", "create-page", page), 502)
    del page["database_id"]
    assert "`data_source_id`" in refused(run(http, "notion", "create-page", page), 400)["message"]
    made = done(run(http, "notion", "create-page", page | {"data_source_id": "e6" * 16}))
    assert made["parent"]["data_source_id"].replace("-", "") == "e6" * 16
    del apps.data_sources["e6" * 16]
    contact = {"email": "user@example.com", "firstName": "John", "lastName": "Doe"}
    assert done(run(http, "hubspot", "create-contact", contact))["properties"]["firstname"] == "John"
    event = {
        "summary": "Stand-up",
        "start": "2026-12-01T09:00:00",
        "end": "2026-12-01T09:15:00",
        "timezone": "Europe/Berlin",
        "attendees": ["ann@example.org"],
    }
    made = done(run(http, "google_calendar", "create-event", event))
    assert made["start"] == {"dateTime": "2026-12-01T09:00:00+01:00", "timeZone": "Europe/Berlin"}
    assert made["attendees"] == [{"email": "ann@example.org"}]


@pytest.mark.requirement("integrations:patterns")
def test_the_seeds_pattern_of_a_sheet_reads_appends_and_updates(
    http: httpx.Client, apps: LoopbackApps
) -> None:
    apps.sheets["sheet1"] = [["name", "amount"], ["Ann", 1]]
    sheet = {"spreadsheet_id": "sheet1"}
    existing = done(run(http, "google_sheets", "read-values", sheet | {"range": "A:Z"}))
    assert existing["values"] == [["name", "amount"], ["Ann", 1]]
    done(run(http, "google_sheets", "append-rows", sheet | {"range": "A:Z", "values": [["Bob", 2]]}))
    updates = [{"range": "A1:Z100", "values": [["Name", "Amount"]]}]
    done(run(http, "google_sheets", "update-values", sheet | {"updates": updates}))
    assert apps.sheets["sheet1"] == [["Name", "Amount"], ["Ann", 1], ["Bob", 2]]
    signed = [one for one in apps.requests if one.path.startswith("/google_token")]
    assert len(signed) <= 2, "one token for each scope, kept"


@pytest.mark.requirement("integrations:patterns")
def test_the_seeds_pattern_of_a_table_reads_all_pages_and_updates_ten_at_once(
    http: httpx.Client, apps: LoopbackApps
) -> None:
    apps.records[:] = [airtable_record(f"rec{n}", NOW, {"n": n}) for n in range(13)]
    table = {"base_id": "app1", "table": "Orders & more"}
    records = done(run(http, "airtable", "list-records", table))["records"]
    assert [one["id"] for one in records] == [f"rec{n}" for n in range(13)]
    updates = [{"id": one["id"], "fields": {"n": one["fields"]["n"] * 2}} for one in records]
    before = len(apps.requests)
    assert len(done(run(http, "airtable", "update-records", table | {"records": updates}))["records"]) == 13
    assert [len(one.json["records"]) for one in list(apps.requests)[before:]] == [10, 3]
    assert apps.records[12]["fields"]["n"] == 24
    apps.answer_next(StubReply(200, json.dumps({"records": updates[:10]}).encode()), StubReply(422, b"{}"))
    error = refused(run(http, "airtable", "update-records", table | {"records": updates}), 502)
    assert "10 of 13 records were changed before" in error["message"]


def test_a_request_goes_where_the_caller_may_and_not_to_private_addresses(
    http: httpx.Client, site: StandIn, apps: LoopbackApps
) -> None:
    asked = {"url": f"{site.url}/hook", "method": "POST", "body": {"a": 1}}
    assert done(run(http, "http", "request", asked))["body"] == {"a": 1}
    error = refused(run(http, "http", "request", {"url": apps.bases["slack"]}), 403)
    assert error["code"] == "address_refused"


@pytest.mark.requirement("integrations:host-rule")
def test_a_token_whose_rule_does_not_name_the_host_does_not_go_there(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = Settings.model_validate(
        {"home": tmp_path_factory.mktemp("rules"), "port": 0, "api_key": ADMIN_KEY}
    )
    with Door(settings) as opened, opened.client() as http:
        secret = {"value": TOKEN, "hosts": ["example.org"]}
        http.put("/secrets/SLACK_BOT_TOKEN", json=secret).raise_for_status()
        error = refused(run(http, "slack", "send-message", {"channel": "#c", "text": "Hi"}), 403)
    assert "SLACK_BOT_TOKEN" in error["message"]
    assert "slack.com" in error["hint"]


@pytest.mark.requirement("integrations:revoked")
def test_a_token_that_is_refused_is_told_with_the_way_to_a_new_one(
    http: httpx.Client, apps: LoopbackApps
) -> None:
    apps.answer_next(StubReply(200, b'{"ok": false, "error": "token_revoked"}'))
    error = refused(run(http, "slack", "send-message", {"channel": "#c", "text": "Hi"}), 424)
    assert (error["code"], error["state"]) == ("not_connected", "unhealthy")
    assert "Set the secret SLACK_BOT_TOKEN" in error["hint"]
    apps.answer_next(StubReply(429, b"{}", headers=[("retry-after", "9")]))
    assert (
        refused(run(http, "slack", "send-message", {"channel": "#c", "text": "Hi"}), 429)["retry_after"] == 9
    )


@pytest.mark.requirement("integrations:unconfigured")
def test_without_a_project_a_search_answers_and_says_what_to_configure(http: httpx.Client) -> None:
    found = http.get("/integrations", params={"query": "send a message in slack"}).json()
    assert found["actions"][0]["key"] == "slack/send-message"
    assert "stripe" in [
        one["slug"] for one in http.get("/integrations", params={"query": "stripe"}).json()["apps"]
    ]
    assert "PIPEDREAM_PROJECT_ID" in found["note"]
    state = http.post("/integrations/stripe/connect").json()
    assert (state["status"], state["connect_link_url"]) == ("not_configured", None)
    assert "pipedream.com" in state["how"]
    error = refused(run(http, "stripe", "create-customer", {}), 424)
    assert error["credential"] == "PIPEDREAM_PROJECT_ID"


@pytest.mark.requirement("integrations:unconfigured")
def test_an_app_that_takes_a_token_is_connected_by_the_page_of_its_secret(http: httpx.Client) -> None:
    http.delete("/secrets/NOTION_TOKEN").raise_for_status()
    state = http.post("/integrations/notion/connect").json()
    assert state["status"] == "missing"
    url = state["connect_link_url"]
    with sign_in(url.partition("/secrets/")[0], ADMIN_KEY) as person:
        page = person.get(url)
        assert "NOTION_TOKEN" in page.text
        assert "api.notion.com" in page.text
        person.submit(url, {"value": TOKEN}).raise_for_status()
    assert http.post("/integrations/notion/connect").json()["status"] == "connected"


def test_fields_never_become_ways_to_other_paths(http: httpx.Client, apps: LoopbackApps) -> None:
    before = len(apps.requests)
    props = {"properties": {"a": "b"}}
    assert refused(run(http, "hubspot", "update-ticket", props | {"ticket_id": ".."}), 400)
    assert len(apps.requests) == before
    done(run(http, "hubspot", "update-ticket", props | {"ticket_id": "../../users/1"}))
    assert apps.requests[-1].path.startswith("/hubspot/crm/v3/objects/tickets/..%2F")


def test_another_owner_has_the_homes_tokens_not(http: httpx.Client, door: Door) -> None:
    made = http.post("/keys", json={"owner": "bob"})
    assert made.status_code in {200, 201}, made.text
    with httpx.Client(base_url=door.url, headers={"authorization": made.json()["key"]}) as bob:
        error = refused(run(bob, "slack", "send-message", {"channel": "#c", "text": "Hi"}), 424)
        assert error["state"] == "missing"


@pytest.mark.requirement("integrations:names")
def test_without_a_project_the_brokers_names_of_an_app_mean_the_same(http: httpx.Client) -> None:
    for app, action in (
        ("slack_v2", "post-message"),
        ("slack", "slack-send-message"),
        ("slack", "slack/send-message"),
    ):
        assert done(run(http, app, action, {"channel": "#c", "text": "Hi"}))["ok"]
    assert http.post("/integrations/airtable_oauth/connect").json()["connected"]
    assert "slack/send-message" in refused(run(http, "slack", "delete-everything", {}), 404)["hint"]


@pytest.mark.anyio
@pytest.mark.requirement("integrations:asked-when-possible")
@pytest.mark.parametrize(
    ("app", "action", "props", "code"),
    [
        ("slack", "send-message", {"channel": "#general", "text": "Hi"}, "not_connected"),
        ("notion", "create-page", {"title": "Notes", "page_id": "p"}, "not_connected"),
        ("github", "create-issue", {"owner": "ann", "repo": "tools", "title": "x"}, "forbidden"),
        ("airtable", "update-records", {}, "invalid_input"),
    ],
)
async def test_nobody_is_asked_about_a_native_action_that_cannot_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: str, action: str, props: dict[str, Any], code: str
) -> None:
    """No token, a token whose rule keeps it from the app's host, a field that is missing."""
    for name in (*TOKENS, *PIPEDREAM):
        monkeypatch.delenv(name, raising=False)
    async with open_runtime(make_home(tmp_path / "home")) as runtime:
        await runtime.secrets.set(ADMIN, "GITHUB_TOKEN", TOKEN, hosts=["elsewhere.example"])
        await runtime.secrets.set(ADMIN, "AIRTABLE_API_KEY", TOKEN)
        server = in_process(
            runtime, Settings.model_construct(home=runtime.settings.home), ADMIN, "2026-07-28"
        )
        async with server as client:
            asked = {"app": app, "action": action, "props": props}
            result = await client.call_tool("call_integration", asked)
            assert text_of(result).startswith(f"{code}: "), text_of(result)
            assert await runtime.sessions.waiting_pages(ADMIN) == []
            await runtime.secrets.set(ADMIN, "SLACK_BOT_TOKEN", TOKEN)
            there = {"app": "slack", "action": "send-message", "props": {"channel": "#general", "text": "Hi"}}
            assert data_of(await client.call_tool("call_integration", there))["status"] == "needs_consent"
