"""The tables whose changes are audited, and the columns whose values an entry may hold.

Each column of such a table is in one of three groups: `shown` with its values before and after, `hidden`, of which an
entry says only that it changed, or `state`, which the runtime changes by itself and nobody audits. A column in none of
them counts as hidden, so that a new one can't leak.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table

from codewords_mcp.runtime.store import tables


def _always(_row: Mapping[str, Any]) -> bool:
    return True


def _is_root(row: Mapping[str, Any]) -> bool:
    """Whether no other run started it: the chain below it is on record with the runs."""
    return row.get("parent_id") is None


@dataclass(frozen=True, slots=True)
class AuditedTable:
    """One table. `noun` begins the actions of its entries.

    `key` are the columns that identify a row, `compared` those whose change is an entry. `created_only`: changes and
    removals of rows are not audited. `includes` chooses among new rows.
    """

    noun: str
    table: Table
    shown: frozenset[str]
    hidden: frozenset[str]
    state: frozenset[str]
    key: tuple[str, ...]
    compared: tuple[str, ...]
    created_only: bool
    includes: Callable[[Mapping[str, Any]], bool]


def _audited(
    noun: str,
    table: Table,
    shown: str,
    hidden: str = "",
    *,
    created_only: bool = False,
    includes: Callable[[Mapping[str, Any]], bool] = _always,
    state: str = "",
) -> AuditedTable:
    """Make a row of the list; names are parted by blanks. `*` for `state` is all that is in no other group."""
    shown_names, hidden_names = frozenset(shown.split()), frozenset(hidden.split())
    if state == "*":
        state_names = frozenset(column.name for column in table.columns) - shown_names - hidden_names
    else:
        state_names = frozenset(state.split())
    key = tuple(column.name for column in table.primary_key)
    compared = tuple(column.name for column in table.columns if column.name not in state_names)
    return AuditedTable(
        noun, table, shown_names, hidden_names, state_names, key, compared, created_only, includes
    )


AUDITED: Final = {
    audited.table.name: audited
    for audited in (
        _audited(
            "key", tables.keys, "id owner kind one_time expires_at revoked models scopes toolsets member", "hash prefix",
            state="created_at used_at",
        ),
        _audited(
            "member", tables.members, "id name role kind", "subject",
            state="created_at joined_at invite_hash invited_until",
        ),
        _audited(
            "passkey", tables.passkeys, "id member name rp_id", "digest credential_id public_key",
            state="sign_count created_at used_at",
        ),
        _audited(
            "secret", tables.secrets, "owner name rule source expires_at", "ciphertext", state="key_id created_at updated_at"
        ),
        _audited(
            "quota", tables.owner_quotas,
            "owner concurrency queue_limit runs_per_hour runs_per_day memory storage", state="updated_at",
        ),
        _audited("budget", tables.budgets, "scope subject period amount", state="updated_at"),
        _audited(
            "schedule", tables.schedules,
            "id owner service_id name method path cron timezone catch_up overlap jitter paused first_dry maker", "input",
            state="key_id created_at next_at last_at last_run_id missed held_back note made_by",
        ),
        _audited(
            "webhook", tables.webhooks, "id owner kind service_id path name paused maker secret", "endpoint filters",
            state="key_id created_at made_by",
        ),
        _audited(
            "trigger", tables.triggers, "id owner kind service_id path name interval_s catch_up paused watches", "options",
            state="key_id state note next_at claim claimed_until polled_at failures problem gap missed seq waiting start_at"
            " start_failures last_event_at last_run_id created_at",
        ),
        _audited("alert_settings", tables.alert_settings, "owner", "settings"),
        _audited("agreement", tables.agreements, "owner workflow_id digest", "manifest", state="agreed_at"),
        _audited(
            "workflow", tables.workflows, "id owner name public active_version template", "description config",
            state="created_at updated_at",
        ),
        _audited(
            "version", tables.versions, "id workflow_id number code_hash environment deployed_by",
            "code openapi checks description manifest example", state="created_at", created_only=True,
        ),
        _audited(
            "published_tool", tables.published, "owner tool workflow_id toolset route method read_only", state="created_at"
        ),
        _audited(
            "mcp_server", tables.mcp_servers, "owner name title transport auth", "url sign_in launch",
            state="believed problem created_at agreed_at read_at",
        ),
        _audited("browser", tables.browsers, "owner name version", "hash", state="url paired_at seen_at executor"),
        _audited(
            "run", tables.runs, "id owner service_id version background mode schedule_id trigger_kind trigger_id", state="*",
            created_only=True, includes=_is_root,
        ),
    )
}  # fmt: skip
"""By the name of the table."""
