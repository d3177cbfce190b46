"""A scripted assistant takes a workflow its whole way, over each transport and both protocol eras, on one runtime."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from tests.support.mcp_clients import Era, over_http
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

from codewords_testing.pipedream import LoopbackConnect, loopback_connect

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("mcp:journey")]

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "_journey.py"


def _journey() -> Any:
    """The script of the benchmark, which counts what the same way costs."""
    spec = importlib.util.spec_from_file_location("journey_script", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


JOURNEY = _journey()


@pytest.fixture(scope="module")
def connect() -> Iterator[LoopbackConnect]:
    with loopback_connect() as running:
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, connect: LoopbackConnect) -> Iterator[ServedRuntime]:
    home = make_home(tmp_path_factory.mktemp("journey") / "home")
    with start_runtime(home, CODEWORDS_PIPEDREAM_BASE_URL=connect.url) as runtime:
        for name, value in connect.credentials.items():
            runtime.call("PUT", f"/secrets/{name}", {"value": value})
        yield runtime


@asynccontextmanager
async def client_of(served: ServedRuntime, transport: str, era: Era, person: Any) -> AsyncGenerator[Client]:
    if transport == "http":
        async with over_http(f"{served.url}/mcp", served.key, era, elicitation_callback=person) as client:
            yield client
        return
    if transport == "stdio":
        front = str(Path(sys.executable).with_name("codewords-mcp"))
        reached: Any = StdioServerParameters(command=front, env={"CODEWORDS_HOME": str(served.home)})
    else:
        reached = sse_client(f"{served.url}/sse", headers={"Authorization": f"Bearer {served.key}"})
    async with Client(reached, mode=era, elicitation_callback=person) as client:
        yield client


async def test_a_workflow_goes_its_whole_way_through_the_front(
    served: ServedRuntime, connect: LoopbackConnect
) -> None:
    person = JOURNEY.Person(served.url, served.key)
    async with client_of(served, "stdio", "2026-07-28", person) as client:
        assistant = JOURNEY.Assistant(client)
        await assistant.go()
    assert person.visited == ["secrets", "connect"], "the model opened no page"
    deploy, change, rollback = person.agreed
    assert "slack" in deploy
    assert "in replays: “would POST pipedream" in change, "the run that failed had not come to the write"
    assert "version 1" in rollback
    said = "".join(call.arguments + call.text + call.data for call in assistant.calls)
    assert person.value not in said, "a secret came by the model"
    assert [run.props["text"] for run in connect.runs] == ["Good morning", "Nothing today."]


@pytest.mark.parametrize(
    ("transport", "era"),
    [("stdio", "legacy"), ("http", "legacy"), ("http", "2026-07-28"), ("sse", "legacy")],
)
async def test_a_workflow_is_deployed_run_read_and_deleted_over_each_transport(
    served: ServedRuntime, transport: str, era: Era
) -> None:
    person = JOURNEY.Person(served.url, served.key)
    async with client_of(served, transport, era, person) as client:
        await JOURNEY.Assistant(client).go_briefly()
    assert served.call("GET", "/workflows?query=briefly")["items"] == []
