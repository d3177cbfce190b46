"""A response's head goes out together with the first piece of its body, and alone where that takes longer."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.support.waiting import until_async
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from codewords_mcp.http.middleware.protocol import ResponseTransport

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("http:streaming")]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


class _Connection(asyncio.Transport):
    """The socket's stand-in: `sent` has an entry for each system call."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def _cycle(connection: _Connection, method: str = "GET", *, keep_alive: bool = True) -> RequestResponseCycle:
    quiet = logging.getLogger(__name__)
    cycle = RequestResponseCycle(
        scope={"type": "http", "method": method, "path": "/"},  # pyright: ignore[reportArgumentType]
        transport=connection,
        flow=FlowControl(connection),
        logger=quiet,
        access_logger=quiet,
        access_log=False,
        default_headers=[],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=asyncio.Event().set,
    )
    cycle.transport = ResponseTransport(cycle)
    return cycle


async def _start(cycle: RequestResponseCycle) -> None:
    await cycle.send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", b"5")],
            "trailers": False,
        }
    )


async def _body(cycle: RequestResponseCycle, body: bytes, *, more: bool = False) -> None:
    await cycle.send({"type": "http.response.body", "body": body, "more_body": more})


async def test_head_and_body_are_one_write() -> None:
    connection = _Connection()
    cycle = _cycle(connection)
    await _start(cycle)
    await _body(cycle, b"hello")
    await asyncio.sleep(0)
    assert connection.sent == [HEAD + b"hello"]


async def test_a_body_that_comes_later_holds_no_head_back() -> None:
    connection = _Connection()
    cycle = _cycle(connection)
    await _start(cycle)
    await until_async(lambda: bool(connection.sent))
    await _body(cycle, b"he", more=True)
    await _body(cycle, b"llo")
    assert connection.sent == [HEAD, b"he", b"llo"]


async def test_a_response_without_a_body_is_sent_before_the_connection_closes() -> None:
    connection = _Connection()
    cycle = _cycle(connection, "HEAD", keep_alive=False)
    await _start(cycle)
    await _body(cycle, b"")
    assert connection.closed
    assert connection.sent == [HEAD.removesuffix(b"\r\n") + b"connection: close\r\n\r\n"]


async def test_nothing_is_written_to_a_client_that_has_gone() -> None:
    connection = _Connection()
    await _start(_cycle(connection))
    connection.close()
    await asyncio.sleep(0)
    assert connection.sent == []
