"""The description of the API is whole, and so are its pages."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import jsonschema
import pytest
from tests.support.http_runtime import ADMIN_KEY, Door

from codewords_mcp.http.app import operations
from codewords_mcp.http.middleware.auth import is_open
from codewords_mcp.http.paths import MCP_PATHS

pytestmark = [pytest.mark.requirement("http:openapi")]


def test_every_route_is_described_and_every_reference_leads_somewhere(door: Door, http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": door.url}]
    for operation in operations():
        methods = document["paths"][operation.path]
        described = [methods[operation.method.lower()]] if operation.method != "*" else list(methods.values())
        for one in described:
            assert one["summary"]
            names = [parameter["name"] for parameter in one["parameters"] if parameter["in"] == "path"]
            assert names == re.findall(r"{(\w+)}", operation.path)
    ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))
    for name in re.findall(r"#/components/schemas/(\w+)", http.get("/openapi.json").text):
        assert name in document["components"]["schemas"]


def test_every_described_route_is_served(http: httpx.Client) -> None:
    for operation in operations():
        path = re.sub(r"{\w+}", "unknown", operation.path)
        method = "POST" if operation.method == "*" else operation.method
        if path in {"/stop", "/sse", "/events"}:  # one ends the runtime, the others' answers do not end
            continue
        answer = http.request(method, path, json={} if method in {"POST", "PUT"} else None)
        told = "" if "html" in answer.headers.get("content-type", "") else answer.text
        assert "no such route" not in told, (method, path)
        assert answer.status_code != 405, (method, path)


def test_what_is_described_as_open_is_what_the_guard_lets_through() -> None:
    for operation in operations():
        path = re.sub(r"{\w+}", "x", operation.path)
        assert is_open(path) == (operation.rule.level in {"open", "page"}), path
    assert not any(map(is_open, MCP_PATHS))


def test_the_pages_show_every_route_and_fetch_nothing(http: httpx.Client) -> None:
    page = http.get("/docs")
    for operation in operations():
        assert operation.path.replace("&", "&amp;") in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"<script|src=|@import|https://", page.text)


def test_what_a_strict_client_reads_of_a_new_key_has_the_key(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    schema = document["paths"]["/keys"]["post"]["responses"]["201"]["content"]["application/json"]["schema"]
    made = http.post("/keys", json={}).json()
    validator: Any = jsonschema.Draft202012Validator(schema | {"components": {"schemas": schemas}})
    assert list(validator.iter_errors(made)) == []
    assert list(validator.iter_errors({**made, "more": 1}))


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("POST", "/mcp", "{"),
        ("POST", "/mcp", '{"jsonrpc": "2.0", "id": 1, "method": "none"}'),
        ("DELETE", "/mcp", ""),
        ("POST", "/messages/", "{}"),
        ("POST", "/messages/?session_id=x", "{}"),
        ("GET", "/usage?format=csv", ""),
        ("GET", "/consents/none", ""),
        ("GET", "/secrets/enter/none", ""),
        ("POST", "/openai/v1/chat/completions", "{}"),
    ],
)
def test_an_answer_has_a_media_type_that_its_description_names(
    http: httpx.Client, method: str, path: str, content: str
) -> None:
    answer = http.request(
        method, path, content=content, headers={"Content-Type": "application/json"} if content else {}
    )
    described = http.get("/openapi.json").json()["paths"]
    bare = path.partition("?")[0].replace("none", "{x}").replace("v1/chat/completions", "{x}")
    [methods] = [one for pattern, one in described.items() if re.sub(r"{\w+}", "{x}", pattern) == bare]
    responses = methods[method.lower()]["responses"]
    media = responses.get(str(answer.status_code), responses["default"])["content"]
    assert answer.headers["content-type"].partition(";")[0] in media or "*/*" in media


def test_no_route_takes_a_method_that_only_reflects(door: Door) -> None:
    for path in (
        "/run/nothing_00000000/",
        "/mcp",
        "/openai/v1/models",
        "/webhook/x",
        "/secrets/enter/x",
        "/healthz",
        "/no",
    ):
        for key in (None, ADMIN_KEY):
            with door.connect() as wire:
                wire.request("TRACE", path, "Connection: close", key=key)
                head = wire.head()
            assert "405" in head.split("\r\n")[0], (path, head)
            assert "allow: delete, get" in head


@pytest.mark.requirement("http:allow")
def test_a_refused_method_is_told_with_every_method_of_its_path(http: httpx.Client) -> None:
    taken: dict[str, set[str]] = {}
    for operation in operations():
        # Paths that take any method, and pages, whose guard refuses before the route is looked for.
        if (
            operation.method != "*"
            and operation.rule.level not in {"open", "page"}
            and operation.tag != "mcp"
        ):
            taken.setdefault(operation.path, set()).add(operation.method)

    for path, methods in taken.items():
        answer = http.request("OPTIONS", re.sub(r"{\w+}", "unknown", path))
        allowed = set(answer.headers["allow"].split(", "))
        assert answer.status_code == 405, path
        # A path may fit the pattern of another one too.
        assert methods <= allowed, path
        assert ("GET" in allowed) == ("HEAD" in allowed), path
        assert set(answer.json()["error"]["allow"]) == allowed


def test_every_schema_has_one_name_and_its_own(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {name: schema.get("title", name) for name, schema in schemas.items()} == {
        name: name for name in schemas
    }
    assert "#/$defs/" not in json.dumps(document)


@pytest.mark.parametrize("path", ["/sign-out", "/sign-in"])
def test_a_page_that_refuses_a_method_names_those_it_takes(http: httpx.Client, path: str) -> None:
    answer = http.get(path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
