"""The proxy listener, and the policy as a sandbox meets it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import httpx
import pytest
from tests.support.egress import Attach, closed_port, echo, serving

from codewords_mcp.runtime.egress import HOST_ALIAS, EgressEvent, EgressPolicy

pytestmark = pytest.mark.anyio


def allowing(*pairs: str) -> EgressPolicy:
    return EgressPolicy("internet", frozenset(pairs))


def connect_to(authority: str) -> bytes:
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()


def proxy_head(*lines: str) -> bytes:
    """A head of a request line and more lines, with the Host that HTTP/1.1 demands."""
    request_line, *more = lines
    return "\r\n".join([request_line, "Host: any", *more, "", ""]).encode()


def nothing_found(host: str, port: int) -> Sequence[str]:
    raise OSError(host, port)


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP server that answers with the head it received and the size of the body."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = next(
        (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    body = await reader.readexactly(size)
    answer = head + b"body %d" % len(body)
    writer.write(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer)
    )


@pytest.mark.requirement("egress:connect-proxy")
async def test_connect_reaches_an_allowed_address_and_early_bytes_are_not_lost(attach: Attach) -> None:
    async with serving(echo) as port, attach(allowing(f"127.0.0.1:{port}")) as stage:
        reader, writer = await stage.open(stage.connect)
        writer.write(connect_to(f"127.0.0.1:{port}") + b"early")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        assert await reader.readexactly(5) == b"early"
        writer.write(b" late")
        assert await reader.readexactly(5) == b" late"
        writer.close()
        (event,) = stage.handle.events
        assert (event.host, event.port, event.address) == ("127.0.0.1", port, "127.0.0.1")
        assert (event.allowed, event.reason) == (True, "")


@pytest.mark.requirement("egress:connect-proxy", "egress:host-alias")
@pytest.mark.parametrize("name", ["localhost", HOST_ALIAS, "LocalHost."])
async def test_allowing_a_name_reaches_the_machine_by_that_name(attach: Attach, name: str) -> None:
    allowed = name.lower().rstrip(".")
    async with serving(web) as port, attach(allowing(f"{allowed}:{port}")) as stage:
        answer = await stage.through_proxy(connect_to(f"{name}:{port}") + b"GET / HTTP/1.1\r\n\r\n")
        assert answer.endswith(b"body 0")


@pytest.mark.requirement("egress:plain-proxy")
async def test_a_real_client_posts_through_the_proxy_to_the_origin(attach: Attach) -> None:
    async with serving(web) as port, attach(allowing(f"127.0.0.1:{port}")) as stage:
        proxy = httpx.Proxy(
            f"http://127.0.0.1:{stage.connect}", headers={"Proxy-Authorization": "Basic c2VjcmV0"}
        )
        async with httpx.AsyncClient(proxy=proxy, trust_env=False) as client:
            replies = [
                await client.post(f"http://127.0.0.1:{port}/path?x=1", content=b"y" * 300_000)
                for _ in range(2)
            ]
        for reply in replies:
            assert reply.text.startswith(f"POST /path?x=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n")
            assert "Connection: close" in reply.text
            assert "c2VjcmV0" not in reply.text
            assert reply.text.endswith("body 300000")


@pytest.mark.requirement("egress:plain-proxy")
@pytest.mark.parametrize(
    ("target", "origin"), [("", "/"), ("/", "/"), ("?q=a/b", "/?q=a/b"), ("/p?q", "/p?q")]
)
async def test_an_absolute_address_becomes_the_origins_path(attach: Attach, target: str, origin: str) -> None:
    async with serving(web) as port, attach(allowing(f"127.0.0.1:{port}")) as stage:
        request = (
            f"GET http://127.0.0.1:{port}{target} HTTP/1.1\r\nHost: elsewhere\r\nProxy-Connection: a\r\n\r\n"
        )
        answer = (await stage.through_proxy(request.encode())).decode()
        assert f"GET {origin} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n" in answer


@pytest.mark.requirement("egress:plain-proxy")
async def test_a_folded_header_is_unfolded_and_reaches_no_other_header(attach: Attach) -> None:
    async with serving(web) as port, attach(allowing(f"127.0.0.1:{port}")) as stage:
        request = proxy_head(
            f"GET http://127.0.0.1:{port}/ HTTP/1.1",
            "Connection: close",
            " X-Smuggled: 1",
            "X-Note: first",
            "\tsecond",
        )
        answer = (await stage.through_proxy(request)).decode()
        origin_head = answer.partition("\r\n\r\n")[2].partition("\r\n\r\n")[0]
        assert origin_head.split("\r\n") == [
            "GET / HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "X-Note: first second",
            "Connection: close",
        ]


@pytest.mark.requirement("egress:connect-proxy")
async def test_requests_sent_together_with_connect_reach_the_destination_whole(attach: Attach) -> None:
    async with serving(echo) as port, attach(allowing(f"127.0.0.1:{port}")) as stage:
        reader, writer = await stage.open(stage.connect)
        # What follows the head is the tunnel's: bytes of TLS as well as what looks like a second request.
        pipelined = b"\x16\x03\x01\0\r\n\r\n" + proxy_head("GET http://a.com/ HTTP/1.1")
        writer.write(connect_to(f"127.0.0.1:{port}") + pipelined)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(pipelined)) == pipelined
        writer.close()


@pytest.mark.requirement("egress:connect-proxy")
async def test_a_head_that_comes_byte_by_byte_is_read(attach: Attach) -> None:
    async with serving(echo) as port, attach(allowing(f"127.0.0.1:{port}")) as stage:
        reader, writer = await stage.open(stage.connect)
        for byte in connect_to(f"127.0.0.1:{port}"):
            writer.write(bytes([byte]))
            await writer.drain()
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
        writer.close()


@pytest.mark.requirement("egress:private-refused")
@pytest.mark.parametrize(
    ("authority", "why"),
    [
        ("127.0.0.1:80", "127.0.0.1 is a loopback address"),
        ("[::1]:80", "::1 is a loopback address"),
        ("10.1.2.3:443", "10.1.2.3 is a private address"),
        ("169.254.169.254:80", "169.254.169.254 is a cloud metadata address"),
        ("[::ffff:10.0.0.1]:80", "is an IPv4-mapped address"),
        ("198.18.0.1:80", "198.18.0.1 stands for no name that was looked up here"),
        ("127.1:80", "127.0.0.1 is a loopback address"),
        ("2130706433:80", "127.0.0.1 is a loopback address"),
        ("0x7f.1:80", "127.0.0.1 is a loopback address"),
    ],
)
async def test_an_address_that_is_not_public_is_answered_403_with_the_reason(
    attach: Attach, authority: str, why: str
) -> None:
    async with attach() as stage:
        answer = (await stage.through_proxy(connect_to(authority))).decode()
        status, _, _ = answer.partition("\r\n")
        assert status.startswith("HTTP/1.1 403 ")
        assert why in status, "which is what clients tell of an answer to CONNECT"
        assert why in answer.partition("\r\n\r\n")[2]
        assert "may not be reached" in answer
        (event,) = stage.handle.events
        assert not event.allowed
        assert event.reason in answer


@pytest.mark.requirement("egress:rebinding")
async def test_the_address_that_was_judged_is_the_one_dialled(attach: Attach) -> None:
    asked: list[str] = []

    def resolve(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return ["10.0.0.1", "127.0.0.1", "::1"] if len(asked) == 1 else ["127.0.0.2"]

    async with serving(web) as port, attach(allowing(f"127.0.0.1:{port}"), resolve=resolve) as stage:
        request = connect_to(f"Rebind.Test.:{port}") + b"GET / HTTP/1.1\r\n\r\n"
        assert (await stage.through_proxy(request)).endswith(b"body 0")
        assert asked == ["rebind.test"]
        assert b" 403 " in await stage.through_proxy(request)
        first, second = stage.handle.events
        assert (first.host, first.address, first.allowed) == ("rebind.test", "127.0.0.1", True)
        assert (second.host, second.address, second.allowed) == ("rebind.test", "127.0.0.2", False)


@pytest.mark.requirement("egress:unreachable")
async def test_what_cannot_be_reached_is_answered_502_with_the_reason(attach: Attach) -> None:
    port = closed_port()
    async with attach(allowing(f"127.0.0.1:{port}"), resolve=nothing_found) as stage:
        answer = await stage.through_proxy(connect_to("nowhere.test:443"))
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert answer.endswith(b"nowhere.test:443 could not be reached: the name was not found.\n")
        answer = await stage.through_proxy(connect_to(f"127.0.0.1:{port}"))
        assert answer.endswith(b"could not be reached: connection refused.\n")
        assert [event.allowed for event in stage.handle.events] == [True, True]


@pytest.mark.requirement("egress:bounded")
async def test_a_lookup_that_does_not_end_is_given_up(attach: Attach) -> None:
    release = threading.Event()

    def stuck(_host: str, _port: int) -> Sequence[str]:
        release.wait(120)
        return ["127.0.0.1"]

    async with attach(resolve=stuck, connect_timeout=0.2) as stage:
        answers = await asyncio.gather(*(stage.through_proxy(connect_to("slow.test:443")) for _ in range(20)))
        release.set()
        assert all(answer.endswith(b"no response within 0.2 s.\n") for answer in answers)


@pytest.mark.requirement("egress:none")
async def test_without_internet_no_name_is_even_looked_up_but_allowed_pairs_work(attach: Attach) -> None:
    asked: list[str] = []

    def resolve(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with serving(web) as port:
        policy = EgressPolicy("none", frozenset({f"stand-in.test:{port}"}))
        async with attach(policy, resolve=resolve) as stage:
            for authority in ("example.com:443", "93.184.216.34:443"):
                answer = await stage.through_proxy(connect_to(authority))
                assert answer.endswith(b"workflows have no network here (CODEWORDS_EGRESS=none).\n")
            assert asked == []
            request = connect_to(f"stand-in.test:{port}") + b"GET / HTTP/1.1\r\n\r\n"
            assert (await stage.through_proxy(request)).endswith(b"body 0")


@pytest.mark.requirement("egress:malformed")
@pytest.mark.parametrize(
    ("request_bytes", "status", "message"),
    [
        (b"\x16\x03\x01 nonsense\r\n\r\n", 400, "not a valid HTTP/1.1 request"),
        (b"CONNECT ex\xc3\xa4mple.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not a valid HTTP/1.1 request"),
        (proxy_head("CONNECT a.com:443 HTTP/2.0"), 400, "speaks HTTP/1.1"),
        (proxy_head("GET /path HTTP/1.1"), 400, "This is a proxy"),
        (proxy_head("GET https://example.com/ HTTP/1.1"), 400, "This is a proxy"),
        (proxy_head("CONNECT example.com HTTP/1.1"), 400, "not a host and a port"),
        (proxy_head("CONNECT example.com:99999 HTTP/1.1"), 400, "not a host and a port"),
        (proxy_head("CONNECT a..b:443 HTTP/1.1"), 400, "not a host and a port"),
        (proxy_head("CONNECT [::1:443 HTTP/1.1"), 400, "not a host and a port"),
        (b"CONNECT a:1 HTTP/1.1\r\nx: " + b"y" * 40_000, 431, "over 32768 bytes"),
        (proxy_head("CONNECT a:1 HTTP/1.1", "x: " + "y" * 60_000), 431, "over 32768 bytes"),
        (proxy_head("GET http://a.com/ HTTP/1.1", "Host : evil"), 400, "a header is malformed"),
        (proxy_head("GET http://a.com/ HTTP/1.1", "no colon"), 400, "a header is malformed"),
        (proxy_head("GET http://a.com/ HTTP/1.1", "Host: twice"), 400, "a header is malformed"),
        (proxy_head("GET http://a.com/ HTTP/1.1", "x: a\0b"), 400, "a header is malformed"),
        (proxy_head("GET http://a.com/ HTTP/1.1", "Content-Length: +5"), 400, "a header is malformed"),
        (proxy_head("GET http://a.com/ HTTP/1.1", "Transfer-Encoding: gzip"), 400, "a header is malformed"),
        (b"GET http://a.com/ HTTP/1.1\r\n\r\n", 400, "a header is malformed"),
        (
            proxy_head("POST http://a.com/ HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked"),
            400,
            "both Content-Length and Transfer-Encoding",
        ),
    ],
)
async def test_what_is_no_proxy_request_is_answered_by_a_sentence(
    attach: Attach, request_bytes: bytes, status: int, message: str
) -> None:
    async with attach() as stage:
        answer = (await stage.through_proxy(request_bytes)).decode()
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert message in answer
        assert stage.handle.events == ()


@pytest.mark.requirement("egress:events")
async def test_events_reach_the_listener_and_are_bounded(attach: Attach) -> None:
    heard: list[str] = []

    def listener(sandbox: str, event: EgressEvent) -> None:
        heard.append(f"{sandbox} {event.host}")

    async with attach(on_event=listener) as stage:
        for start in range(0, 1010, 10):
            await asyncio.gather(
                *(
                    stage.through_proxy(connect_to(f"10.0.{n // 250}.{n % 250}:80"))
                    for n in range(start, start + 10)
                )
            )
        assert len(heard) == 1010
        assert "sandbox-1 10.0.0.0" in heard
        assert len(stage.handle.events) == 1000
        await stage.handle.close()
        assert len(stage.handle.events) == 1000
