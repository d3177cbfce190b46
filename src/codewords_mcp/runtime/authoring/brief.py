"""Help for writing a workflow: the nearest template, suitable library services, and the next call."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from codewords_mcp.runtime.authoring.model_request import rules
from codewords_mcp.runtime.authoring.service_choice import choose_services
from codewords_mcp.runtime.authoring.service_words import key_words
from codewords_mcp.runtime.model.authoring import Brief, Template
from codewords_mcp.runtime.model.service import ServiceInfo

_HINT_WEIGHT = 1.2
"""Weight of a word that hints at a template. It outweighs any word that merely occurs in one."""
_CUTOFF_RATIO = 4
"""Matches that score this many times less than the best one are dropped."""
_MAX_SCHEMA = 700
# Words of a description that mean a template whose own text uses other words.
_TEMPLATE_HINTS = {
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


def nearest_template(templates: Sequence[Template], description: str) -> Template:
    """The template that shares most keywords with the description. The simplest if none does."""
    # The templates are in order of simplicity, and `max` takes the first of equal ones.
    return max(templates, key=_fit(templates, description))


def matching_templates(templates: Sequence[Template], query: str) -> list[Template]:
    """Templates that match a query, the best first, without those that match far less."""
    fit = _fit(templates, query)
    found = sorted(filter(fit, templates), key=fit, reverse=True)
    return [template for template in found if fit(template) * _CUTOFF_RATIO >= fit(found[0])]


def _fit(templates: Sequence[Template], description: str) -> Callable[[Template], float]:
    """A function that scores a template by the keywords it shares with the description."""
    described = _scores({item.id: f"{item.description} {item.category}" for item in templates}, description)
    named = _scores({item.id: f"{item.id.replace('_', ' ')} {item.title}" for item in templates}, description)
    description_words = key_words(description)

    def fit(template: Template) -> float:
        meant = len(key_words(_TEMPLATE_HINTS.get(template.id, "")) & description_words)
        return described[template.id] + named[template.id] + _HINT_WEIGHT * meant

    return fit


def _scores(texts: dict[str, str], description: str) -> dict[str, float]:
    """Scores of texts by the keywords shared with the description. A word that fewer texts have
    counts more.
    """
    words = {name: key_words(text) for name, text in texts.items()}
    spread = Counter(word for found in words.values() for word in found)
    description_words = key_words(description)
    return {
        # Inverse document frequency: "workflow" is in every text and says nothing.
        name: sum(1 / spread[word] for word in description_words & found)
        for name, found in words.items()
    }


def describe_service(service: ServiceInfo) -> str:
    """A few lines on a service: its purpose, its paths with inputs, and its missing secrets."""
    missing = [credential.name for credential in service.lacking]
    lines = [
        f"{service.name}: {service.summary}" + (f" Needs the secret {', '.join(missing)}." if missing else "")
    ]
    lines += [
        f"  path={operation.path.strip('/')!r} {operation.summary}: {_schema(operation.input)}"
        for operation in service.operations[:4]
    ]
    return "\n".join(lines)


def _schema(schema: dict[str, Any]) -> str:
    """The input in short: names with types, if they have one; `?` marks optional ones."""
    required = schema.get("required", [])
    fields = [
        name + ("" if name in required else "?") + (f": {kind}" if (kind := _kind(part)) else "")
        for name, part in schema.get("properties", {}).items()
    ]
    text = "{" + ", ".join(fields) + "}"
    if len(text) <= _MAX_SCHEMA:
        return text
    return text[:_MAX_SCHEMA] + "…"


def _kind(part: dict[str, Any]) -> str:
    """`string`, `"asc" | "desc"`, or "" if several types are possible."""
    variants = [variant for variant in part.get("anyOf", [part]) if variant.get("type") != "null"]
    if len(variants) != 1:
        return ""
    variant = variants[0]
    if "enum" in variant:
        return " | ".join(map(json.dumps, variant["enum"]))
    return str(variant.get("type", ""))


def brief(templates: Sequence[Template], services: Iterable[ServiceInfo], description: str) -> Brief:
    """All that an assistant needs to write the workflow itself, with the next call."""
    template = nearest_template(templates, description)
    return Brief(
        rules=rules(),
        template_id=template.id,
        template_code=template.code,
        services=[describe_service(service) for service in choose_services(services, description)],
        next='edit_workflow(code="<the whole file>")',
    )
