"""Remote MCP servers are found in a registry, over HTTP and in a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.integration.mcp_broker.helpers import refused, told
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.loopback_site import Answer, Asked, StandIn, serving
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings

pytestmark = pytest.mark.requirement("mcp-broker:registry")


def entry(name: str, *remotes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"server": {"name": name, "version": "1", "remotes": list(remotes), **more}, "_meta": {}}


def remote(url: str, kind: str = "streamable-http") -> dict[str, Any]:
    return {"type": kind, "url": url}


def package(registry: str, name: str, **more: Any) -> dict[str, Any]:
    described = {"registryType": registry, "identifier": name, "version": "1.2.3"}
    return {**described, "transport": {"type": "stdio"}, **more}


VARIABLES = [{"name": "ADA_TOKEN", "isSecret": True}, {"name": "odd name"}, "nonsense"]
SERVERS = [
    entry(
        "app.linear/linear", remote("https://mcp.linear.app/mcp"), title="Linear", description="Issues\u202e"
    ),
    entry("app.linear/linear", remote("https://mcp.linear.app/mcp"), description="An older version"),
    entry("io.github.ada/local"),
    entry(
        "io.github.ada/packaged",
        packages=[package("oci", "ada/image"), package("npm", "@Ada/x"), package("npm", "@ada/tool")],
    ),
    entry("io.github.ada/python", packages=[package("pypi", "ada-mcp", environmentVariables=VARIABLES)]),
    entry(
        "io.github.ada/both", remote("https://both.example.com/mcp"), packages=[package("pypi", "both-mcp")]
    ),
    entry(
        "io.github.ada/served", packages=[package("pypi", "served", transport={"type": "streamable-http"})]
    ),
    entry("io.github.ada/evil", packages=[package("pypi", "x@git+https://evil.example.com")]),
    entry("io.github.ada/fill-in", remote("https://{tenant}.example.com/mcp")),
    entry("io.github.ada/odd", remote("javascript:alert(1)"), remote("https://odd.example.com/sse", "sse")),
    {"server": "nonsense"},
    "nonsense",
]


@pytest.fixture(scope="module")
def registry() -> Iterator[StandIn]:
    yield from serving(StandIn())


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, registry: StandIn) -> Iterator[Door]:
    home = make_home(tmp_path_factory.mktemp("registry") / "home")
    settings = {"home": home, "port": 0, "api_key": ADMIN_KEY, "mcp_registry_url": registry.url}
    with Door(Settings.model_validate(settings)) as opened:
        yield opened


def test_remote_servers_are_listed_once_with_their_addresses(door: Door, registry: StandIn) -> None:
    registry.answer = lambda _: Answer(200, json.dumps({"servers": SERVERS, "metadata": {}}).encode())
    with door.client() as http:
        found = told(http.get("/mcp-servers", params={"query": " linear "}))["items"]
    assert [(item["title"], item["url"]) for item in found] == [
        ("Linear", "https://mcp.linear.app/mcp"),
        ("", "npm:@ada/tool@1.2.3"),
        ("", "pypi:ada-mcp@1.2.3"),
        ("", "https://both.example.com/mcp"),
        ("", "https://odd.example.com/sse"),
    ]
    assert [item["variables"] for item in found] == [[], [], ["ADA_TOKEN"], [], []]
    asked: Asked = registry.asked[-1]
    assert urlsplit(asked.path).path == "/v0/servers"
    assert parse_qs(urlsplit(asked.path).query)["search"] == ["linear"]
    assert "authorization" not in asked.headers


def test_a_registry_that_is_broken_is_an_error_of_ours(door: Door, registry: StandIn) -> None:
    with door.client() as http:
        registry.answer = lambda _: Answer(200, b"<html>")
        assert "JSON" in refused(http.get("/mcp-servers", params={"query": "x"}), 502)["message"]
        registry.answer = lambda _: Answer(200, b'{"servers": 5}')
        assert told(http.get("/mcp-servers", params={"query": "x"}))["items"] == []
        registry.answer = lambda _: Answer(503, b"{}")
        assert refused(http.get("/mcp-servers", params={"query": "x"}), 502)["upstream_status"] == 503
        refused(http.get("/mcp-servers"), 400)
