"""Quotas of the owners of one database: each has its own, and none takes from another's."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from codewords_mcp.runtime.model.base import Model

EACH: Final = "*"
"""In place of an owner: each one but the home's that has no quota of its own."""


class QuotaLimits(Model):
    """Ceilings of one owner; None is none. `memory` and `storage` are bytes.

    `concurrency` bounds runs at once, `queue_limit` those that wait, `memory` the limits of all sandboxes at once,
    `storage` uploaded files and files of answers. Runs are those of workflows, nested ones and schedules' included.
    """

    concurrency: int | None = Field(default=None, ge=1, le=1_000_000)
    queue_limit: int | None = Field(default=None, ge=0, le=1_000_000)
    runs_per_hour: int | None = Field(default=None, ge=0, le=1_000_000_000)
    runs_per_day: int | None = Field(default=None, ge=0, le=1_000_000_000)
    memory: int | None = Field(default=None, ge=1, le=1 << 50)
    storage: int | None = Field(default=None, ge=0, le=1 << 60)


class QuotaUse(Model):
    """The part of a quota that is used now. `memory` is that of the limits of running sandboxes."""

    concurrency: int
    queue_limit: int
    runs_per_hour: int
    runs_per_day: int
    memory: int
    storage: int


class OwnerQuota(Model):
    """The quota of an owner; `EACH` for the others. `used` is None for that."""

    owner: str
    limits: QuotaLimits
    used: QuotaUse | None = None
