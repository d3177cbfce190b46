"""Tools of this server: lean schemas, annotations, strict arguments, an error boundary, a time limit."""

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

from codewords_mcp.common.bounded_json import UnacceptableJson, check
from codewords_mcp.errors import ConsentNeeded, InvalidInput
from codewords_mcp.mcp_server.cards import Card
from codewords_mcp.mcp_server.confirmation import (
    CONFIRM,
    SCHEMA,
    MakeQuestion,
    ToolResult,
    ask_runtime_question,
    ask_tool_question,
)
from codewords_mcp.mcp_server.task_session import task_of
from codewords_mcp.mcp_server.tasks import TaskSupport
from codewords_mcp.mcp_server.tool_errors import TookTooLong, bad_arguments, error_result, unknown_arguments
from codewords_mcp.mcp_server.tool_schema import lean
from codewords_mcp.runtime.auth.access import Rule
from codewords_mcp.runtime.auth.access_table import TABLE

_LAST_WAIT_AFTER = 42.0
"""Seconds of a call after which a tool must not wait: the rest is for its result."""
_CALL_STARTED: ContextVar[float] = ContextVar("began")
"""Start of the call, by the monotonic clock."""

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
    """A tool whose `run` raises only protocol errors, and never echoes an argument's value.

    `rule` is its row of the access table. `for_cards`: only hosts that show cards list it. `listed`: hosts list it;
    one that is not is called by those who know its name. See `tool` for the other fields.
    """

    rule: Rule = Field(exclude=True)
    task: TaskSupport = "never"
    retryable: bool = False
    confirm: MakeQuestion | None = Field(default=None, exclude=True)
    about_secrets: bool = False
    card: Card | None = Field(default=None, exclude=True)
    for_cards: bool = False
    listed: bool = True
    is_brief: bool = False

    @property
    def toolset(self) -> str:
        """Return the name of its toolset."""
        return self.rule.toolset or "other"

    @property
    def reads(self) -> bool:
        """Whether the tool is read-only."""
        return self.annotations is not None and self.annotations.read_only_hint is True

    async def run(
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> ToolResult:
        """Check the arguments, ask a person if the tool needs it, and call the function in time."""
        accepted = list(self.parameters.get("properties", {}))
        # A context variable, since the SDK calls the function without a way to pass it more.
        _CALL_STARTED.set(time.monotonic())
        # Once: the SDK's context looks each attribute up the long way.
        request = context.request_context
        timeout = request.lifespan_context.limits.call_timeout

        try:
            try:
                check(arguments)
            except UnacceptableJson as error:
                raise InvalidInput(f"The arguments were not read: {error}.") from None

            if unknown := [name for name in arguments if name not in accepted]:
                raise unknown_arguments(unknown, accepted)
            # A host that gives up first would never see the result, nor the id of a run that
            # was started.
            async with asyncio.timeout(None if task_of(request) else timeout):
                return await self._confirmed(dict(arguments), context, convert_result=convert_result)
        except TimeoutError:  # the limit above; the SDK wraps one that the tool raises
            return error_result(_too_slow(timeout), self.name)
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
    ) -> ToolResult:
        if self.confirm is not None:
            token = arguments.pop(CONFIRM, None)
            if token is not None and not isinstance(token, str):
                raise InvalidInput(
                    f"`{CONFIRM}` must be a string.", hint="It is the token of the reply that asked."
                )

            # Validated first: a person is not asked about a call that can't succeed.
            self.fn_metadata.arg_model.model_validate(arguments)
            if pending := await ask_tool_question(context, self.name, arguments, token, self.confirm):
                return pending

            try:
                return await self.perform(dict(arguments), context, convert_result=convert_result)
            # The SDK wraps an error of the function. A tool with its own `perform` raises it bare.
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
    ) -> ToolResult:
        """Call the function, after any consent was given."""
        result: ToolResult = await super().run(arguments, context, convert_result=convert_result)
        return result


def remaining_timeout(ctx: Context[Any, Any], seconds: float) -> float:
    """Return the seconds that a tool may wait: at most `seconds` in a plain call, an hour in a task.

    Time that the call has spent on waiting for a person is subtracted.
    """
    if task_of(ctx):
        return TASK_TIMEOUT
    return max(min(seconds, _LAST_WAIT_AFTER - (time.monotonic() - _CALL_STARTED.get(time.monotonic()))), 0.0)


def _cause(error: ToolError, accepted: list[str]) -> BaseException:
    """Return the error that the SDK wrapped: bad arguments, or the function's own exception."""
    cause = error.__cause__ or error
    if isinstance(cause, ValidationError) and not isinstance(error, UnexpectedToolError):
        return bad_arguments(cause, accepted)
    return cause


def _too_slow(timeout: float) -> TookTooLong:
    return TookTooLong(
        f"The runtime did not respond within {timeout:.0f} s.",
        hint="Try again; `codewords doctor` in a terminal shows what is slow or broken.",
    )


def tool(
    fn: Callable[..., Any],
    *,
    title: str,
    hints: ToolAnnotations,
    rule: Rule | None = None,
    task: TaskSupport = "never",
    retryable: bool = False,
    confirm: MakeQuestion | None = None,
    about_secrets: bool = False,
    card: Card | None = None,
    meta: dict[str, Any] | None = None,
    for_cards: bool = False,
    listed: bool = True,
    brief: bool = False,
) -> McpTool:
    """Make a tool of a function; its docstring, on one line, is the description.

    `rule` is its access rule; by default the row of the access table with the function's name. Raises
    LookupError without such a row, or if the row and the annotations disagree on read-only.
    `task`: whether a long call may become a task. `retryable`: after a restart the same call may be made
    again. The defaults allow neither.
    `confirm` makes the question that a person is asked first (`confirmation`), and adds the argument
    `confirm`. Such a function must not return an `InputRequiredResult` itself.
    `about_secrets`: invalid arguments may contain a secret's value, so the error warns of it.
    `card`: what a host with cards shows beside the result. `for_cards`: only such a host lists the tool.
    `listed`: hosts list the tool. An earlier name of another one is not listed, and goes on to work.
    `brief`: it reads what this home stores, in milliseconds, and reports no progress (`brief`).
    """
    rule = rule or TABLE.get("tool", fn.__name__)
    plain = Tool.from_function(
        fn,
        title=title,
        description=" ".join((fn.__doc__ or "").split()),
        annotations=hints,
        meta={**(card.meta() if card else {}), **(meta or {})} or None,
    )
    values = {name: getattr(plain, name) for name in Tool.model_fields}
    made = McpTool.model_construct(None, **values, rule=rule)
    if made.reads != (rule.effect == "reads"):
        raise LookupError(f"The access table says that {made.name} {rule.effect}, its annotations do not.")

    made.task, made.retryable, made.confirm, made.about_secrets = task, retryable, confirm, about_secrets
    made.card, made.for_cards, made.listed, made.is_brief = card, for_cards, listed, brief
    # A misspelled argument is an error that the model can mend, and not a default that it did not
    # mean.
    made.parameters = lean(made.parameters) | {"additionalProperties": False}
    if confirm is not None:
        made.parameters.setdefault("properties", {})[CONFIRM] = SCHEMA
    metadata = made.fn_metadata
    metadata.output_schema = metadata.output_schema and lean(metadata.output_schema)
    return made


def tool_result(data: BaseModel, text: str) -> CallToolResult:
    """Make a tool's result of text and structured data, which some hosts show instead.

    Absent values and defaults are left out of the data.
    """
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=data.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
    )
