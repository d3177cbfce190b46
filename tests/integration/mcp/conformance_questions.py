"""Questions to a client, of the server for the conformance suite: by requests of the server, and by results that ask."""

from __future__ import annotations

import json
import warnings
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field

Ctx = Context[Any, Any]


def text_content(text: str) -> TextContent:
    return TextContent(type="text", text=text)


class _Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Annotated[str, Field(json_schema_extra={"enum": ["active", "inactive", "pending"]})] = "active"
    verified: bool = True


ENUMS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {
            "type": "string",
            "oneOf": [{"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second", "Third"), 1)],
        },
        "legacyEnum": {
            "type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {
            "type": "array",
            "items": {"anyOf": [{"const": f"value{n}", "title": f"{word} Choice"} for n, word in enumerate(("First", "Second", "Third"), 1)]},
        },
    },
}  # fmt: skip


class _Answer(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


def asking_legacy(server: MCPServer[Any]) -> None:
    """Questions within a call, as up to 2025-11-25."""

    @server.tool()
    async def test_sampling(prompt: str, ctx: Ctx) -> str:
        """Ask the client's model."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            message = SamplingMessage(role="user", content=text_content(prompt))
            reply: Any = await ctx.session.create_message(  # pyright: ignore[reportDeprecated]
                [message], max_tokens=100, related_request_id=ctx.request_id
            )
        return f"LLM response: {reply.content.text}"

    @server.tool()
    async def test_elicitation(message: str, ctx: Ctx) -> str:
        """Ask the person."""
        reply: Any = await ctx.elicit(message, _Answer)
        content = reply.data.model_dump() if reply.action == "accept" else None
        return f"User response: action={reply.action}, content={json.dumps(content)}"

    @server.tool()
    async def test_elicitation_sep1034_defaults(ctx: Ctx) -> str:
        """Ask with defaults."""
        reply: Any = await ctx.elicit("Please review and update the form fields", _Defaults)
        content = reply.data.model_dump() if reply.action == "accept" else None
        return f"Elicitation completed: action={reply.action}, content={json.dumps(content)}"

    @server.tool()
    async def test_elicitation_sep1330_enums(ctx: Ctx) -> str:
        """Ask with choices."""
        reply = await ctx.session.elicit_form("Please choose", ENUMS, ctx.request_id)
        return f"Elicitation completed: action={reply.action}, content={json.dumps(reply.content)}"


def form(message: str, name: str, kind: str = "string") -> ElicitRequest:
    schema: dict[str, Any] = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=text_content(text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=100))


def replied(ctx: Ctx, key: str) -> Any:
    return (ctx.input_responses or {}).get(key)


def asking_modern(server: MCPServer[Any]) -> None:
    """Questions as results, from 2026-07-28 on: the client asks and calls again."""

    @server.tool()
    async def test_missing_capability(ctx: Ctx) -> str:
        """Needs a client with sampling."""
        can = ctx.client_capabilities
        if can is None or can.sampling is None:
            needs: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "The client must declare sampling.", needs)
        return "sampling is declared"

    @server.tool()
    async def test_input_required_result_elicitation(ctx: Ctx) -> str | InputRequiredResult:
        """Ask the person."""
        reply = replied(ctx, "user_name")
        if not isinstance(reply, ElicitResult):
            return InputRequiredResult(input_requests={"user_name": form("What is your name?", "name")})
        return f"Hello, {(reply.content or {}).get('name')}!"

    @server.tool()
    async def test_input_required_result_sampling(ctx: Ctx) -> str | InputRequiredResult:
        """Ask the client's model."""
        if replied(ctx, "capital") is None:
            return InputRequiredResult(input_requests={"capital": _sample("What is the capital of France?")})
        return "The model has answered."

    @server.tool()
    async def test_input_required_result_list_roots(ctx: Ctx) -> str | InputRequiredResult:
        """Ask for roots."""
        if replied(ctx, "roots") is None:
            return InputRequiredResult(input_requests={"roots": ListRootsRequest()})
        return "The roots have come."

    async def with_state(ctx: Ctx) -> str | InputRequiredResult:
        if ctx.request_state is None or replied(ctx, "confirm") is None:
            ask = form("Please confirm", "ok", "boolean")
            return InputRequiredResult(input_requests={"confirm": ask}, request_state="begun")
        return f"state-ok: {ctx.request_state}"

    @server.tool()
    async def test_input_required_result_request_state(ctx: Ctx) -> str | InputRequiredResult:
        """Ask, with state."""
        return await with_state(ctx)

    @server.tool()
    async def test_input_required_result_tampered_state(ctx: Ctx) -> str | InputRequiredResult:
        """Ask, with state that somebody changes."""
        return await with_state(ctx)

    @server.tool()
    async def test_input_required_result_multiple_inputs(ctx: Ctx) -> str | InputRequiredResult:
        """Three questions at once."""
        asks = {
            "user_name": form("What is your name?", "name"),
            "greeting": _sample("Greet me"),
            "roots": ListRootsRequest(),
        }
        if any(replied(ctx, key) is None for key in asks):
            return InputRequiredResult(input_requests=asks, request_state="three")
        return "All have come."

    @server.tool()
    async def test_input_required_result_multi_round(ctx: Ctx) -> str | InputRequiredResult:
        """Two questions, one after the other."""
        if ctx.request_state == "two" and isinstance(replied(ctx, "step2"), ElicitResult):
            return "Both have come."
        if ctx.request_state == "one" and isinstance(replied(ctx, "step1"), ElicitResult):
            ask = form("Step 2: What is your favorite color?", "color")
            return InputRequiredResult(input_requests={"step2": ask}, request_state="two")
        return InputRequiredResult(
            input_requests={"step1": form("Step 1: What is your name?", "name")}, request_state="one"
        )

    @server.tool()
    async def test_input_required_result_capabilities(ctx: Ctx) -> str | InputRequiredResult:
        """Only what the client can answer."""
        can = ctx.client_capabilities
        asks: dict[str, Any] = {}
        if can is not None and can.sampling is not None:
            asks["sampled"] = _sample("Anything")
        if can is not None and can.elicitation is not None:
            asks["asked"] = form("Anything?", "name")
        if asks and any(replied(ctx, key) is None for key in asks):
            return InputRequiredResult(input_requests=asks)
        return "done"
