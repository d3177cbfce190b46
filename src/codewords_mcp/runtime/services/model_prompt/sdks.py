"""One prompt to each provider by its own SDK, with the provider's own structured output."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.services.model_prompt.schemas import Json, is_closed, strict

if TYPE_CHECKING:
    from google.genai import types

ANTHROPIC_MAX_TOKENS = 4096
"""Anthropic requires a limit; all of its models accept this one."""
# OpenAI models without schemas: they support JSON of any format.
_JSON_ONLY = re.compile(r"gpt-3\.5|gpt-4(-turbo|-\d|$)|chatgpt")
# Anthropic models without structured output: they are made to call a tool.
_BY_TOOL = re.compile(r"claude-(instant|2|3)|claude-(sonnet|opus)-4-0|claude-(sonnet|opus)-4-2025")
_GEMINI_REFUSALS = frozenset({"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "RECITATION", "SPII"})
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,([A-Za-z0-9+/=\s]+)")


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A prompt. `schema` is that of an object.

    `earlier_turns` follow the prompt: (the model's response, our remark).
    """

    model: str
    prompt: str
    schema: Json | None = None
    system: str | None = None
    images: tuple[str, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    earlier_turns: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """The response's text, or its value if a tool returned it. Without both, the provider sent no answer.

    `cut`: the limit of tokens was reached. `refused`: the model declined to respond.
    """

    text: str | None
    value: Any = None
    cut: bool = False
    refused: bool = False


class AskProvider(Protocol):
    """Calls one provider; raises the SDK's own errors. The gateway does the retries.

    SDKs hand on what a provider sent, whatever its fields are. Reading them may raise anything; the caller knows by the
    status that the provider answered.
    """

    async def __call__(self, request: ModelRequest, http: Any, base: str) -> ModelResponse:
        """`http` is an httpx2 client, `base` the address that the SDK uses for the gateway."""
        ...


async def ask_openai(request: ModelRequest, http: Any, base: str) -> ModelResponse:
    """Call chat completions; schemas are strict if every object in them is closed."""
    from openai import AsyncOpenAI

    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in request.images]
    content: Any = [{"type": "text", "text": request.prompt}, *pictures] if pictures else request.prompt
    messages: list[Any] = [{"role": "system", "content": request.system}] if request.system else []
    messages.append({"role": "user", "content": content})
    for response, remark in request.earlier_turns:
        messages += [{"role": "assistant", "content": response}, {"role": "user", "content": remark}]
    options: Json = {"messages": messages, "model": request.model}
    if request.temperature is not None:
        options["temperature"] = request.temperature
    if request.max_tokens is not None:
        # Newer models refuse `max_tokens`.
        options["max_completion_tokens"] = request.max_tokens
    if request.schema is not None:
        options["response_format"] = _openai_format(request.model, request.schema, messages)
    # The gateway puts in the real key, and it does the retries.
    client: Any = AsyncOpenAI(api_key="in-process", base_url=f"{base}/v1", http_client=http, max_retries=0)
    completion = await client.chat.completions.create(**options)
    choice = completion.choices[0]
    refused = bool(choice.message.refusal) or choice.finish_reason == "content_filter"

    return ModelResponse(choice.message.content, cut=choice.finish_reason == "length", refused=refused)


def _openai_format(model: str, schema: Json, messages: list[Any]) -> Json:
    # OpenAI's JSON mode requires a message that asks for JSON.
    if _JSON_ONLY.match(model):
        messages.insert(
            0, {"role": "system", "content": f"Answer with JSON of this schema and nothing else: {schema}"}
        )
        return {"type": "json_object"}

    closed = is_closed(schema)
    # Strict mode refuses a schema with an open object.
    if closed:
        shape = strict(schema, all_required=True)
    else:
        shape = schema

    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": closed, "schema": shape}}


async def ask_anthropic(request: ModelRequest, http: Any, base: str) -> ModelResponse:
    """Call messages; with structured output, or with a forced tool call for models without it."""
    from anthropic import AsyncAnthropic

    content: list[Any] = [{"type": "image", "source": _anthropic_source(url)} for url in request.images]
    messages: list[Any] = [{"role": "user", "content": [*content, {"type": "text", "text": request.prompt}]}]
    for response, remark in request.earlier_turns:
        messages += [{"role": "assistant", "content": response}, {"role": "user", "content": remark}]
    options: Json = {
        "model": request.model, "messages": messages, "max_tokens": request.max_tokens or ANTHROPIC_MAX_TOKENS,
    }  # fmt: skip
    if request.system:
        options["system"] = request.system
    if request.temperature is not None:
        # The newest clients have no such parameter. Models that don't support it answer with an
        # error.
        options["extra_body"] = {"temperature": request.temperature}

    if request.schema is not None:
        options |= _anthropic_format(request.model, request.schema)
    # The gateway puts in the real key, and it does the retries.
    client: Any = AsyncAnthropic(api_key="in-process", base_url=base, http_client=http, max_retries=0)
    message = await client.messages.create(**options)
    texts = [block.text for block in message.content if block.type == "text"]
    values = [block.input for block in message.content if block.type == "tool_use"]

    return ModelResponse(
        "".join(texts) if texts else None,
        values[0] if values else None,
        cut=message.stop_reason == "max_tokens",
        refused=message.stop_reason == "refusal",
    )


def _anthropic_format(model: str, schema: Json) -> Json:
    if _BY_TOOL.match(model) or not is_closed(schema):
        # A tool that must be called has the schema as its input.
        tool = {"name": "answer", "description": "Give the answer.", "input_schema": schema}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": "answer"}}
    return {
        "output_config": {"format": {"type": "json_schema", "schema": strict(schema, all_required=False)}}
    }


def _anthropic_source(url: str) -> Json:
    if data := _DATA.fullmatch(url):
        return {"type": "base64", "media_type": data[1], "data": data[2]}
    return {"type": "url", "url": url}


async def ask_gemini(request: ModelRequest, http: Any, base: str) -> ModelResponse:
    """Call generateContent with a JSON Schema."""
    from google import genai
    from google.genai import types

    parts = [
        *(_gemini_part(url) for url in request.images),
        types.Part.from_text(text=request.prompt),
    ]
    contents: list[Any] = [types.Content(role="user", parts=parts)]

    for response, remark in request.earlier_turns:
        contents.append(types.Content(role="model", parts=[types.Part.from_text(text=response)]))
        contents.append(types.Content(role="user", parts=[types.Part.from_text(text=remark)]))

    config = types.GenerateContentConfig(
        system_instruction=request.system,
        temperature=request.temperature,
        max_output_tokens=request.max_tokens,
        response_mime_type="application/json" if request.schema is not None else None,
        response_json_schema=request.schema,
    )
    options = types.HttpOptions(base_url=base, httpx_async_client=http)
    # The gateway puts in the real key.
    client: Any = genai.Client(api_key="in-process", http_options=options)
    message = await client.aio.models.generate_content(model=request.model, contents=contents, config=config)

    if not message.candidates:
        # A prompt that was refused has no candidate, and feedback instead.
        feedback = message.prompt_feedback
        return ModelResponse(None, refused=feedback is not None and feedback.block_reason is not None)

    finish = message.candidates[0].finish_reason
    reason = finish.name if finish is not None else ""
    return ModelResponse(message.text, cut=reason == "MAX_TOKENS", refused=reason in _GEMINI_REFUSALS)


def _gemini_part(url: str) -> types.Part:
    from google.genai import types

    if data := _DATA.fullmatch(url):
        return types.Part.from_bytes(data=base64.b64decode(data[2]), mime_type=data[1])
    return types.Part.from_uri(file_uri=url, mime_type=_mime_of(url))


def _mime_of(url: str) -> str:
    import mimetypes

    return mimetypes.guess_type(url.partition("?")[0])[0] or "image/jpeg"


def check_image(url: str) -> str:
    """Return the address. Raises InvalidInput unless it is a web address or base64 data."""
    if not (url.startswith(("https://", "http://")) or _DATA.fullmatch(url)):
        raise InvalidInput(
            "An image is an https:// address or a data: URL in base64.", hint="data:image/png;base64,…"
        )
    return url
