"""What cards read by their tools: answers of the HTTP API, for whoever's key the host has."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.mcp_clients import Bare
from tests.support.waiting import until_async

from codewords_mcp.console.card_pages import CARDS
from codewords_mcp.tools import read_run_card, read_workflow_card

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("cards:reads")]
_CARDS = {"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}}


@pytest.fixture
def run_id(door: Door, http: httpx.Client, probe: str) -> str:
    answer = http.post(f"/run/{probe}/echo", json={"said": "hello"})
    return str(answer.headers["x-request-id"])


async def _read(door: Door, tool: str, path: str, key: str = ADMIN_KEY, **query: str) -> dict[str, Any]:
    return await Bare(f"{door.url}/mcp", key, _CARDS).call(tool, {"path": path, "query": query})


async def test_an_answer_is_that_of_the_http_api(
    door: Door, http: httpx.Client, run_id: str, probe: str
) -> None:
    for tool, path in (
        ("read_run_card", f"/request/{run_id}"),
        ("read_run_card", "/usage"),
        ("read_workflow_card", f"/workflows/{probe}"),
        ("read_workflow_card", "/waiting"),
    ):

        async def is_the_same(tool: str = tool, path: str = path) -> bool:
            found = (await _read(door, tool, path))["structuredContent"]
            return bool(found == {"status": 200, "body": http.get(path).json(), "ended": True})

        # A run that has just ended is summed up a moment later.
        await until_async(is_the_same, f"the same answer to {path}")
    log = (await _read(door, "read_run_card", f"/logs/{run_id}"))["structuredContent"]
    assert (log["body"], log["ended"]) == (http.get(f"/logs/{run_id}").text, True)


async def test_an_error_is_in_the_apis_sentence(door: Door, http: httpx.Client) -> None:
    found = (await _read(door, "read_run_card", "/request/none"))["structuredContent"]
    assert (found["status"], found["body"]["error"]) == (404, http.get("/request/none").json()["error"])


async def test_a_log_that_goes_on_is_given_in_parts(door: Door, http: httpx.Client) -> None:
    waiting = http.post("/provision-request").json()["request_id"]
    found = (await _read(door, "read_run_card", f"/logs/{waiting}"))["structuredContent"]
    assert (found["status"], found.get("body", "").strip(), found.get("ended", False)) == (200, "", False)


@pytest.mark.parametrize(
    "path",
    [
        "/keys", "/secrets", "/runs", "/consents/x", "/run/x/", "/workflows", "/request/../keys", "/request/%2e%2e/keys",
        "/request/a/b", "//request/x", "/request/x?y", "/REQUEST/x", "/request/x\n", "http://other/request/x", "",
    ],
)  # fmt: skip
async def test_no_other_address_is_read(door: Door, path: str) -> None:
    for tool in ("read_run_card", "read_workflow_card"):
        refused = await _read(door, tool, path)
        assert refused["isError"], path
        assert "no such address" in refused["content"][0]["text"], path


def test_each_address_only_reads() -> None:
    from codewords_mcp.runtime.auth.access_table import TABLE

    names = {rule.name.partition("{")[0] for rule in TABLE if rule.kind == "http" and rule.effect == "reads"}
    for route in (*read_run_card.ROUTES, *read_workflow_card.ROUTES):
        assert f"GET {route.partition('{')[0]}" in names, route


async def test_a_key_reads_what_its_toolset_and_scopes_let_it_read(
    door: Door, run_id: str, probe: str
) -> None:
    runs, workflows = (door.make_key(owner="local", toolsets=[name]) for name in ("runs", "workflows"))
    running = door.make_key(owner="local", scopes=["run"])
    assert (await _read(door, "read_run_card", f"/request/{run_id}", runs))["structuredContent"][
        "status"
    ] == 200
    assert (await _read(door, "read_run_card", f"/request/{run_id}", workflows))["isError"]
    assert (await _read(door, "read_workflow_card", f"/workflows/{probe}", runs))["isError"]
    assert (await _read(door, "read_workflow_card", f"/workflows/{probe}", running))["isError"]


async def test_a_key_of_a_toolset_does_not_hear_of_pages_of_another(door: Door) -> None:
    asked = await Bare(f"{door.url}/mcp", ADMIN_KEY, _CARDS).call("set_secret", {"name": "A_WAITING_KEY"})
    assert asked["structuredContent"]["status"] == "waiting"
    narrow = door.make_key(owner="local", toolsets=["workflows"])
    for key, seen in ((ADMIN_KEY, True), (narrow, False)):
        found = (await _read(door, "read_workflow_card", "/waiting", key))["structuredContent"]
        shown = await Bare(f"{door.url}/mcp", key, _CARDS).call("show_inbox", {})
        assert ("A_WAITING_KEY" in str(found), "A_WAITING_KEY" in str(shown)) == (seen, seen)
        assert len(shown["content"][0]["text"].splitlines()) <= 12


async def test_another_owners_run_is_not_there(door: Door, run_id: str) -> None:
    stranger = door.make_key(owner="ann")
    found = await _read(door, "read_run_card", f"/request/{run_id}", stranger)
    assert found["structuredContent"]["status"] == 404


async def test_every_document_is_read_over_every_endpoint(door: Door) -> None:
    reading = door.make_key(owner="ann", toolsets=["secrets"])
    for path, key in (("/mcp", ADMIN_KEY), ("/mcp/runs", ADMIN_KEY), ("/mcp", reading)):
        for name in CARDS:
            uri = f"ui://codewords/{name}"
            [content] = (await Bare(f"{door.url}{path}", key).result("resources/read", {"uri": uri}))[
                "contents"
            ]
            assert content["mimeType"] == "text/html;profile=mcp-app"
            assert content["text"].startswith("<!doctype html>")
            assert content["_meta"] == {"ui": {"prefersBorder": True}}
    unknown = await Bare(f"{door.url}/mcp", ADMIN_KEY).ask("resources/read", {"uri": "ui://codewords/other"})
    assert "error" in unknown
