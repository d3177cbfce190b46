"""Results of replays: a recorded run of one version beside what another version makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model

MAX_RUNS: Final = 100
"""Recorded runs of one replay."""
USUAL_RUNS: Final = 20
MAX_BUDGET: Final = 100.0
SECONDS: Final = 60.0
"""Seconds for a replay, environments aside."""

ReplayStatus = Literal["in_progress", "done", "error", "cancelled"]
ReplayVerdict = Literal["same", "changed", "worse", "cannot tell"]
DifferenceSubject = Literal["status", "error", "answer", "write", "order", "prompt", "read", "host", "model"]
DifferenceChange = Literal["added", "missing", "changed"]


class ReplayDifference(Model):
    """One thing that the new version does otherwise.

    `where` is the request ("POST api.stripe.com/v1/refunds"), host or model; empty for the run's answer. `field` is a path in
    the answer or the request. `before` and `after` are values as JSON or text, cut where they are long; null where there is none.
    """

    subject: DifferenceSubject
    change: DifferenceChange
    where: str = ""
    field: str = ""
    before: str | None = None
    after: str | None = None


class ReplayedRun(Model):
    """One recorded run, compared.

    `obstacles` say why something could not be seen, `not_compared` which fields differ in every run. `notes` are differences
    that change nothing outside. `tokens` and `cost` are of model calls, `seconds` of the whole run. `answer` and `would_write`
    are there where the input was given: what the code answered, and what it would have sent.
    """

    run_id: str
    verdict: ReplayVerdict
    differences: list[ReplayDifference] = Field(default_factory=list[ReplayDifference])
    obstacles: list[str] = Field(default_factory=list[str])
    not_compared: list[str] = Field(default_factory=list[str])
    notes: list[str] = Field(default_factory=list[str])
    cost_before: float = 0.0
    cost_after: float = 0.0
    tokens_before: int = 0
    tokens_after: int = 0
    seconds_before: float = 0.0
    seconds_after: float = 0.0
    bytes_sent: int = 0
    answer: str = ""
    would_write: list[str] = Field(default_factory=list[str])


class ReplayGroup(Model):
    """Runs with the same verdict for the same reasons. `lines` say them, of the first run."""

    verdict: ReplayVerdict
    runs: list[str]
    lines: list[str] = Field(default_factory=list[str])


class ReplayReport(Model):
    """All runs of a replay: the worst verdict first."""

    verdict: ReplayVerdict
    """The worst of all runs; "cannot tell" where there are none."""
    groups: list[ReplayGroup]
    runs: list[ReplayedRun]
    seconds: float = 0.0
    cost: float = 0.0
    bytes_sent: int = 0


FaultKind = Literal["429", "500", "timeout", "empty list", "missing field", "injection"]
"""Faults of a host's response. `injection` hides an instruction to models in a page or a text."""


class FaultReport(Model):
    """The behaviour of a program under one fault.

    `outcome`: "handled" if it succeeded all the same, "refused" if it answered with an error of its own, "crashed" otherwise.
    `at` is the step, the line and the exception of a crash, where the program left a traceback. `retries` says how often it made
    the request again. `new_writes` are those that it would have made because of the fault, `refused` the hosts that it would
    have called and that its manifest refuses.
    """

    kind: FaultKind
    where: str
    field: str = ""
    outcome: Literal["handled", "refused", "crashed"]
    status: int
    at: str = ""
    retries: int = 0
    new_writes: list[str] = Field(default_factory=list[str])
    missing_writes: list[str] = Field(default_factory=list[str])
    refused: list[str] = Field(default_factory=list[str])
    followed_injection: bool = False


class Replay(Model):
    """A replay of recorded runs. `of` names what they were replayed on: a draft with its revision, or a version.

    `report` comes with `done`, `problem` with `error`.
    """

    id: str
    service_id: str
    of: str
    created_at: datetime
    status: ReplayStatus
    report: ReplayReport | None = None
    text: str = ""
    """The report in at most twelve lines."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """The latest `last` recordings of a workflow, or those of these `runs`, to be replayed on its draft or on a version.

    Without both, on the workflow's open draft, else on its live version. `live_reads` sends reads that are not on the
    recording to hosts that the live version may reach. `budget`: US dollars for model calls whose prompt changed; without
    it none is made. `input` is asked instead of the recorded inputs, once: the last of the recordings answers what the code
    asks for.
    """

    workflow: str | None = None
    draft: str | None = None
    version: int | None = None
    runs: Sequence[str] = ()
    last: int = USUAL_RUNS
    live_reads: bool = False
    budget: float = 0.0
    input: Any = None
    seconds: float = SECONDS
