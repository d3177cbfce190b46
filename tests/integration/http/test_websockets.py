"""Websockets of workflows, passed through."""

from __future__ import annotations

import socket

import httpx
import pytest
from structlog.testing import capture_logs
from tests.support.http_runtime import ADMIN_KEY, Door
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

pytestmark = [pytest.mark.requirement("http:websocket")]


def test_messages_pass_both_ways_and_the_workflows_close_arrives(
    door: Door, http: httpx.Client, probe: str
) -> None:
    url = f"ws://127.0.0.1:{door.port}/run/{probe}/ws/room%201?x=1"
    with connect(
        url, additional_headers={"X-API-Key": ADMIN_KEY}, subprotocols=[Subprotocol("echo.v1")], proxy=None
    ) as talk:
        assert talk.subprotocol == "echo.v1"
        assert talk.response
        run_id = talk.response.headers["X-Request-Id"]
        talk.send("hello")
        assert talk.recv() == "room 1: hello"
        talk.send(b"\x00\x01\x02")
        assert talk.recv() == b"\x02\x01\x00"
        talk.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            talk.recv()
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 4001
    assert http.get(f"/result/{run_id}?timeout=60").json()["status"] == "succeeded"


def test_a_caller_that_leaves_ends_the_run(door: Door, http: httpx.Client, probe: str) -> None:
    with connect(
        f"ws://127.0.0.1:{door.port}/run/{probe}/ws/x",
        additional_headers={"X-API-Key": ADMIN_KEY},
        proxy=None,
    ) as talk:
        assert talk.response
        run_id = talk.response.headers["X-Request-Id"]
    assert http.get(f"/result/{run_id}?timeout=60").status_code == 200


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/run/nothing_00000000/ws", ADMIN_KEY, 404),
        ("/run/nothing_00000000/ws", "cwk-wrong", 401),
        ("/run/openai/realtime", ADMIN_KEY, 400),
        ("/elsewhere", ADMIN_KEY, 404),
        ("/mcp", ADMIN_KEY, 404),
        ("/sse", ADMIN_KEY, 404),
        ("/run/devx_mcp/mcp/", ADMIN_KEY, 404),
        ("/run/{probe}/refuse", ADMIN_KEY, 502),
    ],
)
def test_a_websocket_that_cannot_be_opened_says_why_in_its_handshake(
    door: Door, probe: str, path: str, key: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"ws://127.0.0.1:{door.port}{path.format(probe=probe)}"
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(url, additional_headers={"X-API-Key": key}, proxy=None),
    ):
        pass
    assert refused.value.response.status_code == status
    assert b'"error"' in refused.value.response.body
    # Whoever has no key could fill the log.
    assert caplog.records == []


@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_caller_that_leaves_a_talkative_workflow_is_no_error_in_the_log(
    door: Door, http: httpx.Client, probe: str, how: str
) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            # With a bound of its queue the client would not see the answer to its close behind what it has not read.
            with connect(
                f"ws://127.0.0.1:{door.port}/run/{probe}/flood",
                additional_headers={"X-API-Key": ADMIN_KEY},
                proxy=None,
                max_queue=None,
            ) as talk:
                assert talk.response
                run_id = talk.response.headers["X-Request-Id"]
                talk.recv()
                if how == "drop":
                    talk.socket.shutdown(socket.SHUT_RDWR)
            assert http.get(f"/result/{run_id}?timeout=60").status_code == 200
    assert [entry for entry in logs if entry["log_level"] in {"error", "critical"}] == []
