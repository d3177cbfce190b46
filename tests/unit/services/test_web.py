"""The guarded client: what it refuses to reach, and what it refuses to take."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import zlib
from pathlib import Path

import httpcore2
import pytest
from tests.support.certificates import certificate
from tests.unit.services.helpers import origin, reply, web

from codewords_mcp.errors import AddressRefused, InvalidInput, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.web.dial import Dialler, DialRefused, Share
from codewords_mcp.runtime.web.judged_transport import JudgedBackend

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("services:addresses")
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost:8080/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/",
        "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://192.168.1.1/", "http://172.16.0.1/",
        "http://100.64.0.1/", "http://[fd00::1]/", "http://[fe80::1]/", "http://2130706433/", "http://0x7f.0.0.1/",
        "http://127.1/", "http://0177.0.0.1/", "http://[64:ff9b::7f00:1]/",
    ],
)  # fmt: skip
async def test_no_private_address_is_reached_however_it_is_written(url: str) -> None:
    async with web() as client:
        with pytest.raises((AddressRefused, UpstreamFailed)) as caught:
            await client.fetch(url)
        assert "not be reached" in caught.value.message


@pytest.mark.requirement("services:addresses")
@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0177.0.0.1", "0x7f.0.0.1", "127.0.0.1", "①②⑦.1", "127。1"]
)
async def test_a_numeric_host_is_dialled_as_the_address_that_was_judged(host: str) -> None:
    async with origin(reply(b"hello")) as port:
        async with web(port) as client:
            found = await client.fetch(f"http://{host}:{port}/")
            assert (found.body, found.url) == (b"hello", f"http://127.0.0.1:{port}/")
        async with web() as client:
            with pytest.raises(AddressRefused, match="loopback"):
                await client.fetch(f"http://{host}:{port}/")


@pytest.mark.requirement("services:addresses")
@pytest.mark.parametrize("host", ["example.1", "256.1.1.1", "1.2.3.4.5", "4294967296"])
async def test_a_host_that_ends_in_a_number_and_is_no_address_is_none(host: str) -> None:
    async with web() as client:
        with pytest.raises(InvalidInput):
            await client.fetch(f"http://{host}/")


@pytest.mark.requirement("services:addresses")
async def test_exactly_the_judged_addresses_are_dialled_though_the_name_rebinds() -> None:
    answers = itertools.chain(
        [["93.184.215.14", "10.0.0.9", "2606:2800:21f::1"]], itertools.repeat(["127.0.0.1"])
    )
    dialler, network = Dialler(lambda _host, _port: next(answers), 1.0), NotingNetwork()
    backend = JudgedBackend(dialler, EgressPolicy(), Share(1), network)
    with pytest.raises(httpcore2.ConnectError):
        await backend.connect_tcp("page.example", 443)
    assert network.dialled == [("93.184.215.14", 443), ("2606:2800:21f::1", 443)]

    with pytest.raises(DialRefused, match="loopback"):  # the name points elsewhere by now
        await backend.connect_tcp("page.example", 443)
    assert len(network.dialled) == 2
    dialler.close()


@pytest.mark.requirement("services:addresses")
async def test_an_address_that_does_not_answer_does_not_hold_up_the_next() -> None:
    class HalfDead(httpcore2.AsyncMockBackend):
        async def connect_tcp(
            self, host: str, *args: object, **options: object
        ) -> httpcore2.AsyncNetworkStream:
            if ":" in host:
                await asyncio.get_running_loop().create_future()
            return httpcore2.AsyncMockStream([host.encode()])

    dialler = Dialler(lambda _host, _port: ["2606:2800:21f::1", "93.184.215.14"], 1.0)
    backend = JudgedBackend(dialler, EgressPolicy(), Share(1), HalfDead([]))
    stream = await backend.connect_tcp("page.example", 443)
    assert await stream.read(100) == b"93.184.215.14"
    dialler.close()


@pytest.mark.requirement("services:addresses")
async def test_tls_is_verified_for_the_name_though_an_address_is_dialled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []
    context = certificate(tmp_path, "page.example")
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    async with (
        origin(reply(b"hello"), context) as port,
        web(port, resolve=lambda _host, _port: ["127.0.0.1"]) as client,
    ):
        assert (await client.fetch(f"https://Page.example:{port}/")).body == b"hello"
        with pytest.raises(UpstreamFailed, match="could not be reached"):
            await client.fetch(f"https://other.example:{port}/")
    assert asked == ["page.example", "other.example"]


@pytest.mark.requirement("services:addresses")
async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with origin(reply(b"{}")) as port, web(port) as client:
        assert (await client.fetch(f"http://127.0.0.1:{port}/")).body == b"{}"
        assert (await client.api(f"http://127.0.0.1:{port}", "/")).json() == {}


@pytest.mark.requirement("services:addresses")
async def test_cookies_live_as_long_as_the_redirects_of_one_call() -> None:
    heads: list[str] = []

    async def baking(head: str, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        status = "302 Found" if head.startswith("GET /first ") else "200 OK"
        await reply(b"", status, Location="/second", Set_Cookie="crumb=1; Path=/")(head, writer)

    async with origin(baking) as port, web(port, resolve=lambda _host, _port: ["127.0.0.1"]) as client:
        for _ in range(2):
            await client.fetch(f"http://page.example:{port}/first")
        assert ["cookie: crumb=1" in head.lower() for head in heads] == [False, True, False, True]

        heads.clear()
        for _ in range(2):
            await client.api(f"http://127.0.0.1:{port}", "/first")
        assert not any("cookie:" in head.lower() for head in heads)


@pytest.mark.requirement("services:caps")
async def test_headers_and_queries_beyond_ascii_are_sent_in_utf8() -> None:
    heads: list[str] = []

    async def noting(head: str, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        await reply()(head, writer)

    async with origin(noting) as port, web(port) as client:
        await client.fetch(f"http://127.0.0.1:{port}/é?q=ü%2F#part", headers={"X-Name": "Ämber"})
        await client.api(
            f"http://127.0.0.1:{port}", "/a?b=1", params={"q": "ü &"}, form={"f": "ö"}, method="POST"
        )
    assert heads[0].startswith("GET /%C3%A9?q=%C3%BC%2F HTTP/1.1")
    assert "Ämber" in heads[0]
    assert heads[1].startswith("POST /a?b=1&q=%C3%BC+%26 HTTP/1.1")
    assert "application/x-www-form-urlencoded" in heads[1]


class NotingNetwork(httpcore2.AsyncNetworkBackend):
    """A network in which nothing answers."""

    def __init__(self) -> None:
        self.dialled: list[tuple[str, int]] = []

    async def connect_tcp(
        self, host: str, port: int, *args: object, **options: object
    ) -> httpcore2.AsyncNetworkStream:
        self.dialled.append((host, port))
        raise httpcore2.ConnectError


@pytest.mark.requirement("services:addresses")
async def test_a_name_is_judged_by_what_it_resolves_to_each_time(anyio_backend: str) -> None:
    async with origin(reply(b"hello")) as port:
        async with web(port, resolve=lambda _host, _port: ["127.0.0.1"]) as client:
            assert (await client.fetch(f"http://page.example:{port}/")).body == b"hello"
        answers = itertools.chain([["127.0.0.1"]], itertools.repeat(["10.0.0.9"]))
        async with web(port, resolve=lambda _host, _port: next(answers)) as client:
            await client.fetch(f"http://page.example:{port}/")
            with pytest.raises(AddressRefused, match=r"10\.0\.0\.9 is a private address"):
                await client.fetch(f"http://page.example:{port}/")


@pytest.mark.requirement("services:addresses")
@pytest.mark.parametrize("target", ["http://127.0.0.1:1/", "http://inside.example/", "//169.254.169.254/"])
async def test_each_redirect_is_judged_anew(target: str) -> None:
    async with (
        origin(reply(status="302 Found", Location=target)) as port,
        web(port, resolve=lambda _host, _port: ["192.168.0.1"]) as client,
    ):
        with pytest.raises(AddressRefused):
            await client.fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.requirement("services:addresses")
async def test_a_workflows_own_list_holds_for_services_too() -> None:
    async with (
        origin(reply(b"hello")) as port,
        web(port, resolve=lambda _host, _port: ["127.0.0.1"]) as client,
    ):
        narrow = client.policy.narrowed(["api.example"])
        assert (await client.fetch(f"http://api.example:{port}/", policy=narrow)).body == b"hello"
        with pytest.raises(AddressRefused, match="manifest does not list it"):
            await client.fetch(f"http://page.example:{port}/", policy=narrow)


@pytest.mark.requirement("services:addresses")
@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://example.org/", "example.org", "http://", "http://a:b@example.org/", "http://[::1", "http://exa mple/", "gopher://x", "http://example.org:99999/"])  # fmt: skip
async def test_what_is_no_web_address_gets_a_sentence(url: str) -> None:
    async with web() as client:
        with pytest.raises(InvalidInput, match="address"):
            await client.fetch(url)


@pytest.mark.requirement("services:caps")
async def test_redirects_are_followed_up_to_a_number_and_lose_credentials_elsewhere() -> None:
    seen: list[str] = []

    async def loop(head: str, writer: asyncio.StreamWriter) -> None:
        seen.append(head)
        await reply(status="301 Moved", Location="/again")(head, writer)

    async with origin(reply(b"end")) as end, origin(loop) as port, web(port, end) as client:
        with pytest.raises(UpstreamFailed, match="redirects more than 10 times"):
            await client.fetch(f"http://127.0.0.1:{port}/")
        assert len(seen) == 11

        async def elsewhere(head: str, writer: asyncio.StreamWriter) -> None:
            await reply(status="302 Found", Location=f"http://127.0.0.1:{end}/")(head, writer)

        async with origin(elsewhere) as first:
            client.policy = EgressPolicy(allow_private=frozenset({f"127.0.0.1:{end}", f"127.0.0.1:{first}"}))
            found = await client.fetch(f"http://127.0.0.1:{first}/", headers={"Authorization": "secret"})
            assert (found.body, found.url) == (b"end", f"http://127.0.0.1:{end}/")


@pytest.mark.requirement("services:caps")
async def test_a_page_that_is_too_large_or_has_no_end_is_refused() -> None:
    async def endless(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    for answer in (reply(b"", Content_Type="x"), endless):
        async with origin(answer) as port, web(port) as client:
            if answer is endless:
                with pytest.raises(UpstreamFailed, match="larger than 1 MiB"):
                    await client.fetch(f"http://127.0.0.1:{port}/", max_bytes=1 << 20)
            else:
                assert (await client.fetch(f"http://127.0.0.1:{port}/")).body == b""

    async def declared(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n")
        await writer.drain()

    async with origin(declared) as port, web(port) as client:
        with pytest.raises(UpstreamFailed, match="larger than 10 MiB"):
            await client.fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.requirement("services:caps")
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_zip_bomb_is_inflated_no_further_than_the_limit(encoding: str) -> None:
    plain = b"\0" * (64 << 20)
    packed = gzip.compress(plain) if encoding == "gzip" else zlib.compress(plain)
    assert len(packed) < 1 << 20
    async with origin(reply(packed, Content_Encoding=encoding)) as port, web(port) as client:
        with pytest.raises(UpstreamFailed, match="larger than 10 MiB"):
            await client.fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.requirement("services:caps")
async def test_compressed_answers_arrive_whole_and_damaged_ones_get_a_sentence() -> None:
    plain = b"".join(f"{number} ".encode() for number in range(20000))
    raw = zlib.compressobj(wbits=-15)
    members = b"".join(gzip.compress(plain[at : at + 10_000]) for at in range(0, len(plain), 10_000))
    for body, encoding in (
        (gzip.compress(plain), "gzip"), (members, "gzip"), (zlib.compress(plain), "deflate"), (raw.compress(plain) + raw.flush(), "deflate"),
    ):  # fmt: skip
        async with origin(reply(body, Content_Encoding=encoding)) as port, web(port) as client:
            assert (await client.fetch(f"http://127.0.0.1:{port}/")).body == plain
    for body, encoding in ((b"not gzip at all", "gzip"), (plain, "br")):
        async with origin(reply(body, Content_Encoding=encoding)) as port, web(port) as client:
            with pytest.raises(UpstreamFailed, match="compressed"):
                await client.fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.requirement("services:caps")
async def test_a_page_that_does_not_come_to_an_end_in_time_is_told() -> None:
    async def slow(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        await writer.drain()
        await asyncio.sleep(60)

    async with origin(slow) as port, web(port) as client:
        with pytest.raises(UpstreamTimedOut, match=r"within 0\.2 s"):
            await client.fetch(f"http://127.0.0.1:{port}/", seconds=0.2)

    async def cut(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        await writer.drain()

    async with origin(cut) as port, web(port) as client:
        with pytest.raises(UpstreamFailed, match="broke off"):
            await client.fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.requirement("services:addresses")
async def test_an_address_of_the_settings_may_be_private_but_leads_nowhere_else() -> None:
    async with origin(reply(b'{"ok": true}')) as port, web() as client:
        assert (await client.api(f"http://127.0.0.1:{port}/v1", "/x", params={"q": "a b"})).json() == {
            "ok": True
        }
    async with origin(reply(status="302 Found", Location="http://127.0.0.1:1/")) as port, web() as client:
        with pytest.raises(UpstreamFailed, match="redirects to another address"):
            await client.api(f"http://127.0.0.1:{port}", "/x")
    async with origin(reply(b"<html>")) as port, web() as client:
        with pytest.raises(UpstreamFailed, match="did not respond with JSON"):
            (await client.api(f"http://127.0.0.1:{port}", "/x")).json()
