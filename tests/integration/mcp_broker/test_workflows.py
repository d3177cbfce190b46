"""Workflows call tools of MCP servers, under their manifest, in dry runs and in replays."""

from __future__ import annotations

import httpx
import pytest
from tests.integration.mcp_broker.helpers import ServedMcp, connected, told
from tests.support.http_runtime import Door
from tests.support.waiting import until

_HEADER = """# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "codewords-client==0.4.11",
#   "fastapi==0.115.12",
#   "httpx==0.28.1",
#   "pydantic==2.11.3",
#   "uvicorn[standard]==0.34.2"
# ]
# [tool.env-checker]
# env_vars = ["PORT=8000", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI"]
# ///
"""
_NOTES = (
    _HEADER
    + """
from codewords_client import AsyncCodewordsClient, run_service
from fastapi import FastAPI, HTTPException

app = FastAPI(title="Notes")

@app.post("/")
async def write(body: dict):
    async with AsyncCodewordsClient() as client:
        found = await client.run("mcp", {"server": "notes", "tool": "search_notes", "arguments": {"query": "milk"}})
        added = await client.run("mcp", {"server": "notes", "tool": "add_note", "arguments": {"text": body["text"]}})
        other = await client.run("mcp", {"server": "notes", "tool": body["tool"]}) if "tool" in body else None
    return {"found": found.json(), "added": added.json(), "other": other and other.json()}

if __name__ == "__main__":
    run_service(app)
"""
)
_NAMED = _NOTES.replace(', "tool": body["tool"]}', ', "tool": "draw"}')

# Asks for one tool in a way that can be read, and for others in one that cannot.
_SNEAKS = (
    _HEADER.replace("# ///\n", '# [tool.codewords]\n# services = ["send_email"]\n# ///\n')
    + """
import os
import httpx
from codewords_client import AsyncCodewordsClient, run_service
from fastapi import FastAPI

app = FastAPI(title="Sneaks")

async def never():
    async with AsyncCodewordsClient() as client:
        await client.run("mcp", {"server": "notes", "tool": "search_notes"})

@app.post("/")
async def sneak(body: dict):
    path = "".join(reversed("llac/pcm/nur/"))
    async with httpx.AsyncClient(headers={"Authorization": os.environ["CODEWORDS_API_KEY"]}) as http:
        told = await http.post(os.environ["CODEWORDS_RUNTIME_URI"] + path, json=body)
    return {"status": told.status_code, "told": told.json()}

if __name__ == "__main__":
    run_service(app)
"""
)


def deploy(http: httpx.Client, code: str, name: str) -> str:
    made = http.post("/deploy", json={"code": code, "name": name, "allow": True}, timeout=300)
    assert made.status_code == 200, made.text
    return str(made.json()["service_id"])


@pytest.fixture(scope="module")
def named(door: Door) -> str:
    """The id of a workflow that names each tool in its code."""
    with door.client() as http:
        return deploy(http, _NAMED, "notes")


@pytest.mark.requirement("mcp-broker:manifest")
def test_a_deployment_asks_for_the_tools_that_the_code_names(http: httpx.Client) -> None:
    asked = http.post("/deploy", json={"code": _NAMED, "name": "asks"}, timeout=300)
    assert asked.status_code == 403, asked.text
    [line] = [line for line in asked.json()["error"]["asks"] if line.startswith("actions")]
    assert [part.strip() for part in line.removeprefix("actions").split(",")] == [
        "mcp_notes: add_note (may write)", "mcp_notes: draw (may write)", "mcp_notes: search_notes (may write)",
    ]  # fmt: skip
    anything = http.post("/deploy", json={"code": _NOTES, "name": "asks more"}, timeout=300)
    assert "mcp_notes: any tool (may write)" in str(anything.json()["error"]["asks"])


@pytest.mark.requirement("mcp-broker:workflow")
def test_a_workflow_calls_tools_and_gets_their_answers(
    http: httpx.Client, notes: ServedMcp, named: str
) -> None:
    connected(http, notes.url, name="notes")
    ran = told(http.post(f"/run/{named}/", json={"text": "feed the cat"}, timeout=120))
    assert ran["found"] == {
        "success": True, "server": "notes", "tool": "search_notes", "text": "buy milk", "data": {"result": ["buy milk"]},
        "files": [], "links": [],
    }  # fmt: skip
    assert ran["added"]["data"] == {"result": "Added: feed the cat"}
    assert [tool for tool, _ in notes.calls] == ["search_notes", "add_note"]
    drawn = told(http.post(f"/run/{named}/", json={"text": "draw it", "tool": "x"}, timeout=120))
    assert [file["mime_type"] for file in drawn["other"]["files"]] == [
        "image/png",
        "audio/wav",
        "application/zip",
    ]


@pytest.mark.requirement("mcp-broker:granted")
def test_a_tool_beyond_the_manifest_is_not_called(http: httpx.Client, notes: ServedMcp) -> None:
    connected(http, notes.url, name="notes")
    service = deploy(http, _SNEAKS, "sneaks")
    allowed = {"server": "notes", "tool": "search_notes"}
    assert told(http.post(f"/run/{service}/", json=allowed, timeout=120))["status"] == 200
    notes.calls.clear()
    for tool in ("add_note", "ADD_NOTE", "search_notes/../add_note", "mcp_notes/search_notes"):
        asked = {"server": "notes", "tool": tool, "arguments": {"text": "x"}}
        ran = told(http.post(f"/run/{service}/", json=asked, timeout=120))
        assert (ran["status"], ran["told"]["error"]["code"]) == (403, "not_agreed"), ran
    assert notes.calls == []


@pytest.mark.requirement("mcp-broker:dry-run")
def test_a_dry_run_holds_what_may_write_and_reads_what_is_believed_to_read(
    http: httpx.Client, notes: ServedMcp, named: str
) -> None:
    connected(http, notes.url, name="notes", believe=True)
    held = http.post(
        f"/run/{named}/", json={"text": "hold it"}, headers={"Codewords-Dry-Run": "yes"}, timeout=120
    )
    assert held.status_code == 200, held.text
    assert [tool for tool, _ in notes.calls] == ["search_notes"]
    writes = told(http.get(f"/runs/{held.headers['x-request-id']}/writes"))["writes"]
    assert [(write["state"], write["address"]) for write in writes] == [("held", "mcp/call")]

    notes.calls.clear()
    connected(http, notes.url)
    http.post("/integrations/mcp/connect", json={"url": notes.url, "agree": True, "believe": False})
    both = http.post(
        f"/run/{named}/", json={"text": "hold it"}, headers={"Codewords-Dry-Run": "yes"}, timeout=120
    )
    assert notes.calls == []
    assert len(told(http.get(f"/runs/{both.headers['x-request-id']}/writes"))["writes"]) == 2


@pytest.mark.requirement("mcp-broker:replay")
def test_a_replay_answers_calls_from_the_recording(http: httpx.Client, notes: ServedMcp, named: str) -> None:
    connected(http, notes.url, name="notes")
    ran = http.post(f"/run/{named}/", json={"text": "once"}, timeout=120)
    assert ran.status_code == 200, ran.text
    run_id, calls = ran.headers["x-request-id"], len(notes.calls)
    until(lambda: http.get(f"/recordings/{run_id}").status_code == 200)
    replay = told(http.post("/replays", json={"service_id": named, "runs": [run_id]}, timeout=120))
    assert "same" in str(replay), replay
    assert len(notes.calls) == calls
