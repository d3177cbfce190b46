"""The host that a program names inside its connection is the one that it connected to."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.egress import Attach, echo, serving

from codewords_mcp.runtime.egress import host_check as checks
from codewords_mcp.runtime.egress.client_hello import read_client_hello
from codewords_mcp.runtime.egress.host_check import HostCheck
from codewords_mcp.runtime.model.egress_policy import EgressPolicy

pytestmark = pytest.mark.requirement("egress:named-host")

HOST = "api.example.com"
Split = Callable[[bytes], list[bytes]]


def hello(name: str | None) -> bytes:
    """A real ClientHello."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    talk = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        talk.do_handshake()
    return outgoing.read()


def judged(*pieces: bytes) -> tuple[bool | None, str]:
    """(the last verdict, why it was refused)."""
    reasons: list[str] = []
    check, verdict = HostCheck(HOST, reasons.append), True
    for piece in pieces:
        verdict = check(piece)
        if verdict is not True:
            break
    return verdict, "".join(reasons)


def whole(data: bytes) -> list[bytes]:
    return [data]


def each(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


@pytest.mark.parametrize("split", [whole, each], ids=["whole", "byte by byte"])
def test_the_name_in_a_tls_handshake_is_the_host_that_was_dialled(split: Split) -> None:
    assert judged(*split(hello(HOST))) == (None, "")
    assert judged(*split(hello(HOST.upper()))) == (None, "")
    assert judged(*split(hello("evil.example.com"))) == (False, checks.OTHER_SNI)
    assert judged(*split(hello("example.com"))) == (False, checks.OTHER_SNI)
    assert judged(*split(hello(None))) == (False, checks.NO_SNI)


def test_a_handshake_in_several_records_is_read_and_one_that_is_none_is_refused() -> None:
    whole = hello("evil.example.com")
    body = whole[5:]
    records = b"".join(
        b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in (body[:7], body[7:40], body[40:])
    )
    assert judged(records) == (False, checks.OTHER_SNI)
    assert judged(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00") == (False, checks.BAD_HELLO)
    assert judged(b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03") == (False, checks.BAD_HELLO)
    assert judged(b"\x16\x03\x01\xff\xff" + b"\x01\xff\xff\xff" + b"x" * 70_000) == (False, checks.BAD_HELLO)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reading_of_a_handshake(data: bytes) -> None:
    with contextlib.suppress(ValueError, IndexError):
        read_client_hello(b"\x16" + data)
    assert judged(b"\x16" + data)[0] in {True, False, None}


GOOD = b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
EVIL = b"GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: api.example.com:80\r\nContent-Length: %d\r\n\r\n%b"
CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)
WHITE = (b"\t", b"\x0b", b"\x0c", b"\r", b" \t", b"\r \x0b")
"""What a host may take for the space between two words of a request's first line (RFC 9112, 3)."""
H2C = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


@pytest.mark.parametrize("split", [whole, each], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (GOOD, ""), (GOOD * 3, ""), (POST % (len(EVIL), EVIL) + GOOD, ""), (CHUNKED + GOOD, ""),
        (b"GET http://api.example.com/ HTTP/1.1\r\nHost: API.example.com.\r\n\r\n", ""),
        (b"GET / HTTP/1.0\r\n\r\n", ""), (b"\r\n\r\n" + GOOD, ""),
        (EVIL, checks.OTHER_HOST), (b"\r\n" + EVIL, checks.OTHER_HOST), (GOOD + EVIL, checks.OTHER_HOST),
        (POST % (3, b"abc") + EVIL, checks.OTHER_HOST), (CHUNKED + EVIL, checks.OTHER_HOST),
        (GOOD.replace(b"\r\n\r\n", b"\r\nHost: evil.example.com\r\n\r\n"), checks.OTHER_HOST),
        (b"GET http://evil.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n", checks.OTHER_HOST),
        (b"GET http://u@evil.example.com?q HTTP/1.1\r\nHost: api.example.com\r\n\r\n", checks.OTHER_HOST),
        (b"GET / HTTP/1.1\r\nAccept: *\r\n\r\n", checks.OTHER_HOST),
        (b"get / http/1.1\r\nHost: evil.example.com\r\n\r\n", checks.BAD_HTTP),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", checks.BAD_HTTP),
        (GOOD[:-2] + H2C + b"\r\n" + EVIL, checks.OTHER_HOST),
        (EVIL[:-2] + H2C + b"\r\n", checks.OTHER_HOST),
        ((POST % (3, b"abc")).replace(b"\r\n\r\n", b"\r\n" + H2C + b"\r\n") + EVIL, checks.OTHER_HOST),
        ((POST % (3, b"abc")).replace(b"\r\n\r\n", b"\r\n" + H2C + b"\r\n") + GOOD, ""),
        *((b"GET%b/%bHTTP/1.1\r\nHost: evil.example.com\r\n\r\n" % (gap, gap), checks.BAD_HTTP) for gap in WHITE),
        (b"GET ws://evil.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n", checks.OTHER_HOST),
        (b"GET x+y://evil.example.com HTTP/1.1\r\nHost: api.example.com\r\n\r\n", checks.BAD_HTTP),
        (b"GET /?to=ws://other.example.com HTTP/1.1\r\nHost: api.example.com\r\n\r\n", ""),
        (b"CONNECT evil.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\n\r\n", checks.OTHER_HOST),
        (b"GET http://evil.example.com/\r\n", checks.OTHER_HOST),
        (b"get\thttp://u@evil.example.com\n", checks.OTHER_HOST),
    ],
)  # fmt: skip
def test_every_request_without_tls_names_the_host_that_was_dialled(
    said: bytes, reason: str, split: Split
) -> None:
    verdict, why = judged(*split(said))
    assert (verdict, why) == (not reason, reason)


@pytest.mark.parametrize(
    "said",
    [
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"EHLO example.com\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"x" * 70_000,
        b"GET key\r\n",
        b"GET http://api.example.com/\r\n",
        b" \r\n",
        b"quit\r\n",
    ],
)
def test_what_is_neither_tls_nor_http_is_not_looked_into(said: bytes) -> None:
    assert judged(said)[0] is None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("word", [b"a", b"a ", b"\t", b"HTTP", b"a://"])
def test_a_long_line_holds_nobody_up(word: bytes) -> None:
    """Whatever it is made of, it is looked through once: the runtime does nothing else meanwhile."""
    line = (word * 60_000)[:60_000] + b"\n"
    for _ in range(50):
        assert judged(line)[0] is None


def test_a_handshake_in_very_many_records_is_refused() -> None:
    """Each piece that comes would be read from the beginning again."""
    body = hello(HOST)[5:]
    assert judged(b"".join(b"\x16\x03\x01\x00\x01" + bytes([byte]) for byte in body)) == (
        False,
        checks.BAD_HELLO,
    )


def on_loopback(_name: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


@pytest.mark.anyio
@pytest.mark.parametrize("listed", [True, False])
async def test_a_tunnel_to_a_listed_host_breaks_off_where_another_is_named_and_tells_why(
    attach: Attach, listed: bool
) -> None:
    async with serving(echo) as port:
        policy = EgressPolicy(
            allow_private=frozenset({f"{HOST}:{port}"}),
            hosts=frozenset({"*.example.com"}) if listed else None,
        )
        async with attach(policy, resolve=on_loopback) as stage:
            for said, passes in (
                (hello(HOST), True),
                (hello("evil.org"), False),
                (GOOD, True),
                (EVIL, False),
            ):
                reader, writer = await stage.open(stage.connect)
                writer.write(b"CONNECT %b:%d HTTP/1.1\r\nHost: a\r\n\r\n" % (HOST.encode(), port) + said)
                await reader.readuntil(b"\r\n\r\n")
                try:
                    answer = await reader.readexactly(len(said))
                except (ConnectionResetError, EOFError):
                    answer = b""
                assert (answer == said) == (passes or not listed)
                writer.close()
            told = [event.reason for event in stage.handle.events if not event.allowed]
            assert told == ([checks.OTHER_SNI, checks.OTHER_HOST] if listed else [])
