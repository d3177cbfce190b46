"""The list of resources: a caller's recent workflows and runs; and completion of ids."""

from __future__ import annotations

from mcp_types import (
    Annotations,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ListResourcesResult,
    PaginatedRequestParams,
    PromptReference,
    Resource,
)

from codewords_mcp.door.context import RequestContext, caller_of
from codewords_mcp.door.text import one_line
from codewords_mcp.resources import run, run_logs, workflow
from codewords_mcp.runtime.models import Run, WorkflowSummary

_LISTED = 20
_COMPLETED = 100


async def list_recent(ctx: RequestContext, _: PaginatedRequestParams) -> ListResourcesResult:
    """The newest workflows, then the newest runs with their logs; one page."""
    runtime, caller = ctx.lifespan_context.runtime, caller_of(ctx)
    workflows = await runtime.list_workflows(caller, limit=_LISTED)
    runs = await runtime.list_runs(caller, limit=_LISTED)
    found = [_of_workflow(item) for item in workflows.items]
    for item in runs.items:
        found += _of_run(item)
    return ListResourcesResult(resources=found)


def _of_workflow(item: WorkflowSummary) -> Resource:
    return Resource(
        uri=f"workflow://{item.service_id}",
        name=item.service_id,
        title=one_line(item.name, 80),
        description=one_line(item.description, 160) or None,
        mime_type=workflow.MIME_TYPE,
        annotations=Annotations(last_modified=item.updated_at.isoformat()),
    )


def _of_run(item: Run) -> list[Resource]:
    told = f"{item.service_id or 'run'} {item.status}"
    seen = Annotations(last_modified=(item.completed_at or item.started_at or item.created_at).isoformat())
    return [
        Resource(uri=f"run://{item.id}", name=item.id, title=told, mime_type=run.MIME_TYPE, annotations=seen),
        Resource(
            uri=f"run://{item.id}/logs",
            name=f"{item.id}/logs",
            title=f"Log of {told}",
            mime_type=run_logs.MIME_TYPE,
            annotations=seen,
        ),
    ]


async def complete(ctx: RequestContext, params: CompleteRequestParams) -> CompleteResult:
    """Ids that begin with what was typed, newest first; nothing for arguments that are not ids."""
    name, typed = params.argument.name, params.argument.value
    ids = await _ids(ctx, name) if _takes_id(params, name) else []
    values = [value for value in ids if value.startswith(typed)]
    return CompleteResult(
        completion=Completion(values=values[:_COMPLETED], has_more=len(values) > _COMPLETED)
    )


def _takes_id(params: CompleteRequestParams, name: str) -> bool:
    ref = params.ref
    if isinstance(ref, PromptReference):
        return ref.name == "debug_run" and name == "run_id"
    return {workflow.URI: "workflow_id", run.URI: "run_id", run_logs.URI: "run_id"}.get(str(ref.uri)) == name


async def _ids(ctx: RequestContext, argument: str) -> list[str]:
    runtime, caller = ctx.lifespan_context.runtime, caller_of(ctx)
    if argument == "workflow_id":
        return [item.service_id for item in (await runtime.list_workflows(caller, limit=_COMPLETED)).items]
    return [item.id for item in (await runtime.list_runs(caller, limit=_COMPLETED)).items]
