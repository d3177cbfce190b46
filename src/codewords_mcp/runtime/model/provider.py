"""Calls of model providers: requests, responses and usage."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from codewords_mcp.runtime.model.caller import Caller

Provider: TypeAlias = str
"""`openai`, `anthropic`, `gemini`, or the name of another provider."""
OWN_PROVIDERS: Final = ("openai", "anthropic", "gemini")
"""Providers with a mount of their own."""
Interface = Literal["", "openai", "anthropic", "azure", "bedrock", "vertex"]
"""The paths of a provider; "" for those of `OWN_PROVIDERS`, which differ by provider."""
Dialect = Literal["openai", "anthropic", "gemini"]
"""The error format. Gemini is also called in OpenAI's format."""


@dataclass(slots=True)
class ProviderRequest:
    """A call of a model provider, as its SDK made it.

    `path` is the part after `/openai` or `/providers/groq`, percent-encoded, with its first slash; `run_mount`: it
    followed `/run/openai`. `here` is the URL of Gemini's mount for the caller:
    `http://127.0.0.1:8765/gemini`. `length` is the declared size of the body.

    `may_wait`: the gateway may retry after a pause; false if the caller retries itself or has an
    alternative. `may_switch`: another model of the provider may be used. `instead_of`: the model
    that this one replaces already.
    """

    provider: Provider
    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: AsyncIterator[bytes]
    caller: Caller
    run_mount: bool
    here: str
    length: int | None
    may_wait: bool = True
    may_switch: bool = True
    instead_of: str = ""
    named: bool = False
    """It goes to a named provider: by its path, or by its model."""
    interface: Interface = ""
    scope: str = ""
    """Vertex's project and location, as its paths have them."""
    content: bytes | None = None
    """The body, where it was read already."""
    parsed: dict[str, Any] | None = None
    """The JSON object in `content`, where it was parsed already."""


class CallUsage(NamedTuple):
    """Usage of a model call by kind of token, and its cost in USD. `cost` is None for a model
    without a price.

    `estimated`: the provider reported no usage. `cached`: the provider was not called; the tokens
    are those of the original call. `model` is the model that answered.
    """

    tokens: dict[str, int]
    cost: float | None
    estimated: bool
    cached: bool = False
    model: str = ""


class PieceSink(Protocol):
    """A taker of the pieces of a body."""

    def write(self, piece: bytes) -> bool:
        """Take a piece. Returns False if `drain` has to be awaited before the next one."""
        ...

    async def drain(self) -> None:
        """Wait until there is room for another piece."""
        ...


class PushedBody(AsyncIterator[bytes]):
    """A body that can be had piece by piece, or be sent on as it comes, which costs a fraction of it."""

    @abstractmethod
    async def push(self, sink: PieceSink) -> bytes:
        """Write the body to a sink, but for what came with its end, which is returned. Raises what iterating would."""


@dataclass(slots=True)
class GatewayResponse:
    """The provider's own response, streamed. Iterate `body` to its end, or close it, which ends the
    upstream call.

    `used` returns the usage once it is settled, None before and for calls that cost nothing.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: AsyncIterator[bytes]
    aclose: Callable[[], Awaitable[None]] = field(repr=False)
    used: Callable[[], CallUsage | None] = field(repr=False)
