"""`add_integration`: let a workflow use a library service, whose schema is included."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.errors import protocol_errors
from codewords_mcp.mcp_server.text import compact, fence_code

TITLE = "Add an integration"


@protocol_errors
async def add_integration(
    workflow_id: Annotated[str, Field(description="The workflow to extend")],
    service: Annotated[str, Field(description="A library service, such as send_email")],
    ctx: ToolContext,
    purpose: Annotated[str, Field(description="What it should be used for")] = "",
) -> str:
    """Let a workflow use a library service."""
    runtime, caller = runtime_and_caller(ctx)
    detail = await runtime.workflows.get(caller, workflow_id, include_code=True)
    found = await runtime.services.get(caller, service)
    schemas = [
        f"path={operation.path.strip('/')!r}: {operation.summary}\n"
        f"input: {compact(operation.input)}\noutput: {compact(operation.output)}"
        for operation in found.operations
    ]
    missing = [
        f"{credential.name} is not set: {credential.how}"
        for credential in found.credentials
        if not credential.present
    ]
    how = (
        f'Call it with `await client.run(service_id="{found.name}", path="…", inputs={{…}})` of AsyncCodewordsClient, then '
        "`raise_for_status()`. The header needs codewords-client, CODEWORDS_API_KEY and CODEWORDS_RUNTIME_URI."
    )
    then = (
        f'Change as little as needed: edit_workflow(workflow_id="{workflow_id}", edits=[…]), repair what it reports, then '
        "deploy_workflow(draft_id=…). The deploy asks the user, since the workflow may do more than before."
    )

    return "\n\n".join(
        [
            f"Let workflow {workflow_id} use the library service {found.name} ({found.summary})"
            + (f" for this: {purpose.strip()}" if purpose.strip() else "."),
            "\n\n".join(schemas),
            *(["\n".join(missing)] if missing else []),
            how,
            fence_code(detail.code or ""),
            then,
        ]
    )


PROMPT = add_integration
