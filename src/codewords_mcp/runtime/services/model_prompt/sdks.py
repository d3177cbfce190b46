"""One question to each provider by its own SDK, with the structured output that the provider has itself."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.services.model_prompt.schemas import Json, is_closed, strict

ANTHROPIC_MAX_TOKENS = 4096
"""Anthropic wants a limit; every model of it takes this one."""
_JSON_ONLY = re.compile(r"gpt-3\.5|gpt-4(-turbo|-\d|$)|chatgpt")
"""OpenAI models without schemas: they promise JSON, of whatever shape."""
_BY_TOOL = re.compile(r"claude-(instant|2|3)|claude-(sonnet|opus)-4-0|claude-(sonnet|opus)-4-2025")
"""Anthropic models without structured output: they are made to call a tool."""
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,([A-Za-z0-9+/=\s]+)")


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What to ask. `schema` is of an object; `said` are earlier turns after the prompt: (the model's answer, our remark)."""

    model: str
    prompt: str
    schema: Json | None = None
    system: str | None = None
    images: tuple[str, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    said: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class ModelReply:
    """The answer's text, or its value where a tool gave it; `cut`: it reached its limit of tokens; `refused`."""

    text: str
    value: Any = None
    cut: bool = False
    refused: bool = False


class Asker(Protocol):
    """Asks one provider; raises the SDK's own errors. Repeating is the gateway's."""

    async def __call__(self, question: ModelRequest, http: Any, base: str) -> ModelReply:
        """`http` is an httpx2 client, `base` where it believes the gateway to be."""
        ...


async def ask_openai(question: ModelRequest, http: Any, base: str) -> ModelReply:
    """Chat completions; schemas in strict mode where every object in them is closed."""
    from openai import AsyncOpenAI

    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in question.images]
    asked: Any = [{"type": "text", "text": question.prompt}, *pictures] if pictures else question.prompt
    messages: list[Any] = [{"role": "system", "content": question.system}] if question.system else []
    messages.append({"role": "user", "content": asked})
    for answer, remark in question.said:
        messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": remark}]
    options: Json = {"messages": messages, "model": question.model}
    if question.temperature is not None:
        options["temperature"] = question.temperature
    if question.max_tokens is not None:
        options["max_completion_tokens"] = question.max_tokens
    if question.schema is not None:
        options["response_format"] = _openai_format(question.model, question.schema, messages)
    client: Any = AsyncOpenAI(api_key="in-process", base_url=f"{base}/v1", http_client=http, max_retries=0)
    made = await client.chat.completions.create(**options)
    choice = made.choices[0]
    refused = bool(choice.message.refusal) or choice.finish_reason == "content_filter"

    return ModelReply(choice.message.content or "", cut=choice.finish_reason == "length", refused=refused)


def _openai_format(model: str, schema: Json, messages: list[Any]) -> Json:
    if _JSON_ONLY.match(model):
        messages.insert(
            0, {"role": "system", "content": f"Answer with JSON of this schema and nothing else: {schema}"}
        )
        return {"type": "json_object"}

    closed = is_closed(schema)
    if closed:
        shape = strict(schema, all_required=True)
    else:
        shape = schema

    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": closed, "schema": shape}}


async def ask_anthropic(question: ModelRequest, http: Any, base: str) -> ModelReply:
    """Messages; structured output, or a tool that has to be called, for models that lack it."""
    from anthropic import AsyncAnthropic

    content: list[Any] = [{"type": "image", "source": _anthropic_source(url)} for url in question.images]
    messages: list[Any] = [{"role": "user", "content": [*content, {"type": "text", "text": question.prompt}]}]
    for answer, remark in question.said:
        messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": remark}]
    options: Json = {
        "model": question.model, "messages": messages, "max_tokens": question.max_tokens or ANTHROPIC_MAX_TOKENS,
    }  # fmt: skip
    if question.system:
        options["system"] = question.system
    if question.temperature is not None:
        # the newest clients have no such parameter any more; models that do not take it say so
        options["extra_body"] = {"temperature": question.temperature}

    if question.schema is not None:
        options |= _anthropic_format(question.model, question.schema)
    client: Any = AsyncAnthropic(api_key="in-process", base_url=base, http_client=http, max_retries=0)
    made = await client.messages.create(**options)
    texts = [block.text for block in made.content if block.type == "text"]
    values = [block.input for block in made.content if block.type == "tool_use"]

    return ModelReply(
        "".join(texts),
        values[0] if values else None,
        cut=made.stop_reason == "max_tokens",
        refused=made.stop_reason == "refusal",
    )


def _anthropic_format(model: str, schema: Json) -> Json:
    if _BY_TOOL.match(model) or not is_closed(schema):
        tool = {"name": "answer", "description": "Give the answer.", "input_schema": schema}
        return {"tools": [tool], "tool_choice": {"type": "tool", "name": "answer"}}
    return {
        "output_config": {"format": {"type": "json_schema", "schema": strict(schema, all_required=False)}}
    }


def _anthropic_source(url: str) -> Json:
    if data := _DATA.fullmatch(url):
        return {"type": "base64", "media_type": data[1], "data": data[2]}
    return {"type": "url", "url": url}


async def ask_gemini(question: ModelRequest, http: Any, base: str) -> ModelReply:
    """generateContent with a JSON Schema."""
    from google import genai
    from google.genai import types

    parts = [
        *(_gemini_part(types, url) for url in question.images),
        types.Part.from_text(text=question.prompt),
    ]
    contents: list[Any] = [types.Content(role="user", parts=parts)]

    for answer, remark in question.said:
        contents.append(types.Content(role="model", parts=[types.Part.from_text(text=answer)]))
        contents.append(types.Content(role="user", parts=[types.Part.from_text(text=remark)]))

    config = types.GenerateContentConfig(
        system_instruction=question.system,
        temperature=question.temperature,
        max_output_tokens=question.max_tokens,
        response_mime_type="application/json" if question.schema is not None else None,
        response_json_schema=question.schema,
    )
    options = types.HttpOptions(base_url=base, httpx_async_client=http)
    client: Any = genai.Client(api_key="in-process", http_options=options)
    made = await client.aio.models.generate_content(model=question.model, contents=contents, config=config)

    if made.candidates:
        found = made.candidates[0]
    else:
        found = None

    if found is not None and found.finish_reason is not None:
        reason = found.finish_reason.name
    else:
        reason = ""

    refused = found is None or reason in {"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "RECITATION", "SPII"}
    return ModelReply(made.text or "", cut=reason == "MAX_TOKENS", refused=refused)


def _gemini_part(types: Any, url: str) -> Any:
    if data := _DATA.fullmatch(url):
        return types.Part.from_bytes(data=base64.b64decode(data[2]), mime_type=data[1])
    return types.Part.from_uri(file_uri=url, mime_type=_mime_of(url))


def _mime_of(url: str) -> str:
    import mimetypes

    return mimetypes.guess_type(url.partition("?")[0])[0] or "image/jpeg"


def check_image(url: str) -> str:
    """Raises InvalidInput for what is neither a web address nor base64 data."""
    if not (url.startswith(("https://", "http://")) or _DATA.fullmatch(url)):
        raise InvalidInput(
            "An image is an https:// address or a data: URL in base64.", hint="data:image/png;base64,…"
        )
    return url
