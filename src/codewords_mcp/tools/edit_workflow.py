"""`edit_workflow`: new code, or a change of what there is, as a draft that is checked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.door.text import clean, cut, one_line
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.author_info import Edit, Edited
from codewords_mcp.runtime.models import Caller, Progress
from codewords_mcp.tools._checks import CheckItem, items_of, lines_of
from codewords_mcp.tools._drafts import DraftResult, draft_lines, draft_result
from codewords_mcp.tools._jobs import joined
from codewords_mcp.tools._tool import ADDS, answer, tool

if TYPE_CHECKING:
    from codewords_mcp.runtime.runtime import Runtime

_DIFF = 4_000


class Replacement(BaseModel):
    """`old` stands in the code exactly once."""

    old: str
    new: str


class EditResult(BaseModel):
    """What the change did: `checks` are only those that are new, `resolved` those that are gone."""

    status: str
    draft: DraftResult | None = None
    diff: str | None = None
    checks: list[CheckItem] = []
    resolved: list[str] = []


async def edit_workflow(
    ctx: DoorContext,
    workflow_id: Annotated[
        str | None, Field(description="A workflow or draft; none with code starts a draft")
    ] = None,
    edits: Annotated[list[Replacement] | None, Field(description="All or none are made")] = None,
    patch: Annotated[str | None, Field(description="Or a unified diff")] = None,
    code: Annotated[str | None, Field(description="Or the whole file")] = None,
) -> Annotated[CallToolResult, EditResult]:
    """Write or change code in a draft, checked and tried at once. What is live stays so until deploy_workflow."""
    if workflow_id is None and not code:
        raise InvalidInput("Give `workflow_id`, or the whole `code` of a new draft.")
    changes = [Edit(old=one.old, new=one.new) for one in edits or []]

    async def work(runtime: Runtime, caller: Caller, _: Progress) -> Edited:
        if workflow_id is None:
            return await runtime.create_draft(caller, code or "")
        return await runtime.edit_draft(
            caller, workflow_id, edits=changes, patch=patch or "", code=code or ""
        )

    asking(ctx)
    content = [workflow_id, [one.model_dump() for one in changes], patch, code]
    done = await joined(ctx, "edit", content, work)
    if done is None:
        text = "Still building the environment. Call edit_workflow again with the same arguments: it joins this work."
        return answer(EditResult(status="building"), text)
    return _answer(done, new=workflow_id is None)


def _answer(done: Edited, *, new: bool) -> CallToolResult:
    draft = done.draft
    diff = None if new else cut(clean(done.diff), _DIFF)
    data = EditResult(
        status="edited",
        draft=draft_result(draft)
        if new
        else draft_result(draft).model_copy(
            update={"description": None, "checks": [], "capabilities": [], "example": None}
        ),
        diff=diff,
        checks=[] if new else items_of(done.checks),
        resolved=[one_line(check.message, 200) for check in done.resolved],
    )
    if new:
        return answer(data, "\n".join(draft_lines(draft)))
    changed = [*lines_of(done.checks), *(f"- resolved {line}" for line in data.resolved)]
    told = changed or ["No check changed."]
    return answer(
        data, "\n".join([f"```diff\n{_hunks(diff)}\n```", *told, *draft_lines(draft, checks=False)])
    )


def _hunks(diff: str | None) -> str:
    """A diff without its two lines of names, which the draft's own line says."""
    lines = (diff or "").splitlines()
    return "\n".join(lines[2:] if lines and lines[0].startswith("--- ") else lines)


TOOL = tool(
    edit_workflow, title="Edit workflow", hints=ADDS, administers=True, toolset="workflows", task="optional"
)
