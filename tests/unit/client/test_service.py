"""A workflow's own side: ids, error answers, the log, the server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse
from structlog.contextvars import get_contextvars
from tests.support.waiting import until
from tests.unit.client.fake_runtime import served
from tests.unit.client.helpers import clean

from codewords_client import RequestIdMiddleware
from codewords_client._service import keep_contract, trimmed_traceback

IDS = {
    "X-Request-Id": "run-1",
    "X-Correlation-Id": "chain-1",
    "Codewords-Caller-Id": "ada",
    "X-Scheduled-Request-Id": "sched-1",
}


class Number(BaseModel):
    x: int


def build() -> FastAPI:
    app = FastAPI()
    keep_contract(app)

    @app.post("/")
    async def root(number: Number) -> dict[str, Any]:
        return {"x": number.x, "context": get_contextvars()}

    @app.post("/refuse")
    async def refuse() -> None:
        raise HTTPException(418, "tea", headers={"X-Tea": "yes"})

    @app.post("/divide")
    async def divide() -> float:
        return 1 / 0

    @app.post("/upstream/{status}")
    async def upstream(status: int) -> None:
        request = httpx.Request("GET", "http://upstream/")
        body: dict[str, Any] = {"json": {"detail": "slow down"}} if status == 429 else {"text": "broken"}
        httpx.Response(status, request=request, **body).raise_for_status()

    return app


@pytest.fixture(scope="module")
def service() -> Generator[httpx.Client]:
    with served(build()) as url, httpx.Client(base_url=url, headers=IDS) as client:
        yield client


@pytest.mark.requirement("client:service-ids")
def test_a_requests_ids_are_bound_for_the_log_and_echoed(service: httpx.Client) -> None:
    answer = service.post("/", json={"x": 1})
    assert answer.json()["context"] == {
        "request_id": "run-1", "correlation_id": "chain-1", "caller_id": "ada", "scheduled_request_id": "sched-1",
    }  # fmt: skip
    assert {name: answer.headers.get(name) for name in IDS} == IDS | {"X-Scheduled-Request-Id": None}
    assert "error-origin" not in answer.headers


@pytest.mark.requirement("client:service-ids")
def test_a_request_without_ids_gets_them(service: httpx.Client) -> None:
    answer = httpx.post(f"{service.base_url}", json={"x": 1})
    assert answer.headers["x-request-id"]
    assert answer.headers["x-correlation-id"] == answer.headers["x-request-id"]


@pytest.mark.requirement("client:service-errors")
@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/refuse", 418, "tea"),
        ("/upstream/429", 429, "slow down"),
        ("/upstream/503", 503, "broken"),
        ("/absent", 404, "Not Found"),
    ],
)
def test_errors_answer_with_their_detail_origin_and_ids(
    service: httpx.Client, path: str, status: int, detail: str
) -> None:
    answer = service.post(path)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})
    assert (answer.headers["error-origin"], answer.headers["x-request-id"]) == ("service", "run-1")
    assert answer.headers.get_list("x-request-id") == ["run-1"]


@pytest.mark.requirement("client:service-errors")
def test_input_that_does_not_validate_is_explained_field_by_field(service: httpx.Client) -> None:
    answer = service.post("/", json={"x": "a"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "x"]
    assert answer.headers["error-origin"] == "service"


@pytest.mark.requirement("client:service-errors")
def test_an_unhandled_exception_answers_with_the_scripts_own_frames_and_the_run_id(
    service: httpx.Client,
) -> None:
    answer = service.post("/divide")
    detail = answer.json()["detail"]
    assert answer.status_code == 500
    assert detail.startswith("Internal server error:\n\n")
    assert detail.endswith("ZeroDivisionError: division by zero")
    assert "site-packages" not in detail
    assert (answer.headers["x-request-id"], answer.headers["error-origin"]) == ("run-1", "service")


@pytest.mark.requirement("client:service-errors")
def test_the_traceback_is_bounded_by_the_two_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("x" * 300)
        deep(n - 1)

    with pytest.raises(ValueError) as caught:
        deep(20)
    assert trimmed_traceback(caught.value).count("File ") <= 5
    monkeypatch.setenv("ERROR_TRACE_MAX_CHARS", "100")
    assert trimmed_traceback(caught.value) == "x" * 100


@pytest.mark.requirement("client:service-errors")
def test_a_scripts_own_handlers_win() -> None:
    app = FastAPI()
    keep_contract(app)

    @app.exception_handler(Exception)
    async def mine(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"mine": True}, 500)

    @app.get("/")
    async def fail() -> None:
        raise RuntimeError

    with served(app) as url:
        assert httpx.get(url).json() == {"mine": True}


@pytest.mark.requirement("client:service-ids")
def test_an_app_that_adds_the_middleware_itself_gets_each_header_once() -> None:
    app = FastAPI()
    keep_contract(app)
    keep_contract(app)
    app.add_middleware(RequestIdMiddleware)
    with served(app) as url:
        answer = httpx.get(f"{url}/absent", headers=IDS)
    assert answer.headers.get_list("x-request-id") == ["run-1"]
    assert answer.headers.get_list("error-origin") == ["service"]


WORKFLOW = """
import logging, os, sys
from fastapi import FastAPI
from codewords_client import logger, run_service
app = FastAPI()
@app.get("/")
async def root():
    logger.info("STEPLOG START greet")
    logger.info("hello", name="Ada", event="taken", when=object)
    logger.debug("hidden")
    logging.getLogger("other").info("plain")
    return {}
@app.get("/fail")
async def fail():
    raise KeyError("x")
"""


def run(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean(**env),
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    )


@pytest.mark.slow
@pytest.mark.requirement("client:run-service", "client:logger")
def test_run_service_serves_on_the_port_and_logs_one_json_object_a_line(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = tmp_path / "workflow.py"
    script.write_text(WORKFLOW + "run_service(app)\n", encoding="utf-8")
    env = clean(
        PORT=str(port), LOGLEVEL="info", CODEWORDS_API_KEY="k", CODEWORDS_RUNTIME_URI="http://127.0.0.1:9"
    )
    with subprocess.Popen(
        [sys.executable, script], env=env, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            wait_for_port(port, process)
            assert httpx.get(f"http://127.0.0.1:{port}/").json() == {}
            assert httpx.get(f"http://127.0.0.1:{port}/fail").headers["error-origin"] == "service"
        finally:
            process.terminate()
            log = process.communicate(timeout=120)[1]
    entries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [entry["event"] for entry in entries] == ["STEPLOG START greet", "hello"]
    assert (entries[1]["name"], entries[1]["event_"], entries[1]["level"]) == ("Ada", "taken", "info")
    assert "INFO:other:plain" in log
    assert "KeyError: 'x'" in log
    assert '"GET / HTTP' not in log


def wait_for_port(port: int, process: subprocess.Popen[str]) -> None:
    def is_open() -> bool:
        assert process.poll() is None, "the workflow ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(is_open, f"port {port} of the workflow", 30)


@pytest.mark.slow
@pytest.mark.requirement("client:logger")
def test_a_scripts_own_structlog_and_level_are_left_alone() -> None:
    code = "import structlog; structlog.configure(processors=[structlog.processors.KeyValueRenderer()]); from codewords_client import logger; logger.debug('mine', a=1)"
    assert run(code, LOGLEVEL="nonsense").stdout == "a=1 event='mine'\n"


@pytest.mark.slow
@pytest.mark.requirement("client:service-errors")
def test_inside_a_workflow_every_app_keeps_the_contract_however_it_is_served() -> None:
    code = (
        "from fastapi import FastAPI\nfrom codewords_client import AsyncCodewordsClient\n"
        "print([m.cls.__name__ for m in FastAPI(title='x').user_middleware])"
    )
    assert run(code, SERVICE_ID="hello_12345678").stdout == "['RequestIdMiddleware']\n"
    assert run(code).stdout == "[]\n"
