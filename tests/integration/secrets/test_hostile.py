"""What programs and hosts try on an intercepted connection, and what comes of it."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.integration.secrets.interception import HOST, OTHER, VALUE, Ground, connect, ground

from codewords_mcp.runtime.secrets.placeholders import new_placeholder

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def client(stage: Ground) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        proxy=f"http://127.0.0.1:{stage.proxy}", verify=stage.context, trust_env=False, timeout=20
    )


def bearer(stage: Ground) -> dict[str, str]:
    return {"Authorization": f"Bearer {stage.placeholder}"}


async def say(stage: Ground, request: str, *, server_name: str = HOST, to: str = HOST) -> bytes:
    """What comes back for raw bytes inside TLS."""

    def talk() -> bytes:
        with connect(stage, to) as sock:
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
            with stage.context.wrap_socket(sock, server_hostname=server_name) as secure:
                secure.settimeout(20)
                secure.sendall(request.replace("\n", "\r\n").encode())
                received = b""
                while piece := secure.recv(65536):
                    received += piece
                return received

    return await asyncio.to_thread(talk)


HEAD = "GET TARGET HTTP/1.1\nHost: NAMED\nConnection: close\nAuthorization: Bearer KEY\n\n"
BAD = {
    "two lengths": ("POST / HTTP/1.1\nHost: OWN\nContent-Length: 5\nContent-Length: 6\n\nhello", b"400"),
    "length and chunks": (
        "POST / HTTP/1.1\nHost: OWN\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\n\n",
        b"400",
    ),
    "odd coding": ("POST / HTTP/1.1\nHost: OWN\nTransfer-Encoding: chunked, gzip\n\n0\n\n", b"400"),
    "another host": (HEAD.replace("TARGET", "/").replace("NAMED", OTHER), b"421"),
    "two hosts": ("GET / HTTP/1.1\nHost: OWN\nHost: OWN\n\n", b"400"),
    "absolute form": (HEAD.replace("TARGET", f"https://{OTHER}/").replace("NAMED", "OWN"), b"400"),
    "connect": ("CONNECT other:1 HTTP/1.1\nHost: OWN\n\n", b"400"),
    "trace": ("TRACE / HTTP/1.1\nHost: OWN\n\n", b"400"),
    "a header over two lines": ("GET / HTTP/1.1\nHost: OWN\nX-A: b\n Authorization: c\n\n", b"200"),
    "a bare line feed in a name": ("GET / HTTP/1.1\nHost: OWN\nX A: b\n\n", b"400"),
    "a huge head": ("GET / HTTP/1.1\nHost: OWN\nX: " + "x" * (1 << 20) + "\n\n", b"4"),
    "no HTTP": ("EHLO there\n\n", b"400"),
    "bad chunks": ("POST / HTTP/1.1\nHost: OWN\nTransfer-Encoding: chunked\n\nzz\nhello\n0\n\n", b"400"),
}


@pytest.mark.requirement("rules:framing")
async def test_requests_that_could_be_read_in_two_ways_or_name_another_host_do_not_go_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path, monkeypatch, protocols=("http/1.1",)) as stage:
        own = f"{HOST}:{stage.host.port}"

        async def attempt(name: str, request: str, status: bytes) -> None:
            text = request.replace("OWN", own).replace("KEY", stage.placeholder)
            if name == "a header over two lines":
                text = text.replace("\n\n", "\nConnection: close\n\n")
            reply = await say(stage, text)
            assert reply.startswith(b"HTTP/1.1 " + status), (name, reply[:200])

        await asyncio.gather(*(attempt(name, *tried) for name, tried in BAD.items()))
        assert len(stage.host.asked) == sum(status == b"200" for _, status in BAD.values())
        assert all("authorization" not in asked["headers"] for asked in stage.host.asked)
        assert len(stage.refusals) >= len(BAD) - 1


@pytest.mark.requirement("rules:names")
async def test_a_connection_goes_by_the_name_that_it_was_made_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path, monkeypatch) as stage:
        with pytest.raises(ssl.SSLError):
            await say(stage, "GET / HTTP/1.1\n\n", server_name=OTHER)
        assert "another host by TLS (SNI)" in stage.refusals[0]
        with pytest.raises(ssl.SSLCertVerificationError):
            # an address is no name of a rule: it is tunnelled, to a certificate that the sandbox does not know
            await say(stage, "GET / HTTP/1.1\n\n", to="127.0.0.1")
        assert stage.host.asked == []


@pytest.mark.requirement("rules:placeholders")
async def test_a_placeholder_stands_for_the_value_at_its_host_and_in_its_places_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path, monkeypatch) as stage, client(stage) as http:
        foreign = new_placeholder(VALUE)
        other = stage.interception.credentials.every[1].placeholder
        encoded = base64.b64encode(stage.placeholder.encode()).decode()
        tries = {
            "does not belong to this sandbox": http.get(stage.url, headers={"Authorization": foreign}),
            "the placeholder of OTHER_KEY": http.get(stage.url, headers={"X-Key": other}),
            "in the query": http.get(f"{stage.url}/?key={stage.placeholder}"),
            "in the path": http.get(f"{stage.url}/{stage.placeholder}/x"),
            "its body holds the placeholder": http.post(stage.url, json={"key": stage.placeholder}),
            "encoded": http.post(stage.url, content=f"xx{encoded}xx"),
            "without its beginning": http.get(stage.url, headers={"X-Key": stage.placeholder[8:]}),
            "a header's name": http.get(stage.url, headers={f"x-{stage.placeholder}": "1"}),
        }
        for words, asking in tries.items():
            reply = await asking
            assert reply.status_code == 403, words
            assert words in reply.text
            assert words in stage.refusals[-1]
        assert all(VALUE not in json.dumps(asked) for asked in stage.host.asked)
        reply = await http.get(f"{stage.url}/fine", auth=(stage.placeholder, ""))
        assert reply.status_code == 200
        pair = base64.b64encode(f"{VALUE}:".encode()).decode()
        assert stage.host.asked[-1]["headers"]["authorization"] == f"Basic {pair}"
        assert pair not in reply.text


@pytest.mark.requirement("rules:placeholders")
async def test_a_placeholder_split_over_chunks_is_found_and_one_without_tls_goes_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def letters() -> AsyncIterator[bytes]:
        for letter in f"key={stage.placeholder}&more=" + "x" * 1000:
            yield letter.encode()

    async with ground(tmp_path, monkeypatch, protocols=("http/1.1",)) as stage, client(stage) as http:
        assert (await http.post(stage.url, content=letters())).status_code == 403
        assert all(stage.placeholder not in asked["body"] for asked in stage.host.asked)
        for host in (HOST, OTHER):
            with pytest.raises(httpx.HTTPError):
                await http.get(f"http://{host}:{stage.host.port}/", headers=bearer(stage))
            assert "not sent by TLS" in stage.refusals[-1]


@pytest.mark.requirement("rules:echo")
@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
async def test_an_echoed_value_does_not_come_back_compressed_streamed_or_in_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    async with ground(tmp_path, monkeypatch, protocols=(protocol,)) as stage:
        async with httpx.AsyncClient(
            proxy=f"http://127.0.0.1:{stage.proxy}",
            verify=stage.context,
            trust_env=False,
            timeout=60,
            http2=True,
        ) as http:
            for path in ("/?coding=gzip", "/?coding=deflate", "/", "/stream"):
                reply = await http.get(stage.url + path, headers=bearer(stage))
                assert reply.http_version == ("HTTP/2" if protocol == "h2" else "HTTP/1.1")
                shown = reply.text + json.dumps(dict(reply.headers))
                assert reply.status_code == 200
                assert VALUE not in shown
                assert "[secret STRIPE_API_KEY]" in shown
            assert json.loads((await http.get(stage.url, headers=bearer(stage))).text)["path"] == "/"
            assert (await http.head(stage.url, headers=bearer(stage))).status_code == 200
            for coding in ("br", "zstd", "gzip, gzip"):
                reply = await http.get(f"{stage.url}/", params={"coding": coding}, headers=bearer(stage))
                assert reply.status_code == 502, coding
                assert "cannot be read" in reply.text
        assert stage.host.asked[-1]["headers"]["accept-encoding"] == "gzip, deflate"


@pytest.mark.requirement("rules:redirects")
async def test_a_redirect_to_another_host_takes_no_value_along_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path, monkeypatch, protocols=("http/1.1",)) as stage, client(stage) as http:
        away = f"{stage.url}/away?to=https://elsewhere.example/"
        reply = await http.get(away, headers=bearer(stage))
        assert reply.status_code == 307
        assert "does not get the value of STRIPE_API_KEY" in stage.refusals[-1]


@pytest.mark.requirement("rules:bad-hosts")
async def test_a_host_whose_certificate_is_wrong_gets_nothing_and_a_program_that_trusts_nobody_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path, monkeypatch, certified="impostor.example") as stage, client(stage) as http:
        reply = await http.get(stage.url, headers=bearer(stage))
        assert reply.status_code == 502
        assert "certificate is not valid" in reply.text
        assert stage.host.asked == []
        pinned = httpx.AsyncClient(proxy=f"http://127.0.0.1:{stage.proxy}", trust_env=False, timeout=60)
        async with pinned:
            with pytest.raises(httpx.HTTPError):
                await pinned.get(stage.url, headers=bearer(stage))
        async with asyncio.timeout(120):
            while not any("rejected the certificate" in reason for reason in stage.refusals):
                await asyncio.sleep(0.01)


@pytest.mark.requirement("rules:tunnel")
async def test_what_has_no_rule_is_tunnelled_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path, monkeypatch, certified="127.0.0.1") as stage:
        async with httpx.AsyncClient(
            proxy=f"http://127.0.0.1:{stage.proxy}", verify=False, trust_env=False, timeout=20
        ) as http:
            reply = await http.get(f"https://127.0.0.1:{stage.host.port}/", headers=bearer(stage))
        assert stage.host.asked[0]["headers"]["authorization"] == f"Bearer {stage.placeholder}"
        assert reply.status_code == 200


OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "a head without end": OK + b"X: " + b"x" * (1 << 20),
    "a line feed in a name": OK + b"X\nY: 1\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "no gzip": OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
}


@pytest.mark.requirement("rules:bad-hosts")
async def test_what_a_host_says_that_is_not_valid_http_or_was_not_asked_for_is_refused_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = list(ANSWERS.values())

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(waiting.pop(0))
        await writer.drain()
        await reader.read()

    async with ground(tmp_path, monkeypatch, raw=speak) as stage:
        for number, name in enumerate(ANSWERS, start=1):
            async with client(stage) as http:
                if name == "no gzip":  # its head was fine
                    with pytest.raises(httpx.HTTPError):
                        await http.get(stage.url, headers=bearer(stage))
                else:
                    assert (await http.get(stage.url, headers=bearer(stage))).status_code == 502, name
            assert len(stage.refusals) == number, (name, stage.refusals)


@pytest.mark.requirement("rules:bad-hosts", "rules:echo")
async def test_chunks_that_are_none_end_the_answer_and_a_value_cut_by_chunks_does_not_come_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunk(data: bytes, extension: bytes = b"") -> bytes:
        return b"%x%b\r\n%b\r\n" % (len(data), extension, data)

    head, value = OK + b"Transfer-Encoding: chunked\r\n\r\n", VALUE.encode()
    tricks = [
        head
        + chunk(b"<" + value[:9])
        + chunk(value[9:] + b">", b";x=" + value)
        + b"0\r\nX-Trailer: "
        + value
        + b"\r\n\r\n",
        head + chunk(b"begun") + b"-5\r\nhello\r\n0\r\n\r\n",
        head + chunk(b"begun") + b"fffffffffffffffffffff\r\nhello",
        head + chunk(b"begun") + b"5\r\nhelloXX0\r\n\r\n",
    ]

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(tricks.pop(0))
        await writer.drain()

    async with ground(tmp_path, monkeypatch, raw=speak) as stage:
        request = f"GET / HTTP/1.1\nHost: {HOST}:{stage.host.port}\nAuthorization: {stage.placeholder}\nConnection: close\n\n"
        said = await say(stage, request)
        assert b"[secret STRIPE_API_KEY]*" in said
        assert value not in said
        assert said.endswith(b"\r\n0\r\n\r\n")  # trailers are not passed on, nor are extensions
        for _ in range(3):
            said = await say(stage, request)
            assert not said.endswith(b"0\r\n\r\n")
            assert value not in said


@pytest.mark.requirement("rules:bad-hosts")
async def test_a_host_with_a_rule_that_resolves_to_a_private_address_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path, monkeypatch) as stage, client(stage) as http:
        with pytest.raises(httpx.ProxyError, match="403"):
            await http.get(f"https://{HOST}/", headers=bearer(stage))
        assert "loopback address" in stage.events[-1].reason
        assert stage.host.asked == []


@pytest.mark.requirement("rules:echo")
async def test_a_value_comes_back_neither_in_a_reason_phrase_nor_in_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []
    answers = [
        b"HTTP/1.1 200 %b\r\nContent-Length: 2\r\n\r\nok" % VALUE.encode(),
        b"HTTP/1.1 103 %b\r\nLink: x\r\n\r\nHTTP/1.1 299 %b\r\nContent-Length: 2\r\n\r\nok"
        % ((VALUE.encode(),) * 2),
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/20\r\nContent-Length: 10\r\n\r\n"
        + VALUE.encode()[:10],
        b"HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x\r\nContent-Length: 2\r\n\r\nok",
    ]

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[len(heads) - 1])
        await writer.drain()

    async with ground(tmp_path, monkeypatch, raw=speak) as stage:
        for key in (stage.placeholder, "none"):
            heads.clear()
            request = (
                f"GET / HTTP/1.1\nHost: {HOST}:{stage.host.port}\nAuthorization: {key}\nRange: bytes=0-9\nIf-Range: x\n"
                "Connection: close\n\n"
            )
            said = [await say(stage, request) for _ in answers]
            assert all(VALUE.encode() not in one and VALUE.encode()[:10] not in one for one in said)
            assert said[0].startswith(b"HTTP/1.1 200 OK\r\n")
            assert [one.split()[1] for one in said[2:]] == [b"502", b"502"]
            assert all(b"range" not in head.lower() for head in heads)


@pytest.mark.requirement("rules:placeholders")
async def test_a_rule_that_names_a_header_and_a_parameter_lets_the_value_stand_in_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        ground(tmp_path, monkeypatch, places=("header:x-api-key", "query:api_key")) as stage,
        client(stage) as http,
    ):
        key = stage.placeholder
        for path, headers, status in (
            (f"/?api_key={key}", {}, 200), (f"/?a=1&api%5Fkey={key}&b=2", {}, 200), ("/", {"X-API-Key": key}, 200),
            (f"/?q={key}&api_key=attackers", {}, 403), (f"/?a=1;api_key={key}", {}, 403), (f"/?{key}", {}, 403),
            (f"/?{key}=api_key", {}, 403), (f"/?API_KEY={key}", {}, 403), (f"/?api_key={key}&q={key}", {}, 403),
            ("/", {"Authorization": f"Bearer {key}"}, 403), ("/", {"X-Api-Key-2": key}, 403), (f"/{key}", {}, 403),
        ):  # fmt: skip
            reply = await http.get(stage.url + path, headers=headers)
            assert (path.replace(key, "KEY"), reply.status_code) == (path.replace(key, "KEY"), status)
            if status == 403:
                assert "the header x-api-key and the query parameter api_key only" in reply.text
