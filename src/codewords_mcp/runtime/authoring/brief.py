"""What helps to write a workflow: the nearest template, the library services that fit, and the next call."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from codewords_mcp.runtime.authoring.model_request import rules
from codewords_mcp.runtime.authoring.service_choice import choose_services
from codewords_mcp.runtime.authoring.service_words import words_of
from codewords_mcp.runtime.model.authoring import Brief, Template
from codewords_mcp.runtime.model.service import ServiceInfo

_MEANT_BY_WORD = 1.2
"""How much a word counts that means a template: more than any word that it merely has."""
_FAR_LESS = 4
_SCHEMA = 700
# Words of a wish that mean a template, where its own text says it otherwise.
_TEMPLATES_MEANT = {
    "csv_statistics": "csv spreadsheet expense spending column average total monthly row excel",
    "web_page_facts": "javascript rendered scrape scraping scraper html website extract crawl",
    "page_summary": "article url blog tldr summarise summarize",
    "price_monitor": "price product shop cheaper drop",
    "uptime_check": "uptime ping reachable status healthy outage online down site url",
    "ticket_triage": "ticket helpdesk triage customer urgency",
    "webhook_inbox": "receive signed signature stripe delivery payload",
    "alert_router": "alert incident slack route notification",
    "rss_digest": "rss feed newsletter headline digest",
    "approvals": "approve approval human confirm",
    "daily_report": "metric kpi daily number habit log",
    "parallel_steps": "concurrently parallel fan batch progress",
    "convert_table": "convert json csv format markdown",
    "invoice": "invoice pdf bill receipt",
    "meeting_notes": "meeting transcript minute",
    "contact_sync": "hubspot crm contact",
    "translate_texts": "translate translation language german french spanish",
    "sheet_watch": "google sheet",
    "file_backup": "backup archive copy",
    "broken_links": "dead broken link 404",
    "research_agent": "research question source investigate",
    "chat_bot": "chatbot conversation persona assistant",
}


def nearest(templates: Sequence[Template], wish: str) -> Template:
    """The template that shares the most telling words with the wish; the simplest where none does."""
    return max(templates, key=_fit(templates, wish))


def matching(templates: Sequence[Template], query: str) -> list[Template]:
    """The templates that fit a query, the best first; not those that fit it by far less."""
    fit = _fit(templates, query)
    found = sorted(filter(fit, templates), key=fit, reverse=True)
    return [one for one in found if fit(one) * _FAR_LESS >= fit(found[0])]


def _fit(templates: Sequence[Template], wish: str) -> Callable[[Template], float]:
    """What a template shares with the wish."""
    described = _scores({one.id: f"{one.description} {one.category}" for one in templates}, wish)
    named = _scores({one.id: f"{one.id.replace('_', ' ')} {one.title}" for one in templates}, wish)
    wanted = words_of(wish)

    def fit(template: Template) -> float:
        meant = len(words_of(_TEMPLATES_MEANT.get(template.id, "")) & wanted)
        return described[template.id] + named[template.id] + _MEANT_BY_WORD * meant

    return fit


def _scores(texts: dict[str, str], wish: str) -> dict[str, float]:
    """What each text shares with the wish: a word counts the more the fewer texts have it."""
    words = {name: words_of(text) for name, text in texts.items()}
    spread = Counter(word for found in words.values() for word in found)
    wanted = words_of(wish)
    return {name: sum(1 / spread[word] for word in wanted & found) for name, found in words.items()}


def line_of(service: ServiceInfo) -> str:
    """A service in a few lines: what it does, its paths with their inputs, and what it lacks here."""
    lacks = [one.name for one in service.lacking]
    lines = [
        f"{service.name}: {service.summary}" + (f" Needs the secret {', '.join(lacks)}." if lacks else "")
    ]
    lines += [
        f"  path={one.path.strip('/')!r} {one.summary}: {_schema(one.input)}"
        for one in service.operations[:4]
    ]
    return "\n".join(lines)


def _schema(schema: dict[str, Any]) -> str:
    """The input in short: names with types, where they have one; `?` where it may be left out."""
    required = schema.get("required", [])
    fields = [
        name + ("" if name in required else "?") + (f": {kind}" if (kind := _kind(part)) else "")
        for name, part in schema.get("properties", {}).items()
    ]
    text = "{" + ", ".join(fields) + "}"
    if len(text) <= _SCHEMA:
        return text
    return text[:_SCHEMA] + "…"


def _kind(part: dict[str, Any]) -> str:
    """`string`, `"asc" | "desc"`, or "" where it may be several things."""
    told = [one for one in part.get("anyOf", [part]) if one.get("type") != "null"]
    if len(told) != 1:
        return ""
    one = told[0]
    if "enum" in one:
        return " | ".join(map(json.dumps, one["enum"]))
    return str(one.get("type", ""))


def brief(templates: Sequence[Template], services: Iterable[ServiceInfo], wish: str) -> Brief:
    """Everything that an assistant needs to write the workflow itself, and the call to make with it."""
    template = nearest(templates, wish)
    return Brief(
        rules=rules(),
        template_id=template.id,
        template_code=template.code,
        services=[line_of(one) for one in choose_services(services, wish)],
        next='edit_workflow(code="<the whole file>")',
    )
