"""Bodies arrive whole or are refused, whatever a client offers, declares, holds back or closes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from tests.integration.http.helpers import CONCURRENCY, deploy_probe, open_door
from tests.support.http_runtime import Door, Wire
from tests.support.waiting import until

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.middleware.client_connection import ClientConnection
from codewords_mcp.http.middleware.protocol import BoundedProtocol

H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
OFFERS = {
    "h2c": H2C,
    "tls": ("Connection: upgrade", "Upgrade: TLS/1.0, HTTP/1.1"),
    "several": ("Connection: keep-alive, Upgrade", "Upgrade: h2c, websocket"),
    "websocket named among others": ("Connection: Upgrade", "Upgrade: foo/2, websocket"),
}
BODY = b'{"name": "Ada"}'


def answer_of(wire: Wire) -> tuple[int, bytes]:
    """Status and body of the next response."""
    head = wire.head()
    status = int(head.split()[1])
    if "content-length: " in head:
        length = int(head.partition("content-length: ")[2].split()[0])
        while len(wire.unread) < length:
            wire.unread += wire.raw.recv(65536)
        body, wire.unread = wire.unread[:length], wire.unread[length:]
        return status, body
    body = b""
    while size := int(wire.until(b"\r\n"), 16):
        while len(wire.unread) < size + 2:
            wire.unread += wire.raw.recv(65536)
        body, wire.unread = body + wire.unread[:size], wire.unread[size + 2 :]
    wire.until(b"\r\n")
    return status, body


def sent(how: str, wire: Wire, method: str, path: str, *headers: str, body: bytes = BODY) -> None:
    """A request whose body is declared, in chunks, or follows after the head."""
    if how == "chunked":
        framed = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        wire.request(method, path, *headers, "Transfer-Encoding: chunked", body=framed)
    elif how == "declared":
        wire.request(method, path, *headers, f"Content-Length: {len(body)}", body=body)
    else:
        wire.request(method, path, *headers, f"Content-Length: {len(body)}")
        for byte in body:
            wire.send(bytes([byte]))


@pytest.mark.requirement("http:upgrade-offers")
@pytest.mark.parametrize("how", ["declared", "chunked", "later"])
@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_to_upgrade_is_ignored_and_the_body_arrives(
    door: Door, probe: str, offer: str, how: str
) -> None:
    with door.connect() as wire:
        for _ in range(2):  # the connection goes on being one of HTTP/1.1
            sent(how, wire, "POST", f"/run/{probe}/echo", *OFFERS[offer])
            status, content = answer_of(wire)
            seen = json.loads(content)
            assert (status, seen["size"]) == (200, len(BODY))
            assert not {"upgrade", "http2-settings"} & {name for name, _ in seen["headers"]}


@pytest.mark.requirement("http:upgrade-offers")
@pytest.mark.parametrize("how", ["declared", "chunked"])
def test_what_an_offer_to_upgrade_comes_with_is_stored_and_run_whole(
    door: Door, http: httpx.Client, probe: str, how: str
) -> None:
    hook = http.post("/webhooks", json={"service_id": probe}).json()["url"]
    links = http.post("/file?filename=a").json()
    with door.connect() as wire:
        sent(how, wire, "POST", hook[hook.index("/webhook/") :], *H2C)
        delivery = json.loads(answer_of(wire)[1])["delivery"]
        assert http.get(f"/webhooks/deliveries/{delivery}").json()["size"] == len(BODY)

        sent(how, wire, "PUT", links["upload_uri"].removeprefix(door.url), *H2C)
        assert json.loads(answer_of(wire)[1]) == {"size": len(BODY)}

        sent(how, wire, "POST", f"/run_async/{probe}/echo", *H2C)
        run = json.loads(answer_of(wire)[1])["request_id"]
        assert http.get(f"/result/{run}?timeout=60").json()["responseJson"]["size"] == len(BODY)

        sent(how, wire, "POST", "/keys", *H2C, "Content-Type: application/json", body=b'{"owner": "by-h2c"}')
        assert answer_of(wire)[0] == 201


@pytest.mark.requirement("http:upgrade-offers")
def test_offers_are_ignored_on_requests_without_a_body_pipelined_ones_and_old_ones(door: Door) -> None:
    with door.connect() as wire:
        for _ in range(3):
            wire.request("GET", "/healthz", *H2C)
        assert [answer_of(wire)[0] for _ in range(3)] == [200] * 3
    with door.connect() as wire:
        wire.send(b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert "200 ok" in wire.head()
        wire.until(b"never")
    with door.connect() as wire:
        wire.request("GET", "/healthz", "Connection: close, Upgrade", "Upgrade: h2c")
        assert "connection: close" in wire.head()
    with door.connect() as wire:
        wire.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        assert "400 bad request" in wire.head()


class ImpatientProtocol(BoundedProtocol):
    body_timeout = 0.3


Impatient = tuple[Door, httpx.Client, str]


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Impatient]:
    """A server that waits a moment for bodies, a client of it, and the probe there."""
    with (
        open_door(tmp_path_factory.mktemp("impatient"), ImpatientProtocol) as opened,
        opened.client() as http,
    ):
        yield opened, http, deploy_probe(opened)


@pytest.mark.requirement("http:whole-bodies")
@pytest.mark.parametrize("kind", ["run", "run_async", "webhook", "file"])
def test_a_body_that_stalls_is_refused_and_nothing_of_it_is_stored_or_run(
    impatient: Impatient, kind: str
) -> None:
    door, http, probe = impatient
    hook = http.post("/webhooks", json={"service_id": probe}).json()["url"]
    links = http.post("/file?filename=a").json()
    method, path = {
        "run": ("POST", f"/run/{probe}/echo"),
        "run_async": ("POST", f"/run_async/{probe}/echo"),
        "webhook": ("POST", hook[hook.index("/webhook/") :]),
        "file": ("PUT", links["upload_uri"].removeprefix(door.url)),
    }[kind]
    before = http.get(f"/runs?service_id={probe}&limit=1").json()["items"]
    for headers, begun in (
        (["Content-Length: 10"], b"123"),
        (["Content-Length: 10"], b""),
        (["Transfer-Encoding: chunked"], b"3\r\n123\r\n"),
    ):
        if kind.startswith("run") and "chunked" in headers[0]:
            continue  # begins at once, since it may be a stream
        with door.connect() as wire:
            wire.request(method, path, *headers, body=begun)
            status, content = answer_of(wire)
            assert (status, json.loads(content)["error"]["code"]) == (408, "request_timed_out")
            assert wire.until(b"never") == b""
    after = http.get(f"/runs?service_id={probe}&limit=1").json()["items"]
    assert [run["id"] for run in after] == [run["id"] for run in before]
    if kind == "file":
        assert httpx.put(links["upload_uri"], content=b"whole", trust_env=False).json() == {"size": 5}


@pytest.mark.requirement("http:whole-bodies")
def test_half_sent_bodies_hold_no_slot_of_their_caller(door: Door, http: httpx.Client, probe: str) -> None:
    with ExitStack() as stack:
        for _ in range(CONCURRENCY * 5):
            wire = stack.enter_context(door.connect())
            wire.request(
                "POST", f"/run/{probe}/", "Content-Type: application/json", "Content-Length: 10", body=b"{"
            )
        assert http.post(f"/run/{probe}/", json={}).status_code == 200
        assert http.get("/runs?status=running").json()["items"] == []


@pytest.mark.requirement("http:whole-bodies")
def test_a_stream_that_stalls_ends_its_run(
    impatient: Impatient,
) -> None:
    door, http, probe = impatient
    with door.connect() as wire:
        wire.request("POST", f"/run/{probe}/echo", "Transfer-Encoding: chunked", body=b"3\r\n123\r\n")
        assert "408" in wire.head()
    until(lambda: http.get("/runs?status=running").json()["items"] == [], "the run to end")


@pytest.mark.requirement("http:half-close")
@pytest.mark.parametrize("path", ["/run/{probe}/echo", "/healthz", "/keys"])
def test_a_client_that_ends_its_side_gets_its_answer(door: Door, probe: str, path: str) -> None:
    with door.connect() as wire:
        wire.request("POST" if "run" in path else "GET", path.format(probe=probe), "Content-Length: 0")
        wire.raw.shutdown(socket.SHUT_WR)
        said = wire.until(b"never")
    assert b"HTTP/1.1 200 OK" in said
    assert said.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"").startswith(b"HTTP/1.1 200 OK")


@pytest.mark.requirement("http:half-close", "http:hang-up")
def test_who_ends_its_side_and_then_leaves_cancels_its_run(
    door: Door, http: httpx.Client, probe: str
) -> None:
    with door.connect() as wire:
        wire.request("GET", f"/run/{probe}/hang")
        until(lambda: http.get("/runs?status=running").json()["items"] != [], "the run to begin")
        wire.raw.shutdown(socket.SHUT_WR)
        assert b"100 Continue" in wire.until(b"\r\n\r\n")
    until(lambda: http.get("/runs?status=running").json()["items"] == [], "the run to be cancelled")


@pytest.mark.requirement("http:whole-bodies")
@pytest.mark.anyio
@pytest.mark.parametrize("declared", [3, 2000])
async def test_a_body_that_is_not_as_long_as_declared_is_refused(declared: int) -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"12345", "more_body": False}

    with pytest.raises(InvalidInput, match=f"5 of {declared} bytes"):
        async with ClientConnection(receive, [(b"content-length", str(declared).encode())], limit=10_000):  # type: ignore[arg-type]
            pass
