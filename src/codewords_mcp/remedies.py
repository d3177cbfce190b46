"""Remedies of errors as data. Each front door words them: as a command, a tool call or a route."""

from __future__ import annotations

from enum import StrEnum


class Remedy(StrEnum):
    """An action that helps a person, a model or a client to continue after an error."""

    LIST_AGREEMENTS = "list_agreements"
    LIST_BUDGETS = "list_budgets"
    LIST_CONNECTIONS = "list_connections"
    LIST_DELIVERIES = "list_deliveries"
    LIST_DRAFTS = "list_drafts"
    LIST_KEYS = "list_keys"
    LIST_PUBLISHED = "list_published"
    LIST_RUNS = "list_runs"
    LIST_SCHEDULES = "list_schedules"
    LIST_SECRETS = "list_secrets"
    LIST_SERVICES = "list_services"
    LIST_TEMPLATES = "list_templates"
    LIST_WEBHOOKS = "list_webhooks"
    LIST_WORKFLOWS = "list_workflows"
