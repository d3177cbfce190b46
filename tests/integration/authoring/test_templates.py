"""Every template, deployed by its id and run end to end in a sandbox, against stand-ins on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from tests.integration.authoring.outside_services import (
    ATOM,
    FEED,
    ISSUE,
    PAGE,
    PERSON,
    REPO,
    SECRET,
    SHOP,
    World,
)
from tests.integration.authoring.template_scenarios import PLAYS, Stage
from tests.integration.authoring.template_scenarios_services import MORE_PLAYS
from tests.integration.mcp_broker.helpers import ServedMcp, notes_app, served
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.loopback_site import StandIn, serving
from tests.support.runtime import make_home
from tests.support.waiting import until

from codewords_mcp.runtime.authoring.templates import templates
from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS
from codewords_mcp.runtime.model.grants import ANY
from codewords_mcp.runtime.workflows.analysis import derive
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.settings import Settings
from codewords_testing.apps import LoopbackApps, loopback_apps
from codewords_testing.providers import LoopbackProviders, loopback_providers
from codewords_testing.services import (
    LoopbackServices,
    hunter,
    loopback_services,
    reddit,
    search,
    slack,
    whatsapp,
)

pytestmark = [pytest.mark.slow]

SERVICE_KEYS = {
    "SEARCHAPI_API_KEY": search.KEY,
    "REDDIT_CLIENT_ID": reddit.CLIENT_ID,
    "REDDIT_CLIENT_SECRET": reddit.CLIENT_SECRET,
    "HUNTER_API_KEY": hunter.KEY,
    "SLACK_BOT_TOKEN": slack.BOT_TOKEN,
    "SLACK_SIGNING_SECRET": slack.SIGNING_SECRET,
    "WHATSAPP_ACCESS_TOKEN": whatsapp.ACCESS_TOKEN,
    "WHATSAPP_PHONE_NUMBER_ID": whatsapp.PHONE_NUMBER_ID,
    "WHATSAPP_APP_SECRET": whatsapp.APP_SECRET,
    "WHATSAPP_VERIFY_TOKEN": "word-of-the-tests",
}
ALL_PLAYS = PLAYS | MORE_PLAYS


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A web site with pages, feeds, a shop, a sheet, a chat channel, HubSpot, and GitHub's API."""
    for stand_in in serving(StandIn()):
        made = World(stand_in)
        stand_in.answer = made.answer
        made.page("/", PAGE.format(extra=""))
        made.page("/more", PAGE.format(extra="More of it."))
        made.page("/feed", FEED, "application/rss+xml")
        made.page("/atom", ATOM, "application/atom+xml")
        made.page("/shop", SHOP % "59.90")
        made.page("/sheet", "id,price\n1,10\n2,5\n", "text/csv")
        made.page("/export", '{"a": 1}', "application/json")
        for path, told in {
            "/search/users": {"total_count": 1, "incomplete_results": False, "items": [{"login": "ada"}]},
            "/users/ada": PERSON,
            "/search/issues": {"total_count": 1, "incomplete_results": False, "items": [ISSUE]},
            "/repos/ada/engine": REPO,
            "/repos/ada/engine/readme": {
                "name": "README.md",
                "content": "IyBFbmdpbmU=",
                "html_url": "https://github.com",
            },
        }.items():
            made.page(path, json.dumps(told), "application/json")
        yield made


@pytest.fixture(scope="module")
def models() -> Iterator[LoopbackProviders]:
    with loopback_providers() as running:
        yield running


@pytest.fixture(scope="module")
def upstream() -> Iterator[LoopbackServices]:
    with loopback_services() as running:
        yield running


@pytest.fixture(scope="module")
def apps() -> Iterator[LoopbackApps]:
    with loopback_apps("token-of-the-tests") as running:
        running.sheets["sheet-of-the-tests"] = [["Name", "Amount", "Note"]]
        yield running


@pytest.fixture(scope="module")
def notes() -> Iterator[ServedMcp]:
    with served(notes_app) as running:
        yield running


@pytest.fixture(scope="module")
def http(
    tmp_path_factory: pytest.TempPathFactory,
    world: World,
    models: LoopbackProviders,
    upstream: LoopbackServices,
    apps: LoopbackApps,
    notes: ServedMcp,
) -> Iterator[httpx.Client]:
    port = world.outside.rpartition(":")[2]
    allowed = [f"127.0.0.1:{port}", f"{HOST_ALIAS}:{port}", f"127.0.0.1:{notes.port}"]
    settings = Settings.model_validate(
        upstream.settings()
        | {
            "home": make_home(tmp_path_factory.mktemp("templates") / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "egress_allow_private": allowed,
            "openai_base_url": models.url,
            "anthropic_base_url": models.url,
            "gemini_base_url": models.url,
            "agent_model": "openai/gpt-4.1",
            "github_base_url": world.outside,
            "integration_base_urls": apps.bases,
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            patch.delenv(name, raising=False)
        with Door(settings) as opened, opened.client() as client:
            client.timeout = httpx.Timeout(120)
            for name, value in {
                "OPENAI_API_KEY": "sk-of-the-tests-000000",
                "CHAT_WEBHOOK_URL": f"{world.inside}/hook",
                "WEBHOOK_SECRET": SECRET,
                "HUBSPOT_TOKEN": "pat-of-the-tests-0000",
                "GOOGLE_ACCESS_TOKEN": apps.token,
                "ANTHROPIC_API_KEY": "sk-ant-of-the-tests-00",
                "GEMINI_API_KEY": "gemini-key-of-the-tests",
                **SERVICE_KEYS,
            }.items():
                client.put(f"/secrets/{name}", json={"value": value}).raise_for_status()
            yield client


@pytest.mark.requirement(
    "templates:work", "workflows:templates", "author:templates", "recording:templates-are-the-same"
)
@pytest.mark.parametrize("template_id", [one.id for one in templates()])
def test_every_template_deploys_by_its_id_and_does_what_it_says(
    http: httpx.Client,
    models: LoopbackProviders,
    world: World,
    upstream: LoopbackServices,
    apps: LoopbackApps,
    notes: ServedMcp,
    template_id: str,
) -> None:
    live = http.post("/deploy", json={"template_id": template_id, "allow": True})
    assert live.status_code == 200, live.text
    told = [one for one in live.json()["notes"] if one["status"] in {"failed", "warning"}]
    assert all(one["id"] == "credentials" and "SMTP_URL" in one["message"] for one in told), told
    services = next(one.services for one in templates() if one.id == template_id)
    assert bool(told) == bool({"send_email", "user_login"} & set(services))
    stage = Stage(http, models, world, live.json()["service_id"], upstream, apps, notes)
    ALL_PLAYS[template_id](stage)
    replays_as_itself(stage)


def replays_as_itself(stage: Stage) -> None:
    """Replay the first run of the play: it is the same, and nobody outside is asked."""
    http, service = stage.http, {"service_id": stage.service}
    first = http.get("/runs", params=service | {"limit": 100}).json()["items"][-1]["id"]
    until(lambda: http.get(f"/recordings/{first}").status_code == 200, "its recording")
    asked = (len(stage.world.stand_in.asked), len(stage.models.requests), len(stage.mails()))
    replay = http.post("/replays", json=service | {"runs": [first]}).raise_for_status().json()
    report = replay["report"]
    assert report is not None, replay
    assert (report["verdict"], report["bytes_sent"]) == ("same", 0), replay["text"]
    assert (len(stage.world.stand_in.asked), len(stage.models.requests), len(stage.mails())) == asked


@pytest.mark.requirement("author:templates")
def test_a_template_names_every_service_that_its_code_calls() -> None:
    for one in templates():
        manifest = derive(parse_script(one.code)).manifest
        called = {
            *manifest.models,
            *manifest.service_names,
            *(["schedule_runs"] if manifest.schedules else []),
        } - {ANY}
        assert set(one.services) == called, one.id
        assert one.title
        assert one.description.endswith("."), one.id
        assert one.example_input or one.id == "webhook_inbox"
    assert len({one.id for one in templates()}) == len(templates())


@pytest.mark.requirement("author:templates")
def test_templates_are_found_by_words_and_category_and_tell_what_they_lack(http: httpx.Client) -> None:
    found = http.get("/templates", params={"query": "post news of a feed to slack"}).json()["items"]
    assert found[0]["id"] == "rss_to_chat"
    sales = http.get("/templates", params={"category": "sales"}).json()["items"]
    assert {"person_finder", "lead_scoring"} <= {one["id"] for one in sales}
    http.delete("/secrets/OPENAI_API_KEY").raise_for_status()
    lacking = {one["id"]: one["missing"] for one in http.get("/templates").json()["items"]}
    assert lacking["person_finder"] == lacking["chat_bot"] == ["OPENAI_API_KEY"]
    assert lacking["price_monitor"] == lacking["rss_digest"] == ["SMTP_URL"]
    assert lacking["rss_to_chat"] == lacking["approvals"] == []


@pytest.mark.requirement("author:own-templates")
def test_a_workflow_of_ones_own_becomes_a_template_that_deploys(http: httpx.Client) -> None:
    live = http.post("/deploy", json={"template_id": "lead_scoring", "name": "Our scoring"}).json()
    path = f"/workflows/{live['service_id']}/template"
    assert http.put(path, json={"category": "No Good"}).status_code == 400
    http.put(path, json={"category": "ours"}).raise_for_status()
    (own,) = http.get("/templates", params={"category": "ours"}).json()["items"]
    assert (own["id"], own["title"]) == (live["service_id"], "Our scoring")
    copy = http.post("/deploy", json={"template_id": own["id"], "name": "Theirs"}).json()
    assert copy["service_id"] != live["service_id"]
    http.delete(path).raise_for_status()
    assert http.get("/templates", params={"category": "ours"}).json()["items"] == []
    assert http.post("/deploy", json={"template_id": own["id"]}).status_code == 404
