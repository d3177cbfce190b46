"""The nouns of authoring: drafts, edits, what was generated, why a run failed. Times are timezone-aware UTC."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.validation import Check

DRAFT_ID = re.compile(r"draft_[0-9a-f]{12}")
ExampleFrom = Literal["header", "given", "derived"]
"""The header of the code, whoever deployed or edited it, or the schema of its input."""


class Template(Model):
    """A workflow to start from. `services` are those it calls, `needs` secrets, `missing` those of both that are not set."""

    id: str
    title: str
    description: str
    code: str
    category: str = ""
    services: list[str] = Field(default_factory=list[str])
    needs: list[str] = Field(default_factory=list[str])
    missing: list[str] = Field(default_factory=list[str])
    example_input: dict[str, Any] = Field(default_factory=dict[str, Any])


class Tried(Model):
    """One answer of a model: what was wrong with what it wrote, "" where nothing was; cost in USD, None if unknown."""

    problem: str
    tokens: int = 0
    cost: float | None = None


class Draft(Model):
    """Code that is worked on and not served. Each change of the code is a new `revision`, from 1.

    `workflow_id` and `base_version`: what it was made from. `checks` are the last validation's; `ready` that none failed.
    `tried`, `plan` and `model` tell how it was generated. `code` only when asked for.
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
    plan: str = ""
    model: str = ""
    tried: list[Tried] = Field(default_factory=list[Tried])
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    code: str | None = None

    @property
    def cost(self) -> float | None:
        """What its models' answers cost in USD; None where that is not known of all of them."""
        known = [one.cost for one in self.tried if one.cost is not None]
        if known and len(known) == len(self.tried):
            return round(sum(known), 6)
        return None


class Edit(Model):
    """Text that stands in the code exactly once, or anywhere with `replace_all`, and what takes its place."""

    old: str
    new: str
    replace_all: bool = False


class Edited(Model):
    """A draft after a change: the unified diff, the checks that are new, and those that are gone.

    `continued`: a workflow was named, and this is the draft of it that was open. `live_version` is the one that serves now.
    """

    draft: Draft
    diff: str
    continued: bool = False
    live_version: int | None = None
    checks: list[Check] = Field(default_factory=list[Check])
    resolved: list[Check] = Field(default_factory=list[Check])


class Brief(Model):
    """What an assistant needs to write a workflow itself."""

    rules: str
    template_id: str
    template_code: str
    services: list[str] = Field(default_factory=list[str])
    next: str


class Generation(Model):
    """`ready`: a draft that passes every check. `unfinished`: the best there was, `why` it went no further.

    `brief`: this is what an assistant needs to write it: there is no model to ask, the model wrote no program (`why`), or the
    brief was asked for.
    """

    status: Literal["ready", "unfinished", "brief"]
    draft: Draft | None = None
    why: str = ""
    brief: Brief | None = None


class Frame(Model):
    """A place in a traceback that is the workflow's own: the line's number, its function and its text."""

    line: int
    function: str
    text: str


class Diagnosis(Model):
    """Why a run failed. `around`: the code about the innermost frame, numbered, its line marked. `input` is what it was asked,
    bounded; `since` what is different from its last success. `secret`: the one that is missing. `routes`: those that there
    are, where none was asked. `refused`: connections that were not made, and why.
    """

    step: str | None = None
    error: str | None = None
    frames: list[Frame] = Field(default_factory=list[Frame])
    around: str | None = None
    input: str | None = None
    since: str | None = None
    fix: str | None = None
    secret: str | None = None
    routes: list[str] = Field(default_factory=list[str])
    refused: list[str] = Field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Written:
    """A model's answer; `cut`: it reached its limit of tokens. `cost` in USD, None if unknown."""

    text: str
    tokens: int = 0
    cost: float | None = None
    cut: bool = False


Ask = Callable[[str, str], Awaitable[Written]]
"""`await ask(system, prompt)`: one question to a model, without a memory of those before."""

_REFUSED = 5
"""Refusals of a run that are told of; of the others how many there are."""


def refusals(run: Run) -> list[str]:
    """`host:port: why` of each connection and request that was refused or came to nothing, with the line that would allow it."""
    egress = run.usage.get("egress", {})
    found = [
        f"{one['host']}:{one['port']}: {one['why']}" for one in egress.get("reached", []) if one.get("why")
    ]
    found += [
        f"{one['host']}:{one['port']}: refused"
        for one in egress.get("reached", [])
        if not one["allowed"] and not one.get("why")
    ]
    found += [f"a request to {one['host']}: {one['reason']}" for one in egress.get("refused", [])]
    found += [one["why"] for one in run.usage.get("refused_calls", [])]

    if len(found) > _REFUSED:
        more = [f"{len(found) - _REFUSED} more"]
    else:
        more = []

    return found[:_REFUSED] + more
