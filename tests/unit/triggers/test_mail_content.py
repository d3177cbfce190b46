"""Reading mails that nobody vouches for."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from codewords_mcp.runtime.triggers.sources.mail_content import MAX_DEPTH, MAX_LINES, MailContent, read_mail

pytestmark = pytest.mark.requirement("triggers:mail")


def read(*lines: str | bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", content(*lines).fields)


def content(*lines: str | bytes) -> MailContent:
    return read_mail(b"\r\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))


def test_text_and_html_are_found_in_nested_parts_and_files_beside_them() -> None:
    mail = content(
        "Subject: =?utf-8?B?R3LDvMOfZQ==?= =?iso-8859-1?q?_und_=E4?=", "Content-Type: multipart/mixed; boundary=a", "",
        "--a", "Content-Type: multipart/alternative; boundary=b", "",
        "--b", "Content-Type: text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: quoted-printable", "", "=E4", "--b",
        "Content-Type: text/html", "", "<b>hi</b>", "--b--",
        "--a", "Content-Type: text/plain; name=notes.txt", "Content-Disposition: attachment; filename=notes.txt", "", "note",
        "--a", "Content-Type: image/png", "Content-Disposition: inline; filename*=utf-8''%E4%B8%AD.png",
        "Content-Transfer-Encoding: base64", "", "AAE=",
        "--a", "Content-Type: message/rfc822", "", "Subject: inner", "", "inner text",
        "--a--",
    )  # fmt: skip
    fields = cast("Any", mail.fields)
    assert (fields["subject"], fields["text"], fields["html"]) == ("Grüße und ä", "ä", "<b>hi</b>")
    files = [(file.name, file.content_type, file.content) for file in mail.attachments]
    assert files[:2] == [("notes.txt", "text/plain", b"note"), ("中.png", "image/png", b"\0\1")]
    assert files[2][:2] == ("attachment-3.eml", "message/rfc822")
    assert b"Subject: inner" in files[2][2]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("attachment; filename=../../etc/passwd", "passwd"),
        ("attachment; filename=..", "attachment-1"),
        ('attachment; filename="a\\\\b\tc.txt"', "b c.txt"),
        ("attachment; filename=" + "ä" * 300, "ä" * 100),
        ("attachment; filename*=punycode''abc", "abc"),
        ("attachment; filename*=utf-8\0''abc", "abc"),
        ("attachment; filename*" + "9" * 5000 + "*=x", "attachment-1"),
    ],
)
def test_names_of_files_are_plain(disposition: str, name: str) -> None:
    [file] = content(f"Content-Disposition: {disposition}", "Content-Type: image/@x", "", "x").attachments
    assert (file.name, file.content_type) == (name, "application/octet-stream")


@pytest.mark.parametrize(
    "charset", ["punycode", "idna", "unicode_escape", "zip", "rot13", "hex", "x" * 200, "utf-8\0"]
)
def test_a_charset_that_is_none_of_text_is_read_as_utf_8(charset: str) -> None:
    assert read(f"Content-Type: text/plain; charset={charset}", "", "Größe \\x41")["text"] == "Größe \\x41"


def test_deep_nesting_and_too_many_lines_leave_the_header_and_say_so() -> None:
    depth = 2000
    nested = [
        line
        for n in range(depth)
        for line in (f"Content-Type: multipart/mixed; boundary=b{n}", "", f"--b{n}")
    ]
    many = ["Content-Type: multipart/mixed; boundary=b", "", *["--b\r\n"] * 200]
    for mail in (
        read("Subject: deep", *nested, "", "x"),
        read("Subject: deep", *nested[: 3 * (MAX_DEPTH + 1)], "", "x"),
        read("Subject: deep", *many),
        read("Subject: deep", "", "\n" * (MAX_LINES + 1)),
        read("Subject: deep", "", "\r" * (MAX_LINES + 1)),
    ):
        assert (mail["subject"], mail["text"], mail["truncated"]) == ("deep", "", True)


def test_a_mail_as_deep_as_is_read_has_its_text() -> None:
    lines = [
        line
        for n in range(MAX_DEPTH)
        for line in (f"Content-Type: multipart/mixed; boundary=b{n}", "", f"--b{n}")
    ]
    assert read(*lines, "", "x")["text"].strip() == "x"


@pytest.mark.slow
def test_long_headers_and_many_of_them_are_bounded() -> None:
    fields = read(
        *("To: " + ", ".join(f"p{n}@example.org" for n in range(20_000)) for _ in range(100)),
        "Content-Type: text/plain" + ";" * 1_000_000,
        *(f"X-{n}: y" for n in range(100_000)),
        "",
        "x",
    )
    assert len(fields["to"]) == 100
    assert len(json.dumps(fields)) < 64 << 10


@pytest.mark.parametrize("text", ["(", '"', "<", "\\", "@", "=?", "a@b,", "=?utf-8?q?a?= ", "[", ":;"])
def test_a_header_of_one_character_repeated_is_read(text: str) -> None:
    names = (
        "From",
        "To",
        "Cc",
        "Reply-To",
        "Subject",
        "Date",
        "Message-ID",
        "Content-Type",
        "Content-Disposition",
    )
    fields = read(*(f"{name}: {text * 4000}" for name in names), "", "the text")
    assert len(json.dumps(fields)) < 64 << 10


def test_a_text_is_cut_at_its_bound_and_never_within_a_character() -> None:
    fields = read("Content-Type: text/plain; charset=utf-8", "", "ä" * 100_000)
    assert fields["text"] == "ä" * (32 << 10)
    assert fields["truncated"] is True


def test_control_characters_and_bytes_without_an_encoding_can_be_stored() -> None:
    fields = read(
        b"Subject: Gr\xc3\xbc\xc3\x9fe \xff\x07", b"From: \x00 <a\x00@b>", b"", b"a\x00\x1bb\xff\r\nc"
    )
    assert fields["subject"].startswith("Grüße")
    assert "\x00" not in json.dumps(fields, ensure_ascii=False)
    assert fields["text"] == "ab\N{REPLACEMENT CHARACTER}\nc"


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Mon, 99 Feb 2026 10:00:00", "Mon, 01 Jan 99999 00:00:00 +9999"]
)
def test_a_date_that_is_none_is_left_out(date: str) -> None:
    assert read(f"Date: {date}", "", "x")["date"] is None


def test_a_mail_without_anything_is_one() -> None:
    assert read("")["from"] is None
    assert content("").identity == content("").identity
