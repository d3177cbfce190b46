"""`edit_workflow`: write new code or change existing code, as a draft that is checked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.mcp_server.check_format import CheckItem, check_items, check_lines
from codewords_mcp.mcp_server.context import ToolContext
from codewords_mcp.mcp_server.remedies import worded
from codewords_mcp.mcp_server.text import fenced, one_line
from codewords_mcp.mcp_server.tool import ADDS, tool, tool_result
from codewords_mcp.runtime.model.authoring import Edit, EditedDraft
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.code_difference import first_rows
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.tools._drafts import DraftResult, draft_lines, draft_result
from codewords_mcp.tools._jobs import join_job

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

_DIFF = 4_000


class Replacement(BaseModel):
    """`old` occurs once, or replace_all."""

    old: str
    new: str
    replace_all: bool = False


class EditResult(BaseModel):
    """The effect of a change: `checks` has only new problems, `resolved` those that are gone.

    `continued`: the workflow had an open draft, and the change was made there.
    """

    status: str
    continued: bool | None = None
    draft: DraftResult | None = None
    diff: str | None = None
    checks: list[CheckItem] = []
    resolved: list[str] = []
    evidence: list[str] = []


async def edit_workflow(
    ctx: ToolContext,
    workflow_id: Annotated[str | None, Field(description="A workflow or draft; none starts a draft")] = None,
    edits: Annotated[list[Replacement] | None, Field(description="All or none are made")] = None,
    patch: Annotated[str | None, Field(description="Or a unified diff")] = None,
    code: Annotated[str | None, Field(description="Or the whole file")] = None,
    template_id: str | None = None,
) -> Annotated[CallToolResult, EditResult]:
    """Write or change code in a draft, checked and tried at once. What is live stays so until deploy_workflow."""
    if workflow_id is None and bool(code) == (template_id is not None):
        raise InvalidInput("Give `workflow_id`, or for a new draft its whole `code` or a `template_id`.")
    if template_id is not None and workflow_id is not None:
        raise InvalidInput("`template_id` starts a new draft; leave `workflow_id` out.")

    changes = [Edit(**edit.model_dump()) for edit in edits or []]

    async def work(runtime: Runtime, caller: Caller, _: Progress) -> EditedDraft:
        if template_id is not None:
            return await runtime.drafts.create_from_template(
                caller, template_id, edits=changes, patch=patch or ""
            )
        if workflow_id is None:
            return await runtime.drafts.create(caller, code or "")
        return await runtime.drafts.edit(
            caller, workflow_id, edits=changes, patch=patch or "", code=code or ""
        )

    content = [workflow_id, [edit.model_dump() for edit in changes], patch, code, template_id]
    edited = await join_job(ctx, "edit", content, work)
    if edited is None:
        text = "Still building the environment. Call edit_workflow again with the same arguments: it joins this work."
        return tool_result(EditResult(status="building"), text)

    return _edit_result(edited, new=workflow_id is None, whole=bool(code))


def _edit_result(done: EditedDraft, *, new: bool, whole: bool) -> CallToolResult:
    draft = done.draft
    if new or (whole and not done.continued):
        diff = None
    else:
        diff = first_rows(done.diff, _DIFF)

    data = EditResult(
        status="edited",
        continued=done.continued or None,
        draft=draft_result(draft)
        if new
        else draft_result(draft).model_copy(
            update={"description": None, "checks": [], "capabilities": [], "example": None, "test": None}
        ),
        diff=diff,
        checks=[] if new else check_items(done.checks),
        resolved=[one_line(check.message, 200) for check in done.resolved],
        evidence=[worded(line, done.remedy) for line in done.evidence],
    )
    if new:
        return tool_result(data, "\n".join(draft_lines(draft)))

    changed = [*check_lines(done.checks), *(f"- resolved {line}" for line in data.resolved)]
    check_text = changed or ["No check changed."]
    return tool_result(
        data,
        "\n".join(
            [
                *_draft_notes(done),
                _difference(done, diff),
                *check_text,
                *data.evidence,
                *draft_lines(draft, checks=False),
            ]
        ),
    )


def _draft_notes(done: EditedDraft) -> list[str]:
    """Return notes on which code was changed, if the call doesn't make it plain."""
    draft = done.draft
    lines: list[str] = []
    if done.continued:
        lines.append(f"{draft.workflow_id} had an open draft, {draft.draft_id}: the change was made there.")
    if draft.base_version is not None and done.live_version not in {None, draft.base_version}:
        lines.append(
            f"The draft began from version {draft.base_version}, and version {done.live_version} is live since: a deploy "
            f"answers with both differences. delete_workflow({draft.draft_id}) starts anew from the live version."
        )

    return lines


def _difference(done: EditedDraft, diff: str | None) -> str:
    """Format the difference, or the number of changed lines."""
    if not done.diff:
        return "The code is the same; it was checked again."
    if diff is None:
        rows = done.diff.split("\n")
        added, removed = (sum(row.startswith(kind) for row in rows) for kind in "+-")
        return f"Lines added: {added}, removed: {removed}."
    return fenced(diff, "diff")


TOOL = tool(edit_workflow, title="Edit workflow", hints=ADDS, task="optional")
