"""The headers of the newer era are the SDK's own."""

from __future__ import annotations

import pytest
from mcp.shared.inbound import (
    classify_inbound_request,
    decode_header_value,
    mcp_param_headers,
    x_mcp_header_map,
)
from tests.support.stdio_client import ENVELOPE, Json

from codewords_mcp.stdio import jsonrpc as _wire


@pytest.mark.requirement("stdio:modern-headers")
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("server/discover", {}),
        ("tools/list", {}),
        ("tools/call", {"name": "add", "arguments": {}}),
        ("tools/call", {"name": "näme with spaces ", "arguments": {}}),
        ("tools/call", {"name": "=?base64?eA==?=", "arguments": {}}),
        ("resources/read", {"uri": "run://x/лог?a=b\r\nX: y"}),
        ("prompts/get", {"name": "debug_run"}),
    ],
)
def test_the_servers_check_of_headers_against_the_body_passes(method: str, params: Json) -> None:
    message: Json = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": ENVELOPE}}
    headers = _wire.modern_headers(message, "2026-07-28", _wire.ParamHeaders())
    verdict = classify_inbound_request(
        message, headers={name.lower(): value for name, value in headers.items()}
    )
    assert type(verdict).__name__ == "InboundModernRoute", verdict
    assert all(value.isascii() and value.isprintable() for value in headers.values())


SCHEMA: Json = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "deep": {"type": "object", "properties": {"count": {"type": "integer", "x-mcp-header": "Count"}}},
        "plain": {"type": "string"},
    },
}


@pytest.mark.requirement("stdio:modern-headers")
@pytest.mark.parametrize(
    "arguments",
    [
        {"region": "eu", "dry": True, "deep": {"count": 3}, "plain": "x"},
        {"region": "zürich", "dry": False},
        {"region": None, "deep": "not an object"},
        {},
    ],
)
def test_arguments_that_a_schema_marks_are_repeated_as_the_sdk_repeats_them(arguments: Json) -> None:
    mirrored = _wire.ParamHeaders()
    mirrored.learn({"tools": [{"name": "t", "inputSchema": SCHEMA}, {"name": "other"}]})
    assert mirrored.of_call({"name": "t", "arguments": arguments}) == mcp_param_headers(
        x_mcp_header_map(SCHEMA), arguments
    )
    assert mirrored.of_call({"name": "other", "arguments": arguments}) == {}


@pytest.mark.requirement("stdio:modern-headers")
def test_any_header_value_comes_back_as_it_was() -> None:
    for value in ["plain", " edge ", "ünïcode", "=?base64?eA==?=", "tab\t", ""]:
        message: Json = {"method": "tools/call", "params": {"name": value}}
        assert (
            decode_header_value(_wire.modern_headers(message, "v", _wire.ParamHeaders())["Mcp-Name"]) == value
        )
