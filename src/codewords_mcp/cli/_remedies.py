"""Remedies of errors as commands."""

from __future__ import annotations

from typing import Final

from codewords_mcp.remedies import Remedy

HINTS: Final[dict[Remedy, str]] = {
    Remedy.LIST_AGREEMENTS: "`codewords agreements list` shows them.",
    Remedy.LIST_BUDGETS: "`codewords budgets list` shows them.",
    Remedy.LIST_CONNECTIONS: "`codewords connections` shows them.",
    Remedy.LIST_DELIVERIES: "`codewords webhooks deliveries` shows yours.",
    Remedy.LIST_DRAFTS: "`codewords drafts` shows yours.",
    Remedy.LIST_KEYS: "`codewords keys list` shows them.",
    Remedy.LIST_PUBLISHED: "`codewords published` lists them.",
    Remedy.LIST_RUNS: "`codewords runs` shows your runs.",
    Remedy.LIST_SCHEDULES: "`codewords schedules list` shows yours.",
    Remedy.LIST_SECRETS: "`codewords secrets list` shows yours.",
    Remedy.LIST_SERVICES: "`codewords services` shows them.",
    Remedy.LIST_TEMPLATES: "`codewords templates` shows them.",
    Remedy.LIST_WEBHOOKS: "`codewords webhooks list` shows yours.",
    Remedy.LIST_WORKFLOWS: "`codewords list` shows your workflows.",
}
