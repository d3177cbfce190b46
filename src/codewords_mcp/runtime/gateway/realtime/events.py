"""Meaning of a session's messages for its bill, in one way for all providers."""

from __future__ import annotations

from typing import Protocol

from pydantic_core import from_json

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.gateway.usage import Json

Message = str | bytes


class SessionEvents(Protocol):
    """Reads both directions of a session. A budget that is used up ends it: each method that reserves raises BudgetExceeded."""

    async def open(self) -> None:
        """Reserve what begins first. Raises BudgetExceeded and UnpricedModel."""
        ...

    async def sent(self, event: Json) -> None:
        """Judge a caller's event before it goes on. Raises CodewordsError where it must not."""
        ...

    async def received(self, message: Message) -> None:
        """Count a provider's message before it goes on. Raises CodewordsError where the session has to end."""
        ...

    async def run(self) -> None:
        """Count what goes by the clock, as long as the session lasts. Raises CodewordsError where it has to end."""
        ...

    def refusal(self, error: CodewordsError) -> Message | None:
        """The message that tells a caller why the session ends; None where only the close frame does."""
        ...

    def release(self) -> None:
        """Give back what is reserved, and count what was running."""
        ...


def event_of(message: Message) -> Json:
    """The object in a message; empty where there is none."""
    try:
        return object_of(from_json(message))
    except ValueError:
        return {}
