"""How a tool of this server is made: lean schemas, annotations, strict arguments, one boundary, bounded time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, Field, ValidationError

from codewords_mcp.bounded_json import UnacceptableJson, check
from codewords_mcp.errors import ConsentNeeded, InvalidInput
from codewords_mcp.mcp_server.confirmation import (
    CONFIRM,
    SCHEMA,
    MakeQuestion,
    ask_runtime_question,
    ask_tool_question,
)
from codewords_mcp.mcp_server.context import ToolContext
from codewords_mcp.mcp_server.tasks import TaskSupport, task_of
from codewords_mcp.mcp_server.tool_errors import TookTooLong, bad_arguments, error_result, unknown_arguments
from codewords_mcp.mcp_server.tool_schema import lean
from codewords_mcp.runtime.auth.access import Rule
from codewords_mcp.runtime.auth.access_table import TABLE

CALL_TIMEOUT = 44.0
"""Seconds in which every tool answers: chat hosts give up between 60 s and some minutes, some sooner."""

WORK_TIMEOUT = 38.0
"""Seconds a tool waits for work that goes on behind it, before it answers with a handle."""

_LAST_WAIT_AFTER = 42.0
"""Seconds of a call after which a tool waits for nothing more: it has to tell how far it came."""
_CALL_STARTED: ContextVar[float] = ContextVar("began")
"""When the call began, by the monotonic clock."""

TASK_TIMEOUT = 3600.0
"""Seconds that a tool in a task waits for its work."""

READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
READS_OUTSIDE = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
)
WRITES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
ADDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
DESTROYS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)
EXECUTES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
)


class McpTool(Tool):
    """A tool whose `run` never raises but for protocol errors, and never echoes an argument's value.

    `rule` says who may call it. The others are as `tool` says.
    """

    rule: Rule = Field(exclude=True)
    task: TaskSupport = "never"
    again: bool = False
    confirm: MakeQuestion | None = Field(default=None, exclude=True)
    about_secrets: bool = False

    @property
    def toolset(self) -> str:
        """The toolset that it is of."""
        return self.rule.toolset or "other"

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.annotations is not None and self.annotations.read_only_hint is True

    async def run(
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> Any:
        """Check the arguments, ask a person where the tool wants it, and call the function within its time."""
        accepted = list(self.parameters.get("properties", {}))
        _CALL_STARTED.set(time.monotonic())

        try:
            try:
                check(arguments)
            except UnacceptableJson as error:
                raise InvalidInput(f"The arguments were not read: {error}.") from None

            if unknown := [name for name in arguments if name not in accepted]:
                raise unknown_arguments(unknown, accepted)
            async with asyncio.timeout(None if task_of(context) else CALL_TIMEOUT):
                return await self._confirmed(dict(arguments), context, convert_result=convert_result)
        except TimeoutError:  # the limit above: a TimeoutError of the tool's own arrives wrapped
            return error_result(_too_slow(), self.name)
        except MCPError:
            raise
        except ToolError as error:
            return error_result(_cause(error, accepted), self.name, about_secrets=self.about_secrets)
        except ValidationError as error:
            return error_result(bad_arguments(error, accepted), self.name, about_secrets=self.about_secrets)
        except Exception as error:  # noqa: BLE001  # the boundary
            return error_result(error, self.name, about_secrets=self.about_secrets)

    async def _confirmed(
        self, arguments: dict[str, Any], context: Context[Any, Any], *, convert_result: bool
    ) -> Any:
        if self.confirm is not None:
            token = arguments.pop(CONFIRM, None)
            if token is not None and not isinstance(token, str):
                raise InvalidInput(
                    f"`{CONFIRM}` must be a string.", hint="It is the token of the reply that asked."
                )

            self.fn_metadata.arg_model.model_validate(arguments)  # nobody is asked about what cannot be done
            if pending := await ask_tool_question(context, self.name, arguments, token, self.confirm):
                return pending

            try:
                return await self.perform(dict(arguments), context, convert_result=convert_result)
            except (ToolError, ConsentNeeded) as error:
                if isinstance(error, ConsentNeeded):
                    question = error
                else:
                    question = error.__cause__

                if not isinstance(question, ConsentNeeded):
                    raise

            if pending := await ask_runtime_question(context, question, self.name, token):
                return pending

        return await self.perform(arguments, context, convert_result=convert_result)

    async def perform(
        self, arguments: dict[str, Any], context: Context[Any, Any], *, convert_result: bool
    ) -> Any:
        """Do it, once whoever had to be asked has agreed."""
        return await super().run(arguments, context, convert_result=convert_result)


def remaining_timeout(ctx: Context[Any, Any], seconds: float) -> float:
    """How long a tool waits: these seconds in a plain call, less where a person was waited for before; to the end in a task."""
    if task_of(ctx):
        return TASK_TIMEOUT
    return max(min(seconds, _LAST_WAIT_AFTER - (time.monotonic() - _CALL_STARTED.get(time.monotonic()))), 0.0)


def _cause(error: ToolError, accepted: list[str]) -> BaseException:
    """What the SDK wrapped: bad arguments, or what the tool's function raised."""
    cause = error.__cause__ or error
    if isinstance(cause, ValidationError) and not isinstance(error, UnexpectedToolError):
        return bad_arguments(cause, accepted)
    return cause


def _too_slow() -> TookTooLong:
    return TookTooLong(
        f"The runtime did not answer within {CALL_TIMEOUT:.0f} s.",
        hint="Try again; `codewords doctor` in a terminal shows what is slow or broken.",
    )


def tool(
    fn: Callable[..., Any],
    *,
    title: str,
    hints: ToolAnnotations,
    rule: Rule | None = None,
    task: TaskSupport = "never",
    again: bool = False,
    confirm: MakeQuestion | None = None,
    about_secrets: bool = False,
) -> McpTool:
    """Make the tool of a function; its docstring is the description, on one line.

    `rule` says who may call it; without it the row of the access table is taken that has the function's name. Raises
    LookupError where there is none, or where it says that a tool reads which does not say so itself. What is not said is
    what grants least: no task, and no second call after a restart (`again`: the same call once more is as good as going on).
    `confirm` asks a person before it is done (door/confirm.py) and adds the argument `confirm`, which the function does
    not have; such a function asks nothing else by `InputRequiredResult`. `about_secrets`: what does not fit its
    arguments may be a secret's value, which the reply then says.
    """
    rule = rule or TABLE.get("tool", fn.__name__)
    plain = Tool.from_function(
        fn, title=title, description=" ".join((fn.__doc__ or "").split()), annotations=hints
    )
    values = {name: getattr(plain, name) for name in Tool.model_fields}
    made = McpTool.model_construct(None, **values, rule=rule)
    if made.reads != (rule.effect == "reads"):
        raise LookupError(f"The access table says that {made.name} {rule.effect}, its annotations do not.")

    made.task, made.again, made.confirm, made.about_secrets = task, again, confirm, about_secrets
    made.parameters = lean(made.parameters) | {"additionalProperties": False}
    if confirm is not None:
        made.parameters.setdefault("properties", {})[CONFIRM] = SCHEMA
    metadata = made.fn_metadata
    metadata.output_schema = metadata.output_schema and lean(metadata.output_schema)
    return made


def can_open_pages(ctx: ToolContext) -> bool:
    """Whether the client says that it can show a person a page."""
    can = ctx.client_capabilities
    return bool(can and can.elicitation and can.elicitation.url is not None)


def tool_result(data: BaseModel, text: str) -> CallToolResult:
    """A tool's result, in few words and as data, which some hosts show instead: what is absent or a default is left out."""
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=data.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
    )
