"""Wire formats that SDKs read without having a model for them."""

from __future__ import annotations

from typing import Any, Literal

from openai.types import CreateEmbeddingResponse, Embedding, ErrorObject
from pydantic import BaseModel, ConfigDict, field_validator


class Closed(BaseModel):
    """A model without further fields."""

    model_config = ConfigDict(extra="forbid")


class OpenAIError(Closed):
    """Body of an error: `openai._exceptions` reads `error` out of it."""

    error: ErrorObject


class PackedEmbedding(Embedding):
    """An embedding as numbers, or in base64 as the SDK asks for it and unpacks it."""

    embedding: list[float] | str  # pyright: ignore[reportIncompatibleVariableOverride]


class Embeddings(CreateEmbeddingResponse):
    """Embeddings of which each may be packed."""

    data: list[PackedEmbedding]  # pyright: ignore[reportIncompatibleVariableOverride]


class AnthropicPing(Closed):
    """Event of a stream that carries nothing (https://docs.anthropic.com/en/api/messages-streaming#ping-events)."""

    type: Literal["ping"]


class AnthropicErrorOfStream(Closed):
    """Details of an error."""

    type: str
    message: str


class AnthropicStreamError(Closed):
    """Event of a stream that breaks off (https://docs.anthropic.com/en/api/messages-streaming#error-events)."""

    type: Literal["error"]
    error: AnthropicErrorOfStream


class AnthropicTooLargeError(Closed):
    """Details of an error that the SDK's union lacks (https://docs.anthropic.com/en/api/errors)."""

    type: Literal["request_too_large"]
    message: str


class AnthropicTooLarge(Closed):
    """Body of the answer to a request that is too large."""

    type: Literal["error"]
    error: AnthropicTooLargeError
    request_id: str | None


class BedrockError(Closed):
    """Body of an error; its kind is in the header x-amzn-ErrorType."""

    message: str


class BedrockChunk(Closed):
    """Frame of a stream: one event of Anthropic's in base64, and padding (`p`)."""

    bytes: str
    p: str = ""

    @field_validator("bytes")
    @classmethod
    def _holds_an_event(cls, value: str) -> str:
        import base64
        import json

        from codewords_testing.fidelity.shapes import ModelShape

        event: Any = json.loads(base64.b64decode(value, validate=True))
        # A ping is no type of the SDK's.
        if event.get("type") != "ping":
            found = list(ModelShape("anthropic.types:RawMessageStreamEvent").problems(event))
            if found:
                raise ValueError("; ".join(found))
        return value
