"""MCP servers on loopback, and helpers that ask a runtime for them."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    ToolAnnotations,
)
from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN = "token-of-a-server-0123456789"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@dataclass
class ServedMcp:
    """A server on loopback. `calls` are (tool, arguments); `requests` are methods and paths."""

    port: int
    path: str = "/mcp"
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    requests: list[str] = field(default_factory=list[str])

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}{self.path}"


@contextmanager
def served(
    make: Callable[[ServedMcp], ASGIApp], *, path: str = "/mcp", token: str | None = None
) -> Generator[ServedMcp]:
    """Serve an ASGI app under a real uvicorn, in a thread of its own. `token`: refuse requests without it."""
    listener = socket.create_server(("127.0.0.1", 0))
    shown = ServedMcp(listener.getsockname()[1], path)
    app = make(shown)

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            shown.requests.append(f"{scope['method']} {scope['path']}")
            given = dict(scope["headers"]).get(b"authorization", b"").decode()
            if token is not None and given != f"Bearer {token}":
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        await app(scope, receive, send)

    server = uvicorn.Server(
        uvicorn.Config(guarded, log_config=None, lifespan="on", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), name="mcp")
    thread.start()
    try:
        yield shown
    finally:
        server.should_exit = True
        thread.join(30)


READS = ToolAnnotations(read_only_hint=True)


def notes_server(shown: ServedMcp) -> MCPServer[Any]:
    """A server of notes: one tool that reads, one that writes, answers of every kind, resources and a prompt."""
    server = MCPServer("notes", title="Team notes")
    notes: list[str] = ["buy milk"]

    @server.tool(annotations=READS)
    def search_notes(query: str = "") -> list[str]:
        """Find notes that contain a text."""
        shown.calls.append(("search_notes", {"query": query}))
        return [note for note in notes if query in note]

    @server.tool()
    def add_note(text: str, tags: list[str] | None = None) -> str:
        """Write a new note."""
        shown.calls.append(("add_note", {"text": text, "tags": tags}))
        notes.append(text)
        return f"Added: {text}"

    @server.tool(annotations=READS, structured_output=False)
    def draw(size: int = 1) -> CallToolResult:
        """Draw a picture of the notes."""
        shown.calls.append(("draw", {"size": size}))
        picture = base64.b64encode(PIXEL * size).decode()
        return CallToolResult(
            content=[
                TextContent(text="Here it is."),
                ImageContent(data=picture, mime_type="image/png"),
                AudioContent(data=base64.b64encode(b"sound").decode(), mime_type="audio/wav"),
                EmbeddedResource(
                    resource=BlobResourceContents(
                        uri="notes://all.zip",
                        blob=base64.b64encode(b"zip").decode(),
                        mime_type="application/zip",
                    )
                ),
                ResourceLink(name="notes", uri="https://example.com/notes"),
            ]
        )

    @server.tool(annotations=READS)
    def long_text(characters: int) -> str:
        """Give a long text."""
        return "x" * characters

    @server.tool()
    def fail() -> str:
        """Always fails."""
        raise ToolError("the disk of the notes is full")

    @server.resource("notes://all")
    def all_notes() -> str:
        """All notes, a line each."""
        shown.calls.append(("resources/read", {"uri": "notes://all"}))
        return "\n".join(notes)

    @server.resource("notes://picture.png", mime_type="image/png")
    def picture() -> bytes:
        """A picture of the notes."""
        return PIXEL

    @server.resource("notes://note/{number}")
    def note(number: int) -> str:
        """One note, by its number."""
        return notes[number]

    @server.prompt()
    def summarise(style: str) -> list[UserMessage]:
        """Sum up the notes."""
        return [UserMessage(f"Sum these up, {style}:"), UserMessage("\n".join(notes))]

    return server


def notes_app(shown: ServedMcp) -> ASGIApp:
    return notes_server(shown).streamable_http_app()


def notes_sse_app(shown: ServedMcp) -> ASGIApp:
    return notes_server(shown).sse_app()


def connected(http: httpx.Client, url: str, *, believe: bool = False, name: str = "") -> dict[str, Any]:
    """Connect a server by a person's own key, which agrees at once."""
    body = {"url": url, "agree": True, "believe": believe, "name": name}
    answer = http.post("/integrations/mcp/connect", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["connected"], found
    return found


def call(http: httpx.Client, app: str, action: str, props: dict[str, Any]) -> httpx.Response:
    return http.post(f"/integrations/{app}/call", json={"action": action, "props": props})


def told(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return answer.json().get("error", answer.json())
