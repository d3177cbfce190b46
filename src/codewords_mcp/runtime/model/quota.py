"""Quotas of the owners of one database: each has its own, and none takes from another's."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import Field

from codewords_mcp.runtime.model.base import Model

EACH: Final = "*"
"""In place of an owner: each one but the home's that has no quota of its own."""


class QuotaLimits(Model):
    """Ceilings of one owner; None is none. `memory` and `storage` are bytes.

    `concurrency` bounds runs at once, `queue_limit` those that wait, `memory` the limits of all sandboxes at once,
    `storage` all that is stored (`StoredBytes`). Runs are those of workflows, nested ones and schedules' included.
    """

    concurrency: int | None = Field(default=None, ge=1, le=1_000_000)
    queue_limit: int | None = Field(default=None, ge=0, le=1_000_000)
    runs_per_hour: int | None = Field(default=None, ge=0, le=1_000_000_000)
    runs_per_day: int | None = Field(default=None, ge=0, le=1_000_000_000)
    memory: int | None = Field(default=None, ge=1, le=1 << 50)
    storage: int | None = Field(default=None, ge=0, le=1 << 60)


class StoredBytes(Model):
    """Bytes that an owner stores, by kind. `files` are exact, the others as of `measured_at`, and 0 before the first time.

    `databases` are those of workflows, `runs` records with requests, answers and traces, `sources` versions and drafts,
    `values` what services and triggers keep: values, mail, deliveries, events, secrets.
    """

    files: int = 0
    databases: int = 0
    runs: int = 0
    logs: int = 0
    recordings: int = 0
    sources: int = 0
    values: int = 0
    measured_at: datetime | None = None

    def by_kind(self) -> dict[str, int]:
        """The kinds of which there is something, the largest first."""
        found = self.model_dump(exclude={"measured_at"})
        return dict(sorted(((kind, size) for kind, size in found.items() if size), key=lambda item: -item[1]))

    def total(self) -> int:
        """The bytes of all kinds."""
        return sum(self.by_kind().values())


class QuotaUse(Model):
    """The used part of a quota. `memory` is that of the limits of running sandboxes, `stored` is `storage` by kind."""

    concurrency: int
    queue_limit: int
    runs_per_hour: int
    runs_per_day: int
    memory: int
    storage: int
    stored: StoredBytes = StoredBytes()


class OwnerQuota(Model):
    """The quota of an owner; `EACH` for the others. `used` is None for that."""

    owner: str
    limits: QuotaLimits
    used: QuotaUse | None = None
