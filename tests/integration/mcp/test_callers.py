"""Each request is on behalf of the key it came with, also inside a session that lasts."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from tests.integration.mcp.fake_runtime import ANN, FakeRuntime
from tests.support.mcp_clients import Era, data_of, over_http, serving, text_of

from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("mcp:callers")]

INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    },
}
LIST: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "list_workflows", "arguments": {}},
}


async def _post(
    http: httpx2.AsyncClient, url: str, key: str | None, body: dict[str, Any], **headers: str
) -> httpx2.Response:
    sent = {"Accept": "application/json, text/event-stream", **headers}
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    return await http.post(url, json=body, headers=sent)


async def test_a_request_without_a_caller_is_refused_before_anything_is_read(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        refused = await _post(http, url, None, INITIALIZE)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["code"] == "unauthenticated"


async def test_another_callers_session_id_is_as_unknown_as_none(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        opened = await _post(http, url, "ann", INITIALIZE)
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
        mine = await _post(http, url, "ann", LIST, **session)
        stolen = await _post(http, url, "bob", LIST, **session)
        made_up = await _post(http, url, "bob", LIST, **session | {"Mcp-Session-Id": "0" * 32})
        ended = await http.delete(url, headers={"Authorization": "Bearer bob", **session})
        still_mine = await _post(http, url, "ann", LIST, **session)
    assert (mine.status_code, still_mine.status_code) == (200, 200)
    assert (stolen.status_code, ended.status_code) == (404, 404)
    assert stolen.content == made_up.content


async def test_a_session_belongs_to_a_key_and_not_to_everything_of_its_owner(
    runtime: FakeRuntime, settings: Settings
) -> None:
    keys = {"ann": ANN, "run": Caller(owner="ann", kind="run", run_id="run-1")}
    async with serving(runtime, settings, keys) as url, httpx2.AsyncClient() as http:
        opened = await _post(http, url, "ann", INITIALIZE)
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
        assert (await _post(http, url, "run", LIST, **session)).status_code == 404


async def test_callers_see_their_own_workflows_only(url: str, era: Era) -> None:
    async with over_http(url, "ann", era) as ann, over_http(url, "bob", era) as bob:
        live = data_of(await ann.call_tool("deploy_workflow", {"code": "x", "name": "mine"}))
        assert data_of(await bob.call_tool("list_workflows", {})) == {"workflows": []}
        asked = await bob.call_tool("get_workflow", {"workflow_id": live["workflow_id"]})
        assert text_of(asked).startswith("not_found: ")
        mine = f"workflow://{live['workflow_id']}"
        assert mine not in [str(r.uri) for r in (await bob.list_resources()).resources]
        assert mine in [str(r.uri) for r in (await ann.list_resources()).resources]


async def test_a_workflows_own_key_neither_administers_nor_looks_around(
    runtime: FakeRuntime, settings: Settings, era: Era
) -> None:
    keys = {"run": Caller(owner="ann", kind="run", run_id="run-1")}
    async with serving(runtime, settings, keys) as url, over_http(url, "run", era) as client:
        refused = await client.call_tool("deploy_workflow", {"code": "x"})
        looked = await client.call_tool("list_workflows", {})
    assert text_of(refused).startswith("forbidden: The key of a run may not use deploy_workflow")
    assert text_of(looked).startswith("forbidden: The key of a run may not use list_workflows")


async def test_work_of_two_callers_with_the_same_code_is_not_shared(
    runtime: FakeRuntime, url: str, era: Era
) -> None:
    async with over_http(url, "ann", era) as ann, over_http(url, "bob", era) as bob:
        first = data_of(await ann.call_tool("deploy_workflow", {"code": "x", "name": "same"}))
        second = data_of(await bob.call_tool("deploy_workflow", {"code": "x", "name": "same"}))
    assert first["workflow_id"] != second["workflow_id"]


async def test_a_body_over_the_limit_is_refused(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        refused = await http.post(
            url,
            content=json.dumps(INITIALIZE | {"padding": "x" * (5 << 20)}),
            headers={
                "Authorization": "Bearer ann",
                "Content-Type": "application/json",
                "Accept": "application/json",
            },
        )
    assert refused.status_code == 413
