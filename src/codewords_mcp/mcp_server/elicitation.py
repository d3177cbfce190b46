"""Elicitation: ask a person through the client, by a form without fields or by a page that they open.

Clients up to protocol version 2025-11-25 are asked within the call. Later ones get the question as the
call's result, ask, and call again with the response and the sealed state of the question.

A client may send back an error or a malformed result. Neither is a person's decision: the caller
continues as after silence, and the model sees no tool error.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import anyio
import structlog
from mcp import MCPError
from mcp_types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from codewords_mcp.mcp_server.context import ToolContext

Action = Literal["accept", "decline", "cancel"]
T = TypeVar("T")
EMPTY_FORM: Final[dict[str, Any]] = {"type": "object", "properties": {}}
"""A form without fields: accepting it is the decision, with or without content."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Elicitation:
    """A question to a person: a page to open at `url`, or a form, without fields where it has no other schema.

    `key` names the question in a client's response. `state` is what the next call needs to continue.
    """

    key: str
    message: str
    url: str | None = None
    state: dict[str, str] = field(default_factory=dict[str, str])
    form: dict[str, Any] = field(default_factory=lambda: EMPTY_FORM)

    async def fill(
        self, ctx: ToolContext, answer_timeout: float
    ) -> ElicitResult | InputRequiredResult | None:
        """Ask the person to fill in the form. Returns None without a response, or the question for the client to ask."""
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return self._for_client()
        with anyio.move_on_after(answer_timeout):
            try:
                return await ctx.session.elicit_form(self.message, self.form, ctx.request_id)
            except (MCPError, ValidationError) as error:
                log.warning("elicitation failed", error=type(error).__name__)
        return None

    def _for_client(self) -> InputRequiredResult:
        request = ElicitRequest(params=self._params())
        return InputRequiredResult(input_requests={self.key: request}, request_state=json.dumps(self.state))

    async def ask(
        self, ctx: ToolContext, answer_timeout: float, decided: Callable[[Action], Awaitable[T]]
    ) -> T | InputRequiredResult | None:
        """Ask the person, and return the result of `decided` for their action.

        Returns None if there is none within `answer_timeout` seconds, or the question for the client to ask. A
        client is told when the work of an accepted page is done.
        """
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return self._for_client()

        elicitation_id = secrets.token_urlsafe(16)
        action: Action | None = None
        # A client may never respond, and chat hosts end a call that takes too long.
        with anyio.move_on_after(answer_timeout):
            action = await self._action(ctx, elicitation_id)
        if action is None:
            return None

        result = await decided(action)
        if self.url is not None and action == "accept":
            await ctx.session.send_elicit_complete(elicitation_id, ctx.request_id)
        return result

    def _params(self) -> ElicitRequestFormParams | ElicitRequestURLParams:
        if self.url is None:
            return ElicitRequestFormParams(message=self.message, requested_schema=self.form)
        return ElicitRequestURLParams(message=self.message, url=self.url)

    async def _action(self, ctx: ToolContext, elicitation_id: str) -> Action | None:
        session = ctx.session
        try:
            if self.url is None:
                result = await session.elicit_form(self.message, EMPTY_FORM, ctx.request_id)
            else:
                result = await session.elicit_url(self.message, self.url, elicitation_id, ctx.request_id)
        except (MCPError, ValidationError) as error:
            log.warning("elicitation failed", error=type(error).__name__)
            return None
        return result.action


@dataclass(frozen=True, slots=True)
class ElicitationResponse:
    """The response to the question of an earlier call, with its state. `action` is None without an answer to it."""

    state: dict[str, str]
    action: Action | None
    content: dict[str, Any] = field(default_factory=dict[str, Any])


def earlier_response(ctx: ToolContext, key: str) -> ElicitationResponse | None:
    """Return the response that the client brings to the question `key`; None in a first call."""
    if ctx.input_responses is None or ctx.request_state is None:
        return None

    # The SDK seals the state, so the client can't have changed it.
    state: dict[str, str] = json.loads(ctx.request_state)
    response = ctx.input_responses.get(key)
    if isinstance(response, ElicitResult):
        return ElicitationResponse(state, response.action, dict(response.content or {}))
    return ElicitationResponse(state, None)


def can_fill_forms(ctx: ToolContext) -> bool:
    """Whether the client declares that it can show a person a form."""
    can = ctx.client_capabilities
    elicitation = can.elicitation if can else None
    # Before 2025-11-25 the capability had no members and meant forms.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def can_open_pages(ctx: ToolContext) -> bool:
    """Whether the client declares that it can show a person a page."""
    can = ctx.client_capabilities
    return bool(can and can.elicitation and can.elicitation.url is not None)
