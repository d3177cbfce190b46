"""Choose the library services that a wish speaks of.

Only words that mean a service count. Words that its summary merely has led to services that have nothing to do with the wish.
"""

from __future__ import annotations

from collections.abc import Iterable

from codewords_mcp.runtime.authoring.service_words import words_of
from codewords_mcp.runtime.model.service import ServiceInfo

MOST_SERVICES = 3
_SURE, _HINT, _SHARED = 3, 1, 2
"""What a word counts that means the service, that hints at it; how many words another package's service must share."""

_SURE_WORDS = {
    "anthropic": "claude anthropic opus sonnet haiku",
    "chrome_extension": "chrome extension",
    "files": "pdf upload attachment image picture photo screenshot xlsx zip invoice",
    "firecrawl": "firecrawl crawl",
    "gemini": "gemini",
    "github": "github repository repo",
    "hunter": "hunter prospect",
    "openai": "openai gpt chatgpt llm summarise summarize summary classify classification sentiment translate triage ai rewrite",
    "pipedream": "pipedream sheet spreadsheet hubspot notion airtable gmail calendar trello asana jira salesforce discord "
    "stripe dropbox",
    "reddit": "reddit subreddit",
    "redis_coordinator": "remember dedupe deduplicate redis cache counter",
    "schedule_runs": "schedule cron daily hourly weekly",
    "searchapi": "bing youtube serp searxng",
    "send_email": "email mail newsletter digest",
    "slack_trigger": "slack",
    "user_login": "login signup",
    "web_automation_agent": "javascript click form browser",
    "webpage_to_markdown": "page website article scrape blog",
    "whatsapp_trigger": "whatsapp",
}
_HINTS = {
    "files": "download csv document link backup",
    "firecrawl": "scrape javascript",
    "openai": "extract draft model score tone",
    "redis_coordinator": "previous changed change last since seen state drop cheaper",
    "schedule_runs": "morning night monday month",
    "searchapi": "search google news web research",
    "send_email": "notify",
    "web_automation_agent": "rendered fill",
    "webpage_to_markdown": "url fetch price product shop",
}
_TOGETHER = {
    "hunter": [
        (action, mail, address)
        for action in ("find", "verify", "company")
        for mail in ("mail", "email")
        for address in ("addres", "addresse")
    ],
    "searchapi": [("search", "web"), ("search", "google"), ("research", "web"), ("google", "result")],
    "user_login": [("sign", "user"), ("log", "user"), ("sign", "code")],
    "chrome_extension": [
        ("browser", "chrome"),
        ("form", "chrome"),
        ("browser", "person"),
        ("browser", "logged"),
        ("browser", "signed"),
    ],
    "openai": [("language", "model")],
    "redis_coordinator": [("last", "time")],
}
"""Words that mean a service together, as `words_of` gives them."""
_MODELS = ("anthropic", "gemini")
"""Providers that a wish names; then the one that is taken otherwise is not meant."""
_RIVALS = {"hunter": "send_email", "github": "searchapi", "reddit": "searchapi", "pipedream": "searchapi"}
"""Of two services that the same words hint at, the one that gives way."""


def choose_services(services: Iterable[ServiceInfo], wish: str) -> list[ServiceInfo]:
    """The services that a wish speaks of and that are there, the best first."""
    there = [service for service in services if not service.unavailable]
    scores = {service.name: _score(service, words_of(wish)) for service in there}

    if any(scores.get(name) for name in _MODELS):
        scores["openai"] = 0
    for name, rival in _RIVALS.items():
        if scores.get(name, 0) >= _SURE > scores.get(rival, 0) - _SURE:
            scores[rival] = 0

    chosen = sorted(there, key=lambda service: -scores[service.name])
    return [service for service in chosen[:MOST_SERVICES] if scores[service.name]]


def _score(service: ServiceInfo, wish: set[str]) -> int:
    if service.name not in _SURE_WORDS:  # of another package
        shared = words_of(f"{service.name.replace('_', ' ')} {service.title} {service.summary}") & wish
        if len(shared) >= _SHARED or words_of(service.name.replace("_", " ")) <= wish:
            return _SURE
        return 0
    sure = len(words_of(_SURE_WORDS[service.name]) & wish)
    together = sum(set(words) <= wish for words in _TOGETHER.get(service.name, []))
    hints = len(words_of(_HINTS.get(service.name, "")) & wish)
    return _SURE * (sure + together) + _HINT * hints
