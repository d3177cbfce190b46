"""Tools of published workflows: their schema and description; each call is a run."""

from __future__ import annotations

import functools
import json
from typing import Annotated, Any, cast
from urllib.parse import urlencode

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.mcp_server.cards import RUN_CARD
from codewords_mcp.mcp_server.confirmation import ToolResult
from codewords_mcp.mcp_server.run_result import RunResult
from codewords_mcp.mcp_server.text import one_line
from codewords_mcp.mcp_server.tool import EXECUTES, READS, McpTool, tool
from codewords_mcp.runtime.auth.access_table import published_rule
from codewords_mcp.runtime.model.publishing import PublishedTool
from codewords_mcp.tools.run_workflow import run_workflow

_MAX_DESCRIPTION = 600


async def _placeholder() -> Annotated[CallToolResult, RunResult]:
    """Run a published workflow."""
    raise NotImplementedError  # `WorkflowTool.perform` replaces it


class WorkflowTool(McpTool):
    """A published workflow; a call is a run of its live version, as by run_workflow."""

    published: PublishedTool | None = Field(default=None, exclude=True)

    @classmethod
    def of(cls, published: PublishedTool) -> WorkflowTool:
        """Return the tool of a published workflow, cached until the publication changes."""
        return _make_tool(published.model_dump_json())

    async def perform(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        *,
        convert_result: bool,  # noqa: ARG002
    ) -> ToolResult:
        """Check the arguments by the schema and run it."""
        published = cast("PublishedTool", self.published)
        _check(arguments, self.parameters)
        path, body = published.path, arguments.get("input") if published.wrapped else arguments

        if published.method == "GET":
            if arguments:
                path = f"{path}?{urlencode(arguments, doseq=True)}"
            body = None

        return await run_workflow(
            cast("Any", context),
            published.workflow_id,
            body,
            path,
            cast("Any", published.method),
            wait_seconds=40,
        )


@functools.lru_cache(maxsize=512)
def _make_tool(plain: str) -> WorkflowTool:
    published = PublishedTool.model_validate_json(plain)
    pattern = tool(
        _placeholder,
        title=one_line(published.title, 60),
        hints=READS.model_copy(update={"open_world_hint": True}) if published.read_only else EXECUTES,
        rule=published_rule(published.tool, published.toolset, read_only=published.read_only),
        task="optional",
        retryable=True,
        card=RUN_CARD,
    )
    values: dict[str, Any] = {
        name: getattr(pattern, name) for name in WorkflowTool.model_fields if hasattr(pattern, name)
    }
    values["name"], values["parameters"], values["published"] = (
        published.tool,
        published.input_schema,
        published,
    )
    values["description"] = (
        one_line(published.description, _MAX_DESCRIPTION) or f"Run the workflow {published.workflow_id}."
    )

    return WorkflowTool.model_construct(None, **values)


def _check(arguments: dict[str, Any], schema: dict[str, Any]) -> None:
    """Raise InvalidInput with the argument's path and the violated rule, never the value."""
    import jsonschema

    library = cast("Any", jsonschema)
    fault = library.exceptions.best_match(library.Draft202012Validator(schema).iter_errors(arguments))
    if fault is None:
        return
    location = "/".join(str(part) for part in list(fault.absolute_path)[:8]) or "arguments"
    rule = one_line(json.dumps({fault.validator: fault.validator_value}, default=str), 200)
    raise InvalidInput(f"Bad arguments: `{one_line(location, 80)}` must match {rule}.")
