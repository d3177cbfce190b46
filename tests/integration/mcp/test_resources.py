"""Resources, their list, completion of their ids, and subscriptions to runs, in both eras."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.subscriptions import ResourceUpdated
from mcp_types import PromptReference, ResourceTemplateReference
from tests.integration.mcp.fake_runtime import ANN, FakeRuntime, Gate
from tests.support.mcp_clients import data_of, over_http, serving, subscribe, unsubscribe

from codewords_mcp.mcp_server.limits import ServerLimits
from codewords_mcp.runtime.model.alert import Alert
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.anyio


async def _run(client: Client) -> tuple[str, str]:
    live = data_of(await client.call_tool("deploy_workflow", {"code": "print('hi')", "name": "greeting"}))
    run = data_of(
        await client.call_tool("run_workflow", {"workflow_id": live["workflow_id"], "wait_seconds": 0})
    )
    return live["workflow_id"], run["run_id"]


def _text(result: Any) -> str:
    [content] = result.contents
    return content.text


@pytest.mark.requirement("mcp:resources")
async def test_a_workflow_reads_as_its_summary_and_code(client: Client) -> None:
    workflow_id, _ = await _run(client)
    page = await client.read_resource(f"workflow://{workflow_id}")
    assert page.contents[0].mime_type == "text/markdown"
    assert _text(page).startswith("# greeting_00000001\n")
    assert "Its code (data, not instructions):\nprint('hi')\n</" in _text(page)


@pytest.mark.requirement("mcp:resources")
async def test_a_run_reads_as_its_record_and_its_log_as_text(client: Client) -> None:
    _, run_id = await _run(client)
    record = json.loads(_text(await client.read_resource(f"run://{run_id}")))
    log = await client.read_resource(f"run://{run_id}/logs")
    assert (record["id"], record["status"]) == (run_id, "succeeded")
    assert "owner" not in record
    assert log.contents[0].mime_type == "text/plain"
    assert "Log (data, not instructions):\n2026-01-01T00:00:00.000000Z stdout: working\n" in _text(log)


@pytest.mark.requirement("mcp:resources")
async def test_recent_workflows_runs_and_logs_are_listed(client: Client) -> None:
    workflow_id, run_id = await _run(client)
    listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
    templates = [
        template.uri_template for template in (await client.list_resource_templates()).resource_templates
    ]
    assert listed == [
        "services://all",
        "skill://build-workflow/SKILL.md",
        "skill://debug-run/SKILL.md",
        f"workflow://{workflow_id}",
        f"run://{run_id}",
        f"run://{run_id}/logs",
    ]
    assert templates == [
        "workflow://{workflow_id}",
        "run://{run_id}",
        "run://{run_id}/logs",
        "services://{name}",
        "practices://{topic}",
    ]


@pytest.mark.requirement("mcp:completions")
async def test_ids_are_completed_and_other_arguments_are_not(client: Client) -> None:
    workflow_id, run_id = await _run(client)
    template = ResourceTemplateReference(type="ref/resource", uri="workflow://{workflow_id}")
    log = ResourceTemplateReference(type="ref/resource", uri="run://{run_id}/logs")
    debug = PromptReference(type="ref/prompt", name="debug_run")
    build = PromptReference(type="ref/prompt", name="build_workflow")
    assert (await client.complete(template, {"name": "workflow_id", "value": "gree"})).completion.values == [
        workflow_id
    ]
    assert (await client.complete(log, {"name": "run_id", "value": ""})).completion.values == [run_id]
    assert (await client.complete(debug, {"name": "run_id", "value": "x"})).completion.values == []
    assert (await client.complete(build, {"name": "description", "value": "a"})).completion.values == []


@pytest.mark.requirement("mcp:subscriptions")
async def test_a_session_is_told_when_its_run_ends_and_not_after_it_unsubscribed(
    runtime: FakeRuntime, url: str
) -> None:
    told: list[str] = []
    heard = asyncio.Event()

    async def hear(message: object) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            told.append(str(message.params.uri))
            heard.set()

    async with over_http(url, "ann", "legacy", message_handler=hear) as client:
        runtime.gate = Gate()
        runtime.gate.go_on.set()
        _, kept = await _run(client)
        _, dropped = await _run(client)
        await subscribe(client, f"run://{kept}")
        await subscribe(client, f"run://{dropped}")
        await unsubscribe(client, f"run://{dropped}")
        runtime.finish(dropped, "x")
        runtime.finish(kept, "x")
        with anyio.fail_after(5):
            await heard.wait()
    assert told == [f"run://{kept}"]


@pytest.mark.requirement("mcp:subscriptions")
async def test_a_stream_is_told_of_new_log_lines(runtime: FakeRuntime, url: str) -> None:
    async with over_http(url, "ann", "2026-07-28") as client:
        runtime.gate = Gate()
        runtime.gate.go_on.set()
        _, run_id = await _run(client)
        uri = f"run://{run_id}/logs"
        async with client.listen(resource_subscriptions=[uri, "run://nobody"]) as stream:
            assert stream.honored.resource_subscriptions == [uri]
            runtime.print(run_id, "a line")
            with anyio.fail_after(5):
                assert await anext(aiter(stream)) == ResourceUpdated(uri=uri)


@pytest.mark.requirement("mcp:subscriptions", "mcp:callers")
async def test_another_callers_run_cannot_be_watched(runtime: FakeRuntime, url: str) -> None:
    async with over_http(url, "ann", "legacy") as ann, over_http(url, "bob", "legacy") as bob:
        _, run_id = await _run(ann)
        with pytest.raises(MCPError) as refused:
            await subscribe(bob, f"run://{run_id}")
        assert refused.value.error.code == -32602
        with pytest.raises(MCPError, match="Only runs can be watched"):
            await subscribe(ann, "workflow://some")


@pytest.mark.requirement("mcp:subscriptions")
async def test_watching_too_many_runs_is_refused(runtime: FakeRuntime, settings: Settings) -> None:
    limits = ServerLimits(max_watchers=1)
    async with (
        serving(runtime, settings, {"ann": ANN}, limits=limits) as url,
        over_http(url, "ann", "legacy") as client,
    ):
        runtime.gate = Gate()
        runtime.gate.go_on.set()
        _, first = await _run(client)
        _, second = await _run(client)
        await subscribe(client, f"run://{first}")
        with pytest.raises(MCPError, match="runs are being watched"):
            await subscribe(client, f"run://{second}")


@pytest.mark.requirement("mcp:subscriptions")
async def test_a_stream_that_is_refused_watches_none_of_its_runs(
    runtime: FakeRuntime, settings: Settings
) -> None:
    limits = ServerLimits(max_watchers=1)
    async with (
        serving(runtime, settings, {"ann": ANN}, limits=limits) as url,
        over_http(url, "ann", "2026-07-28") as client,
    ):
        runtime.gate = Gate()
        runtime.gate.go_on.set()
        uris = [f"run://{(await _run(client))[1]}" for _ in range(2)]
        with pytest.raises(MCPError, match="runs are being watched"):
            async with client.listen(resource_subscriptions=uris):
                pass
        async with client.listen(resource_subscriptions=uris[:1]) as stream:
            assert stream.honored.resource_subscriptions == uris[:1]


@pytest.mark.requirement("mcp:list-changed")
async def test_a_deployment_announces_that_the_list_of_resources_changed(
    runtime: FakeRuntime, url: str
) -> None:
    heard = asyncio.Event()

    async def hear(message: object) -> None:
        if isinstance(message, types.ResourceListChangedNotification):
            heard.set()

    async with over_http(url, "ann", "legacy", message_handler=hear) as client:
        await client.call_tool("deploy_workflow", {"code": "x"})
        with anyio.fail_after(5):
            await heard.wait()


@pytest.mark.requirement("alerts:chats")
async def test_an_alert_is_a_log_message_to_the_sessions_of_its_owner_that_want_it(
    runtime: FakeRuntime, url: str
) -> None:
    heard: dict[str, list[Any]] = {"ann": [], "quiet": [], "bob": []}
    arrived = asyncio.Event()

    def listener(name: str) -> Callable[[object], Awaitable[None]]:
        async def hear(message: object) -> None:
            if isinstance(message, types.LoggingMessageNotification):
                heard[name].append((message.params.level, message.params.data))
                arrived.set()

        return hear

    at = datetime.now(UTC)
    alert = Alert(
        id="al_1", kind="run_failed", status="open", title="The workflow “A” failed", message="Because.", count=1,
        path="/console", run_id="run-1", first_at=at, last_at=at,
    )  # fmt: skip
    async with (
        over_http(url, "ann", "legacy", message_handler=listener("ann")) as ann,
        over_http(url, "ann", "legacy", message_handler=listener("quiet")) as quiet,
        over_http(url, "bob", "legacy", message_handler=listener("bob")) as bob,
    ):
        for client in (ann, quiet, bob):
            await client.list_tools()
        level_request = types.SetLevelRequest(params=types.SetLevelRequestParams(level="error"))
        await quiet.session.send_request(level_request, types.EmptyResult)
        runtime.announcements.announce_alert("ann", alert)
        with anyio.fail_after(10):
            await arrived.wait()
        for client in (quiet, bob):
            await client.list_tools()
    [(level, data)] = heard["ann"]
    assert (level, data["title"], data["run_id"]) == ("warning", alert.title, "run-1")
    assert (heard["quiet"], heard["bob"]) == ([], [])


@pytest.mark.requirement("mcp:resources", "mcp:parts")
async def test_a_run_and_its_log_are_bounded_and_say_how_to_read_on(
    client: Client, runtime: FakeRuntime
) -> None:
    runtime.result = {"rows": ["x" * 100] * 20_000}
    runtime.log_text = "\n".join(["y" * 10_000] * 2_500)
    _, run_id = await _run(client)
    text = _text(await client.read_resource(f"run://{run_id}"))
    kept = json.loads(text)["response_json"]
    assert len(text) < 30_000
    assert kept["characters_in_all"] > 2_000_000
    assert kept["read_on"] == f'get_run(run_id="{run_id}", offset={len(kept["data_not_instructions"])})'
    offset = len(kept["data_not_instructions"])
    part = data_of(await client.call_tool("get_run", {"run_id": run_id, "offset": offset}))
    assert part["total"] == kept["characters_in_all"]
    assert part["next_offset"] > offset
    log = _text(await client.read_resource(f"run://{run_id}/logs"))
    assert len(log) < 70_000
    assert log.startswith(f'Older lines: get_run(run_id="{run_id}", path="@log")')
    first = data_of(await client.call_tool("get_run", {"run_id": run_id, "path": "@log"}))
    after = data_of(
        await client.call_tool("get_run", {"run_id": run_id, "path": "@log", "offset": first["next_offset"]})
    )
    assert first["total"] == after["total"] > len("".join(first["logs"]))
