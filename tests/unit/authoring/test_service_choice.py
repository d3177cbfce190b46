"""Services that a brief proposes for typical wishes."""

from __future__ import annotations

import pytest

from codewords_mcp.runtime.authoring.service_choice import MAX_SERVICES, choose_services
from codewords_mcp.runtime.model.service import ServiceInfo
from codewords_mcp.runtime.services.describe import describe
from codewords_mcp.runtime.services.registry import Registry

pytestmark = pytest.mark.requirement("author:brief-services")

PAGES = {"webpage_to_markdown", "firecrawl", "web_automation_agent"}
NONE = set[str]()
WISHES: list[tuple[str, set[str], set[str]]] = [
    # wish, services that must be proposed, others that may be
    ("Check five URLs at 8 every morning and post to a webhook which are down", NONE, {"schedule_runs", "webpage_to_markdown"}),
    ("Triage support tickets with Claude", {"anthropic"}, NONE),
    ("Classify support tickets into JSON with an LLM", {"openai"}, NONE),
    ("Call another workflow for each item of a list, five at a time", NONE, NONE),
    ("Make a PDF invoice from order lines", {"files"}, NONE),
    ("Read a CSV of expenses and give a monthly summary", {"files", "openai"}, NONE),
    ("Summarise a web page and email the digest", {"webpage_to_markdown", "openai", "send_email"}, NONE),
    ("Watch the price of a product and remember the last one", {"redis_coordinator"}, {"webpage_to_markdown"}),
    ("Search GitHub issues of a repository and email me the list", {"github", "send_email"}, NONE),
    ("Read a table from a page that is rendered by JavaScript", {"web_automation_agent"}, PAGES),
    ("Find the e-mail addresses of people at a company", {"hunter"}, NONE),
    ("Collect posts of a subreddit about a topic", {"reddit"}, NONE),
    ("Answer WhatsApp messages with GPT", {"whatsapp_trigger", "openai"}, NONE),
    ("Append a row to a Google Sheet", {"pipedream"}, NONE),
    ("Search the web for a company and summarise the results", {"searchapi", "openai"}, NONE),
    ("Receive a signed GitHub webhook and post it to Slack", {"slack_trigger"}, {"github"}),
    ("Let users sign in with a code", {"user_login"}, NONE),
    ("Fill in a form in my own Chrome", {"chrome_extension"}, {"web_automation_agent"}),
    ("Send an email to the address of each customer", {"send_email"}, NONE),
    ("Keep a table of my habits and tell me my streak", {"database"}, NONE),
    ("Store the rows of an order in SQL and sum them by month", {"database"}, {"schedule_runs"}),
    ("Keep a history of prices and email me the lowest", {"database", "send_email"}, {"webpage_to_markdown"}),
    ("Track my inventory and say what runs out", {"database"}, NONE),
    ("Say hello to a name", NONE, NONE),
]  # fmt: skip


def every_service() -> list[ServiceInfo]:
    return [describe(service) for service in Registry().all()]


@pytest.mark.parametrize(("description", "needed", "allowed"), WISHES)
def test_a_brief_proposes_the_services_of_a_typical_wish_and_no_other(
    description: str, needed: set[str], allowed: set[str]
) -> None:
    chosen = {service.name for service in choose_services(every_service(), description)}
    assert needed <= chosen <= needed | allowed


def test_a_brief_proposes_a_service_of_another_package_by_its_own_words() -> None:
    weather = ServiceInfo(name="weather_now", title="Weather", summary="The forecast of a city.", ready=True)
    services = [*every_service(), weather]
    assert weather in choose_services(services, "Tell me the weather forecast of my city")
    assert weather not in choose_services(services, "Post the list of a city's shops to Slack")


def test_a_brief_proposes_few_services_however_many_a_wish_names() -> None:
    everything = " ".join(service.name.replace("_", " ") for service in every_service())
    assert len(choose_services(every_service(), everything)) == MAX_SERVICES
