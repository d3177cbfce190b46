"""Programs that run in this process against a world of data: the quick half of the measure, without sandboxes.

The programs are real, and so is their HTTP client; the world stands where their network begins.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import types
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import httpx
from tests.integration.recording.scenarios import Scenario

from codewords_mcp.runtime.recording.exchange_log import ExchangeLog
from codewords_mcp.runtime.recording.exchanges import (
    RecordedRequest,
    Recording,
    RecordingChannel,
    RunMessage,
    UnreadConnection,
)
from codewords_mcp.runtime.recording.recorder import (
    BlockedRequest,
    LiveRecorder,
    OpenExchange,
    RecordedResponse,
    Recorder,
)
from codewords_mcp.runtime.recording.recording_session import RecordingSession
from codewords_mcp.runtime.recording.writes import kind_of
from codewords_mcp.runtime.secrets.scrub import Scrubber

CLIENT = Path(__file__).parents[3] / "packages" / "codewords-client" / "src"
RUNTIME = "http://runtime"
GATEWAY = "http://runtime/openai/v1"
PROVIDER = "https://api.openai.com/v1"


class World:
    """Answers as a scenario says, from its beginning."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._store = json.loads(json.dumps(scenario.store))
        self._models = list(scenario.models)
        self._times: defaultdict[int, int] = defaultdict(int)

    def answer(self, request: RecordedRequest) -> httpx.Response:
        """The response to a request."""
        path = urlsplit(request.url).path
        if request.channel == "gateway":
            content = self._model(request)
            message = _anthropic_message if path.endswith("/messages") else _openai_message
            return httpx.Response(200, json=message(content))
        if request.channel == "call":
            return self._call(request, path)
        return self._host(request, self._scenario.http, request.url)

    def _host(self, request: RecordedRequest, rows: list[dict[str, Any]], address: str) -> httpx.Response:
        text = address + "\n" + (request.body or b"").decode("latin-1")
        for number, row in enumerate(rows):
            target = row.get("url", row.get("path"))
            if address.partition("?")[0] != target or row.get("has", "") not in text:
                continue
            if row.get("method", request.method if "path" in row else "GET") != request.method:
                continue
            answers = row.get("answers", [row])
            answer = answers[min(self._times[number], len(answers) - 1)]
            self._times[number] += 1
            headers = {"content-type": answer.get("type", "text/plain")}
            if "json" in answer:
                return httpx.Response(answer.get("status", 200), json=answer["json"])
            body = answer["text"] + " " * answer.get("padding", 0)
            return httpx.Response(answer.get("status", 200), text=body, headers=headers)
        return httpx.Response(404, text="nothing is here", headers={"content-type": "text/plain"})

    def _model(self, request: RecordedRequest) -> str:
        text = (request.body or b"").decode()
        row = next(one for one in self._models if one.get("has", "") in text)
        self._models.remove(row)
        return row["answer"] if isinstance(row["answer"], str) else json.dumps(row["answer"])

    def _call(self, request: RecordedRequest, path: str) -> httpx.Response:
        if path == "/file":
            name = parse_qs(urlsplit(request.url).query)["filename"][0]
            links = {"upload_uri": f"{RUNTIME}/upload/f_1", "download_uri": f"{RUNTIME}/files/f_1/{name}"}
            return httpx.Response(200, json=links)
        if path.startswith("/upload/"):
            return httpx.Response(200, text="")
        service = path.removeprefix("/run/").strip("/")
        body = json.loads(request.body or b"{}")
        match service:
            case "redis_coordinator":
                return httpx.Response(200, json=self._redis(body))
            case "openai" | "anthropic":
                answer = self._model(request)
                shaped = json.loads(answer) if answer.startswith("{") else answer
                return httpx.Response(200, json={"response": shaped})
            case "send_email":
                return httpx.Response(200, json={"id": "mail_1", "delivered": True})
            case "pipedream":
                return httpx.Response(200, json={"success": True})
            case _:
                return self._host(request, self._scenario.services, service)

    def _redis(self, body: dict[str, Any]) -> dict[str, Any]:
        key = body["key"]
        match body["action"]:
            case "get":
                return {"success": True, "value": self._store.get(key)}
            case "set":
                self._store[key] = body["value"]
            case "incr":
                self._store[key] = self._store.get(key, 0) + 1
                return {"success": True, "value": self._store[key]}
            case "delete":
                self._store.pop(key, None)
            case _:
                pass
        return {"success": True}


def _anthropic_message(text: str) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 50, "output_tokens": 10},
    }


def _openai_message(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60},
    }


@dataclass
class Edge:
    """The place where a program's requests leave it."""

    session: RecordingSession
    world: World

    async def send(self, sent: httpx.Request) -> httpx.Response:
        """The response to a request, by the recorder's verdict."""
        body = await sent.aread()
        channel, url = _channel(str(sent.url))
        headers = [(name.lower(), value) for name, value in sent.headers.raw]
        request = RecordedRequest(
            channel, sent.method, url, headers, body, writes=sent.method not in {"GET", "HEAD"}
        )
        writes = kind_of(request) == "write"
        request = replace(request, writes=writes)
        verdict = await self.session.decide(channel, sent.method, url.encode(), headers, body, writes=writes)
        if isinstance(verdict, BlockedRequest):
            return httpx.Response(
                409, json={"detail": f"The request was not sent: {verdict.why}."}, request=sent
            )
        if isinstance(verdict, RecordedResponse):
            content = b"".join([piece async for piece in verdict.pieces])
            return httpx.Response(verdict.status, headers=verdict.headers, content=content, request=sent)

        assert isinstance(verdict, OpenExchange)
        await asyncio.sleep(0.001)
        answer = self.world.answer(request)
        answer.request = sent
        verdict.record_response(answer.status_code, list(answer.headers.raw))
        verdict.record_chunk(answer.content)
        verdict.end(whole=True)
        return answer


def _channel(url: str) -> tuple[RecordingChannel, str]:
    if url.startswith(GATEWAY):
        return "gateway", PROVIDER + url.removeprefix(GATEWAY)
    return ("call" if url.startswith(RUNTIME) else "egress"), url


@contextmanager
def _network(edge: Edge) -> Generator[None]:
    async def handle(_: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        return await edge.send(request)

    async def nothing(*_: object) -> None:
        pass

    def make(transport: httpx.AsyncHTTPTransport, **_: object) -> None:
        """Certificates are read for each client, and nothing is connected to."""

    with mock.patch.multiple(
        httpx.AsyncHTTPTransport,
        __init__=make,
        __aenter__=nothing,
        __aexit__=nothing,
        aclose=nothing,
        handle_async_request=handle,
    ):
        yield


def _program(code: str, ago: timedelta) -> types.ModuleType:
    """The program as a module, whose clock is behind by `ago`."""
    if str(CLIENT) not in sys.path:
        sys.path.insert(0, str(CLIENT))

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) - ago

    module = types.ModuleType("program")
    sys.modules["program"] = module
    exec(compile(code, "program.py", "exec"), module.__dict__)
    if getattr(module, "datetime", None) is datetime:
        module.datetime = Clock  # pyright: ignore[reportAttributeAccessIssue]
    if clock := getattr(module, "time", None):
        seconds = ago.total_seconds()
        names = {"monotonic": clock.monotonic, "time": lambda: clock.time() - seconds}
        module.time = types.SimpleNamespace(  # pyright: ignore[reportAttributeAccessIssue]
            **names, time_ns=lambda: clock.time_ns() - round(seconds * 1e9)
        )
    return module


def run(
    scenario: Scenario, code: str, recorder: Recorder | None = None, ago: timedelta = timedelta()
) -> Recording:
    """One run of a program: recorded without a recorder, else decided by it."""
    return asyncio.run(_run(scenario, code, recorder, ago))


async def _run(scenario: Scenario, code: str, recorder: Recorder | None, ago: timedelta) -> Recording:
    log = ExchangeLog()
    edge = Edge(RecordingSession(recorder or LiveRecorder(), Scrubber({}), log), World(scenario))
    env = {
        "CODEWORDS_API_KEY": "run-key",
        "CODEWORDS_RUNTIME_URI": RUNTIME,
        "OPENAI_BASE_URL": GATEWAY,
        "OPENAI_API_KEY": "run-key",
        "SERVICE_ID": "service_1",
        **scenario.env,
    }
    if recorder is not None:
        env["IN_REPLAY"] = "yes"
    inputs = json.dumps(scenario.inputs).encode()
    with mock.patch.dict(os.environ, env):
        module = _program(code, ago)
        transport = httpx.ASGITransport(app=module.app, raise_app_exceptions=False)  # pyright: ignore[reportAttributeAccessIssue]
        with _network(edge):
            async with httpx.AsyncClient(transport=transport, base_url="http://program") as http:
                answer = await http.post("/", content=inputs, headers={"content-type": "application/json"})

    response = RunMessage(status=answer.status_code, headers=list(answer.headers.raw), body=answer.content)
    failed = answer.status_code >= 500
    return Recording(
        run_id="run_1",
        service_id="service_1",
        version=1,
        created_at=round((datetime.now(UTC) - ago).timestamp() * 1e6),
        status="failed" if failed else "succeeded",
        request=RunMessage("POST", "/", headers=[(b"content-type", b"application/json")], body=inputs),
        response=response,
        exchanges=log.exchanges(),
        connections=tuple(
            UnreadConnection(one["host"], one["port"], 0.0, 0.1, 10, 10, one["why"])
            for one in scenario.connections
        ),
        error="program_error" if failed else "",
        truncated=scenario.truncated,
    )
