"""The sub-agent and the Redis of a workflow: with what they need, and without it."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from typing import Any

import pytest
from mcp.server import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from tests.unit.client.fake_runtime import KEY, FakeRuntime, served

from codewords_client import CodewordsHTTPError, redis_client
from codewords_client.agent import SubAgent

pytestmark = pytest.mark.anyio


@pytest.fixture
def inside(runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    monkeypatch.setenv("CODEWORDS_API_KEY", KEY)
    monkeypatch.setenv("CODEWORDS_RUNTIME_URI", runtime.url)
    return runtime


@pytest.mark.requirement("client:redis")
async def test_redis_that_the_runtime_lacks_is_the_platforms_error(inside: FakeRuntime) -> None:
    with pytest.raises(CodewordsHTTPError, match="501: This runtime has no redis_coordinator yet"):
        async with redis_client():
            raise AssertionError("the block must not be entered")
    assert inside.last("POST", "/run/redis_coordinator/").body == b""


class Model:
    """A model that calls one tool and then repeats what it was told."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def answer(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        last = body["messages"][-1]
        if last["role"] == "tool":
            message: dict[str, Any] = {"role": "assistant", "content": f"It is {last['content']}"}
        else:
            function = {
                "name": body["tools"][0]["function"]["name"],
                "arguments": json.dumps({"a": 2, "b": 3}),
            }
            message = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": function}],
            }
        return JSONResponse({"choices": [{"message": message}]})


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> Generator[Model]:
    """A runtime with an MCP door that adds, and a model."""
    server = MCPServer("tools")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool()
    def shout(text: str) -> str:
        """Say it louder."""
        return text.upper()

    model = Model()
    door = server.streamable_http_app(streamable_http_path="/")
    routes = [
        Route("/run/openai/v1/chat/completions", model.answer, methods=["POST"]),
        Mount("/run/devx_mcp/mcp", door),
    ]
    lifespan: Any = door.router.lifespan_context
    app = Starlette(routes=routes, lifespan=lambda _: lifespan(door))
    with served(app, lifespan="on") as url:
        monkeypatch.setenv("CODEWORDS_API_KEY", KEY)
        monkeypatch.setenv("CODEWORDS_RUNTIME_URI", url)
        yield model


@pytest.mark.requirement("client:sub-agent")
async def test_a_sub_agent_works_with_the_tools_it_is_given_until_the_model_is_done(agents: Model) -> None:
    done = await SubAgent("Add 2 and 3.", tools_filter=["add"]).run()
    assert done == {"status": "completed", "output": "It is 5"}
    first = agents.asked[0]
    assert first["model"] == "gpt-4.1-mini"
    assert [tool["function"]["name"] for tool in first["tools"]] == ["add"]
    assert first["tools"][0]["function"]["parameters"]["required"] == ["a", "b"]


@pytest.mark.requirement("client:sub-agent")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_turns": 1}, "not done within 1 turns"),
        ({"tools_filter": ["absent"]}, "no tool named absent"),
        ({"model": "nobody/model"}, "cannot use models of 'nobody'"),
    ],
)
async def test_a_sub_agent_that_fails_says_why_as_a_result(
    agents: Model, options: dict[str, Any], says: str
) -> None:
    done = await SubAgent("Add 2 and 3.", **options).run()
    assert done["status"] == "error"
    assert says in done["error"]
    assert done["error_type"]


@pytest.mark.requirement("client:sub-agent")
async def test_a_sub_agent_without_the_mcp_package_says_what_to_add(
    inside: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    done = await SubAgent("task").run()
    assert done == {
        "status": "error",
        "error": 'SubAgent needs the mcp package: add "mcp" to the script\'s dependencies.',
        "error_type": "ModuleNotFoundError",
    }


@pytest.mark.requirement("client:sub-agent")
async def test_a_sub_agent_whose_key_is_refused_repeats_the_runtimes_own_words(inside: FakeRuntime) -> None:
    done = await SubAgent("task", api_key="cwk-wrong").run()
    assert done == {
        "status": "error",
        "error": "401: No key, or a wrong one.",
        "error_type": "CodewordsHTTPError",
    }
