"""List a caller's recent workflows and runs as resources, and complete ids."""

from __future__ import annotations

import json

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

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import InvalidInput
from codewords_mcp.mcp_server.access import access_of, completion_kind, resource_rule
from codewords_mcp.mcp_server.context import RequestContext, caller_of
from codewords_mcp.mcp_server.skills import skills
from codewords_mcp.mcp_server.text import one_line
from codewords_mcp.resources import run, run_logs, services, workflow
from codewords_mcp.runtime.auth.access import Access
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.workflow import WorkflowSummary

_PAGE_SIZE = 20
_MAX_COMPLETIONS = 100


async def list_recent(ctx: RequestContext, params: PaginatedRequestParams | None) -> ListResourcesResult:
    """List library services and skills, the newest workflows, then the newest runs with their logs.

    Older ones are on further pages. Raises InvalidInput for an invalid cursor.
    """
    runtime, caller = ctx.lifespan_context.runtime, caller_of(ctx)
    cursor = params.cursor if params else None
    workflow_cursor, run_cursor = _positions(cursor)
    access = access_of(ctx)

    if cursor:
        resources = []
    else:
        resources = [resource for resource in _fixed_resources() if _may_read(access, str(resource.uri))]

    # A list must not name what its reader may not open.
    if not _may_read(access, workflow.URI):
        workflow_cursor = None

    if not _may_read(access, run.URI):
        run_cursor = None

    if workflow_cursor is not None:
        workflows = await runtime.workflows.list(caller, limit=_PAGE_SIZE, cursor=workflow_cursor or None)
        resources += map(_workflow_resource, workflows.items)
        workflow_cursor = workflows.next_cursor

    if run_cursor is not None:
        runs = await runtime.runs.list(caller, limit=_PAGE_SIZE, cursor=run_cursor or None)
        resources += [resource for item in runs.items for resource in _run_resources(item)]
        run_cursor = runs.next_cursor

    more = workflow_cursor is not None or run_cursor is not None
    return ListResourcesResult(
        resources=resources, next_cursor=json.dumps([workflow_cursor, run_cursor]) if more else None
    )


def _may_read(access: Access, uri: str) -> bool:
    rule = resource_rule(uri)
    return rule is not None and access.refusal(rule) is None


def _positions(cursor: str | None) -> tuple[str | None, str | None]:
    """Return the page's cursors of workflows and runs; "" is the first page, None means no more."""
    if cursor is None:
        return "", ""

    try:
        # The cursor is the caller's text, so it is parsed with bounds and checked in shape.
        positions = parse(cursor)
    except ValueError:
        positions = None

    match positions:
        case [str() | None as workflows, str() | None as runs]:
            return workflows, runs
        case _:
            raise InvalidInput("This cursor is not from this list.", hint="Start without a cursor.")


def _fixed_resources() -> list[Resource]:
    all_services = Resource(
        uri=services.ALL_URI, name="services", title=services.TITLE, mime_type=services.MIME_TYPE
    )
    ours = [
        Resource(
            uri=skill.uri,
            name=skill.name,
            description=skill.front_matter["description"],
            mime_type="text/markdown",
        )
        for skill in skills()
    ]
    return [all_services, *ours]


def _workflow_resource(item: WorkflowSummary) -> Resource:
    return Resource(
        uri=f"workflow://{item.service_id}",
        name=item.service_id,
        title=one_line(item.name, 80),
        description=one_line(item.description, 160) or None,
        mime_type=workflow.MIME_TYPE,
        annotations=Annotations(last_modified=item.updated_at.isoformat()),
    )


def _run_resources(item: Run) -> list[Resource]:
    title = f"{item.service_id or 'run'} {item.status}"
    annotations = Annotations(
        last_modified=(item.completed_at or item.started_at or item.created_at).isoformat()
    )
    return [
        Resource(
            uri=f"run://{item.id}",
            name=item.id,
            title=title,
            mime_type=run.MIME_TYPE,
            annotations=annotations,
        ),
        Resource(
            uri=f"run://{item.id}/logs",
            name=f"{item.id}/logs",
            title=f"Log of {title}",
            mime_type=run_logs.MIME_TYPE,
            annotations=annotations,
        ),
    ]


async def complete(ctx: RequestContext, params: CompleteRequestParams) -> CompleteResult:
    """Complete ids and names, newest first; no values for arguments that can't be listed."""
    known = await _candidates(ctx, _completion_kind(params))
    values = [value for value in known if value.startswith(params.argument.value)]
    return CompleteResult(
        completion=Completion(values=values[:_MAX_COMPLETIONS], has_more=len(values) > _MAX_COMPLETIONS)
    )


def _completion_kind(params: CompleteRequestParams) -> str | None:
    """Return the kind of name that the argument takes; None if it can't be listed."""
    ref = params.ref
    if isinstance(ref, PromptReference):
        subject = ref.name
    else:
        subject = str(ref.uri)
    return completion_kind(subject, params.argument.name)


async def _candidates(ctx: RequestContext, kind: str | None) -> list[str]:
    runtime, caller = ctx.lifespan_context.runtime, caller_of(ctx)
    if kind == "workflow":
        return [
            item.service_id for item in (await runtime.workflows.list(caller, limit=_MAX_COMPLETIONS)).items
        ]

    if kind in {"service", "page"}:
        names = [item.name for item in await runtime.services.list(caller)]
        if kind == "service":
            return names
        return ["all", *names]

    if kind == "topic":
        return runtime.authoring.practice_topics()
    if kind:
        return [item.id for item in (await runtime.runs.list(caller, limit=_MAX_COMPLETIONS)).items]

    return []
