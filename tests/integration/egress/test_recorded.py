"""What a recorded sandbox's programs and hosts say to each other passes as it is, and is on record."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import sys
from pathlib import Path

import aiohttp
import httpx
import pytest
from tests.integration.egress.helpers import recorded
from tests.integration.secrets.fake_recorder import Library
from tests.integration.secrets.helpers import run
from tests.integration.secrets.interception import FREE, HOST, NAME, OTHER, VALUE
from tests.integration.secrets.tls_host import Ca, raw_host
from tests.support.egress import serving
from tests.support.waiting import until_async
from websockets.asyncio.client import connect

from codewords_mcp.runtime.recording.exchanges import Exchange

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def trusting(ca: Ca, *protocols: str) -> ssl.SSLContext:
    """A client that trusts this authority and nothing else, as with a bundle of its own."""
    context = ssl.create_default_context(cafile=str(ca.file))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def decoded(exchange: Exchange) -> str:
    body = exchange.body
    if dict(exchange.headers).get(b"content-encoding") == b"gzip":
        body = gzip.decompress(body)
    return body.decode()


@pytest.mark.requirement("recording:untouched")
async def test_the_usual_clients_notice_nothing_and_everything_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recorded(tmp_path, monkeypatch) as stand:
        program = str(Path(__file__).parent.parent / "secrets" / "client_programs.py")
        found: dict[str, str] = json.loads(await run(stand.stage, sys.executable, program, stand.url))
        assert [text for text in found.values() if text.startswith("failed")] == []
        asked = stand.stage.host.asked
        exchanges = await stand.exchanges(len(asked))
        assert stand.log.connections() == ()
        assert stand.stage.interception.unread == {}
        assert {one.outcome for one in exchanges} == {"sent"}
        assert [(one.request.method, one.request.url.split("?")[0]) for one in exchanges] == [
            (one["method"], stand.url + one["path"]) for one in asked
        ]
        shown = {one.request.url.removeprefix(stand.url): decoded(one) for one in exchanges if one.whole}
        for path in ("httpx", "httpx2", "aiohttp", "urllib3", "urllib"):
            assert shown[f"/{path}"] == found[path]
        assert {one["version"] for one in asked if one["path"] == "/httpx-h2"} == {"2"}
        big = next(one for one in exchanges if one.request.url.endswith("/big"))
        assert (big.size, len(big.body), big.whole) == (8 << 20, 1 << 20, False)
        sent = next(one for one in exchanges if one.request.url.endswith("/httpx-h2"))
        assert (sent.request.body, sent.whole) == (None, True)
        # The placeholder of a rule for another host means nothing here, and is not on record.
        assert stand.stage.placeholder not in repr([one.request for one in exchanges])


@pytest.mark.requirement("recording:untouched")
@pytest.mark.parametrize("http2", [False, True])
async def test_bodies_streams_and_heads_are_on_record_as_they_were_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, http2: bool
) -> None:
    async with (
        recorded(tmp_path, monkeypatch, secrets={"PLAIN": "plain-value-of-a-secret"}) as stand,
        stand.client(http2=http2) as http,
    ):
        packed = await http.get(f"{stand.url}/packed?coding=gzip")
        told = await http.post(f"{stand.url}/packed?coding=gzip", json={"key": "plain-value-of-a-secret"})
        stream = await http.post(f"{stand.url}/stream", content=b"body")
        head = await http.head(f"{stand.url}/ok")
        assert stream.text == "data: none\n\ndata: end\n\n"
        exchanges = await stand.exchanges(4)
        assert [one.status for one in exchanges] == [200, 200, 200, head.status_code]
        assert decoded(exchanges[0]) == packed.text
        assert dict(exchanges[0].headers)[b"content-encoding"] == b"gzip"
        assert exchanges[1].request.body == b'{"key":"[secret PLAIN]"}'
        # It was echoed within compressed bytes, which cannot be masked.
        assert "plain-value" in told.text
        assert (exchanges[1].body, exchanges[1].whole) == (b"", False)
        times = [at for at, _ in exchanges[2].chunks]
        assert (exchanges[2].body, times) == (stream.content, sorted(times))
        assert (exchanges[2].request.body, exchanges[3].body) == (b"body", b"")
        assert [one.whole for one in exchanges] == [True, False, True, True]


@pytest.mark.requirement("recording:pinned")
async def test_a_host_whose_client_does_not_trust_the_runtime_is_left_alone_from_the_next_connection_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recorded(tmp_path, monkeypatch) as stand:
        pinned = ssl.create_default_context(cafile=str(tmp_path / "test-authority.pem"))
        async with stand.client() as http:
            assert (await http.get(f"{stand.url}/read")).status_code == 200
        async with stand.client(pinned) as http:
            with pytest.raises(httpx.ConnectError):
                await http.get(f"{stand.url}/read")
            await until_async(lambda: bool(stand.stage.interception.unread))
            for _ in range(2):
                assert (await http.get(f"{stand.url}/read")).status_code == 200
        assert stand.stage.interception.unread == {FREE: "pinned certificate"}
        refused, tunnelled = await stand.connections(2)
        assert {one.why for one in (refused, tunnelled)} == {"pinned certificate"}
        assert (tunnelled.host, tunnelled.port) == (FREE, stand.stage.host.port)
        assert tunnelled.sent > 500
        assert tunnelled.received > 500
        assert len(stand.log.exchanges()) == 1
        assert len(stand.stage.host.asked) == 3


@pytest.mark.requirement("recording:pinned")
async def test_a_client_that_judges_the_certificate_after_the_handshake_is_left_alone_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recorded(tmp_path, monkeypatch) as stand:
        context = stand.stage.context
        context.set_alpn_protocols(["http/1.1"])
        _, writer = await stand.open(stand.stage.host.port, context)
        # It has compared a fingerprint.
        writer.close()
        await until_async(lambda: stand.stage.interception.unread == {FREE: "pinned certificate"})


@pytest.mark.requirement("recording:pinned")
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_host_that_asks_for_a_certificate_or_has_one_of_its_own_authority_is_left_alone_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newest: ssl.TLSVersion
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        named = writer.get_extra_info("peercert")
        body = b"known" if named else b"unknown"
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()

    folder = tmp_path / "private"
    folder.mkdir()
    ca, private, request = Ca(tmp_path), Ca(folder), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with (
        raw_host(private, OTHER, answer, newest=newest) as alone,
        raw_host(ca, FREE, answer, clients=private, newest=newest) as strict,
        recorded(tmp_path, monkeypatch, alone.port, strict.port, ca=ca) as stand,
    ):
        said = await stand.talk(alone.port, request, trusting(private, "http/1.1"), OTHER)
        assert said.endswith(b"unknown")
        assert stand.stage.interception.unread == {OTHER: "private certificate"}

        client = trusting(ca, "http/1.1")
        client.load_cert_chain(*private.issue("client.example"))
        said = await stand.talk(strict.port, request, client, FREE)
        assert said.endswith(b"known")

        connections = await stand.connections(2)
        assert [(one.host, one.why) for one in connections] == [
            (OTHER, "private certificate"),
            (FREE, "client certificate"),
        ]
        assert stand.log.exchanges() == ()


@pytest.mark.requirement("recording:unread")
async def test_what_is_no_http_passes_whoever_speaks_first_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        await writer.drain()
        writer.write(b"heard " + await reader.readline())
        await writer.drain()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"heard " + await reader.readexactly(8))
        await writer.drain()
        writer.close()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"220 mail\r\n"
        writer.write(b"EHLO there\r\n")
        assert await reader.readline() == b"heard EHLO there\r\n"

    ca = Ca(tmp_path)
    async with (
        serving(greet) as mail,
        serving(listen) as plain,
        raw_host(ca, FREE, greet) as secure_mail,
        raw_host(ca, FREE, listen) as secure,
        recorded(tmp_path, monkeypatch, mail, plain, secure_mail.port, secure.port, ca=ca) as stand,
    ):
        # One offers another protocol and trusts its own list only; one offers none.
        own, silent, agreeing = trusting(ca, "mail"), stand.stage.context, stand.stage.context
        agreeing.set_alpn_protocols(["h2", "http/1.1"])
        for port, tls, greets in (
            (mail, None, True),
            (plain, None, False),
            (secure_mail.port, own, True),
            (secure.port, own, False),
            (secure_mail.port, silent, True),
            (secure.port, silent, False),
            # These offer HTTP, and speak something else.
            (secure_mail.port, agreeing, True),
            (secure.port, agreeing, False),
        ):
            reader, writer = await stand.open(port, tls)
            if greets:
                await converse(reader, writer)
            else:
                writer.write(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
                assert await reader.readexactly(14) == b"heard \x00\x00\x00\x08\x04\xd2\x16\x2f"
            writer.close()
        connections = await stand.connections(8)
        assert [one.why for one in connections] == ["tcp"] * 2 + ["tls without HTTP"] * 6
        assert [(one.sent, one.received) for one in connections[:2]] == [(12, 28), (8, 14)]
        assert stand.log.exchanges() == ()
        assert stand.stage.interception.unread == {}


@pytest.mark.requirement("recording:late")
async def test_a_recorder_that_comes_late_is_told_what_follows_and_one_that_answers_gets_every_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with recorded(tmp_path, monkeypatch) as stand, stand.client() as http:
        interception = stand.stage.interception
        live, interception.recording = interception.recording, None
        assert (await http.get(f"{stand.url}/before")).status_code == 200
        assert stand.log.exchanges() == ()
        interception.recording = live
        assert (await http.get(f"{stand.url}/within")).status_code == 200
        assert len(await stand.exchanges(1)) == 1

        library = Library()
        library.holds = True
        interception.recording = library.recording()
        # The connection that was open is gone: nothing is sent on it any more.
        reply = await http.post(f"{stand.url}/write", content=b"data")
        assert reply.status_code == 409
        assert [one["path"] for one in stand.stage.host.asked] == ["/before", "/within"]
        assert len(stand.log.exchanges()) == 1


@pytest.mark.requirement("recording:untouched")
async def test_a_websocket_is_recorded_by_its_handshake_and_plain_http_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nplain\r\n0\r\n\r\n")
        await writer.drain()

    async with serving(answer) as port, recorded(tmp_path, monkeypatch, port) as stand:
        said = await stand.talk(port, b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert said.count(b"plain") == 2
        # It offers no protocol by ALPN.
        async with connect(
            f"wss://{FREE}:{stand.stage.host.port}/talk",
            ssl=stand.stage.context,
            proxy=f"http://127.0.0.1:{stand.stage.proxy}",
        ) as websocket:
            await websocket.recv()
            await websocket.send("hello")
            assert await websocket.recv() == "heard hello"
        proxy = f"http://127.0.0.1:{stand.stage.proxy}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{stand.url}/talk", proxy=proxy, ssl=stand.stage.context) as socket,
        ):
            await socket.receive_str()
            await socket.send_bytes(bytes(3 << 20))
            assert await socket.receive_bytes() == bytes(3 << 20)
        first, second, *opened = await stand.exchanges(4)
        assert [one.request.url for one in (first, second)] == [f"http://{FREE}:{port}/{n}" for n in (1, 2)]
        assert [(one.body, one.whole) for one in (first, second)] == [(b"plain", True)] * 2
        assert [(one.status, one.request.writes, one.body) for one in opened] == [(101, True, b"")] * 2
        assert [one.request.url for one in opened] == [f"{stand.url}/talk"] * 2
        assert (opened[0].size > len("heard hello"), opened[1].size > 3 << 20) == (True, True)
        assert opened[0].why_not_replayable == "what passes a websocket is not kept"
        assert stand.log.connections() == ()


@pytest.mark.requirement("recording:no-values")
@pytest.mark.parametrize("http2", [False, True])
async def test_a_host_of_a_rule_gets_the_value_and_its_exchanges_are_on_record_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, http2: bool
) -> None:
    async with (
        recorded(tmp_path, monkeypatch, certified=HOST, secrets={NAME: VALUE}) as stand,
        stand.client(http2=http2) as http,
    ):
        headers = {"Authorization": f"Bearer {stand.stage.placeholder}"}
        url = stand.stage.url
        replies = [
            await http.get(f"{url}/read", headers=headers),
            await http.post(f"{url}/write", headers=headers, json={"amount": 1}),
            await http.get(f"{url}/stream", headers=headers),
            await http.get(f"{url}/big", headers=headers),
            await http.post(f"{url}/write", json={"key": stand.stage.placeholder}),
        ]
        assert {reply.http_version for reply in replies} == {"HTTP/2" if http2 else "HTTP/1.1"}
        assert {one["headers"]["authorization"] for one in stand.stage.host.asked[:4]} == {f"Bearer {VALUE}"}
        exchanges = await stand.exchanges(5)
        assert [one.status for one in exchanges] == [200, 200, 200, 200, 0]
        assert [one.whole for one in exchanges] == [True, True, True, False, False]
        assert [one.request.writes for one in exchanges[:4]] == [False, True, False, False]
        assert dict(exchanges[0].request.headers)[b"authorization"] == f"Bearer [secret {NAME}]".encode()
        assert (exchanges[0].body, exchanges[1].request.body) == (replies[0].content, b'{"amount":1}')
        assert (exchanges[3].size, len(exchanges[3].body)) == (8 << 20, 1 << 20)
        for hidden in (VALUE, stand.stage.placeholder):
            assert hidden not in repr(exchanges)


@pytest.mark.requirement("recording:bounded")
async def test_an_endless_answer_passes_until_the_program_hangs_up_and_is_kept_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * (1 << 16) + b"\r\n")
            await writer.drain()

    ca = Ca(tmp_path)
    async with (
        raw_host(ca, FREE, answer) as endless,
        recorded(tmp_path, monkeypatch, endless.port, ca=ca) as stand,
    ):
        agreeing = stand.stage.context
        agreeing.set_alpn_protocols(["http/1.1"])
        reader, writer = await stand.open(endless.port, agreeing)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(32):
            await reader.readexactly(1 << 20)
        writer.transport.abort()
        (exchange,) = await stand.exchanges(1)
    assert exchange.size > 31 << 20
    assert (len(exchange.body), exchange.whole, exchange.status) == (1 << 20, False, 200)
    assert stand.stage.interception.unread == {}
