"""`get_workflow`: a workflow's routes, versions, last runs, and its code when asked for."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.door.context import DoorContext, asking
from codewords_mcp.door.text import compact, cut, one_line
from codewords_mcp.runtime.models import WorkflowDetail
from codewords_mcp.tools._arguments import WorkflowId
from codewords_mcp.tools._checks import may
from codewords_mcp.tools._tool import READS, answer, tool

_VERSIONS = 20
_RUNS = 10
_ROUTES_SHOWN = 4_000


class VersionItem(BaseModel):
    """A version that can be made live."""

    version: int
    created_at: str
    active: bool


class RunItem(BaseModel):
    """A run, to look into with get_run."""

    run_id: str
    status: str
    created_at: str


class Workflow(BaseModel):
    """A workflow as it is served."""

    workflow_id: str
    name: str
    description: str | None = None
    url: str
    version: int
    routes: list[dict[str, Any]]
    env: list[dict[str, Any]]
    dependencies: list[str]
    versions: list[VersionItem]
    last_runs: list[RunItem]
    capabilities: list[str]
    code: str | None = None


async def get_workflow(
    ctx: DoorContext, workflow_id: WorkflowId, version: int | None = None, include_code: bool = False
) -> Annotated[CallToolResult, Workflow]:
    """Get a workflow's routes with their inputs, its environment, versions and last runs."""
    runtime, caller = asking(ctx)
    detail = await runtime.get_workflow(caller, workflow_id, version=version, include_code=include_code)
    data = _data(detail)
    return answer(data, _text(data))


def _data(detail: WorkflowDetail) -> Workflow:
    return Workflow(
        workflow_id=detail.service_id,
        name=one_line(detail.name, 80),
        description=one_line(detail.description, 400) or None,
        url=detail.url,
        version=detail.version,
        routes=detail.routes,
        env=detail.env,
        dependencies=detail.dependencies,
        versions=[
            VersionItem(
                version=v.version, created_at=v.created_at.isoformat(timespec="seconds"), active=v.active
            )
            for v in detail.versions[:_VERSIONS]
        ],
        last_runs=[
            RunItem(run_id=r.id, status=r.status, created_at=r.created_at.isoformat(timespec="seconds"))
            for r in detail.last_runs[:_RUNS]
        ],
        capabilities=detail.capabilities,
        code=detail.code,
    )


def _text(data: Workflow) -> str:
    lines = [
        f"{data.workflow_id} v{data.version}: {data.name}"
        + (f". {data.description}" if data.description else ""),
        f"URL: {data.url}",
        f"Routes: {cut(compact(data.routes), _ROUTES_SHOWN)}",
        f"Environment: {compact(data.env)}",
        f"Versions: {', '.join(f'{v.version}*' if v.active else str(v.version) for v in data.versions)} (* is live)",
    ]
    lines += may(data.capabilities)
    if data.last_runs:
        lines.append("Last runs: " + ", ".join(f"{r.run_id} {r.status}" for r in data.last_runs))
    if data.code is not None:
        lines.append(f"```python\n{data.code}\n```")
    return "\n".join(lines)


TOOL = tool(get_workflow, title="Get workflow", hints=READS, toolset="workflows")
