"""The template that a sentence leads to."""

from __future__ import annotations

import pytest

from codewords_mcp.runtime.authoring.template_choice import matching_templates, nearest_template
from codewords_mcp.runtime.authoring.templates import templates

pytestmark = pytest.mark.requirement("generate:nearest")

WISHES = [
    ("Read a CSV of expenses and give a monthly summary", {"csv_statistics"}),
    ("Take a CSV file of my spending and answer totals per month and category", {"csv_statistics"}),
    ("Read a table from a page that is rendered by JavaScript", {"rendered_page", "web_page_facts"}),
    ("Scrape a JS table of a website", {"web_page_facts"}),
    ("Check five URLs at 8 every morning and post to a webhook which are down", {"uptime_check"}),
    ("Ping my sites and tell me about an outage", {"uptime_check"}),
    ("Classify support tickets into JSON with an LLM", {"ticket_triage"}),
    ("Triage tickets with Claude", {"ticket_triage"}),
    ("Watch the price of a product and remember the last one", {"price_monitor"}),
    ("Tell me when this shop's product gets cheaper", {"price_monitor"}),
    ("Receive a signed GitHub webhook and post it to Slack", {"webhook_inbox"}),
    ("E-mail me a digest of RSS feeds", {"rss_digest"}),
    ("Post new items of a feed to Discord", {"rss_to_chat", "rss_digest"}),
    ("Make a PDF invoice from order lines", {"invoice"}),
    ("Ask a human for approval before it sends", {"approvals"}),
    ("Log my daily habits and report the numbers", {"daily_report"}),
    ("Compare two tables and say which rows changed", {"compare_tables"}),
    ("Convert a CSV to Markdown", {"convert_table"}),
    ("Translate product texts into German", {"translate_texts"}),
    ("Summarise a meeting transcript with action items", {"meeting_notes"}),
    ("Summarise an article at a URL", {"page_summary"}),
    ("Summarise a web page and email the digest", {"page_summary"}),
    ("Find dead links on my site", {"broken_links"}),
    ("Sync new contacts to HubSpot", {"contact_sync"}),
    ("Say hello to a name", {"greeting"}),
]


@pytest.mark.parametrize(("description", "expected"), WISHES)
def test_a_sentence_leads_to_the_template_that_does_most_of_it(description: str, expected: set[str]) -> None:
    assert nearest_template(templates(), description).id in expected
    assert matching_templates(templates(), description)[0].id in expected


def test_a_sentence_that_names_nothing_leads_to_the_simplest() -> None:
    assert nearest_template(templates(), "Zzyzx qwfp").id == templates()[0].id == "greeting"
