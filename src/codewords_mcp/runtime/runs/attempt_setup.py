"""The things that an attempt at a run begins with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.model.run_columns import AttemptEntry
from codewords_mcp.runtime.runs.ancestry import RunAncestry
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.launcher import LaunchConfig
from codewords_mcp.runtime.runs.run_journals import AttemptJournal
from codewords_mcp.runtime.runs.run_logs import RunLog
from codewords_mcp.runtime.runs.run_plan import RunPlan


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    """The number of this attempt, the earlier attempts, and how many may still follow."""

    number: int = 1
    earlier: tuple[AttemptEntry, ...] = ()
    remaining: int = 0
    journal: AttemptJournal | None = None
    """What it goes on from, where it may be resumed."""


@dataclass(frozen=True, slots=True)
class AttemptSetup:
    """A run's request and version, its place among the attempts, and the state of its record.

    `written`: the write of the run's row, None where it is on record. `queued`: the record says that the
    run waits; else it says that the first attempt has started.
    """

    context: RunDependencies
    run_id: str
    request: RunRequest
    config: LaunchConfig
    run_log: RunLog
    ancestry: RunAncestry
    timeout: float
    queued: bool
    written: asyncio.Future[None] | None = None
    info: AttemptInfo = field(default=AttemptInfo())
    plan: RunPlan | None = None
