"""An agent that works with the runtime's own MCP tools: a model, a task, and turns until it is done."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx

from codewords_client._async_client import AsyncCodewordsClient
from codewords_client._errors import CodewordsHTTPError

_DEFAULT_PROMPT = "Carry out the task with the tools you have. When it is done, answer with the result alone."
_PROVIDERS = {"openai": "openai", "gemini": "gemini", "google": "gemini"}
# Characters of a tool's result that the model is given.
_SHOWN = 20_000


class SubAgent:
    """Carries out one task with a model and the tools of an MCP server, by default the runtime's own.

    `model` is a name of OpenAI's, or `gemini/<name>`; it is called through the runtime, on this run's key and
    budget. `tools_filter` names the tools it may use, None all. `max_turns` bounds the calls of the model.
    """

    def __init__(
        self,
        task: str,
        system_prompt: str = "",
        model: str = "gpt-4.1-mini",
        tools_filter: list[str] | None = None,
        max_turns: int = 15,
        mcp_url: str | None = None,
        api_key: str | None = None,
    ) -> None:
        self.task = task
        self.system_prompt = system_prompt or _DEFAULT_PROMPT
        self.model = model
        self.tools_filter = tools_filter
        self.max_turns = max_turns
        self.mcp_url = mcp_url
        self.api_key = api_key

    async def run(self) -> dict[str, Any]:
        """`{"status": "completed", "output": text}`, or `{"status": "error", "error": sentence, "error_type": name}`."""
        try:
            return {"status": "completed", "output": await self._run()}
        except Exception as error:  # noqa: BLE001
            # A failure is a result here, as scripts expect.
            cause = _first(error)
            return {"status": "error", "error": str(cause), "error_type": type(cause).__name__}

    async def _run(self) -> str:
        service, model = _provider(self.model)
        async with AsyncCodewordsClient(api_key=self.api_key) as client:
            url = self.mcp_url or f"{client.base_url}/run/devx_mcp/mcp/"
            key = self.api_key or os.environ.get("CODEWORDS_API_KEY", "")
            async with _mcp(url, key) as session:
                tools = await self._tools(session)
                messages: list[dict[str, Any]] = [
                    {"role": "system", "content": self.system_prompt},
                    {"role": "user", "content": self.task},
                ]
                for _ in range(self.max_turns):
                    body = {"model": model, "messages": messages} | ({"tools": tools} if tools else {})
                    answer = (await client.run(service, body, "/v1/chat/completions"))["choices"][0][
                        "message"
                    ]
                    messages.append(answer)
                    if not answer.get("tool_calls"):
                        return str(answer.get("content") or "")

                    for call in answer["tool_calls"]:
                        # The model learns of a failed call by its text and can correct it, so
                        # nothing is raised.
                        text = await _call(session, call["function"])
                        messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})

        raise RuntimeError(
            f"The task was not done within {self.max_turns} turns; raise max_turns or make the task smaller."
        )

    async def _tools(self, session: Any) -> list[dict[str, Any]]:
        listed = (await session.list_tools()).tools
        chosen = [tool for tool in listed if self.tools_filter is None or tool.name in self.tools_filter]
        if self.tools_filter and len(chosen) < len(set(self.tools_filter)):
            missing = sorted(set(self.tools_filter) - {tool.name for tool in chosen})
            raise LookupError(f"The MCP server has no tool named {', '.join(missing)}.")

        return [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description or "",
                    # Version 2 of `mcp` renamed its fields to snake case; the script may have
                    # either.
                    "parameters": getattr(tool, "input_schema", None) or tool.inputSchema,
                },
            }
            for tool in chosen
        ]


def _provider(model: str) -> tuple[str, str]:
    vendor, slash, name = model.partition("/")
    if not slash:
        return "openai", model
    if vendor not in _PROVIDERS:
        raise ValueError(
            f"SubAgent cannot use models of {vendor!r}; it can use OpenAI's names and gemini/<name>."
        )
    return _PROVIDERS[vendor], name


async def _call(session: Any, function: dict[str, Any]) -> str:
    """A tool's answer as text for the model."""
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError as error:
        # The model reads what was wrong with its call and can correct it.
        return f"The arguments are not JSON: {error}"
    result = await session.call_tool(function["name"], arguments)
    text = "\n".join(getattr(block, "text", "") or f"[{block.type}]" for block in result.content)
    failed = getattr(result, "is_error", None) or getattr(result, "isError", False)
    return f"{'The tool failed: ' if failed else ''}{text}"[:_SHOWN]


@asynccontextmanager
async def _mcp(url: str, key: str) -> AsyncGenerator[Any]:
    """A connected MCP session over streamable HTTP, by whichever version of the `mcp` package the script has."""
    headers = {"Authorization": f"Bearer {key}"}
    try:
        import mcp
        from mcp.client import streamable_http
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'SubAgent needs the mcp package: add "mcp" to the script\'s dependencies.', name="mcp"
        ) from error

    # The MCP client drops the words of a refusal, which say what is wrong with the key.
    await _admitted(url, headers)
    # Its functions have other names in version 2, which alone has `Client`.
    http: Any = streamable_http
    if hasattr(mcp, "Client"):
        async with (
            http.create_mcp_http_client(headers=headers) as web,
            mcp.Client(http.streamable_http_client(url, http_client=web)) as session,
        ):
            yield session

        return

    async with (
        http.streamablehttp_client(url, headers=headers) as (reader, writer, *_),
        mcp.ClientSession(reader, writer) as session,
    ):
        await session.initialize()
        yield session


async def _admitted(url: str, headers: dict[str, str]) -> None:
    """Raise CodewordsHTTPError where the server refuses this key."""
    ping = {"jsonrpc": "2.0", "id": 0, "method": "ping"}
    accept = {"Accept": "application/json, text/event-stream"}
    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream("POST", url, json=ping, headers=headers | accept) as answer,
    ):
        # Any other answer, an error too, is for the MCP client to handle.
        if answer.status_code in {401, 403, 404}:
            await answer.aread()
            raise CodewordsHTTPError(answer)


def _first(error: BaseException) -> BaseException:
    """The error inside the groups that task groups wrap it in."""
    # The client runs in task groups; the outermost group says only that there were errors.
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
