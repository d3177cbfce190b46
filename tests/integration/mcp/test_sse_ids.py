"""One JSON-RPC id twice at once over HTTP+SSE, whose answers all go out on one stream: none is left without an answer."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from mcp.client.sse import sse_client
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from tests.integration.mcp.fake_runtime import FakeRuntime, Gate

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("mcp:request-ids")]
AT_ONCE = 5
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "t", "version": "1"},
}


def request(request_id: int, method: str, **params: object) -> SessionMessage:
    return SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=request_id, method=method, params=params))


async def test_each_of_several_requests_of_one_id_is_answered_over_sse_and_the_session_goes_on(
    url: str, runtime: FakeRuntime
) -> None:
    runtime.gate = Gate()
    address = url.removesuffix("/mcp") + "/sse"
    async with sse_client(address, headers={"Authorization": "Bearer ann"}) as (read, write):

        async def next_answer() -> JSONRPCResponse:
            with anyio.fail_after(60):
                while True:
                    got = await read.receive()
                    assert isinstance(got, SessionMessage), got
                    if isinstance(got.message, JSONRPCResponse):
                        return got.message

        await write.send(request(1, "initialize", **INITIALIZE))
        await next_answer()
        await write.send(
            SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized"))
        )

        for number in range(AT_ONCE):
            arguments = {"code": f"x = {number}"}
            await write.send(request(7, "tools/call", name="validate_workflow", arguments=arguments))
        with anyio.fail_after(60):
            while runtime.gate.calls < AT_ONCE:
                await anyio.lowlevel.checkpoint()
        await write.send(request(8, "ping"))
        assert (await next_answer()).id == 8, "the others are all in flight"

        runtime.gate.go_on.set()
        answers = [await next_answer() for _ in range(AT_ONCE)]
        assert [one.id for one in answers] == [7] * AT_ONCE

        await write.send(request(7, "ping"))
        assert (await next_answer()).id == 7, "the id is free again"
