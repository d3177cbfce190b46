"""Clients that others wrote: the TypeScript SDK of both generations, which checks results against our schemas, and the Inspector."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.support.npm import INSPECTOR, TYPESCRIPT, installed, node

from codewords_mcp.mcp_server.server import INSTRUCTIONS
from codewords_mcp.tools import all_tools

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WALK = Path(__file__).parent / "node" / "typescript.mjs"


async def _walk(which: str, url: str) -> dict[str, Any]:
    folder = await asyncio.to_thread(installed, *TYPESCRIPT)
    shutil.copy(WALK, folder)  # node looks for packages beside the script
    code, out, err = await node(folder, WALK.name, which, url, "ann")
    assert code == 0, err
    return json.loads(out)


@pytest.mark.requirement("mcp:typescript-clients")
@pytest.mark.parametrize(
    ("which", "version"),
    [("sdk-1", None), ("client-2-legacy", "2025-11-25"), ("client-2-auto", "2026-07-28")],
)
async def test_a_typescript_client_walks_the_whole_loop(url: str, which: str, version: str | None) -> None:
    seen = await _walk(which, url)
    assert version is None or seen["version"] == version
    assert seen["instructions"] == INSTRUCTIONS
    assert len(seen["tools"]) == len([tool for tool in all_tools() if tool.listed and not tool.for_cards])
    assert seen["progress"] == ["Building the environment"]
    assert seen["ran"]["structuredContent"]["result"] == {"name": "Ada", "nothing": None}
    assert seen["looked"]["structuredContent"]["logs"] == ["working"]
    assert seen["refused"]["isError"]
    assert not seen["validated"].get("isError")
    assert seen["record"]["status"] == "succeeded"
    assert seen["missing"] == -32602
    assert seen["completed"] == [seen["record"]["id"]]
    assert seen["prompt"] == 1


async def _inspect(url: str, *arguments: str, era: str) -> tuple[int, dict[str, Any]]:
    folder = await asyncio.to_thread(installed, *INSPECTOR)
    package = json.loads(
        (folder / "node_modules/@modelcontextprotocol/inspector/package.json").read_text("utf-8")
    )
    script = folder / "node_modules/@modelcontextprotocol/inspector" / package["bin"]["mcp-inspector"]
    code, out, err = await node(
        folder,
        str(script),
        "--cli",
        url,
        "--transport",
        "http",
        "--header",
        "Authorization: Bearer ann",
        "--protocol-era",
        era,
        "--format",
        "json",
        *arguments,
    )
    assert out, err
    told, _ = json.JSONDecoder().raw_decode(out)  # `--verify` says a second thing behind it
    return code, told | {"said": out + err}


@pytest.mark.requirement("cards:announced")
@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_finds_each_card_and_its_document(url: str, era: str) -> None:
    _, listed = await _inspect(url, "--advertise-apps", "--method", "tools/list", "--app-info", era=era)
    lines = [json.loads(line) for line in listed["said"].splitlines() if line.startswith("{")]
    found = {line["toolName"]: line for line in lines if line["hasApp"]}
    assert {name: line["resourceUri"] for name, line in found.items()} == {
        tool.name: tool.card.uri for tool in all_tools() if tool.card is not None
    }
    assert {line["resourceMimeType"] for line in found.values()} == {"text/html;profile=mcp-app"}


@pytest.mark.requirement("mcp:inspector")
@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_inspector_finds_the_schemas_portable_and_calls_a_tool(url: str, era: str) -> None:
    code, listed = await _inspect(url, "--method", "tools/list", "--strict", era=era)
    assert code == 0, listed
    if era == "modern":  # a handshake of before announces no extensions
        code, verified = await _inspect(url, "--method", "skills/list", "--verify", era=era)
        assert code == 0, verified
        assert "Verified 2 skills and 3 files" in verified["said"], verified["said"]
    code, called = await _inspect(url, "--method", "tools/call", "--tool-name", "list_templates", era=era)
    assert code == 0, called
    assert "greeting" in json.dumps(called)
    code, refused = await _inspect(
        url, "--method", "tools/call", "--tool-name", "get_run", "--tool-arg", "run_id=nobody", era=era
    )
    assert code == 5, refused
