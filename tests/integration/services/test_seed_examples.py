"""The seed's programs that use services, letter for letter, from their deployment to their answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.chromium import executable
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.loopback_site import Answer, StandIn, serving
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings
from codewords_testing.apps import LoopbackApps, loopback_apps
from codewords_testing.providers import LoopbackProviders, loopback_providers
from codewords_testing.providers.scripted import chat_reply
from codewords_testing.web_pages import pages

pytestmark = [pytest.mark.requirement("seed:services")]


@pytest.fixture(scope="module")
def models() -> Iterator[LoopbackProviders]:
    with loopback_providers() as running:
        yield running


TOKEN = "token-of-the-tests-000000"


@pytest.fixture(scope="module")
def apps() -> Iterator[LoopbackApps]:
    """Slack and HubSpot, to which the home has a token."""
    with loopback_apps(TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def claude() -> Iterator[StandIn]:
    """Anthropic's Messages API, in which a model finds that nothing changed."""
    yield from serving(StandIn(answer=lambda _: says(changes_detected=False, summary="")))


def says(**answer: object) -> Answer:
    """A model's answer in the shape that it was asked for."""
    used = {"type": "tool_use", "id": "t", "name": "answer", "input": answer}
    message = {
        "id": "m", "type": "message", "role": "assistant", "model": "claude-3-5-haiku-20241022", "content": [used],
        "stop_reason": "tool_use", "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 9},
    }  # fmt: skip
    return Answer(200, json.dumps(message).encode(), {"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory,
    site: StandIn,
    models: LoopbackProviders,
    claude: StandIn,
    apps: LoopbackApps,
) -> Iterator[Door]:
    """A runtime with sandboxes, keys for models, tokens of apps, and the site allowed."""
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("seed") / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "egress_allow_private": [site.url.removeprefix("http://")],
            "openai_base_url": models.url,
            "anthropic_base_url": claude.url,
            "integration_base_urls": apps.bases,
        }
    )
    with Door(settings) as opened:
        with opened.client() as http:
            for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
                http.put(f"/secrets/{name}", json={"value": "sk-of-the-tests-000000"}).raise_for_status()
            for name in ("SLACK_BOT_TOKEN", "HUBSPOT_ACCESS_TOKEN"):
                http.put(f"/secrets/{name}", json={"value": TOKEN}).raise_for_status()
        yield opened


def deploy(http: httpx.Client, path: Path) -> str:
    answer = http.post(
        "/deploy",
        json={"code": path.read_text(encoding="utf-8"), "name": path.stem, "allow": True},
        timeout=300,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["service_id"]


def test_the_website_monitor_finds_at_its_second_run_what_the_first_one_kept(
    home: Door, site: StandIn, claude: StandIn, apps: LoopbackApps, deployable_seed_examples: Path
) -> None:
    site.answer = lambda _: Answer(200, pages()[2].html.encode(), {"Content-Type": "text/html"})
    with home.client() as http:
        service = deploy(http, deployable_seed_examples / "website_monitor.py")
        asked = {"url": f"{site.url}/pricing", "slack_channel": "#changes"}
        first = http.post(f"/run/{service}/", json=asked)
        assert first.status_code == 200, first.text
        assert first.json() == {
            "message": "Initial snapshot stored. Monitoring will begin on next run.",
            "changes_detected": False,
            "summary": None,
        }
        second = http.post(f"/run/{service}/", json=asked)
        assert second.status_code == 200, second.text + log(http, second)
        assert second.json()["message"] == "No significant changes detected"
        claude.answer = lambda _: says(changes_detected=True, summary="The price went up.")
        third = http.post(f"/run/{service}/", json=asked)
        assert third.json()["message"] == "Changes detected and notification sent", third.text + log(
            http, third
        )
    posted = apps.requests[-1]
    assert posted.path == "/slack/api/chat.postMessage"
    assert posted.json["channel"] == "#changes"
    assert "The price went up." in posted.json["text"]
    prompt = str(json.loads(claude.asked[-1].body)["messages"])
    assert prompt.count("# Plans and prices") == 2, "the page of now and that of the first run"


def test_the_ticket_analyzer_answers_and_updates_the_crm(
    home: Door, apps: LoopbackApps, deployable_seed_examples: Path
) -> None:
    with home.client() as http:
        service = deploy(http, deployable_seed_examples / "support_ticket_analyzer.py")
        asked = {"ticket_id": "T-1", "subject": "Site down", "content": "All is down!", "customer_email": "a@example.org", "customer_tier": "enterprise"}  # fmt: skip
        answer = http.post(f"/run/{service}/", json=asked)
        assert answer.status_code == 200, answer.text + log(http, answer)
        told = answer.json()
        assert told["ticket_id"] == "T-1"
        kinds = {"billing", "technical", "feature_request", "bug_report", "general"}
        assert told["analysis"]["category"] in kinds
        assert told["routing_team"].endswith("_team")
        assert told["estimated_resolution_time"]
        assert "CRM updated successfully" in log(http, answer)
    updated = apps.requests[-1]
    assert (updated.method, updated.path) == ("PATCH", "/hubspot/crm/v3/objects/tickets/T-1")
    assert updated.json["properties"]["routing_team"] == told["routing_team"]


@pytest.mark.skipif(
    executable() is None, reason="Chromium is not installed (Debian: apt-get install chromium)"
)
def test_the_profile_enricher_reads_pages_that_a_browser_builds(
    home: Door, site: StandIn, models: LoopbackProviders, deployable_seed_examples: Path
) -> None:
    page = b"<!doctype html><h1>Ada</h1><div id=d></div><script>d.innerText = 'Made ' + 'by script'</script>"
    site.answer = lambda _: Answer(200, page, {"Content-Type": "text/html"})
    profiles = [{"name": "Ada", "headline": "Analyst"}, {"name": "Bob", "headline": None}]
    models.answer_next(*(chat_reply(json.dumps(one)) for one in profiles))
    with home.client() as http:
        service = deploy(http, deployable_seed_examples / "linkedin_profile_enricher.py")
        asked = {"linkedin_urls": [f"{site.url}/in/ada", f"{site.url}/in/bob"]}
        answer = http.post(f"/run/{service}/", json=asked, timeout=120)
        assert answer.status_code == 200, answer.text + log(http, answer)
        told = answer.json()
        assert (told["success_count"], told["error_count"]) == (2, 0), log(http, answer)
    assert {one["name"] for one in told["profiles"]} == {"Ada", "Bob"}
    prompts = [str(one.json["messages"]) for one in list(models.requests)[-2:]]
    assert all("Made by script" in prompt for prompt in prompts)


@pytest.mark.requirement("integrations:validation")
def test_the_ticket_analyzer_is_not_deployed_while_the_crm_is_not_connected(
    home: Door, deployable_seed_examples: Path
) -> None:
    with home.client() as http:
        http.delete("/secrets/HUBSPOT_ACCESS_TOKEN").raise_for_status()
        try:
            code = (deployable_seed_examples / "support_ticket_analyzer.py").read_text(
                encoding="utf-8"
            ) + "\n# again\n"
            answer = http.post("/deploy", json={"code": code, "name": "again", "allow": True}, timeout=120)
            assert answer.status_code == 422
            assert "PIPEDREAM_HUBSPOT_ACCESS" in answer.text
            assert "Set the secret HUBSPOT_ACCESS_TOKEN" in answer.text
        finally:
            http.put("/secrets/HUBSPOT_ACCESS_TOKEN", json={"value": TOKEN}).raise_for_status()


def log(http: httpx.Client, answer: httpx.Response) -> str:
    return http.get(f"/logs/{answer.headers['x-request-id']}").text
