"""Calls of model providers: requests, responses and usage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from codewords_mcp.runtime.model.caller import Caller

Provider = Literal["openai", "anthropic", "gemini"]
Dialect = Literal["openai", "anthropic", "gemini"]
"""Whose shape errors have: Gemini is also called in OpenAI's."""


@dataclass(slots=True)
class ProviderRequest:
    """A call of a model provider, as its SDK made it.

    `path` is what follows `/openai`, percent-encoded, with its first slash; `run_mount` says that it followed
    `/run/openai`. `here` is how the caller reached Gemini's mount: `http://127.0.0.1:8765/gemini`. `length` is the body's
    size where it was declared.

    `may_wait`: it may be made again after a while; False where whoever asks repeats calls itself, or has another way.
    `may_switch`: a model of the same provider may answer instead. `instead_of`: this asks instead of that model already.
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


@dataclass(frozen=True, slots=True)
class CallUsage:
    """What a model call used, by kind of token, and cost in USD; `cost` is None for a model without a price.

    `estimated`: the provider did not tell. `cached`: it was not asked; the tokens are those of when it was.
    """

    tokens: dict[str, int]
    cost: float | None
    estimated: bool
    cached: bool = False


@dataclass(slots=True)
class ProviderReply:
    """The provider's own answer, streamed. Iterate `body` to its end, or close it, which ends the call upstream.

    `used` gives what the call used once it is settled, None before and for calls that cost nothing.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: AsyncIterator[bytes]
    aclose: Callable[[], Awaitable[None]] = field(repr=False)
    used: Callable[[], CallUsage | None] = field(repr=False)
