"""A response's head goes out together with the first piece of its body, and alone where that takes longer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest
from tests.support.waiting import until_async
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from codewords_mcp.http.middleware.response_transport import ResponseTransport

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


def _response(connection: _Connection, method: str = "GET", *, keep_alive: bool = True) -> ResponseTransport:
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
    return ResponseTransport(cycle)


async def _start(
    response: ResponseTransport,
    headers: Sequence[tuple[bytes, bytes]] = ((b"content-length", b"5"),),
    status: int = 200,
) -> None:
    await response.send({"type": "http.response.start", "status": status, "headers": headers})


async def _body(response: ResponseTransport, body: bytes, *, more: bool = False) -> None:
    await response.send({"type": "http.response.body", "body": body, "more_body": more})


async def test_head_and_body_are_one_write() -> None:
    connection = _Connection()
    response = _response(connection)
    await _start(response)
    await _body(response, b"hello")
    await asyncio.sleep(0)
    assert connection.sent == [HEAD + b"hello"]


async def test_a_body_that_comes_later_holds_no_head_back() -> None:
    connection = _Connection()
    response = _response(connection)
    await _start(response)
    await until_async(lambda: bool(connection.sent))
    await _body(response, b"he", more=True)
    await _body(response, b"llo")
    assert connection.sent == [HEAD, b"he", b"llo"]


async def test_a_response_without_a_body_is_sent_before_the_connection_closes() -> None:
    connection = _Connection()
    response = _response(connection, "HEAD", keep_alive=False)
    await _start(response)
    await _body(response, b"")
    assert connection.closed
    assert connection.sent == [HEAD.removesuffix(b"\r\n") + b"connection: close\r\n\r\n"]


async def test_nothing_is_written_to_a_client_that_has_gone() -> None:
    connection = _Connection()
    await _start(_response(connection))
    connection.close()
    await asyncio.sleep(0)
    assert connection.sent == []


async def test_the_end_of_a_body_of_unknown_length_goes_with_its_last_piece() -> None:
    connection = _Connection()
    response = _response(connection)
    await _start(response, [])
    response.write_piece(b"he")
    response.end(b"llo")
    assert connection.sent == [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n",
        b"3\r\nllo\r\n0\r\n\r\n",
    ]


async def test_a_connection_that_the_response_closes_is_closed_after_it() -> None:
    connection = _Connection()
    response = _response(connection)
    await _start(response, [(b"Content-Length", b"5"), (b"Connection", b"x, Close")])
    await _body(response, b"hello")
    assert connection.closed
    assert connection.sent == [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: x, Close\r\n\r\nhello"]


async def test_a_response_without_a_body_has_no_framing() -> None:
    connection = _Connection()
    response = _response(connection)
    await _start(response, [], status=204)
    await _body(response, b"")
    assert connection.sent == [b"HTTP/1.1 204 No Content\r\n\r\n"]


@pytest.mark.parametrize("header", [(b"a b", b"x"), (b"a:", b"x"), (b"a", b"x\r\ny: z"), (b"a", b"\x00")])
async def test_a_header_that_would_become_another_is_not_sent(header: tuple[bytes, bytes]) -> None:
    connection = _Connection()
    with pytest.raises(RuntimeError, match="header"):
        await _start(_response(connection), [(b"content-length", b"5"), header])
    assert connection.sent == []


@pytest.mark.parametrize("body", [b"hell", b"hello!"])
async def test_a_body_unlike_its_head_fails(body: bytes) -> None:
    connection = _Connection()
    response = _response(connection)
    await _start(response)
    with pytest.raises(RuntimeError, match="than its head told"):
        await _body(response, body)
    assert not b"".join(connection.sent).endswith(b"!")


async def test_messages_that_are_not_due_fail() -> None:
    response = _response(_Connection())
    with pytest.raises(RuntimeError, match="not due"):
        await _body(response, b"hello")
    await _start(response)
    with pytest.raises(RuntimeError, match="not due"):
        await _start(response)
    await _body(response, b"hello")
    with pytest.raises(RuntimeError, match="not due"):
        await _body(response, b"hello")
