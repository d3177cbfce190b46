"""Selection of library services that match a description.

Only listed words count. Counting all words of a service's summary selected unrelated services.
"""

from __future__ import annotations

from collections.abc import Iterable

from codewords_mcp.runtime.authoring.service_words import key_words
from codewords_mcp.runtime.model.service import ServiceInfo

MAX_SERVICES = 3
_SURE, _HINT, _SHARED = 3, 1, 2
"""Scores of a word that means a service and of one that hints at it. Number of words that a service
of another package has to share.
"""

_SURE_WORDS = {
    "anthropic": "claude anthropic opus sonnet haiku",
    "chrome_extension": "chrome extension",
    "database": "database sql sqlite postgres habit inventory ledger",
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
    "database": "record history entry log track journal",
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
    "database": [
        ("keep", "table"),
        ("keep", "history"),
        ("keep", "record"),
        ("keep", "list"),
        ("keep", "track"),
        ("store", "table"),
        ("store", "row"),
        ("add", "row", "table"),
        ("own", "table"),
    ],
}
"""Words that mean a service if they occur together, in the form of `key_words`."""
_MODELS = ("anthropic", "gemini")
"""Providers that a description may name. The default provider is then not meant."""
_RIVALS = {"hunter": "send_email", "github": "searchapi", "reddit": "searchapi", "pipedream": "searchapi"}
"""Pairs of services with the same hints: service → the one that it displaces."""


def choose_services(services: Iterable[ServiceInfo], description: str) -> list[ServiceInfo]:
    """Available services that match the description, the best first."""
    there = [service for service in services if not service.unavailable]
    scores = {service.name: _score(service, key_words(description)) for service in there}

    # Somebody who names Claude doesn't want OpenAI, though "summarise" suggests it.
    if any(scores.get(name) for name in _MODELS):
        scores["openai"] = 0
    for name, rival in _RIVALS.items():
        # Only a rival that isn't named for certain by a word of its own gives way.
        if scores.get(name, 0) >= _SURE > scores.get(rival, 0) - _SURE:
            scores[rival] = 0

    chosen = sorted(there, key=lambda service: -scores[service.name])
    return [service for service in chosen[:MAX_SERVICES] if scores[service.name]]


def _score(service: ServiceInfo, description: set[str]) -> int:
    # services of other packages have no word list here
    if service.name not in _SURE_WORDS:
        shared = (
            key_words(f"{service.name.replace('_', ' ')} {service.title} {service.summary}") & description
        )
        if len(shared) >= _SHARED or key_words(service.name.replace("_", " ")) <= description:
            return _SURE
        return 0
    sure = len(key_words(_SURE_WORDS[service.name]) & description)
    together = sum(set(together_words) <= description for together_words in _TOGETHER.get(service.name, []))
    hints = len(key_words(_HINTS.get(service.name, "")) & description)
    return _SURE * (sure + together) + _HINT * hints
