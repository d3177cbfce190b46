"""The source `mail`, against a server that speaks IMAP; that server, against Python's own client."""

from __future__ import annotations

import imaplib
import itertools
import json
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.certificates import certificate
from tests.support.loopback_site import Answer, Asked, StandIn, serving
from tests.support.source_tools import Tools, source_tools

from codewords_mcp.errors import AddressRefused, CodewordsError, Forbidden, InvalidInput, UpstreamFailed
from codewords_mcp.runtime.triggers.sources.base import Polled
from codewords_mcp.runtime.triggers.sources.mail import PAGE, MailOptions, MailSource
from codewords_testing.imap import LoopbackImap, loopback_imap

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("triggers:mail")]
USER, PASSWORD = "ann@example.org", 'p"ä\\ss'
SOURCE = MailSource()
_NUMBERS = itertools.count()


@pytest.fixture
def server() -> Generator[LoopbackImap]:
    with loopback_imap(USER, PASSWORD) as found:
        yield found


@asynccontextmanager
async def watching(
    server: LoopbackImap, *ports: int, **changes: Any
) -> AsyncGenerator[tuple[MailOptions, Tools]]:
    fields: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": USER,
        "secret": "MAIL_PASSWORD",
        "tls": False,
    }
    async with source_tools(server.port, *ports) as tools:
        tools.secrets["MAIL_PASSWORD"] = (PASSWORD, f"127.0.0.1:{server.port}")
        yield MailOptions.model_validate(fields | changes), tools


def written(subject: str = "Hello", text: str = "How are you?", *, files: int = 0) -> bytes:
    message = EmailMessage()
    message["From"] = "Bob Müller <bob@example.org>"
    message["To"] = "ann@example.org, Cy <cy@example.org>"
    message["Subject"] = subject
    message["Date"] = "Sun, 01 Feb 2026 10:00:00 +0100"
    message["Message-ID"] = f"<{next(_NUMBERS)}@example.org>"
    message.set_content(text)
    message.add_alternative(f"<p>{text}</p>", subtype="html")
    for number in range(files):
        message.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename=f"table-{number}.csv")
    return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def data(polled: Polled) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", event.data) for event in polled.events]


def subjects(polled: Polled) -> list[str]:
    return [found["subject"] for found in data(polled)]


def test_the_server_of_these_tests_speaks_what_pythons_client_knows(server: LoopbackImap) -> None:
    raw = written()
    server.deliver(raw)
    client = imaplib.IMAP4("127.0.0.1", server.port)
    with pytest.raises(imaplib.IMAP4.error):
        client.login(USER, "wrong")
    client.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
    assert client.select("INBOX", readonly=True) == ("OK", [b"1"])
    assert client.uid("SEARCH", "UID 1:*")[1] == [b"1"]
    _, found = client.uid("FETCH", "1", "(UID FLAGS BODY.PEEK[])")
    assert cast("Any", found)[0][1] == raw
    assert b"\\Seen" not in cast("Any", found)[0][0]
    client.logout()


async def test_mail_that_arrives_after_the_first_look_is_an_event_once_and_stays_unseen(
    server: LoopbackImap,
) -> None:
    server.deliver(written("Before"))
    async with watching(server) as (options, tools):
        first = await SOURCE.poll(options, None, tools)
        assert list(first.events) == []
        assert list((await SOURCE.poll(options, first.state, tools)).events) == []

        message = server.deliver(written("Größe", "Grüße", files=1))
        polled = await SOURCE.poll(options, first.state, tools)
        again = await SOURCE.poll(options, polled.state, tools)

    assert list(again.events) == []
    assert not polled.more
    assert not message.seen
    [event] = data(polled)
    assert event["subject"] == "Größe"
    assert event["from"] == {"name": "Bob Müller", "address": "bob@example.org"}
    assert [person["address"] for person in event["to"]] == ["ann@example.org", "cy@example.org"]
    assert event["date"] == "2026-02-01T09:00:00+00:00"
    assert event["text"] == "Grüße\n"
    assert event["html"] == "<p>Grüße</p>\n"
    assert event["truncated"] is False
    [attachment] = event["attachments"]
    assert attachment["name"] == "table-0.csv"
    assert tools.files[attachment["url"]] == (b"a,b\n1,2\n", "text/csv")


@pytest.mark.slow
async def test_thousands_of_mails_come_page_by_page_in_order(server: LoopbackImap) -> None:
    async with watching(server) as (options, tools):
        state, count = (await SOURCE.poll(options, None, tools)).state, 2000
        for number in range(count):
            server.deliver(b"Subject: %d\r\n\r\n" % number)
        found: list[str] = []
        pages, more = 0, True
        while more:
            polled = await SOURCE.poll(options, state, tools)
            assert len(polled.events) <= PAGE
            state, more, pages = polled.state, polled.more, pages + 1
            found += subjects(polled)
    assert found == [str(number) for number in range(count)]
    assert pages == count / PAGE


async def test_a_folder_that_is_numbered_anew_gives_again_only_mail_since_the_newest_with_its_old_key(
    server: LoopbackImap,
) -> None:
    began = datetime(2026, 2, 1, 12, tzinfo=UTC)
    server.deliver(written("Old"), received_at=began - timedelta(days=30))
    server.deliver(written("Newest of the first look"), received_at=began)
    server.deliver(written("Deleted"), received_at=began)
    server.delete(3)
    async with watching(server) as (options, tools):
        state = (await SOURCE.poll(options, None, tools)).state
        server.deliver(written("Known"), received_at=began + timedelta(hours=1))
        known = await SOURCE.poll(options, state, tools)
        server.deliver(written("New"), received_at=began + timedelta(hours=2))
        server.renumber()
        polled = await SOURCE.poll(options, known.state, tools)
        after = await SOURCE.poll(options, polled.state, tools)

    assert subjects(known) == ["Known"]
    assert subjects(polled) == ["Known", "New"]
    # The engine has this key already.
    assert polled.events[0].key == known.events[0].key
    assert list(after.events) == []


async def test_mails_with_the_same_id_are_told_apart_and_one_mail_is_not(server: LoopbackImap) -> None:
    raw = b"Message-ID: <same@example.org>\r\nSubject: x\r\n\r\n"
    async with watching(server) as (options, tools):
        state = (await SOURCE.poll(options, None, tools)).state
        server.deliver(b"Received: by one\r\n" + raw)
        server.deliver(b"Received: by two\r\n" + raw)
        server.deliver(b"Received: by two\r\n" + raw)
        keys = [event.key for event in (await SOURCE.poll(options, state, tools)).events]
    assert keys[0] != keys[1] == keys[2]


async def test_what_was_read_before_the_connection_broke_is_kept(server: LoopbackImap) -> None:
    async with watching(server) as (options, tools):
        state = (await SOURCE.poll(options, None, tools)).state
        for number in range(4):
            server.deliver(b"Subject: %d\r\n\r\n" % number)
        server.fault = lambda command: b"" if command.startswith("UID FETCH 3 ") else None
        first = await SOURCE.poll(options, state, tools)
        with pytest.raises(UpstreamFailed):
            await SOURCE.poll(options, first.state, tools)
        server.fault = lambda _: None
        second = await SOURCE.poll(options, first.state, tools)
    assert subjects(first) == ["0", "1"]
    assert first.more
    assert subjects(second) == ["2", "3"]


async def test_mail_that_is_gone_or_that_the_server_refuses_holds_up_nothing(server: LoopbackImap) -> None:
    def fault(command: str) -> bytes | None:
        if command.startswith("UID FETCH 1 "):
            server.delete(1)
        return None

    async with watching(server) as (options, tools):
        state = (await SOURCE.poll(options, None, tools)).state
        for number in range(2):
            server.deliver(b"Subject: %d\r\n\r\n" % number)
        server.fault = fault
        polled = await SOURCE.poll(options, state, tools)
        assert subjects(polled) == ["1"]
        assert list((await SOURCE.poll(options, polled.state, tools)).events) == []


async def test_a_mail_of_50_mb_is_an_event_with_its_beginning(server: LoopbackImap) -> None:
    async with watching(server) as (options, tools):
        state = (await SOURCE.poll(options, None, tools)).state
        head = b"Subject: Large\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nThe text\r\n"
        part = b"--x\r\nContent-Disposition: attachment; filename=a.bin\r\n\r\n"
        server.deliver(head + part + b"a" * (50 << 20))
        [event] = data(await SOURCE.poll(options, state, tools))
    assert (event["subject"], event["text"].strip()) == ("Large", "The text")
    assert event["truncated"] is True
    assert (event["attachments"], event["attachments_left_out"]) == ([], 1)
    assert tools.files == {}


async def test_many_attachments_and_one_that_the_home_does_not_keep_are_bounded(server: LoopbackImap) -> None:
    async with watching(server) as (options, tools):
        tools.max_file = 4
        state = (await SOURCE.poll(options, None, tools)).state
        server.deliver(written(files=30))
        [event] = data(await SOURCE.poll(options, state, tools))
    assert len(event["attachments"]) == 20
    assert event["attachments_left_out"] == 10
    assert {attachment["url"] for attachment in event["attachments"]} == {None}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"user": "eve@example.org"}, Forbidden, "refused the user"),
        ({"folder": "Nowhere"}, InvalidInput, "no folder"),
        ({"folder": "IN\r\nBOX"}, InvalidInput, "printable"),
        ({"secret": "OTHER"}, CodewordsError, "OTHER"),
        ({"host": "mail.example.org"}, InvalidInput, "over TLS only"),
        ({"tls": True}, UpstreamFailed, "secured"),
        ({"host": "10.0.0.1", "tls": True}, Forbidden, "host rule"),
    ],
)
async def test_what_cannot_be_read_is_said(
    server: LoopbackImap, changes: dict[str, Any], error: type[CodewordsError], words: str
) -> None:
    async with watching(server, **changes) as (options, tools):
        with pytest.raises(error, match=words):
            await SOURCE.poll(options, None, tools)


async def test_a_private_address_is_refused_before_a_password_is_sent(server: LoopbackImap) -> None:
    async with watching(server) as (options, _), source_tools() as closed:
        closed.secrets["MAIL_PASSWORD"] = (PASSWORD, f"127.0.0.1:{server.port}")
        with pytest.raises(AddressRefused):
            await SOURCE.poll(options, None, closed)
    assert list(server.commands) == []


async def test_a_server_is_reached_over_tls_where_its_certificate_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    with loopback_imap(USER, PASSWORD, tls=tls) as server:
        server.deliver(written("Secured"))
        async with watching(server, tls=True, host="localhost") as (options, tools):
            tools.secrets["MAIL_PASSWORD"] = (PASSWORD, f"localhost:{server.port}")
            sample = await SOURCE.sample(options, tools)
        async with watching(server, tls=True) as (options, tools):
            with pytest.raises(UpstreamFailed, match="certificate"):
                await SOURCE.sample(options, tools)
    assert sample is not None
    assert cast("Any", sample.data)["subject"] == "Secured"


@pytest.mark.parametrize(
    "answer",
    [
        b"* 1 EXISTS {99999999999}\r\n",
        b"* OK \xff\xfe\r\n" * 30_000,
        b"x" * (2 << 20),
        b"* BYE\r\n",
        b"\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
@pytest.mark.parametrize("command", ["greeting", "CAPABILITY", "EXAMINE", "UID SEARCH", "UID FETCH"])
async def test_nonsense_and_floods_of_a_server_are_a_fault_in_words(
    server: LoopbackImap, command: str, answer: bytes
) -> None:
    server.deliver(written())
    server.fault = lambda sent: answer if sent.startswith(command) else None
    async with watching(server) as (options, tools):
        with pytest.raises(UpstreamFailed, match="mail server"):
            await SOURCE.poll(options, None, tools)


async def test_a_folder_beyond_ascii_is_found_and_its_newest_mail_is_the_sample(server: LoopbackImap) -> None:
    server.deliver(written("One"), folder="Entwürfe & 日本語")
    server.deliver(written("Two"), folder="Entwürfe & 日本語")
    async with watching(server, folder="Entwürfe & 日本語") as (options, tools):
        sample = await SOURCE.sample(options, tools)
    assert sample is not None
    assert cast("Any", sample.data)["subject"] == "Two"
    async with watching(server) as (options, tools):
        assert await SOURCE.sample(options, tools) is None


@pytest.fixture
def issuer(server: LoopbackImap) -> Iterator[StandIn]:
    """An OAuth server that gives another access token each time."""
    numbers = itertools.count(1)

    def answer(asked: Asked) -> Answer:
        form = parse_qs(asked.body.decode())
        if form["refresh_token"] != ["the refresh token"] or form.get("client_secret") != ["s3cret"]:
            return Answer(400, b'{"error": "invalid_grant"}')
        token = f"access {next(numbers)}"
        server.tokens.add(token)
        return Answer(
            200, json.dumps({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}).encode()
        )

    yield from serving(StandIn(answer=answer))


@asynccontextmanager
async def watching_by_token(
    server: LoopbackImap, issuer: StandIn, **changes: Any
) -> AsyncGenerator[tuple[MailOptions, Tools]]:
    target = urlsplit(issuer.url)
    oauth = {
        "secret": "REFRESH",
        "token_url": f"{issuer.url}/token",
        "client_id": "us",
        "client_secret": "CLIENT",
    }
    async with watching(server, target.port or 0, **(oauth | changes)) as (options, tools):
        tools.secrets["REFRESH"] = ("the refresh token", target.netloc)
        tools.secrets["CLIENT"] = ("s3cret", target.netloc)
        yield options, tools


@pytest.mark.requirement("triggers:mail-oauth")
async def test_a_server_that_takes_oauth_is_read_by_access_tokens_that_a_refresh_token_gives(
    server: LoopbackImap, issuer: StandIn
) -> None:
    source = MailSource()
    async with watching_by_token(server, issuer) as (options, tools):
        state = (await source.poll(options, None, tools)).state
        server.deliver(written("By token"))
        polled = await source.poll(options, state, tools)
        assert subjects(polled) == ["By token"]
        assert [asked.path for asked in issuer.asked] == ["/token"], "one token is used until its end"

        server.tokens.clear()
        with pytest.raises(Forbidden, match="refused the access token that REFRESH gave"):
            await source.poll(options, polled.state, tools)
        server.deliver(written("After it was revoked"))
        assert subjects(await source.poll(options, polled.state, tools)) == ["After it was revoked"]
        assert len(issuer.asked) == 2


@pytest.mark.requirement("triggers:mail-oauth")
@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(400, b'{"error": "invalid_grant"}'), Forbidden, "refused REFRESH"),
        (Answer(200, b"[]"), UpstreamFailed, "gave no access token"),
        (Answer(200, b'{"access_token": ""}'), UpstreamFailed, "gave no access token"),
        (Answer(500, b"x"), UpstreamFailed, "gave no access token"),
        (Answer(307, headers={"Location": "/elsewhere"}), UpstreamFailed, "redirects"),
        (Answer(200, b" " * 1_100_000), CodewordsError, "1 MiB"),
    ],
)
async def test_a_token_endpoint_that_gives_none_is_told_and_the_mail_server_is_not_asked(
    server: LoopbackImap, issuer: StandIn, answer: Answer, error: type[CodewordsError], words: str
) -> None:
    issuer.answer = lambda _: answer
    async with watching_by_token(server, issuer) as (options, tools):
        with pytest.raises(error, match=words):
            await MailSource().poll(options, None, tools)
    assert len(issuer.asked) == 1
    assert not server.commands


@pytest.mark.requirement("triggers:mail-oauth")
async def test_a_refresh_token_goes_over_https_and_to_the_host_of_its_rule_only(
    server: LoopbackImap, issuer: StandIn
) -> None:
    for url, error in (
        ("http://login.example.org/token", InvalidInput),
        ("https://login.example.org/token", Forbidden),
    ):
        async with watching_by_token(server, issuer, token_url=url) as (options, tools):
            with pytest.raises(error):
                await MailSource().poll(options, None, tools)
    assert (issuer.asked, list(server.commands)) == ([], [])
