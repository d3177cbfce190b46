"""`get_workflow`: describe a workflow or draft; on request with its code or a diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, overload

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.common.unseen import spelled_unseen
from codewords_mcp.mcp_server.check_format import CheckItem, capability_lines, capability_list, check_items
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.run_format import STARTED_BY
from codewords_mcp.mcp_server.text import clean_json, compact, cut, fence, fence_code, one_line
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.runtime.model.authoring import DRAFT_ID, Draft
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.code_difference import first_rows
from codewords_mcp.runtime.model.run import Run, WaitsFor
from codewords_mcp.runtime.model.run_filter import trigger_of
from codewords_mcp.runtime.model.status_words import status_words
from codewords_mcp.runtime.model.trigger import Trigger
from codewords_mcp.runtime.model.workflow import WorkflowDetail
from codewords_mcp.tools._arguments import Subject
from codewords_mcp.tools._drafts import DraftResult, draft_lines, draft_result
from codewords_mcp.tools._triggers import trigger_line
from codewords_mcp.tools._workflow_calls import form_calls, page_line

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

_MAX_VERSIONS = 20
_MAX_RUNS = 3
_MAX_TRIGGERS = 20
_MAX_ROUTES = 4_000
_DIFF = 8_000
_MAX_EXAMPLE = 600
_MAX_TRIED = 2_000


class VersionItem(BaseModel):
    """A version that can be made live."""

    version: int
    created_at: str
    active: bool = False
    by: str | None = None


class RunItem(BaseModel):
    """A run, to look into with get_run."""

    run_id: str
    status: str
    waits_for: WaitsFor | None = None
    created_at: str
    seconds: float | None = None
    started_by: str | None = None
    cost_usd: float | None = None


class Workflow(BaseModel):
    """A deployed workflow, a `draft`, or only a `diff`."""

    workflow_id: str
    name: str | None = None
    description: str | None = None
    url: str | None = None
    version: int | None = None
    routes: list[dict[str, Any]] = []
    env: list[dict[str, Any]] = []
    dependencies: list[str] = []
    versions: list[VersionItem] = []
    last_runs: list[RunItem] = []
    triggers: list[str] = []
    capabilities: list[str] = []
    tried: list[CheckItem] = []
    draft: DraftResult | None = None
    example: Any = None
    code: str | None = None
    diff: str | None = None


async def get_workflow(
    ctx: ToolContext,
    workflow_id: Subject,
    version: int | None = None,
    include_code: bool = False,
    diff: Annotated[int | None, Field(description="Compare with this version; 0: the one before")] = None,
) -> Annotated[CallToolResult, Workflow]:
    """Get a workflow's or draft's routes with inputs, environment, versions, triggers and last runs; on request its code
    or a diff.
    """
    runtime, caller = runtime_and_caller(ctx)
    if diff is not None:
        return await _diff_result(runtime, caller, workflow_id, version, diff)
    if DRAFT_ID.fullmatch(workflow_id):
        return _draft_result(await runtime.drafts.get(caller, workflow_id, include_code=include_code))
    detail = await runtime.workflows.get(caller, workflow_id, version=version, include_code=include_code)
    triggers = await runtime.triggers.list(caller, service_id=detail.service_id)
    data = _data(detail, triggers)
    ways = [page_line(detail.service_id, detail.routes, runtime.base_url)]
    if any("form" in route for route in detail.routes):
        ways += [f"Fill in its form: {one}" for one in form_calls(detail.service_id, detail.routes)]
    return tool_result(data, _text(data, [way for way in ways if way]))


async def _diff_result(
    runtime: Runtime, caller: Caller, workflow_id: str, version: int | None, against: int
) -> CallToolResult:
    found = await runtime.reviews.diff(caller, workflow_id, version=version, against=against or None)
    shown = first_rows(found, _DIFF)
    if found:
        text = fence("Difference", shown, _DIFF + 100)
    else:
        text = "Nothing differs."
    return tool_result(Workflow(workflow_id=workflow_id, diff=shown), text)


def _draft_result(draft: Draft) -> CallToolResult:
    data = Workflow(
        workflow_id=draft.draft_id,
        name=one_line(draft.name, 80),
        routes=[clean_json(_without_titles(route)) for route in draft.routes],
        draft=draft_result(draft),
        code=None if draft.code is None else spelled_unseen(draft.code),
    )
    lines = [
        *draft_lines(draft),
        fence("Name and routes", f"{data.name}\n{compact(data.routes)}", _MAX_ROUTES),
    ]
    if draft.code is not None:
        lines.append(fence_code(draft.code))
    return tool_result(data, "\n".join(lines))


def _data(detail: WorkflowDetail, triggers: list[Trigger]) -> Workflow:
    return Workflow(
        workflow_id=detail.service_id,
        name=one_line(detail.name, 80),
        description=one_line(detail.description, 400) or None,
        url=detail.url,
        version=detail.version,
        routes=[clean_json(_without_titles(route)) for route in detail.routes],
        env=[_variable(variable) for variable in detail.env],
        dependencies=detail.dependencies,
        versions=[
            VersionItem(
                version=v.version,
                created_at=v.created_at.isoformat(timespec="seconds"),
                active=v.active,
                by=v.deployed_by and one_line(v.deployed_by, 200),
            )
            for v in detail.versions[:_MAX_VERSIONS]
        ],
        last_runs=[_run_item(r) for r in detail.last_runs[:_MAX_RUNS]],
        triggers=[trigger_line(trigger) for trigger in triggers[:_MAX_TRIGGERS]],
        capabilities=capability_list(detail.capabilities),
        tried=check_items(detail.tried, passed=True),
        example=clean_json(detail.example),
        code=spelled_unseen(detail.code) if detail.code else None,
    )


def _run_item(run: Run) -> RunItem:
    took = None
    if run.started_at and run.completed_at:
        took = round((run.completed_at - run.started_at).total_seconds(), 3)

    return RunItem(
        run_id=run.id,
        status=run.status,
        waits_for=run.waits_for,
        created_at=run.created_at.isoformat(timespec="seconds"),
        seconds=took,
        started_by=STARTED_BY[trigger_of(run)],
        cost_usd=run.usage.get("cost") or None,
    )


@overload
def _without_titles(value: JsonObject) -> JsonObject: ...
@overload
def _without_titles(value: JsonValue) -> JsonValue: ...
def _without_titles(value: JsonValue) -> JsonValue:
    """Remove the titles that JSON schemas derive from field names."""
    if isinstance(value, list):
        return [_without_titles(member) for member in value]
    if not isinstance(value, dict):
        return value

    return {
        name: _without_titles(member)
        for name, member in value.items()
        if name != "title" or not isinstance(member, str)  # a field may have the name "title"
    }


def _variable(variable: dict[str, Any]) -> dict[str, Any]:
    """Make the structured form of a variable: with a default, `required` is left out."""
    if variable["default"] is not None:
        shown = ("name", "default")
    else:
        shown = ("name", "required")
    return {name: variable[name] for name in shown}


def _environment(variables: list[dict[str, Any]]) -> str:
    """Format variables: `NAME=default, NAME, NAME (optional)`. `NAME` alone is required."""
    return ", ".join(map(_named_variable, variables))


def _named_variable(variable: dict[str, Any]) -> str:
    if variable.get("default") is not None:
        return f"{variable['name']}={variable['default']}"
    if variable.get("required", True):
        return variable["name"]
    return f"{variable['name']} (optional)"


def _text(data: Workflow, ways: list[str]) -> str:
    facts = [f"Name: {data.name}"]
    if data.description:
        facts.append(f"Description: {data.description}")
    facts += [
        f"Routes: {cut(compact(data.routes), _MAX_ROUTES)}",
        f"Environment: {_environment(data.env)}",
    ]
    if data.example is not None:
        facts.append(f"Example input: {cut(compact(data.example), _MAX_EXAMPLE)}")
    lines = [
        f"{data.workflow_id} version {data.version}",
        f"URL: {data.url}",
        fence("What its author wrote", "\n".join(facts), _MAX_ROUTES + 2_000),
        f"Versions: {'; '.join(map(_version, data.versions))}",
    ]
    lines += capability_lines(data.capabilities)
    lines += ways
    if data.tried:
        tried = "\n".join(f"{item.status} {item.id}: {item.message}" for item in data.tried)
        lines.append(fence("How it was tried at its deploy", tried, _MAX_TRIED))
    if data.triggers:
        lines.append("Started by:")
        lines += [f"- {line}" for line in data.triggers]
    if data.last_runs:
        lines.append("Last runs:")
        lines += [f"- {_run_line(run)}" for run in data.last_runs]

    if data.code is not None:
        lines.append(fence("Its code", data.code, len(data.code) + 1))
    return "\n".join(lines)


def _version(version: VersionItem) -> str:
    live = " (live)" if version.active else ""
    by = f", by {version.by}" if version.by else ""
    return f"{version.version} of {version.created_at[:16]}{live}{by}"


def _run_line(run: RunItem) -> str:
    facts = [run.run_id, status_words(run.status, run.waits_for), run.created_at]
    if run.seconds is not None:
        facts.append(f"{run.seconds:g} s")
    if run.started_by:
        facts.append(f"by {run.started_by}")
    if run.cost_usd:
        facts.append(f"{run.cost_usd:.6g} USD")
    return ", ".join(facts)


TOOL = tool(get_workflow, title="Get workflow", hints=READS, brief=True)
