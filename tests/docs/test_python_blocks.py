"""Every Python block of the documentation runs: workflows are loaded, calls reach a runtime that checks them.

The runtime here is a small one on loopback. It holds each call of a library service to the operation's own input model,
and answers with an example of its output model. `client` is at hand in blocks that are fragments of a workflow.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import runpy
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.docs.pages import PAGES, Block, blocks
from tests.unit.client.fake_runtime import served

from codewords_client import AsyncCodewordsClient
from codewords_mcp.runtime.model.json_sample import make_example
from codewords_mcp.runtime.sandboxes.process.driver import ProcessDriver
from codewords_mcp.runtime.services.base import Operation, Service
from codewords_mcp.runtime.services.registry import Registry

pytestmark = pytest.mark.requirement("docs:snippets-run")

MAX_NOT_RUN = 5
FREE_FORM = {"chrome_extension/actions": {"data": {"links": ["https://example.org/a"], "html": "<p>a</p>"}}}
"""Fields of outputs that depend on the input, where a page reads them."""
PYTHON = {page: found for page in PAGES if (found := [b for b in blocks(page) if b.language == "python"])}


def _operation(service: str, path: str) -> Operation | None:
    known = Registry({}).find(service)
    for operation in known.operations if known else ():
        if any(path == own or (own.endswith("*") and path.startswith(own[:-1])) for own in operation.paths):
            return operation
    return None


def _complete(schema: Any) -> Any:
    """A schema whose properties are all required, so that an example of it has each."""
    if isinstance(schema, list):
        return [_complete(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema

    complete = {name: _complete(value) for name, value in cast("dict[str, Any]", schema).items()}
    if isinstance(complete.get("properties"), dict):
        complete["required"] = list(complete["properties"])
    return complete


class ServiceRuntime:
    """Answers for library services; `deployed` and `called` are what else it was asked for."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.deployed: list[str] = []

    async def run(self, request: Request) -> Response:
        service, _, path = request.path_params["rest"].partition("/")
        body = await request.json()
        self.called.append(f"{service}/{path}")
        if service in self.deployed:
            return JSONResponse({"loud": body["name"].upper()}, headers={"X-Request-Id": "run-1"})

        operation = _operation(service, path)
        if operation is None:
            return JSONResponse({"code": "not_found", "message": f"There is no {service}/{path}."}, 404)

        operation.input.model_validate(body)
        example: Any = make_example(_complete(operation.output.model_json_schema()))
        example |= FREE_FORM.get(self.called[-1], {})
        return JSONResponse(example, headers={"X-Request-Id": "run-1"})

    async def start(self, request: Request) -> Response:
        self.called.append(request.path_params["rest"])
        return JSONResponse({"request_id": "run-1"})

    async def deploy(self, request: Request) -> Response:
        assert "FastAPI" in (await request.json())["code"]
        self.deployed.append("chain_12345678")
        return JSONResponse({"service_id": "chain_12345678", "version": 1, "url": "", "notes": []})

    async def provision(self, _: Request) -> Response:
        return JSONResponse({"request_id": "run-1"})

    async def logs(self, request: Request) -> Response:
        return Response("", media_type="application/x-ndjson")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceRuntime]:
    runtime = ServiceRuntime()
    routes = [
        Route("/run/{rest:path}", runtime.run, methods=["POST"]),
        Route("/run_async/{rest:path}", runtime.start, methods=["POST"]),
        Route("/deploy", runtime.deploy, methods=["POST"]),
        Route("/provision-request", runtime.provision, methods=["POST"]),
        Route("/logs/{run}", runtime.logs),
    ]
    with served(Starlette(routes=routes)) as url:
        monkeypatch.setenv("CODEWORDS_RUNTIME_URI", url)
        monkeypatch.setenv("CODEWORDS_API_KEY", "cwk-docs")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-docs")
        yield runtime


def _load_workflow(file: Path) -> None:
    """Load a file as a runtime does, without serving it: it has a FastAPI application that describes itself."""
    app = runpy.run_path(str(file))["app"]
    assert app.openapi()["paths"]


async def _run_fragment(block: Block) -> dict[str, Any]:
    """Run a block that may await at its top level, beside a client of the runtime; its names."""
    code = compile(block.text, block.place, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, Any] = {"__name__": "block", "AsyncCodewordsClient": AsyncCodewordsClient}
    async with AsyncExitStack() as stack:
        if "await client." in block.text and "as client" not in block.text:
            names["client"] = await stack.enter_async_context(AsyncCodewordsClient())
        if code.co_flags & inspect.CO_COROUTINE:
            await eval(code, names)
        else:
            await asyncio.to_thread(exec, code, names)
    return names


@pytest.mark.anyio
@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.stem)
async def test_each_python_block_of_a_page_runs(
    page: Path, runtime: ServiceRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package = ModuleType("my_package")
    package.__dict__["make_driver"] = ProcessDriver
    monkeypatch.setitem(sys.modules, "my_package", package)
    for block in PYTHON[page]:
        kind, value = block.mark or ("", "")
        if kind == "not run":
            compile(block.text, block.place, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        elif kind == "file":
            Path(value).parent.mkdir(parents=True, exist_ok=True)
            Path(value).write_text(block.text, encoding="utf-8")
            if "FastAPI(" in block.text:
                _load_workflow(Path(value))
            else:
                runpy.run_path(value)
        else:
            calls = block.text.count("client.run(") + block.text.count("client.start_service(")
            before = len(runtime.called)
            names = await _run_fragment(block)
            assert len(runtime.called) - before == calls, block.place
            if isinstance(names.get("SERVICE"), Service):
                assert names["SERVICE"].operations


def test_few_python_blocks_are_not_run_and_each_says_why() -> None:
    marked = [
        block
        for found in PYTHON.values()
        for block in found
        if block.mark and block.mark[0] not in {"file", "same as"}
    ]
    assert all(block.mark and block.mark[0] == "not run" and block.mark[1] for block in marked)
    assert len(marked) <= MAX_NOT_RUN, [block.place for block in marked]
