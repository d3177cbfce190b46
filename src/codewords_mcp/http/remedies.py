"""Remedies of errors as routes."""

from __future__ import annotations

from typing import Final

from codewords_mcp.remedies import Remedy

HINTS: Final[dict[Remedy, str]] = {
    Remedy.LIST_AGREEMENTS: "GET /agreements lists them.",
    Remedy.LIST_BUDGETS: "GET /budgets lists them.",
    Remedy.LIST_CONNECTIONS: "GET /connections lists them.",
    Remedy.LIST_DELIVERIES: "GET /webhooks/deliveries lists yours.",
    Remedy.LIST_DRAFTS: "GET /drafts lists yours.",
    Remedy.LIST_KEYS: "GET /keys lists them.",
    Remedy.LIST_PUBLISHED: "GET /published lists them.",
    Remedy.LIST_RUNS: "GET /runs lists your runs.",
    Remedy.LIST_SCHEDULES: "GET /schedules lists yours.",
    Remedy.LIST_SECRETS: "GET /secrets lists yours.",
    Remedy.LIST_SERVICES: "GET /services lists them.",
    Remedy.LIST_TEMPLATES: "GET /templates lists them.",
    Remedy.LIST_WEBHOOKS: "GET /webhooks lists yours.",
    Remedy.LIST_WORKFLOWS: "GET /workflows lists your workflows.",
}
