"""What a broken provider sends is never booked as more than the call could have used."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from tests.integration.gateway.helpers import costs
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings

pytestmark = pytest.mark.requirement("gateway:bad-usage")

LONG = 6 << 20
STREAM, JSON = "text/event-stream", "application/json"


def stream(*events: object) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)


def openai_usage(**counts: Any) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 5} | counts}


def gemini(**counts: Any) -> dict[str, Any]:
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 5} | counts
    return {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage}


def anthropic(**counts: Any) -> dict[str, Any]:
    return {"type": "message", "usage": {"input_tokens": 5, "output_tokens": 5} | counts}


HUGE = 10**12
FAULTS: dict[str, tuple[str, bytes]] = {
    "line": (STREAM, b"data: " + b"x" * LONG),
    "events": (STREAM, b"data: {}\n\n" * (LONG // 10)),
    "garbage": (JSON, bytes(range(256)) * (LONG // 256)),
    "bomb": (JSON, gzip.compress(b"data: {}\n\n" * LONG)),
    "deep": (JSON, b"x" * LONG + b'"usage": ' + b'{"a":' * 20_000),
    "openai_huge": (JSON, json.dumps(openai_usage(completion_tokens=HUGE)).encode()),
    "openai_input": (JSON, json.dumps(openai_usage(prompt_tokens=HUGE)).encode()),
    "openai_stream": (STREAM, stream(openai_usage(completion_tokens=HUGE))),
    "openai_cached": (JSON, json.dumps(openai_usage(prompt_tokens_details={"cached_tokens": HUGE})).encode()),
    "openai_nan": (JSON, b'{"usage": {"prompt_tokens": NaN, "completion_tokens": 1e400}}'),
    "openai_digits": (JSON, b'{"usage": {"prompt_tokens": 1, "completion_tokens": %s}}' % (b"9" * 5000)),
    "openai_dear": (JSON, json.dumps({"model": "o1-pro", "x": "y" * LONG}).encode()),
    "anthropic_huge": (JSON, json.dumps(anthropic(output_tokens=HUGE)).encode()),
    "anthropic_cache": (JSON, json.dumps(anthropic(cache_creation_input_tokens=HUGE)).encode()),
    "anthropic_search": (
        JSON,
        json.dumps(anthropic(server_tool_use={"web_search_requests": 100_000})).encode(),
    ),
    "anthropic_early": (
        STREAM,
        stream(
            {"type": "message_start", "message": {"usage": {"input_tokens": HUGE, "output_tokens": HUGE}}}
        ),
    ),
    "gemini_huge": (JSON, json.dumps(gemini(candidatesTokenCount=HUGE)).encode()),
    "gemini_audio": (
        JSON,
        json.dumps(gemini(promptTokensDetails=[{"modality": "AUDIO", "tokenCount": HUGE}])).encode(),
    ),
    "gemini_negative": (JSON, json.dumps(gemini(thoughtsTokenCount=-HUGE)).encode()),
}


class Provider(BaseHTTPRequestHandler):
    """Answers each request with the fault that its body names."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = self.rfile.read(int(self.headers["Content-Length"]))
        named = re.search(rb"fault:(\w+)", request)
        assert named is not None
        media, body = FAULTS[named[1].decode()]
        self.send_response(200)
        self.send_header("Content-Type", media)
        if body[:2] == b"\x1f\x8b":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name of the base
        del format, args


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    names = ("openai", "anthropic", "gemini")
    settings = {"home": make_home(tmp_path_factory.mktemp("home")), "port": 0, "api_key": ADMIN_KEY}
    with Door(Settings.model_validate(settings | {f"{name}_base_url": url for name in names})) as opened:
        with opened.client() as client:
            for name in names:
                client.put(f"/secrets/{name.upper()}_API_KEY", json={"value": "k"}).raise_for_status()
        yield opened
    server.shutdown()
    server.server_close()


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


def chat(fault: str, **more: Any) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": f"fault:{fault}"}]
    return "/openai/chat/completions", {"model": "gpt-4o-mini", "messages": messages} | more


def message(fault: str, **more: Any) -> tuple[str, dict[str, Any]]:
    messages = [{"role": "user", "content": f"fault:{fault}"}]
    return "/anthropic/v1/messages", {
        "model": "claude-sonnet-4-6",
        "max_tokens": 200,
        "messages": messages,
    } | more


def generate(fault: str) -> tuple[str, dict[str, Any]]:
    contents = {
        "contents": [{"parts": [{"text": f"fault:{fault}"}]}],
        "generationConfig": {"maxOutputTokens": 300},
    }
    return "/gemini/v1beta/models/gemini-2.5-flash:generateContent", contents


CASES = [
    (chat("line", stream=True), 16_384),
    (chat("line", stream=True, max_tokens=100), 100),
    (chat("line", stream=True, max_tokens=100, n=3), 300),
    (chat("events", stream=True), 16_384),
    (chat("garbage"), 16_384),
    (chat("bomb"), 16_384),
    (chat("deep"), 16_384),
    *(
        (chat(f"openai_{kind}", max_tokens=50), 50)
        for kind in ("huge", "input", "cached", "nan", "digits", "dear")
    ),
    (chat("openai_stream", stream=True, max_tokens=50), 50),
    *((message(f"anthropic_{kind}"), 200) for kind in ("huge", "cache", "search")),
    (message("anthropic_early", stream=True), 200),
    (message("line", stream=True), 200),
    *((generate(f"gemini_{kind}"), 300) for kind in ("huge", "audio", "negative")),
    (("/openai/embeddings", {"model": "text-embedding-3-small", "input": "fault:garbage"}), 0),
    (("/openai/images/generations", {"model": "gpt-image-1", "prompt": "fault:garbage", "n": 2}), 16_000),
]


@pytest.mark.parametrize(
    ("request_", "most"), CASES, ids=[f"{n}-{case[0][0][1:9]}" for n, case in enumerate(CASES)]
)
@pytest.mark.parametrize("budget", [None, 1])
def test_a_fault_is_booked_as_an_estimate_within_what_the_call_may_use(
    door: Door, http: httpx.Client, request_: tuple[str, dict[str, Any]], most: int, budget: float | None
) -> None:
    path, body = request_
    key = door.make_key(owner=f"of {abs(hash((str(request_), budget)))}")
    if budget is not None:
        found = next(item for item in http.get("/keys").json()["items"] if key.startswith(item["prefix"]))
        http.put("/budgets/key", json={"usd": budget, "subject": found["id"]}).raise_for_status()
    with door.client(key=key) as client:
        with suppress(httpx.HTTPError), client.stream("POST", path, json=body) as answer:
            assert answer.status_code == 200, answer.read()
            for _ in answer.iter_raw():
                pass
        [item] = costs(client, "model")
    assert (item["calls"], item["estimated"]) == (1, 1)
    assert item["output_tokens"] <= most
    assert item["input_tokens"] <= 100
    assert 0 <= item["cost"] <= (budget or 0.7)
