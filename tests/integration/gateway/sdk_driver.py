# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportCallIssue=false, reportArgumentType=false, reportGeneralTypeIssues=false
"""Calls each provider's SDK, whichever version is installed, and prints what it saw as one JSON object.

    python sdk_driver.py RUNTIME_URL KEY sync|async

It is run by an interpreter that has the SDKs, not by the tests' own.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import io
import json
import os
import sys

URL, KEY, KIND = sys.argv[1:4]
HI = [{"role": "user", "content": "hi"}]
SEEN: dict = {}


def version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in importlib.metadata.version(name).split(".")[:2])


async def value(made):
    return await made if inspect.isawaitable(made) else made


async def items(stream):
    stream = await value(stream)
    if hasattr(stream, "__aiter__"):
        return [item async for item in stream]
    return list(stream)


async def step(name, work):
    try:
        SEEN[name] = await work()
    except Exception as error:  # noqa: BLE001  # what was raised is what is looked at
        SEEN[name] = {
            "raised": type(error).__name__,
            "status": getattr(error, "status_code", None) or getattr(error, "code", None),
            "says": str(error)[:400],
            "request_id": getattr(error, "request_id", None),
        }


def openai_client(base="/openai", **more):
    import openai

    kind = openai.OpenAI if KIND == "sync" else openai.AsyncOpenAI
    return kind(api_key=KEY, base_url=URL + base, **more)


async def openai_steps():
    client = openai_client()

    async def chat(base):
        answer = await value(openai_client(base).chat.completions.create(model="gpt-4o-mini", messages=HI))
        return {"text": answer.choices[0].message.content, "usage": answer.usage.completion_tokens}

    async def stream(**more):
        chunks = await items(
            client.chat.completions.create(model="gpt-4o-mini-c8", messages=HI, stream=True, **more)
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        usage = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
        return {
            "chunks": len(chunks),
            "text": text,
            "usage": usage,
            "empty": sum(not c.choices for c in chunks),
        }

    async def tools():
        tool = {
            "type": "function",
            "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
        }
        answer = await value(client.chat.completions.create(model="gpt-4o-mini", messages=HI, tools=[tool]))
        return answer.choices[0].message.tool_calls[0].function.name

    async def vision():
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 3_000_000}}
        asked = [{"role": "user", "content": [{"type": "text", "text": "what?"}, picture]}]
        return (
            await value(client.chat.completions.create(model="gpt-4o-mini", messages=asked))
        ).usage.prompt_tokens

    async def parse():
        from pydantic import BaseModel

        class Person(BaseModel):
            name: str
            age: int

        completions = client.beta.chat.completions
        answer = await value(completions.parse(model="gpt-4o-mini", messages=HI, response_format=Person))
        return answer.choices[0].message.parsed.model_dump()

    async def embeddings():
        answer = await value(client.embeddings.create(model="text-embedding-3-small", input=["a", "b"]))
        return [len(answer.data), len(answer.data[0].embedding)]

    async def files():
        made = await value(client.files.create(file=("a.txt", b"hello"), purpose="batch"))
        batch = client.batches.create(
            input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        content = await value(client.files.content(made.id))
        return [made.id, (await value(batch)).id, content.read().decode() if KIND == "sync" else content.text]

    async def transcribe():
        audio = ("a.wav", b"RIFF" * 1000, "audio/wav")
        return (
            await value(client.audio.transcriptions.create(model="gpt-4o-mini-transcribe", file=audio))
        ).text

    async def responses():
        events = await items(client.responses.create(model="gpt-4o-mini", input="hi", stream=True))
        return [events[-1].type, events[-1].response.usage.output_tokens]

    await step("openai.chat", lambda: chat("/openai"))
    await step("openai.chat.run", lambda: chat("/run/openai/v1"))
    await step("openai.chat.gemini", lambda: chat("/run/gemini/v1"))
    await step("openai.stream", stream)
    await step("openai.stream.usage", lambda: stream(stream_options={"include_usage": True}))
    await step("openai.tools", tools)
    await step("openai.vision", vision)
    await step("openai.parse", parse)
    await step("openai.embeddings", embeddings)
    await step("openai.files", files)
    await step("openai.transcribe", transcribe)
    if version("openai") >= (1, 66):
        await step("openai.responses", responses)
    for name in ("cut", "midstream"):
        await step(
            f"openai.{name}",
            lambda name=name: items(
                client.chat.completions.create(model=f"gpt-4o-mini-{name}", messages=HI, stream=True)
            ),
        )
    quick = openai_client(max_retries=0)
    for status in (400, 401, 403, 404, 409, 422, 429, 500):
        model = f"err-{status}"
        await step(
            f"openai.{status}",
            lambda model=model: value(quick.chat.completions.create(model=model, messages=HI)),
        )
    await step(
        "openai.gzip", lambda: said(client.chat.completions.create(model="gpt-4o-mini-gzip", messages=HI))
    )
    await step(
        "openai.big",
        lambda: length(client.chat.completions.create(model="gpt-4o-mini-mb10", messages=HI)),
    )


async def said(answer):
    return (await value(answer)).choices[0].message.content


async def length(answer):
    return len((await value(answer)).choices[0].message.content)


async def anthropic_steps():
    import anthropic

    kind = anthropic.Anthropic if KIND == "sync" else anthropic.AsyncAnthropic
    ask = {"model": "claude-sonnet-4-6-c8", "max_tokens": 100, "messages": HI}

    async def message(base):
        answer = await value(kind(api_key=KEY, base_url=URL + base).messages.create(**ask))
        return {"text": answer.content[0].text, "usage": answer.usage.output_tokens}

    client = kind(api_key=KEY, base_url=URL + "/anthropic")

    async def stream():
        events = await items(client.messages.create(stream=True, **ask))
        deltas = [event for event in events if event.type == "message_delta"]
        return {"events": len(events), "usage": deltas[0].usage.output_tokens}

    async def helper():
        if KIND == "sync":
            with client.messages.stream(**ask) as talk:
                return "".join(talk.text_stream)
        async with client.messages.stream(**ask) as talk:
            return "".join([piece async for piece in talk.text_stream])

    await step("anthropic.message", lambda: message("/anthropic"))
    await step("anthropic.message.run", lambda: message("/run/anthropic"))
    await step("anthropic.stream", stream)
    await step("anthropic.helper", helper)
    if version("anthropic") >= (0, 40):

        async def count():
            return (
                await value(client.messages.count_tokens(model=ask["model"], messages=HI))
            ).input_tokens > 0

        await step("anthropic.count", count)
    for name in ("cut", "midstream"):
        model = f"claude-sonnet-4-6-{name}"
        await step(
            f"anthropic.{name}",
            lambda model=model: items(client.messages.create(stream=True, **ask | {"model": model})),
        )
    quick = kind(api_key=KEY, base_url=URL + "/anthropic", max_retries=0)
    for status in (400, 401, 403, 404, 413, 429, 500, 529):
        model = f"err-{status}-{os.getpid()}"  # one that failed too often before is left alone
        await step(
            f"anthropic.{status}", lambda model=model: value(quick.messages.create(**ask | {"model": model}))
        )


async def gemini_steps():
    from google import genai
    from google.genai import types

    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL + "/gemini"))
    models = client.models if KIND == "sync" else client.aio.models
    files = client.files if KIND == "sync" else client.aio.files

    async def generate():
        answer = await value(models.generate_content(model="gemini-2.5-flash-c8", contents="hi"))
        return {"text": answer.text, "usage": answer.usage_metadata.candidates_token_count}

    async def stream():
        parts = await items(models.generate_content_stream(model="gemini-2.5-flash-c8", contents="hi"))
        return {
            "text": "".join(part.text for part in parts),
            "usage": parts[-1].usage_metadata.candidates_token_count,
        }

    async def embed():
        answer = await value(models.embed_content(model="gemini-embedding-001", contents=["a", "b"]))
        return len(answer.embeddings)

    async def count():
        return (await value(models.count_tokens(model="gemini-2.5-flash", contents="hi"))).total_tokens > 0

    async def upload():
        made = await value(files.upload(file=io.BytesIO(b"hello" * 1000), config={"mime_type": "text/plain"}))
        found = await value(files.get(name=made.name))
        await value(files.delete(name=made.name))
        return [made.name == found.name, found.size_bytes]

    await step("gemini.generate", generate)
    await step("gemini.stream", stream)
    await step("gemini.embed", embed)
    await step("gemini.count", count)
    await step("gemini.upload", upload)
    for name in ("cut", "midstream"):
        model = f"gemini-2.5-flash-{name}"
        await step(
            f"gemini.{name}",
            lambda model=model: items(models.generate_content_stream(model=model, contents="hi")),
        )
    for status in (400, 403, 404, 429, 500, 503):
        model = f"err-{status}"
        await step(
            f"gemini.{status}", lambda model=model: value(models.generate_content(model=model, contents="hi"))
        )


async def main():
    await openai_steps()
    await anthropic_steps()
    await gemini_steps()
    print(json.dumps(SEEN, default=str))


asyncio.run(main())
