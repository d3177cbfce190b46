"""The MCP door behind this one."""

from __future__ import annotations

import httpx
import pytest
from tests.support.http_runtime import Door

from codewords_mcp.http.paths import MCP_PATHS

pytestmark = [pytest.mark.requirement("http:mcp")]

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize("path", sorted(MCP_PATHS))
def test_mcp_answers_on_each_of_its_paths_without_a_redirect(http: httpx.Client, path: str) -> None:
    answer = http.post(path, json=INITIALIZE, headers=HEADERS)
    assert answer.status_code == 200
    assert '"serverInfo"' in answer.text


def test_mcp_needs_a_key_and_a_host_of_ours(door: Door, http: httpx.Client) -> None:
    with door.client(key=None) as keyless:
        assert keyless.post("/mcp", json=INITIALIZE, headers=HEADERS).status_code == 401
    assert http.post("/mcp", json=INITIALIZE, headers={**HEADERS, "Host": "evil.example"}).status_code == 421
    assert (
        http.post("/mcp", json=INITIALIZE, headers={**HEADERS, "Origin": "https://evil.example"}).status_code
        == 403
    )
