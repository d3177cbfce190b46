"""One exchange of the guarded client: responses that bend the rules of HTTP, requests that would, and addresses that don't answer."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.services.helpers import origin, web

from codewords_mcp.errors import InvalidInput, UpstreamFailed
from codewords_mcp.runtime.web.dial import connect_to_first

pytestmark = pytest.mark.anyio
BENT = {
    "lines without CR": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nab",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nab",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nab",
    "an interim response": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "chunks with spaces": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nab\r\n0\r\n\r\n",
    "Latin-1 and control characters": b"HTTP/1.1 200 OK\r\nX-Name: \xe9\x01\r\nContent-Length: 2\r\n\r\nab",
}
BROKEN = {
    "no HTTP": b"SSH-2.0-server\r\n",
    "half of a body": b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nab",
    "half of a head": b"HTTP/1.1 200 OK\r\nContent-",
    "nothing": b"",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X-Name: value\r\n" * 40_000,
}


@pytest.mark.requirement("services:caps")
@pytest.mark.parametrize("response", BENT.values(), ids=BENT)
async def test_a_response_that_bends_the_rules_is_read_whole(response: bytes) -> None:
    async def bent(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(response)
        await writer.drain()

    async with origin(bent) as port, web(port) as client:
        found = await client.fetch(f"http://127.0.0.1:{port}/")
        assert (found.status, found.body) == (200, b"ab")


@pytest.mark.requirement("services:caps")
@pytest.mark.parametrize("response", BROKEN.values(), ids=BROKEN)
async def test_a_response_that_breaks_off_gets_a_sentence(response: bytes) -> None:
    async def broken(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(response)
        await writer.drain()

    async with origin(broken) as port, web(port) as client:
        with pytest.raises(UpstreamFailed, match="broke off"):
            await client.fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.requirement("services:caps")
async def test_a_body_and_its_length_are_sent_and_a_head_has_none() -> None:
    asked: list[str] = []

    async def noting(head: str, writer: asyncio.StreamWriter) -> None:
        asked.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        if not head.startswith("HEAD"):
            writer.write(b"hello")
        await writer.drain()

    async with origin(noting) as port, web(port) as client:
        url = f"http://127.0.0.1:{port}/"
        assert (await client.fetch(url, method="POST", content={"a": 1})).body == b"hello"
        assert (await client.fetch(url, method="POST")).body == b"hello"
        assert (await client.fetch(url, method="HEAD")).body == b""
    lengths = [line for head in asked for line in head.lower().split("\r\n") if line.startswith("content-l")]
    assert lengths == ["content-length: 8", "content-length: 0"]


@pytest.mark.requirement("services:caps")
@pytest.mark.parametrize("headers", [{"X-Name": "a\r\nX-Other: b"}, {"X Name": "a"}, {"": "a"}])
async def test_headers_that_http_cannot_carry_are_refused(headers: dict[str, str]) -> None:
    async def unasked(_: str, writer: asyncio.StreamWriter) -> None:
        raise AssertionError

    async with origin(unasked) as port, web(port) as client:
        with pytest.raises(InvalidInput, match="characters that HTTP does not allow"):
            await client.fetch(f"http://127.0.0.1:{port}/", headers=headers)


@pytest.mark.requirement("services:addresses")
async def test_an_address_that_refuses_leaves_the_next_one_to_be_tried() -> None:
    async def unasked(_: str, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with origin(unasked) as port:
        sock = await connect_to_first(["127.0.0.2", "127.0.0.1"], port)
        assert sock.getpeername() == ("127.0.0.1", port)
        sock.close()
        with pytest.raises(OSError, match="Connect call failed"):
            await connect_to_first(["127.0.0.2", "127.0.0.3"], port)
