"""`deploy_workflow`: code, a draft or a template becomes a live, isolated HTTP service."""

from __future__ import annotations

import json
import shlex
import time
from typing import Annotated, Any, Literal

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import BaseModel, Field

from codewords_mcp.errors import ConsentNeeded, InvalidInput
from codewords_mcp.mcp_server import tool as _tool
from codewords_mcp.mcp_server.check_format import CheckItem, items_of, lines_of, may, plain
from codewords_mcp.mcp_server.consent import Asking, as_data, asker_of, waiting
from codewords_mcp.mcp_server.context import DoorContext, asking
from codewords_mcp.mcp_server.text import clean_json, compact, fence
from codewords_mcp.mcp_server.tool import EXECUTES, answer, tool
from codewords_mcp.runtime.model.workflow import Consent, Deployment
from codewords_mcp.tools._availability import lasting
from codewords_mcp.tools._jobs import joined

_ASKED_WITHIN = 34.0
"""Seconds of a call after which it no longer waits for a person: what was built before has to be made live yet."""
_AT_LEAST = 6.0
_EXAMPLE = 600
"""Characters of an example that the line for a shell has in it."""


class Deployed(BaseModel):
    """What is live now; only `status` while the environment is being built.

    `needs_consent`: nothing was deployed; `asks` is what a person has to agree to first, on the page at `consent_url`.
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


async def deploy_workflow(
    ctx: DoorContext,
    code: Annotated[str | None, Field(description="The whole Python file")] = None,
    template_id: Annotated[str | None, Field(description="Instead of code")] = None,
    draft_id: Annotated[str | None, Field(description="Instead of code")] = None,
    name: Annotated[str | None, Field(description="A short title, not in use yet")] = None,
    workflow_id: Annotated[str | None, Field(description="Updates that one")] = None,
    base_version: Annotated[int | None, Field(description="The live version it may replace")] = None,
    description: str = "",
    revision: int | None = None,
    confirm: Annotated[str | None, Field(description="From the reply that asked")] = None,
) -> Annotated[CallToolResult, Deployed] | InputRequiredResult:
    """Validate code, a draft or a template and make it live under a URL. A failed deploy leaves the version before serving.

    What it may reach needs the user's consent, asked on the way.
    """
    if sum(one is not None for one in (code, template_id, draft_id)) != 1:
        raise InvalidInput(
            "Give one of `code`, `template_id` and `draft_id`.", hint="list_templates shows the templates."
        )

    wanted: dict[str, Any] = {
        "code": code,
        "template_id": template_id,
        "draft_id": draft_id,
        "revision": revision,
        "name": name,
        "service_id": workflow_id,
        "base_version": base_version,
        "description": description,
    }
    began = time.monotonic()
    person = Asking(ctx, until=began + _tool.patience(ctx, _ASKED_WITHIN))
    asked = await person.answered_before()
    if confirm and asked is None:
        await person.on_page(confirm)
    deployment = await _deploy(ctx, wanted, asked or confirm, began)
    if isinstance(deployment, ConsentNeeded) and asked is None and confirm is None:
        answered = await person.ask(deployment)
        if isinstance(answered, InputRequiredResult):
            return answered
        if answered:
            deployment = await _deploy(ctx, wanted, deployment.confirm, began)

    if isinstance(deployment, ConsentNeeded):
        return _waiting(deployment)
    if deployment is None:
        text = "Still building the environment. Call deploy_workflow again with the same arguments: it joins this work."
        return answer(Deployed(status="building"), text)

    runtime, caller = asking(ctx)
    example = (await runtime.get_workflow(caller, deployment.service_id)).example
    return _answer(deployment, example)


async def _deploy(
    ctx: DoorContext, wanted: dict[str, Any], confirm: str | None, began: float
) -> Deployment | ConsentNeeded | None:
    return await joined(
        ctx,
        "deploy",
        [wanted, confirm],
        lambda runtime, caller, progress: runtime.deploy_or_ask(
            caller, **wanted, consent=Consent(confirm=confirm, asker=asker_of(ctx)), progress=progress
        ),
        wait=max(began + _tool.WORK_WITHIN - time.monotonic(), _AT_LEAST),
    )


def _waiting(question: ConsentNeeded) -> CallToolResult:
    data = Deployed(
        status="needs_consent", asks=as_data(question), consent_url=question.url, confirm=question.confirm
    )
    lines = waiting(question, "deploy_workflow")
    return answer(data, "\n".join(lines))


def _answer(live: Deployment, example: Any) -> CallToolResult:
    data = Deployed(
        status="deployed" if live.changed else "unchanged",
        workflow_id=live.service_id,
        version=live.version,
        url=live.url,
        isolation=live.isolation,
        curl=_curl(live.url, example),
        notes=items_of(live.notes),
        capabilities=plain(live.capabilities),
        availability=lasting(live.availability),
    )
    if live.changed:
        done = f"Deployed version {live.version}"
    else:
        done = f"Unchanged: version {live.version} is this code already"

    lines = [
        f"{done} of {live.service_id}, isolation {live.isolation}.",
        f"Shell: {data.curl}"
        if data.curl == _curl(live.url, None)
        else fence("Shell", data.curl or "", 2_000),
        *may(live.capabilities),
        *lines_of(live.notes),
        *([f"The runtime: {data.availability}"] if data.availability else []),
        f"Next: run_workflow(workflow_id={json.dumps(live.service_id)}, input={{…}})",
    ]
    return answer(data, "\n".join(lines))


def _curl(url: str, example: Any) -> str:
    """The call in a shell, with the example where one is known that is short."""
    if isinstance(example, dict):
        known = compact(clean_json(example))
    else:
        known = ""
    if 0 < len(known) <= _EXAMPLE:
        body = shlex.quote(known)
    else:
        body = "'{}'"
    return f"curl -X POST {url} -H \"Authorization: Bearer $CODEWORDS_API_KEY\" -H 'Content-Type: application/json' -d {body}"


TOOL = tool(
    deploy_workflow,
    title="Deploy workflow",
    hints=EXECUTES,
    task="optional",
    again=True,
)
