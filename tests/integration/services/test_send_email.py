"""Mail to a real mail server on loopback, and into the outbox where there is none."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.http_runtime import Door
from tests.support.mail_server import MailServer

pytestmark = [
    pytest.mark.requirement("services:mail"),
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS"),  # on loopback it may
]
MESSAGE: dict[str, Any] = {"to": "Ann <ann@example.org>", "subject": "The report", "text": "It is ready."}


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def with_mail(http: httpx.Client, mail: MailServer) -> Iterator[httpx.Client]:
    url = f"smtp://house%40example.org:p%40ss@{mail.at}"
    http.put("/secrets/SMTP_URL", json={"value": url}).raise_for_status()
    yield http
    http.delete("/secrets/SMTP_URL").raise_for_status()


def send(http: httpx.Client, **more: Any) -> Any:
    answer = http.post("/run/send_email/", json=MESSAGE | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(http: httpx.Client, status: int = 400, **more: Any) -> Any:
    answer = http.post("/run/send_email/", json=MESSAGE | more)
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def test_a_message_arrives_with_both_texts_and_its_attachment(
    with_mail: httpx.Client, mail: MailServer
) -> None:
    data = bytes(range(256)) * 40
    told = send(
        with_mail, html="<p>It is <b>ready</b>.</p>", cc=["Bert <bert@example.org>"], bcc="hidden@example.org",
        reply_to="answers@example.org", from_name="Die Maschine, ü",
        attachments=[{"filename": "bericht ü.bin", "content": base64.b64encode(data).decode()}],
    )  # fmt: skip
    assert (told["delivered"], told["refused"]) == (True, [])
    envelope, message = mail.taken[-1], mail.last()
    assert envelope.mail_from == "house@example.org"
    assert envelope.rcpt_tos == ["ann@example.org", "bert@example.org", "hidden@example.org"]
    assert message["Message-ID"] == told["message_id"]
    assert message["From"] == '"Die Maschine, ü" <house@example.org>'
    assert message["Reply-To"] == "answers@example.org"
    assert "hidden" not in message.as_string()
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().splitlines() == ["It is ready."]
    assert html.get_content().splitlines() == ["<p>It is <b>ready</b>.</p>"]
    [attachment] = message.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content()) == ("bericht ü.bin", data)


def test_an_address_with_a_quoted_name_or_of_a_domain_in_another_script_arrives(
    with_mail: httpx.Client, mail: MailServer
) -> None:
    send(with_mail, to=['"ann doe"@example.org', "Bert <bert@bücher.example>"])
    assert mail.taken[-1].rcpt_tos == ['"ann doe"@example.org', "bert@xn--bcher-kva.example"]
    assert mail.last()["To"] == '"ann doe"@example.org, Bert <bert@xn--bcher-kva.example>'


def test_those_whom_the_server_refuses_are_told_apart(with_mail: httpx.Client, mail: MailServer) -> None:
    told = send(with_mail, to="ann@example.org, refused@example.org")
    assert told["refused"] == ["refused@example.org"]
    assert mail.taken[-1].rcpt_tos == ["ann@example.org"]
    assert "all recipients" in refused(with_mail, 502, to="refused@example.org")["message"]


@pytest.mark.parametrize(
    "header",
    [
        {"subject": "Hello\r\nBcc: all@example.org"}, {"subject": "Hello\nX: y"}, {"to": "ann@example.org\r\nBcc: x@example.org"},
        {"to": ["ann@example.org\n"]}, {"from_name": "A\r\nSubject: other"}, {"reply_to": "a@example.org\r\n\r\nbody"},
        {"attachments": [{"filename": "a\r\nX: y", "content": ""}]}, {"subject": "a\x00b"}, {"subject": "a\u2028b"},
        {"attachments": [{"filename": "a", "content": "", "content_type": "text/html\r\nX: y"}]},
    ],
)  # fmt: skip
def test_no_field_can_add_a_header(with_mail: httpx.Client, mail: MailServer, header: dict[str, Any]) -> None:
    before = len(mail.taken)
    assert refused(with_mail, **header)["code"] == "invalid_input"
    assert len(mail.taken) == before


@pytest.mark.parametrize("to", ["", [], "nobody", "a@", "@b", "a b@example.org", "a@b@c", "<>", ["a@example.org, b@example.org"], "a@-x.org", "a@" + "x" * 300])  # fmt: skip
def test_what_is_no_address_is_refused(http: httpx.Client, to: Any) -> None:
    assert "`to" in refused(http, to=to)["message"]


def test_a_thousand_recipients_are_refused_in_a_sentence(http: httpx.Client) -> None:
    told = refused(http, to=[f"n{number}@example.org" for number in range(1000)])
    assert "has 1000 recipients" in told["message"]


def test_an_empty_or_broken_message_is_refused(http: httpx.Client) -> None:
    assert "`text` is missing" in refused(http, text=None)["message"]
    assert "base64" in refused(http, attachments=[{"filename": "a", "content": "!!"}])["message"]


def test_without_a_mail_server_a_message_is_in_the_outbox_of_its_owner(
    http: httpx.Client, door: Door
) -> None:
    told = send(http, subject="Kept ü")
    assert told["delivered"] is False
    assert "Not sent" in told["note"]
    newest = http.post("/run/send_email/outbox", json={}).json()["messages"][0]
    assert (newest["id"], newest["subject"], newest["to"]) == (told["outbox"], "Kept ü", ["ann@example.org"])
    [whole] = http.get("/run/send_email/outbox", params={"id": told["outbox"]}).json()["messages"]
    assert "It is ready." in whole["message"]
    with door.client(door.make_key(owner="reader")) as other:
        assert other.post("/run/send_email/outbox", json={}).json() == {"messages": []}
        assert other.post("/run/send_email/outbox", json={"id": told["outbox"]}).status_code == 404


@pytest.mark.parametrize(
    ("url", "status", "message"),
    [
        ("smtp://house%40example.org:wrong@{at}", 502, "user and password"),
        ("smtp://house%40example.org:p%40ss@127.0.0.1:1", 502, "can't be reached"),
        ("http://mail.example.org", 424, "no address to send from"),
        ("http://a%40b.org@mail.example.org", 400, "not the address of a mail server"),
    ],
)
def test_a_mail_server_that_cannot_be_used_is_told_without_its_password(
    http: httpx.Client, mail: MailServer, url: str, status: int, message: str
) -> None:
    http.put("/secrets/SMTP_URL", json={"value": url.format(at=mail.at)}).raise_for_status()
    told = refused(http, status)
    http.delete("/secrets/SMTP_URL").raise_for_status()
    assert message in told["message"]
    assert "wrong" not in str(told)


def test_only_the_homes_own_mail_server_is_used(http: httpx.Client, door: Door, mail: MailServer) -> None:
    with door.client(door.make_key(owner="guest")) as guest:
        guest.put("/secrets/SMTP_URL", json={"value": f"smtp://a%40b.org@{mail.at}"}).raise_for_status()
        assert send(guest)["delivered"] is False
