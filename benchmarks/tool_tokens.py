"""How many tokens does a model pay for our tool list, beside another server that builds workflows by chat, and others?

A model pays for each tool's name, description and input schema in every conversation. Counted with o200k by the npm
package gpt-tokenizer; where npm cannot be reached, estimated (see `estimate`), and the table says so.

    python benchmarks/tool_tokens.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LIMIT = 3000
LIMIT_EACH = 200
PEER = "n8n-mcp@2.87.0"
PEERS: dict[str, tuple[str, list[str], dict[str, str]]] = {
    PEER: (
        "n8n-mcp/dist/mcp/index.js",
        [],
        {
            "MCP_MODE": "stdio",
            "LOG_LEVEL": "error",
            "DISABLE_CONSOLE_OUTPUT": "true",
            "N8N_MCP_TELEMETRY_DISABLED": "true",
            "N8N_API_URL": "http://127.0.0.1:9",
            "N8N_API_KEY": "none",
        },
    ),
    "@sentry/mcp-server@0.39.0": (
        "@sentry/mcp-server/dist/index.js",
        ["--access-token=none", "--host=127.0.0.1", "--sentry-dsn="],
        {},
    ),
    "@notionhq/notion-mcp-server@2.5.2": (
        "@notionhq/notion-mcp-server/bin/cli.mjs",
        [],
        {"NOTION_TOKEN": "ntn_none"},
    ),
    "@supabase/mcp-server-supabase@0.13.0": (
        "@supabase/mcp-server-supabase/dist/cli.js",
        [
            "--access-token=none",
            "--api-url=http://127.0.0.1:9",
            "--features=account,database,debugging,development,functions",
        ],
        {},
    ),
    "@playwright/mcp@0.0.83": ("@playwright/mcp/cli.js", ["--headless"], {}),
}
"""Servers that people know: program, arguments and variables with which each shows all its tools and reaches nobody.
GitHub's is no npm package; its repository's own snapshots say 43 tools and 9,901 tokens by default (2026-08)."""
TOKENIZER = "gpt-tokenizer@3.4.0"

Tools = list[dict[str, Any]]

_PIECES = re.compile(
    r"[^\r\nA-Za-z0-9]?[A-Z]*[a-z]+|[^\r\nA-Za-z0-9]?[A-Z]+|[0-9]{1,3}| ?[^\sA-Za-z0-9]+[\r\n/]*|\s+"
)
_COUNT_JS = """
import {encode} from 'gpt-tokenizer/encoding/o200k_base';
const texts = JSON.parse(await new Response(process.stdin).text());
console.log(JSON.stringify(texts.map(text => encode(text).length)));
"""


def estimate(text: str) -> int:
    """Tokens without a tokenizer, from the pieces that o200k cuts text into, a long word being two.

    Measured on our tools (2026-11, o200k): pieces are 0.916 to 1.0 of the real count; the factor makes it never less."""
    pieces = _PIECES.findall(text)
    return math.ceil(1.1 * sum(2 if len(piece) > 11 and piece[-1].isalpha() else 1 for piece in pieces))


def paid(tool: dict[str, Any]) -> str:
    """What of a tool enters a model's context."""
    shown = {
        "name": tool["name"],
        "description": tool.get("description", ""),
        "inputSchema": tool["inputSchema"],
    }
    return json.dumps(shown, separators=(",", ":"), ensure_ascii=False)


def our_tools() -> Tools:
    """Those that a model is shown by a host with cards, which shows it the most."""
    from codewords_mcp.tools import all_tools

    return [
        {
            "name": t.name,
            "description": t.description,
            "inputSchema": t.parameters,
            "outputSchema": t.output_schema,
        }
        for t in all_tools()
        if t.listed and "model" in (t.meta or {}).get("ui", {}).get("visibility", ["model"])
    ]


def node_folder(*packages: str) -> Path:
    """A folder with these npm packages, kept between runs. Raises OSError or CalledProcessError without npm."""
    folder = (
        Path(tempfile.gettempdir())
        / f"codewords-node-{os.getuid()}"
        / "-".join(re.sub(r"\W", "_", p) for p in packages)
    )
    if not (folder / "installed").exists():
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"type": "module", "private": true}', encoding="utf-8")
        subprocess.run(
            [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", *packages],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=180,
        )
        (folder / "installed").touch()
    return folder


def count(texts: list[str]) -> tuple[list[int], str]:
    """(tokens of each text, how they were counted)."""
    try:
        folder = node_folder(TOKENIZER)
        done = subprocess.run(
            ["node", "--input-type=module", "-e", _COUNT_JS],
            cwd=folder,
            input=json.dumps(texts).encode(),
            check=True,
            capture_output=True,
            timeout=60,
        )
        return json.loads(done.stdout), "o200k"
    except (OSError, subprocess.SubprocessError):
        return [estimate(text) for text in texts], "estimate"


async def peer_tools(peer: str) -> Tools:
    """A peer's list, from itself over stdio."""
    from mcp import Client, StdioServerParameters

    program, arguments, variables = PEERS[peer]
    start = StdioServerParameters(
        command="node",
        args=[f"node_modules/{program}", *arguments],
        cwd=node_folder(peer),
        env={**os.environ, **variables},
    )
    async with asyncio.timeout(45), Client(start, mode="legacy") as client:
        return [tool.model_dump(by_alias=True, mode="json") for tool in (await client.list_tools()).tools]


def told_by(peer: str) -> Tools:
    """The same, or nothing where it cannot be had, which is said."""
    try:
        return asyncio.run(peer_tools(peer))
    except (Exception, ExceptionGroup) as error:  # noqa: BLE001  # somebody else's program
        print(f"{peer} could not be started: {type(error).__name__}", file=sys.stderr)
        return []


def table(tools: Tools, counts: list[int], how: str) -> str:
    rows = [f"{tool['name']:<20} {number:>6}" for tool, number in zip(tools, counts, strict=True)]
    return "\n".join([f"{'tool':<20} {how:>6}", *rows, f"{'all':<20} {sum(counts):>6}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one peer only")
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args()
    ours = our_tools()
    counts, how = count([paid(tool) for tool in ours])
    asked = [PEER] if options.quick or options.json else list(PEERS)
    lists = {peer: tools for peer in asked if (tools := told_by(peer))}
    peers = {peer: count([paid(tool) for tool in tools])[0] for peer, tools in lists.items()}
    peer_counts = peers.get(PEER, [])
    holds = sum(counts) <= LIMIT and max(counts) <= LIMIT_EACH
    if options.json:
        print(json.dumps(_report(sum(counts), sum(peer_counts), how, holds=holds)))
    else:
        print(table(ours, counts, how))
        print(f"limits: {LIMIT} in all, {LIMIT_EACH} each: {'kept' if holds else 'BROKEN'}")
        outputs, _ = count([json.dumps(tool["outputSchema"], separators=(",", ":")) for tool in ours])
        print(f"output schemas, which few hosts show a model: {sum(outputs)}")
        for peer, each in [("codewords-mcp", counts), *peers.items()]:
            print(f"{peer:<40} {len(each):>3} tools {sum(each):>6} tokens, at most {max(each)} each")
    return 0 if holds else 1


def _report(ours: int, peer: int, how: str, *, holds: bool) -> dict[str, Any]:
    return {
        "question": "tokens a model pays for tools/list",
        "ours": ours,
        "peer": peer or None,
        "peer_name": PEER,
        "ratio": round(ours / peer, 3) if peer else None,
        "unit": f"tokens ({how})",
        "runs": 1,
        "target": f"<= {LIMIT}, <= {LIMIT_EACH} each",
        "holds": holds,
    }


if __name__ == "__main__":
    sys.exit(main())
