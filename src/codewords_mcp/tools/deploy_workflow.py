"""`deploy_workflow`: code or a template becomes a live, isolated HTTP service."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.door.context import DoorContext
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.models import Deployment
from codewords_mcp.tools._checks import CheckItem, items_of, lines_of
from codewords_mcp.tools._jobs import joined
from codewords_mcp.tools._tool import EXECUTES, answer, tool


class Deployed(BaseModel):
    """What is live now; only `status` while the environment is being built."""

    status: Literal["deployed", "unchanged", "building"]
    workflow_id: str | None = None
    version: int | None = None
    url: str | None = None
    isolation: str | None = None
    curl: str | None = None
    notes: list[CheckItem] = []


async def deploy_workflow(
    ctx: DoorContext,
    code: Annotated[str | None, Field(description="The whole Python file")] = None,
    template_id: Annotated[str | None, Field(description="Instead of code")] = None,
    name: Annotated[
        str | None, Field(description="A short title; the same name again is a new version")
    ] = None,
    workflow_id: Annotated[str | None, Field(description="Give it to update that workflow")] = None,
    description: str = "",
) -> Annotated[CallToolResult, Deployed]:
    """Validate code or a template and make it live under a URL. A failed deploy leaves the version before serving."""
    if (code is None) == (template_id is None):
        raise InvalidInput("Give either `code` or `template_id`.", hint="list_templates shows the templates.")
    wanted: dict[str, Any] = {
        "code": code,
        "template_id": template_id,
        "name": name,
        "service_id": workflow_id,
        "description": description,
    }
    deployment = await joined(
        ctx,
        "deploy",
        [wanted],
        lambda runtime, caller, progress: runtime.deploy(caller, **wanted, progress=progress),
    )
    if deployment is None:
        text = "Still building the environment. Call deploy_workflow again with the same arguments: it joins this work."
        return answer(Deployed(status="building"), text)
    if deployment.changed:
        await ctx.notify_resources_changed()  # listeners of 2026-07-28
        await ctx.session.send_resource_list_changed()  # the session, before
    return _answer(deployment)


def _answer(live: Deployment) -> CallToolResult:
    data = Deployed(
        status="deployed" if live.changed else "unchanged",
        workflow_id=live.service_id,
        version=live.version,
        url=live.url,
        isolation=live.isolation,
        curl=_curl(live.url),
        notes=items_of(live.notes),
    )
    done = (
        f"Deployed version {live.version}"
        if live.changed
        else f"Unchanged: version {live.version} is this code already"
    )
    lines = [
        f"{done} of {live.service_id}, isolation {live.isolation}.",
        f"URL: {live.url}",
        f"Shell: {data.curl}",
        *lines_of(live.notes),
        f"Next: run_workflow(workflow_id={json.dumps(live.service_id)}, input={{…}})",
    ]
    return answer(data, "\n".join(lines))


def _curl(url: str) -> str:
    return f"curl -X POST {url} -H \"Authorization: Bearer $CODEWORDS_API_KEY\" -H 'Content-Type: application/json' -d '{{}}'"


TOOL = tool(deploy_workflow, title="Deploy workflow", hints=EXECUTES, administers=True)
