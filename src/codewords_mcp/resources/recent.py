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
from codewords_mcp.resources import run, run_logs, services, workflow
from codewords_mcp.runtime.models import Run, WorkflowSummary

_LISTED = 20
_COMPLETED = 100


async def list_recent(ctx: RequestContext, _: PaginatedRequestParams) -> ListResourcesResult:
    """The library services, the newest workflows, then the newest runs with their logs; one page."""
    runtime, caller = ctx.lifespan_context.runtime, caller_of(ctx)
    workflows = await runtime.list_workflows(caller, limit=_LISTED)
    runs = await runtime.list_runs(caller, limit=_LISTED)
    found = [
        Resource(uri=services.ALL_URI, name="services", title=services.TITLE, mime_type=services.MIME_TYPE),
        *map(_of_workflow, workflows.items),
    ]
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
    return {workflow.URI: "workflow_id", run.URI: "run_id", run_logs.URI: "run_id", services.URI: "name"}.get(
        str(ref.uri)
    ) == name


async def _ids(ctx: RequestContext, argument: str) -> list[str]:
    runtime, caller = ctx.lifespan_context.runtime, caller_of(ctx)
    if argument == "workflow_id":
        return [item.service_id for item in (await runtime.list_workflows(caller, limit=_COMPLETED)).items]
    if argument == "name":
        return ["all", *(item.name for item in await runtime.list_services(caller))]
    return [item.id for item in (await runtime.list_runs(caller, limit=_COMPLETED)).items]
