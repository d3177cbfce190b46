"""The published client's SubAgent, by the OpenAI Agents SDK, on the runtime's own tools at `/run/devx_mcp/mcp/`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.compat.helpers import DRIVERS, Steps, driven
from tests.compat.registries import AGENTS, python_client_with
from tests.support.served_runtime import ServedRuntime

from codewords_mcp.tools import all_tools
from codewords_testing.providers import LoopbackProviders
from codewords_testing.providers.scripted import response_reply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.requirement("compat:sub-agent")]
CLIENT = "0.4.11"


def sub_agent(served: ServedRuntime) -> Steps:
    """Its answer; its model is asked by the runtime's gateway, as in a sandbox."""
    model = {"OPENAI_BASE_URL": f"{served.url}/openai/v1", "OPENAI_API_KEY": served.key}
    command = [python_client_with(CLIENT, AGENTS), DRIVERS / "subagent_driver.py", "Greet Ada."]
    return driven(command, served, **model)


@pytest.fixture
def model(models: LoopbackProviders, store_secrets: Callable[[dict[str, str]], None]) -> LoopbackProviders:
    """Asked for nothing yet, with a key to be asked with."""
    store_secrets({"OPENAI_API_KEY": "sk-loopback"})
    models.requests.clear()
    return models


def test_a_sub_agent_finds_a_workflow_runs_it_and_answers(
    served: ServedRuntime, service: str, model: LoopbackProviders
) -> None:
    model.answer_next(
        response_reply(calls=[("list_workflows", {"query": "compat"})]),
        response_reply(calls=[("run_workflow", {"workflow_id": service, "input": {"name": "Ada"}})]),
        response_reply("It said: Hello Ada!"),
    )
    told = sub_agent(served)
    assert (told["status"], told.get("output")) == ("completed", "It said: Hello Ada!"), told
    first, second, third = [request.json for request in model.requests]
    assert {one["name"] for one in first["tools"]} == {
        tool.name for tool in all_tools() if tool.listed and not tool.for_cards
    }
    assert service in _answer(second)
    assert "Hello Ada!" in _answer(third)


def test_a_sub_agent_hears_why_a_tool_fails_and_goes_on(
    served: ServedRuntime, model: LoopbackProviders
) -> None:
    """Its `tools_filter` is not tried: this client's breaks, with this version of the SDK, before it asks anything."""
    model.answer_next(
        response_reply(calls=[("get_run", {"run_id": "nobody"})]), response_reply("There is no such run.")
    )
    told = sub_agent(served)
    assert (told["status"], told.get("output")) == ("completed", "There is no such run."), told
    _, second = [request.json for request in model.requests]
    assert "not_found" in _answer(second)


def _answer(request: Steps) -> str:
    """What the last tool said, as the model is given it."""
    [*_, last] = [one for one in request["input"] if one.get("type") == "function_call_output"]
    return str(last["output"])
