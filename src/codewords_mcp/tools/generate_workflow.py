"""`generate_workflow`: make a checked draft of a description, or return a brief for writing it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    SamplingMessage,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool import EXECUTES, tool, tool_result
from codewords_mcp.runtime.model.authoring import AskModel, Brief, Generation, ModelCompletion
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.model_errors import ModelAnswerInvalid
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.tools._drafts import DraftResult, draft_lines, draft_result
from codewords_mcp.tools._jobs import join_job

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

_MAX_TOKENS = 8_000


class GenerateResult(BaseModel):
    """`ready` and `unfinished` have a draft. `brief`: no model wrote it; write the code yourself from it."""

    status: Literal["ready", "unfinished", "brief", "working"]
    draft: DraftResult | None = None
    why: str | None = None
    brief: str | None = None
    next: str | None = None


async def generate_workflow(
    ctx: ToolContext,
    description: Annotated[str, Field(description="What it takes, does and answers")],
    constraints: str = "",
    brief: Annotated[bool, Field(description="Ask no model: what you need to write it")] = False,
) -> Annotated[CallToolResult, GenerateResult]:
    """Have a workflow written, checked, repaired and tried in a sandbox: a draft to deploy.

    Without a model that writes it, it gives what you need to write it.
    """
    runtime, caller = runtime_and_caller(ctx)
    if brief:
        return _generated_result(
            Generation(status="brief", brief=await runtime.authoring.brief(caller, description, constraints))
        )

    async def generate(runtime: Runtime, caller: Caller, progress: Progress) -> Generation:
        return await runtime.authoring.generate(
            caller,
            description,
            constraints=constraints,
            ask=_client_model(ctx),
            brief_on_failure=True,
            progress=progress,
        )

    done = await join_job(ctx, "generate", [description.strip(), constraints.strip()], generate)
    if done is None:
        text = "Still writing. Call generate_workflow again with the same arguments: it joins this work."
        return tool_result(GenerateResult(status="working"), text)

    return _generated_result(done)


def _client_model(ctx: ToolContext) -> AskModel | None:
    """Return a function that asks the client's model by sampling; None without that capability.

    Protocol 2026-07-28 has no requests from server to client within a call.
    """
    can = ctx.client_capabilities
    if can is None or can.sampling is None or ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return None

    async def ask(system: str, prompt: str) -> ModelCompletion:
        question = CreateMessageRequestParams(
            messages=[SamplingMessage(role="user", content=TextContent(type="text", text=prompt))],
            system_prompt=system,
            max_tokens=_MAX_TOKENS,
        )
        # Over HTTP a request to the client goes out on the stream of this call, and there may be no
        # other one.
        beside = ServerMessageMetadata(related_request_id=ctx.request_id)
        try:
            # The session's own method emits a deprecation warning: later revisions lack sampling.
            made = await ctx.session.send_request(
                CreateMessageRequest(params=question), CreateMessageResult, metadata=beside
            )
        except MCPError as refused:
            raise ModelAnswerInvalid(
                "The client did not let its model answer.",
                hint="Set a provider's key (set_secret OPENAI_API_KEY …), or write the code yourself: edit_workflow(code=…).",
            ) from refused

        if isinstance(made.content, TextContent):
            text = made.content.text
        else:
            text = ""

        return ModelCompletion(text, cut=made.stop_reason == "maxTokens")

    return ask


def _generated_result(done: Generation) -> CallToolResult:
    if done.brief is not None:
        text = _brief(done.brief, done.why)
        return tool_result(
            GenerateResult(status="brief", why=done.why or None, brief=text, next=done.brief.next), text
        )

    assert done.draft is not None  # noqa: S101  # a generation has a brief or a draft
    draft = done.draft
    if draft.cost is not None:
        costs = f", {draft.cost:.4f} USD"
    else:
        costs = ""

    count = len(draft.tried)
    head = [f"Written by {draft.model} in {count} answer{'s' if count > 1 else ''}{costs}."]
    head += [f"- answer {number}: {problem}" for number, problem in enumerate(draft_result(draft).tried, 1)]
    if done.why:
        head.append(f"It stopped there: {done.why}.")
    data = GenerateResult(status=done.status, draft=draft_result(draft), why=done.why or None)
    return tool_result(data, "\n".join([*head, *draft_lines(draft)]))


def _brief(brief: Brief, why: str) -> str:
    if brief.other_templates:
        others = f" (others: {', '.join(brief.other_templates)})"
    else:
        others = ""
    services = "\n".join(brief.services) or "(the standard library and httpx will do)"
    return (
        f"{why or 'No model was asked.'} Write it yourself.\n\n"
        f"{brief.rules}\n## Services that may fit\n{services}\n\n"
        'All services and their inputs: read_practice(topic="services"). Apps of the user (Slack, Sheets …): '
        "search_integrations. "
        f"The nearest template: {brief.template_id}; list_templates(template_id={json.dumps(brief.template_id)}) shows its code"
        f"{others}.\n"
        f"Next: {brief.next}. It answers with a draft and what to repair; then deploy_workflow(draft_id=…)."
    )


TOOL = tool(
    generate_workflow,
    title="Generate workflow",
    hints=EXECUTES,
    task="optional",
    retryable=True,
)
