"""`deploy_workflow`: make code, a draft or a template a live, isolated HTTP service."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import BaseModel, Field

from codewords_mcp.errors import ConsentNeeded, InvalidInput
from codewords_mcp.mcp_server.cards import REVIEW_CARD, shows_cards
from codewords_mcp.mcp_server.change_format import change_lines
from codewords_mcp.mcp_server.check_format import (
    CheckItem,
    capability_lines,
    capability_list,
    check_items,
    check_lines,
)
from codewords_mcp.mcp_server.consent import ConsentDialogue, asker_name, fenced_items, pending_lines
from codewords_mcp.mcp_server.context import ToolContext, limits_of, runtime_and_caller
from codewords_mcp.mcp_server.text import clean_json, fence, one_line
from codewords_mcp.mcp_server.tool import EXECUTES, remaining_timeout, tool, tool_result
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.code_difference import first_rows
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.workflow import Consent, DeployChanges, Deployment, WorkflowDetail
from codewords_mcp.tools._availability import availability_text
from codewords_mcp.tools._jobs import join_job
from codewords_mcp.tools._workflow_calls import curl_command, page_line, run_call

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

_CONSENT_TIMEOUT = 34.0
"""Seconds of a call after which it no longer waits for a person: the rest is for going live."""
_MIN_TIMEOUT = 6.0
_OF_CHANGES = frozenset({"replay", "tests"})
_DIFF = 8_000
_FORECAST = 2


class DeployResult(BaseModel):
    """The live version; only `status` while the environment is being built.

    `needs_consent`: nothing was deployed; a person must first agree to `asks` at `consent_url`.
    """

    status: Literal["deployed", "unchanged", "building", "needs_consent"]
    workflow_id: str | None = None
    version: int | None = None
    url: str | None = None
    isolation: str | None = None
    curl: str | None = None
    notes: list[CheckItem] = []
    capabilities: list[str] = []
    asks: list[str] = []
    consent_url: str | None = None
    confirm: str | None = None
    availability: str | None = None
    forecast: list[str] = []
    changes: DeployChanges | None = None


async def deploy_workflow(
    ctx: ToolContext,
    code: Annotated[str | None, Field(description="The whole Python file")] = None,
    template_id: Annotated[str | None, Field(description="Instead of code")] = None,
    draft_id: Annotated[str | None, Field(description="Instead of code")] = None,
    name: Annotated[str | None, Field(description="A short title, not in use yet")] = None,
    workflow_id: Annotated[str | None, Field(description="Updates that one")] = None,
    base_version: Annotated[int | None, Field(description="The live version it may replace")] = None,
    description: str = "",
    revision: int | None = None,
    confirm: Annotated[str | None, Field(description="From the reply that asked")] = None,
) -> Annotated[CallToolResult, DeployResult] | InputRequiredResult:
    """Validate code, a draft or a template and make it live. A failed deploy leaves the previous version serving.

    Asks the user to consent to what it may reach.
    """
    if sum(source is not None for source in (code, template_id, draft_id)) != 1:
        raise InvalidInput(
            "Give one of `code`, `template_id` and `draft_id`.", hint="list_templates shows the templates."
        )

    request: dict[str, Any] = {
        "code": code,
        "template_id": template_id,
        "draft_id": draft_id,
        "revision": revision,
        "name": name,
        "service_id": workflow_id,
        "base_version": base_version,
        "description": description,
    }
    started = time.monotonic()
    dialogue = ConsentDialogue(ctx, until=started + remaining_timeout(ctx, _CONSENT_TIMEOUT))
    token = await dialogue.previous_token(confirm)
    deployment = await dialogue.decide(token, partial(_deploy, ctx, request, started))
    if isinstance(deployment, InputRequiredResult):
        return deployment
    if isinstance(deployment, ConsentNeeded):
        return _pending_result(deployment, with_changes=shows_cards(ctx))
    if deployment is None:
        text = "Still building the environment. Call deploy_workflow again with the same arguments: it joins this work."
        return tool_result(DeployResult(status="building"), text)

    runtime, caller = runtime_and_caller(ctx)
    detail = await runtime.workflows.get(caller, deployment.service_id)
    return _deployed_result(deployment, detail, runtime.base_url)


async def _deploy(
    ctx: ToolContext, request: dict[str, Any], started: float, confirm: str | None
) -> Deployment | ConsentNeeded | None:
    async def deploy(runtime: Runtime, caller: Caller, progress: Progress) -> Deployment | ConsentNeeded:
        by = asker_name(ctx)
        consent = Consent(confirm=confirm, asker=by)
        return await runtime.workflows.try_deploy(
            caller, **request, by=by, consent=consent, progress=progress
        )

    wait = max(started + limits_of(ctx).work_timeout - time.monotonic(), _MIN_TIMEOUT)
    # The token is part of the key: an attempt with consent must not join one without.
    return await join_job(ctx, "deploy", [request, confirm], deploy, wait=wait)


def _pending_result(question: ConsentNeeded, *, with_changes: bool) -> CallToolResult:
    # A card shows what was tried and found before the question; its lines alone are for a model.
    if with_changes and isinstance(question.changes, DeployChanges):
        changes = question.changes
    else:
        changes = None
    data = DeployResult(
        status="needs_consent",
        asks=fenced_items(question),
        consent_url=question.url,
        confirm=question.confirm,
        changes=_bounded(changes),
    )
    lines = pending_lines(question, "deploy_workflow")
    return tool_result(data, "\n".join(lines))


def _deployed_result(live: Deployment, detail: WorkflowDetail, base_url: str) -> CallToolResult:
    curl = curl_command(live.url, detail.routes, clean_json(detail.example))
    page = page_line(live.service_id, detail.routes, base_url)
    data = DeployResult(
        status="deployed" if live.changed else "unchanged",
        workflow_id=live.service_id,
        version=live.version,
        url=live.url,
        isolation=live.isolation,
        curl=curl,
        notes=check_items(live.notes),
        capabilities=capability_list(live.capabilities),
        availability=availability_text(live.availability),
        forecast=live.forecast.lines if live.forecast else [],
        changes=_bounded(live.changes),
    )
    if live.changed:
        done = f"Deployed version {live.version}"
    else:
        done = f"Unchanged: version {live.version} is this code already"

    lines = [f"{done} of {live.service_id}, isolation {live.isolation}."]
    if curl:
        # A route and an example are the author's words.
        lines.append(fence("Shell", curl, 2_000))
    if page:
        lines.append(page)
    lines += [
        *capability_lines(live.capabilities),
        *change_lines(live.changes),
        # The replays and tests are among the changes.
        *check_lines([note for note in live.notes if live.changes is None or note.id not in _OF_CHANGES]),
        *data.forecast[:_FORECAST],
    ]
    if data.availability:
        lines.append(f"The runtime: {data.availability}")
    if call := run_call(live.service_id, detail.routes):
        lines.append(f"Next: {call}")
    return tool_result(data, "\n".join(lines))


def _bounded(changes: DeployChanges | None) -> DeployChanges | None:
    """The same, clean and short enough for a model; None stays."""
    if changes is None:
        return None
    return DeployChanges(
        version=changes.version,
        code=first_rows(changes.code, _DIFF),
        lines_added=changes.lines_added,
        lines_removed=changes.lines_removed,
        permissions=[one_line(line, 200) for line in changes.permissions[:20]],
        behaviour=[one_line(line, 300) for line in changes.behaviour[:12]],
        cost=changes.cost,
    )


TOOL = tool(
    deploy_workflow,
    title="Deploy workflow",
    hints=EXECUTES,
    task="optional",
    retryable=True,
    card=REVIEW_CARD,
)
