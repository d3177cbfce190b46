"""Remedies of errors as tool calls; as commands where no tool exists."""

from __future__ import annotations

from typing import Final

from codewords_mcp.remedies import Remedy

HINTS: Final[dict[Remedy, str]] = {
    Remedy.LIST_AGREEMENTS: "`codewords agreements list` shows them.",
    Remedy.LIST_BUDGETS: "`codewords budgets list` shows them.",
    Remedy.LIST_CONNECTIONS: "`codewords connections` shows them.",
    Remedy.LIST_DELIVERIES: "`codewords webhooks deliveries` shows yours.",
    Remedy.LIST_DRAFTS: "list_workflows shows yours.",
    Remedy.LIST_KEYS: "`codewords keys list` shows them.",
    Remedy.LIST_PUBLISHED: "tools/list lists them.",
    Remedy.LIST_RUNS: "get_workflow shows the last runs of a workflow.",
    Remedy.LIST_SCHEDULES: "list_schedules shows yours.",
    Remedy.LIST_SECRETS: "list_secrets shows yours.",
    Remedy.LIST_SERVICES: "The resource services://all lists them.",
    Remedy.LIST_TEMPLATES: "list_templates shows them.",
    Remedy.LIST_WEBHOOKS: "`codewords webhooks list` shows yours.",
    Remedy.LIST_WORKFLOWS: "list_workflows shows your workflows.",
}
