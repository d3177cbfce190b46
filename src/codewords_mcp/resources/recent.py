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
from codewords_mcp.resources import practices, run, run_logs, services, workflow
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
    """Ids and names that begin with what was typed, newest first; nothing for arguments that name nothing."""
    known = await _known(ctx, _named(params))
    values = [value for value in known if value.startswith(params.argument.value)]
    return CompleteResult(
        completion=Completion(values=values[:_COMPLETED], has_more=len(values) > _COMPLETED)
    )


_ARGUMENTS = {
    ("debug_run", "run_id"): "run",
    ("add_integration", "workflow_id"): "workflow",
    ("add_integration", "service"): "service",
    ("review_workflow", "workflow_id"): "workflow",
    (workflow.URI, "workflow_id"): "workflow",
    (run.URI, "run_id"): "run",
    (run_logs.URI, "run_id"): "run",
    (services.URI, "name"): "page",
    (practices.URI, "topic"): "topic",
}
"""(prompt or address, argument) → what it names."""


def _named(params: CompleteRequestParams) -> str | None:
    """What the argument names, None where it is nothing that can be listed."""
    ref = params.ref
    subject = ref.name if isinstance(ref, PromptReference) else str(ref.uri)
    return _ARGUMENTS.get((subject, params.argument.name))


async def _known(ctx: RequestContext, kind: str | None) -> list[str]:
    runtime, caller = ctx.lifespan_context.runtime, caller_of(ctx)
    if kind == "workflow":
        return [item.service_id for item in (await runtime.list_workflows(caller, limit=_COMPLETED)).items]
    if kind in {"service", "page"}:
        names = [item.name for item in await runtime.list_services(caller)]
        return names if kind == "service" else ["all", *names]
    if kind == "topic":
        return runtime.practice_topics()
    return [item.id for item in (await runtime.list_runs(caller, limit=_COMPLETED)).items] if kind else []
