"""A runtime on loopback that answers as the wire contract says and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

KEY = "cwk-test"
RECORD = {
    "id": "run-1",
    "status": "succeeded",
    "responseStatus": 200,
    "responseJson": {"message": "Hello"},
    "message": "Hello",
}


@dataclass
class Asked:
    """One request that came in."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeRuntime:
    """Its address, what it was asked, and what it shall do."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list[Asked])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    pending_answers: int = 0
    """How often `/result` says "not yet" first."""
    ended: bool = False
    """Whether the record says that the run has ended."""
    cut_log: bool = False
    """Whether the first connection to a log breaks off after its second line."""
    open_log: bool = False
    """Whether a log stays open, with heartbeats, until `log_may_end` is set."""
    log_may_end: threading.Event = field(default_factory=threading.Event)
    running: threading.Event = field(default_factory=threading.Event)

    def last(self, method: str, path: str) -> Asked:
        """The latest request for a path."""
        return next(asked for asked in reversed(self.asked) if (asked.method, asked.path) == (method, path))

    async def answer(self, request: Request) -> Response:
        body = await request.body()
        path = request.url.path
        self.asked.append(Asked(request.method, path, request.url.query, dict(request.headers), body))
        if not path.startswith("/links/") and request.headers.get("authorization") != KEY:
            return _refusal(401, "unauthenticated", "No key, or a wrong one.")
        kind, _, rest = path.lstrip("/").partition("/")
        handler = getattr(self, f"_{kind.replace('-', '_')}", None)
        return await handler(request, rest) if handler else _refusal(404, "not_found", "No such route.")

    async def _run(self, request: Request, rest: str) -> Response:
        service = rest.partition("/")[0]
        if service == "refuses":
            return JSONResponse(
                {"detail": "that is not a number"}, 422, {"Error-Origin": "service", "X-Request-Id": "run-9"}
            )
        if service == "invalid":
            return JSONResponse(
                {"detail": [{"loc": ["body", "x"], "msg": "Field required"}]},
                422,
                {"Error-Origin": "service"},
            )
        if service in {"missing", "redis_coordinator", "pipedream"}:
            return _refusal(
                501,
                "service_not_available",
                f"This runtime has no {service} yet.",
                "See `codewords services`.",
            )
        if service == "text":
            return PlainTextResponse("plain words")
        if service == "list":
            return JSONResponse([1, 2, 3])
        if service == "empty":
            return Response(status_code=204)
        if service == "logs-while-running":
            await asyncio.to_thread(self.running.wait, 10)
        return JSONResponse({"message": "Hello", "items": [1, 2]}, headers={"X-Request-Id": "run-1"})

    async def _run_async(self, request: Request, rest: str) -> Response:
        return JSONResponse({"request_id": request.headers.get("x-provisioned-request-id", "run-minted")})

    async def _provision_request(self, request: Request, rest: str) -> Response:
        return JSONResponse({"request_id": "run-provisioned"})

    async def _result(self, request: Request, rest: str) -> Response:
        if rest == "missing":
            return _refusal(404, "not_found", "There is no run missing.")
        if self.pending_answers:
            self.pending_answers -= 1
            return _refusal(504, "result_pending", "The run has not finished.")
        return JSONResponse(RECORD)

    async def _request(self, request: Request, rest: str) -> Response:
        ended = (
            {"status": "succeeded", "completedAt": "2026-01-01T00:00:01.000000Z"}
            if self.ended
            else {"status": "running"}
        )
        return JSONResponse({"id": rest, "responseJson": None} | ended)

    async def _logs(self, request: Request, rest: str) -> Response:
        if rest == "missing":
            return _refusal(404, "not_found", "There is no run missing.")
        return StreamingResponse(self._log_lines(request), media_type="application/x-ndjson")

    async def _log_lines(self, request: Request) -> AsyncIterator[str]:
        after = request.query_params.get("after", "")
        for number in range(4):
            stamp = f"2026-01-01T00:00:00.{number:03d}000Z"
            if stamp <= after:
                continue
            if self.cut_log and number == 2:
                self.cut_log = False
                raise ConnectionResetError
            yield json.dumps({"createdAt": stamp, "stream": "stdout", "message": f"line {number}"}) + "\n\n"
        self.running.set()
        while self.open_log and request.query_params.get("follow") != "0" and not self.log_may_end.is_set():
            yield "\n"
            await asyncio.sleep(0.05)
        yield "not json\n"

    async def _file(self, request: Request, rest: str) -> Response:
        name = request.query_params["filename"]
        link = f"{self.url}/links/{name}"
        return JSONResponse({"upload_uri": link, "download_uri": link, "upload_headers": {"X-Upload": "yes"}})

    async def _links(self, request: Request, rest: str) -> Response:
        if request.method == "PUT":
            self.files[rest] = await request.body()
            return Response(status_code=200)
        if rest not in self.files:
            return _refusal(404, "not_found", "There is no such file.")
        return Response(self.files[rest], media_type="application/octet-stream")

    async def _deploy(self, request: Request, rest: str) -> Response:
        return JSONResponse(
            {
                "service_id": "hello_12345678",
                "version": 1,
                "url": f"{self.url}/run/hello_12345678/",
                "notes": [{"id": "n"}],
            }
        )

    async def _validate(self, request: Request, rest: str) -> Response:
        return JSONResponse(
            {"all_passed": False, "report": "1 check failed", "checks": [{"id": "syntax", "line": 3}]}
        )

    async def _secrets(self, request: Request, rest: str) -> Response:
        if request.method == "GET":
            if request.query_params.get("cursor") == "A_KEY":
                return JSONResponse({"items": [{"name": "B_KEY"}], "next_cursor": None})
            return JSONResponse({"items": [{"name": "A_KEY"}], "next_cursor": "A_KEY"})
        if request.method == "DELETE":
            return Response(status_code=204)
        return JSONResponse({"name": rest})


def _refusal(status: int, code: str, message: str, hint: str = "") -> Response:
    body = {"code": code, "message": message, "hint": hint, "origin": "platform"}
    return JSONResponse(body, status, {"Error-Origin": "platform"})


@contextmanager
def fake_runtime() -> Generator[FakeRuntime]:
    """Serve one on a free port."""
    fake = FakeRuntime()
    methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
    app = Starlette(routes=[Route("/{path:path}", fake.answer, methods=methods)])
    with served(app) as fake.url:
        yield fake


@contextmanager
def served(app: Any, *, lifespan: Literal["on", "off"] = "off") -> Generator[str]:
    """Serve an ASGI app on a free port of loopback; its address."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan=lifespan)
    )
    ready = threading.Event()
    startup = server.startup

    async def told(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        ready.set()

    server.startup = told
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert ready.wait(120), "the server did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(120)
        assert not thread.is_alive(), "the server did not stop"
