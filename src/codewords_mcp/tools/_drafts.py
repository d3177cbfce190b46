"""Format a draft for tools: its state, its open checks and the next call."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from codewords_mcp.mcp_server.check_format import (
    CheckItem,
    capability_lines,
    capability_list,
    check_items,
    check_lines,
)
from codewords_mcp.mcp_server.text import clean, clean_json, compact, fence, one_line
from codewords_mcp.runtime.model.authoring import Draft

_EXAMPLE = 400
_TEST = 1_000


class DraftResult(BaseModel):
    """A draft. `checks` are failures, warnings and notes; `example` is an input that it was tried with, `test` a call that keeps
    it as a test.
    """

    draft_id: str
    name: str
    description: str | None = None
    revision: int
    ready: bool
    workflow_id: str | None = None
    checks: list[CheckItem] = []
    capabilities: list[str] = []
    example: Any = None
    test: str | None = None
    model: str | None = None
    tried: list[str] = []
    cost_usd: float | None = None


def draft_result(draft: Draft) -> DraftResult:
    """Make the structured result of a draft."""
    return DraftResult(
        draft_id=draft.draft_id,
        name=one_line(draft.name, 80),
        description=one_line(draft.description, 400) or None,
        revision=draft.revision,
        ready=draft.ready,
        workflow_id=draft.workflow_id,
        checks=check_items(draft.checks),
        capabilities=capability_list(draft.capabilities) if draft.ready else [],
        example=clean_json(draft.example),
        test=test_call(draft),
        model=draft.model or None,
        tried=[one_line(attempt.problem, 160) or "passed" for attempt in draft.tried],
        cost_usd=draft.cost,
    )


def draft_lines(draft: Draft, *, checks: bool = True) -> list[str]:
    """Format a draft as text: state, permissions, open checks, next call."""
    if draft.ready:
        state = "passes its checks"
    else:
        state = "does not pass its checks yet"

    if draft.workflow_id:
        origin = f" of {draft.workflow_id} version {draft.base_version}"
    else:
        origin = ""

    lines = [f"{draft.draft_id} revision {draft.revision}{origin} {state}."]
    if checks:
        lines += check_lines(draft.checks)
        if draft.ready:
            lines += capability_lines(draft.capabilities)
        if draft.example is not None:
            lines.append(fence("Example input", compact(clean_json(draft.example)), _EXAMPLE))
        if call := test_call(draft):
            lines.append(fence("A first test, kept in its header by", call, _TEST))

    return [*lines, f"Next: {next_call(draft)}"]


def test_call(draft: Draft) -> str | None:
    """Return the call that keeps the proposed test of a draft; None without one, or before it passes its checks."""
    if draft.test is None or not draft.ready:
        return None
    edits = compact([draft.test.edit.model_dump(exclude_defaults=True)])
    call = f"edit_workflow(workflow_id={json.dumps(draft.draft_id)}, edits={edits})"
    # A call that is cut could not be made.
    return clean(call) if len(call) <= _TEST else None


def next_call(draft: Draft) -> str:
    """Return the next tool call for a draft."""
    name = json.dumps(draft.draft_id)
    deploy = f"deploy_workflow(draft_id={name}, revision={draft.revision})"
    if draft.ready:
        return deploy
    # Only an account is missing, which no edit of the code brings.
    if {check.id for check in draft.checks if check.status == "failed"} == {"connections"}:
        return f"connect_integration(app=…), then {deploy}"
    return f'edit_workflow(workflow_id={name}, edits=[{{"old": "…", "new": "…"}}])'
