"""What does a tool call over HTTP cost beside a bare `mcp` server? Calls per second on 8 connections, 2026-07-28.

Ours is `codewords-mcp serve`, with its keys, scopes, tasks and boundary; the peers are an `MCPServer` of the same SDK and one of
FastMCP, each with one tool that answers the same, under the same uvicorn. They take turns. The tool does nothing but answer: a
page that is read once. FastMCP is left out where it can't be installed.

    python benchmarks/mcp_calls.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from _bench import Question, clean_environment, interleave_several, options, report
from _door import served
from _peers import environment_of, free_port, installed, listening

CONNECTIONS = 8
TOOL = "read_practice"
ARGUMENTS = {"topic": "state"}
_META: dict[str, object] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
_PEER = """
import json, sys
from typing import Annotated
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, TextContent
from codewords_mcp.tools.read_practice import Practice
RESULT = json.loads(sys.argv[2])
server = MCPServer("bare", version="1", log_level="ERROR")
@server.tool()
async def read_practice(topic: str) -> Annotated[CallToolResult, Practice]:
    "The same text and data."
    return CallToolResult(
        content=[TextContent(**one) for one in RESULT["content"]], structured_content=RESULT["structuredContent"]
    )
app = server.streamable_http_app()
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", loop="uvloop", http="httptools", access_log=False)
"""


_FASTMCP = """
import json, sys
import uvicorn
from fastmcp import FastMCP
from fastmcp.tools import ToolResult
RESULT = json.loads(sys.argv[2])
server = FastMCP("fast", version="1")
@server.tool(output_schema={"type": "object"})
async def read_practice(topic: str) -> ToolResult:
    "The same text and data."
    return ToolResult(content=RESULT["content"][0]["text"], structured_content=RESULT["structuredContent"])
app = server.http_app()
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", loop="uvloop", http="httptools", access_log=False)
"""
FASTMCP = "4.2.3"


@contextmanager
def serving(python: str | Path, code: str, result: dict[str, object]) -> Generator[int]:
    """A peer whose tool gives `result`; its port."""
    port = free_port()
    process = subprocess.Popen([python, "-c", code, str(port), json.dumps(result)], env=clean_environment())
    try:
        listening(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def request(port: int, key: str) -> bytes:
    """One call as it goes over the wire."""
    params: dict[str, object] = {"name": TOOL, "arguments": ARGUMENTS, "_meta": _META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n"
        f"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {TOOL}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, call: bytes) -> bytes:
    writer.write(call)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"content-length:" in head:
        return await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


async def answer_of(port: int, key: str) -> bytes:
    """The body of one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await _ask(reader, writer, request(port, key))
    finally:
        writer.close()


async def rate(port: int, key: str, seconds: float) -> float:
    """Calls per second of all connections together."""
    call, end = request(port, key), time.perf_counter() + seconds

    async def calling() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        done = 0
        while time.perf_counter() < end:
            answer = await _ask(reader, writer, call)
            assert b'"structuredContent"' in answer, answer
            assert b'"isError":true' not in answer, answer
            done += 1
        writer.close()
        return done

    began = time.perf_counter()
    counts = await asyncio.gather(*(calling() for _ in range(CONNECTIONS)))
    return sum(counts) / (time.perf_counter() - began)


def main() -> int:
    given = options(__doc__ or "", runs=7, quick_runs=3)
    seconds = 1.0 if given.quick else 3.0
    title = f"tool calls a second, {CONNECTIONS} connections"
    questions = [Question(title, "bare mcp server", "1/s", 1.0, more_is_better=True)]
    peers: list[tuple[str | Path, str]] = [(sys.executable, _PEER)]
    packages = (f"fastmcp=={FASTMCP}", "uvloop", "httptools")
    if fastmcp := installed(f"fastmcp-{FASTMCP}", "venv/bin/python", *environment_of(*packages)):
        questions.append(Question(title, f"FastMCP {FASTMCP}", "1/s", None, more_is_better=True))
        peers.append((fastmcp, _FASTMCP))
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as ours, ExitStack() as running:
        port = int(ours.url.rpartition(":")[2])
        answer = asyncio.run(answer_of(port, ours.key)).decode()
        result = json.loads(answer[answer.index("{") : answer.rindex("}") + 1])["result"]
        ports = [running.enter_context(serving(python, code, result)) for python, code in peers]

        def rate_of(port: int, key: str = "none") -> Callable[[], float]:
            return lambda: asyncio.run(rate(port, key, seconds))

        asked = [(question, rate_of(peer)) for question, peer in zip(questions, ports, strict=True)]
        interleave_several(asked, rate_of(port, ours.key), given.runs)
    return report(questions, given)


if __name__ == "__main__":
    sys.exit(main())
