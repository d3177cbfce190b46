"""The description of the API is whole, and so are its pages."""

from __future__ import annotations

import re

import httpx
import pytest

from codewords_mcp.http.app import operations
from codewords_mcp.http.auth import is_open
from codewords_mcp.http.paths import MCP_PATHS

from .doors import Door

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
        if path in {"/stop", "/sse"}:  # the one ends the runtime, the other's answer does not end
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
    for path in ("/docs", "/"):
        page = http.get(path)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert not re.search(r"<script|src=|@import|https://", page.text)
