"""What does a tool call over HTTP cost beside a bare `mcp` server? Calls per second on 8 connections, 2026-07-28.

Ours is `codewords-mcp serve`, with its keys, scopes, tasks and boundary; the peer is an `MCPServer` of the same SDK with one
tool that answers the same, under the same uvicorn. They take turns. The tool does nothing but answer: a page that is read once.

    python benchmarks/mcp_calls.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from _bench import Question, clean_environment, options, report
from _door import served

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


@contextmanager
def bare(result: dict[str, object]) -> Generator[int]:
    """The peer; its port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", _PEER, str(port), json.dumps(result)], env=clean_environment()
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
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
            assert b'"isError":true' not in await _ask(reader, writer, call)
            done += 1
        writer.close()
        return done

    began = time.perf_counter()
    counts = await asyncio.gather(*(calling() for _ in range(CONNECTIONS)))
    return sum(counts) / (time.perf_counter() - began)


def main() -> int:
    given = options(__doc__ or "", runs=7, quick_runs=3)
    seconds = 1.0 if given.quick else 3.0
    question = Question(
        f"tool calls a second, {CONNECTIONS} connections", "bare mcp server", "1/s", 0.8, more_is_better=True
    )
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as ours:
        port = int(ours.url.rpartition(":")[2])
        answer = asyncio.run(answer_of(port, ours.key)).decode()
        result = json.loads(answer[answer.index("{") : answer.rindex("}") + 1])["result"]
        with bare(result) as peer:
            for number in range(given.runs + 1):
                pair = asyncio.run(rate(port, ours.key, seconds)), asyncio.run(rate(peer, "none", seconds))
                if number:  # the first warms up
                    question.ours.append(pair[0])
                    question.peer.append(pair[1])
    return report([question], given)


if __name__ == "__main__":
    sys.exit(main())
