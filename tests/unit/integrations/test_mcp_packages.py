"""Packages of MCP servers: their names, the lines of their output, and the hosts of their policy."""

from __future__ import annotations

import asyncio

import pytest

from codewords_mcp.errors import InvalidInput, UpstreamFailed
from codewords_mcp.runtime.integrations.mcp.addresses import free_name
from codewords_mcp.runtime.integrations.mcp.package_names import (
    ServerPackage,
    check_arguments,
    check_hosts,
    check_variables,
    package_name,
    parse_package,
)
from codewords_mcp.runtime.integrations.mcp.stdio_transport import LineReader
from codewords_mcp.runtime.model.addresses import parse_address
from codewords_mcp.runtime.model.egress_policy import EgressPolicy


@pytest.mark.requirement("mcp-stdio:names")
@pytest.mark.parametrize(
    ("text", "package", "name"),
    [
        ("pypi:mcp-server-fetch", ServerPackage("pypi", "mcp-server-fetch"), "fetch"),
        (" PyPI:MCP_Server.Fetch@2025.1 ", ServerPackage("pypi", "mcp-server-fetch", "2025.1"), "fetch"),
        ("npm:server", ServerPackage("npm", "server"), "server"),
        ("npm:@modelcontextprotocol/server-everything@1.0.0-rc.1",
         ServerPackage("npm", "@modelcontextprotocol/server-everything", "1.0.0-rc.1"), "everything"),
        ("npm:@acme/mcp@latest", ServerPackage("npm", "@acme/mcp", "latest"), "acme"),
        ("pypi:3d-mcp", ServerPackage("pypi", "3d-mcp"), "s_3d"),
    ],
)  # fmt: skip
def test_a_package_is_a_name_and_a_version(text: str, package: ServerPackage, name: str) -> None:
    assert parse_package(text) == package
    assert free_name(package_name(package), ()) == name
    assert free_name(package_name(package), (name,)) == f"{name}_2"


@pytest.mark.requirement("mcp-stdio:names")
def test_hosts_variables_and_arguments_are_judged() -> None:
    assert check_hosts(["B.example.com", "*.a.example.com"]) == ("*.a.example.com", "b.example.com")
    assert check_hosts(["a.example.com", "*"]) == ("*",)
    assert check_variables(["A_KEY", "A_KEY"]) == ("A_KEY",)
    assert check_arguments(["--x", ""]) == ("--x", "")
    for refused in (["a b"], ["https://a.example.com"], ["*.*"], [f"a{n}.example.com" for n in range(101)]):
        with pytest.raises(InvalidInput):
            check_hosts(refused)
    for refused in (["lower"], ["PATH"], ["LD_PRELOAD"], ["CODEWORDS_API_KEY"], [f"A{n}" for n in range(31)]):
        with pytest.raises(InvalidInput):
            check_variables(refused)
    for refused in (["\0"], ["x" * 2_001], ["x"] * 51):
        with pytest.raises(InvalidInput):
            check_arguments(refused)


@pytest.mark.requirement("mcp-stdio:hosts")
def test_what_the_operator_opens_is_closed_to_a_server_that_does_not_list_it() -> None:
    operator = EgressPolicy(allow_private=frozenset({"127.0.0.1:5432", "10.0.0.5:80"}))
    loopback, private, public = (parse_address(text) for text in ("127.0.0.1", "10.0.0.5", "93.184.216.34"))
    assert loopback is not None
    assert private is not None
    assert public is not None

    closed = operator.for_server("mcp_x", [], everywhere=False)
    for host, port, address in (
        ("localhost", 5432, loopback),
        ("127.0.0.1", 5432, loopback),
        ("a.com", 443, public),
    ):
        reason = closed.refusal(host, port, address)
        assert reason == "the hosts that a person allowed mcp_x do not list it"
        assert closed.lookup_refusal(host, port) == reason

    listed = operator.for_server("mcp_x", ["localhost", "db.lan", "*.a.com"], everywhere=False)
    assert listed.refusal("localhost", 5432, loopback) is None
    assert listed.refusal("localhost", 5433, loopback)
    assert listed.refusal("db.lan", 80, private) is None
    assert listed.refusal("db.lan", 81, private)
    assert listed.refusal("b.a.com", 443, public) is None

    everywhere = operator.for_server("mcp_x", [], everywhere=True)
    assert everywhere.refusal("a.com", 443, public) is None
    assert everywhere.refusal("localhost", 5432, loopback)
    assert everywhere.refusal("db.lan", 80, private)
    assert EgressPolicy("none").for_server("mcp_x", [], everywhere=True).refusal("a.com", 443, public)


def reader(data: bytes, *, max_line: int = 100, max_bytes: int = 1_000) -> LineReader:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    return LineReader(stream, max_line, max_bytes)


@pytest.mark.anyio
@pytest.mark.requirement("mcp-stdio:hostile")
async def test_lines_are_read_in_bounds() -> None:
    lines = reader(b"one\n\ntwo\nrest")
    assert [await lines.next() for _ in range(4)] == [b"one", b"", b"two", None]
    with pytest.raises(UpstreamFailed, match="larger than"):
        await reader(b"x" * 101, max_line=100).next()
    with pytest.raises(UpstreamFailed, match="nobody asked for"):
        await reader(b"x\n" * 501, max_bytes=1_000).next()
