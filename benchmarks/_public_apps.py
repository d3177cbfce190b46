"""Whole apps that others published, what they answer without us, and the same requests to them as workflows.

A request for each route is made from the app's own OpenAPI document. An answer that differs between two processes without us
(times, random numbers), or that ends in an exception, is none to compare with.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from _peers import environment_of, installed
from _yardsticks import answers_of
from tests.support.runtime import ADMIN

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.json_sample import make_example
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.workflows.openapi import normalise, read_routes

PACKAGES = (
    "fastapi==0.141.1", "uvicorn==0.54.0", "python-multipart==0.0.34", "email-validator==2.4.0", "pydantic-settings==2.16.3",
    "jinja2==3.1.6", "httpx==0.28.1", "pyyaml==6.0.3", "orjson==3.13.0", "sqlmodel==0.0.50", "pyjwt==2.15.1",
    "pwdlib[argon2]==0.3.1", "a2wsgi==1.10.10", "flask==3.1.3", "strawberry-graphql==0.341.2",
)  # fmt: skip
HEADER = f"""# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = {json.dumps(PACKAGES)}
# ///
"""
_APP = re.compile(r"^app = FastAPI\(", re.MULTILINE)
_PARTS = re.compile(r"^from (?:\.|docs_src)", re.MULTILINE)


class Request(NamedTuple):
    """A request with JSON, or without a body where `body` is None."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class PublicApp:
    """An app that can be imported, with its answers as (request, [status, text])."""

    name: str
    code: str
    answers: tuple[tuple[Request, list[Any]], ...]


def public_apps(folder: Path, each: int) -> list[PublicApp]:
    """The apps of one file in FastAPI's documentation that run without us; every `each`."""
    sources = list(_sources(folder / "docs_src"))[::each]
    described = _without_us([(code, []) for _, code in sources])
    asked = [
        (name, code, list(_requests(told["openapi"])))
        for (name, code), told in zip(sources, described, strict=True)
        if told["openapi"]
    ]
    once, again = (_without_us([(code, requests) for _, code, requests in asked]) for _ in range(2))
    found: list[PublicApp] = []
    for (name, code, requests), first, second in zip(asked, once, again, strict=True):
        pairs = zip(requests, first["answers"], second["answers"], strict=False)
        found.append(
            PublicApp(
                name, code, tuple((one, right) for one, right, other in pairs if right and right == other)
            )
        )
    return found


def _sources(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*.py")):
        code = path.read_text(encoding="utf-8")
        if _APP.search(code) and not _PARTS.search(code):
            yield path.relative_to(folder).as_posix(), code


def _without_us(tasks: list[tuple[str, list[Request]]]) -> list[dict[str, Any]]:
    python = installed("public-apps", "venv/bin/python", *environment_of(*PACKAGES))
    if python is None:
        raise SystemExit("the packages of the public apps cannot be installed here")
    return answers_of(
        "_plain_apps.py", ({"code": code, "requests": requests} for code, requests in tasks), python
    )


def _requests(openapi: dict[str, Any]) -> Iterator[Request]:
    """A request for each route of JSON or without a body."""
    document = normalise(openapi)
    for route in read_routes(document):
        if "form" in route:
            continue
        operation = document["paths"][route["path"]][route["method"].lower()]
        values = {
            (one["in"], one["name"]): make_example(one.get("schema") or {}, one["name"])
            for one in operation["parameters"]
            if one.get("required")
        }
        path = route["path"]
        for (place, name), value in values.items():
            if place == "path":
                path = re.sub(rf"\{{{re.escape(name)}(?::path)?\}}", quote(str(value), safe=""), path)
        yield Request(
            route["method"],
            path,
            urlencode(
                {name: value for (place, name), value in values.items() if place == "query"}, doseq=True
            ),
            {name: str(value) for (place, name), value in values.items() if place == "header"},
            None if route["input"] is None else make_example(route["input"]),
        )


async def ask(runtime: Runtime, service_id: str, request: Request) -> list[Any]:
    """The answer of the deployed app, as [status, text]."""
    compact = json.dumps(
        request.body, ensure_ascii=False, separators=(",", ":")
    )  # as the test client writes it
    body = b"" if request.body is None else compact.encode()

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    given = {"accept": "*/*", "user-agent": "testclient"} | request.headers
    headers = [(name.encode(), value.encode()) for name, value in given.items()]
    if body:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    sent = RunRequest(
        service_id, request.method, request.path, request.query.encode(), headers, chunks(), ADMIN
    )
    try:
        response = await runtime.runs.execute(sent)
        text = b"".join([chunk async for chunk in response.body]).decode(errors="replace")
    except CodewordsError as error:
        return [error.status, error.message]
    return [response.status, text]
