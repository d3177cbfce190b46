"""Input at its extremes is refused as input: no route answers it with a failure of the runtime's own."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.support.http_runtime import Door

_TIMES = [
    "0001-01-01T00:00",
    "0001-01-01T00:00+23:59",
    "9999-12-31T23:59",
    "9999-12-31T23:59-23:59",
    "0000-00-00",
    "∞",
    "",
]


@pytest.mark.requirement("time:bounds")
@pytest.mark.parametrize("at", _TIMES)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_a_schedule_at_the_calendars_end_is_invalid_input(
    http: httpx.Client, probe: str, at: str, zone: str
) -> None:
    answer = http.post("/schedules", json={"service_id": probe, "at": at, "timezone": zone})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


@pytest.mark.requirement("time:bounds")
@pytest.mark.parametrize(
    "lifetime", ["9e15", "1e300", "1e999", "-1", "0", "NaN", "Infinity", "1e-9", "9" * 400]
)
def test_a_keys_lifetime_is_bounded(http: httpx.Client, lifetime: str) -> None:
    content = f'{{"expires_in": {lifetime}}}'
    answer = http.post("/keys", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


@pytest.mark.requirement("time:bounds")
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e400", "\uff11", "x", "0x10"])
def test_a_wait_is_bounded(http: httpx.Client, value: str) -> None:
    for path in ("/browser?wait_seconds=", "/result/none?timeout="):
        answer = http.get(path + value)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input"), path
    assert http.get("/browser", params={"paired_after": "9999-12-31T23:59-23:59"}).status_code == 400


@pytest.mark.requirement("confirm:token")
@pytest.mark.parametrize("confirm", [True, 1, 1.5, [], {}, ["x"], {"a": 1}])
def test_a_confirmation_that_is_no_text_is_a_bad_argument_of_every_tool(door: Door, confirm: Any) -> None:
    from codewords_mcp.tools import all_tools

    asking = [tool for tool in all_tools() if "confirm" in tool.parameters["properties"]]
    assert len(asking) >= 5
    with door.client() as client:
        for tool in asking:
            arguments = dict.fromkeys(tool.parameters.get("required", []), "x") | {"confirm": confirm}
            body: dict[str, Any] = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {
                    "name": tool.name,
                    "arguments": arguments,
                    "_meta": {
                        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                        "io.modelcontextprotocol/clientCapabilities": {},
                    },
                },
            }
            headers = {
                "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28",
                "Mcp-Method": "tools/call", "Mcp-Name": tool.name,
            }  # fmt: skip
            result = client.post("/mcp", json=body, headers=headers).json()["result"]
            assert result["isError"], tool.name
            assert result["content"][0]["text"].startswith("invalid_input:"), (tool.name, result["content"])
