"""Data models of authoring: drafts, edits, generation and diagnosis. Times are timezone-aware UTC."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from codewords_mcp.errors.remedies import Remedy
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.validation import Check

DRAFT_ID = re.compile(r"draft_[0-9a-f]{12}")
ExampleFrom = Literal["header", "given", "derived"]
"""Source of an example: the code's header, the person who deployed or edited it, or the schema of
its input.
"""


class Template(Model):
    """A workflow to start from. `services`: those it calls; `needs`: secrets; `missing`: services
    and secrets that are not set up.
    """

    id: str
    title: str
    description: str
    code: str
    category: str = ""
    services: list[str] = Field(default_factory=list[str])
    needs: list[str] = Field(default_factory=list[str])
    missing: list[str] = Field(default_factory=list[str])
    example_input: dict[str, Any] = Field(default_factory=dict[str, Any])


class GenerationAttempt(Model):
    """One completion of a model. `problem`: the fault of its program, "" if there is none. `cost`
    in USD, None if unknown.
    """

    problem: str
    tokens: int = 0
    cost: float | None = None


class Edit(Model):
    """A replacement. `old` must occur exactly once in the code, or at least once with
    `replace_all`.
    """

    old: str
    new: str
    replace_all: bool = False


class ProposedTest(Model):
    """A first test of a draft: what the answer to its example has, and the change of its code that keeps it.

    The change puts `expect` into the header, and `example` where the header has none.
    """

    example: Any
    expect: list[str]
    edit: Edit


class Draft(Model):
    """Code in progress that is not served. Each change of the code is a new `revision`, counted
    from 1.

    `workflow_id` and `base_version`: its source. `checks`: results of the last validation; `ready`:
    none failed. `tried`, `plan` and `model` record its generation. `test`: a test that its header could
    declare. `code` is set on request only.
    """

    draft_id: str
    name: str
    description: str = ""
    revision: int
    workflow_id: str | None = None
    base_version: int | None = None
    ready: bool
    checks: list[Check] = Field(default_factory=list[Check])
    capabilities: list[str] = Field(default_factory=list[str])
    routes: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    example: Any = None
    example_from: ExampleFrom | None = None
    test: ProposedTest | None = None
    plan: str = ""
    model: str = ""
    tried: list[GenerationAttempt] = Field(default_factory=list[GenerationAttempt])
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    code: str | None = None

    @property
    def cost(self) -> float | None:
        """Total cost of the model calls in USD. None if the cost of any call is unknown."""
        known = [attempt.cost for attempt in self.tried if attempt.cost is not None]
        if known and len(known) == len(self.tried):
            return round(sum(known), 6)
        return None


class DraftServing(Model):
    """A draft that its owner can run at `url`, as a workflow. `capabilities`: what its code may reach.

    `environment_built`: its packages had to be installed first.
    """

    draft_id: str
    revision: int
    url: str
    capabilities: list[str] = Field(default_factory=list[str])
    environment_built: bool = False


class EditedDraft(Model):
    """A draft after a change: the drawn difference, new checks, and checks that no longer apply
    (`resolved`).

    `continued`: the request named a workflow, and its open draft was edited. `live_version`: the
    version that serves now. `evidence`: what recorded runs of the workflow say of the change, with the
    words of the `remedy`.
    """

    draft: Draft
    diff: str
    continued: bool = False
    live_version: int | None = None
    checks: list[Check] = Field(default_factory=list[Check])
    resolved: list[Check] = Field(default_factory=list[Check])
    evidence: list[str] = Field(default_factory=list[str])
    remedy: Remedy | None = None


class Brief(Model):
    """Instructions for an assistant that writes a workflow itself."""

    rules: str
    template_id: str
    template_code: str
    other_templates: list[str] = Field(default_factory=list[str])
    services: list[str] = Field(default_factory=list[str])
    next: str


class Generation(Model):
    """Result of a generation. `ready`: a draft that passes every check. `unfinished`: the best
    draft so far, and in `why` the reason for stopping.

    `brief`: instructions for an assistant. They are returned on request, without a model, or after
    a model wrote no program (`why`).
    """

    status: Literal["ready", "unfinished", "brief"]
    draft: Draft | None = None
    why: str = ""
    brief: Brief | None = None


class Frame(Model):
    """A traceback entry in the workflow's own code: line number, function and source text."""

    line: int
    function: str
    text: str


class Diagnosis(Model):
    """The cause of a failed run. `around`: numbered code around the innermost frame, with its line
    marked. `input`: the run's input, bounded. `since`: differences from its last success. `secret`:
    the missing one. `routes`: the existing routes, if the request matched none. `refused`: refused
    connections with reasons.
    """

    step: str | None = None
    error: str | None = None
    frames: list[Frame] = Field(default_factory=list[Frame])
    around: str | None = None
    input: str | None = None
    since: str | None = None
    fix: str | None = None
    remedy: Remedy | None = None
    secret: str | None = None
    routes: list[str] = Field(default_factory=list[str])
    refused: list[str] = Field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class ModelCompletion:
    """A model's response. `cut`: it reached its token limit. `cost` in USD, None if unknown."""

    text: str
    tokens: int = 0
    cost: float | None = None
    cut: bool = False


AskModel = Callable[[str, str], Awaitable[ModelCompletion]]
"""`await ask(system, prompt)`: one call of a model, without a history."""

_MAX_REFUSALS = 5
"""Number of refusals listed. Further ones are counted only."""


def refusals(run: Run) -> list[str]:
    """`host:port: reason` of each refused or failed connection and request, with the line that
    would allow it.
    """
    egress = run.usage.get("egress", {})
    lines = [
        f"{entry['host']}:{entry['port']}: {entry['why']}"
        for entry in egress.get("reached", [])
        if entry.get("why")
    ]
    lines += [
        f"{entry['host']}:{entry['port']}: refused"
        for entry in egress.get("reached", [])
        if not entry["allowed"] and not entry.get("why")
    ]
    lines += [f"a request to {entry['host']}: {entry['reason']}" for entry in egress.get("refused", [])]
    lines += [entry["why"] for entry in run.usage.get("refused_calls", [])]

    if len(lines) > _MAX_REFUSALS:
        more = [f"{len(lines) - _MAX_REFUSALS} more"]
    else:
        more = []

    return lines[:_MAX_REFUSALS] + more
