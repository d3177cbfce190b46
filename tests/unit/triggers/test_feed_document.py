"""Feeds as they are found: several formats, encodings and faults, and what hostile ones try."""

from __future__ import annotations

import pytest

from codewords_mcp.errors import UpstreamFailed
from codewords_mcp.runtime.triggers.sources.feed_document import MAX_ITEMS, MAX_TEXT, read_feed

pytestmark = pytest.mark.requirement("triggers:feed-document")
ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>T</title>
<entry><id>urn:1</id><title type="html">One &amp; two</title><updated>2026-11-01T10:00:00+01:00</updated>
<link rel="self" href="https://example.org/self"/><link href="https://example.org/1"/>
<author><name>Ann</name></author><category term="news"/>
<link rel="enclosure" type="audio/mpeg" length="9" href="https://example.org/1.mp3"/>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">Hello <b>you</b></div></content></entry></feed>"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>T</title></channel>
<item rdf:about="https://example.org/r"><title>R</title><dc:date>2026-11-02</dc:date></item></rdf:RDF>"""
ENTITIES = """<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY x SYSTEM "file:///etc/passwd">]>
<rss><channel><item><guid>1</guid><title>&c;&x;</title></item></channel></rss>"""


def test_atom_has_its_fields() -> None:
    (item,) = read_feed(ATOM.encode(), "application/atom+xml")
    assert item.key == "urn:1"
    assert item.data == {
        "id": "urn:1",
        "title": "One & two",
        "link": "https://example.org/1",
        "summary": "",
        "content": "Hello you",
        "author": "Ann",
        "published": "2026-11-01T09:00:00+00:00",
        "categories": ["news"],
        "enclosures": [{"url": "https://example.org/1.mp3", "type": "audio/mpeg", "length": "9"}],
    }


def test_rdf_is_known_by_its_address() -> None:
    (item,) = read_feed(RDF.encode(), "")
    assert (item.key, item.data["title"], item.data["published"]) == (
        "https://example.org/r",
        "R",
        "2026-11-02T00:00:00+00:00",
    )


def test_entities_are_not_expanded_and_files_not_read() -> None:
    (item,) = read_feed(ENTITIES.encode(), "")
    assert "aaaa" not in str(item.data["title"])
    assert "root" not in str(item.data["title"])


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b'<?xml version="1.0" encoding="iso-8859-1"?>{}', "text/xml; charset=utf-8"),
        (b"{}", "text/xml; charset=iso-8859-1"),
    ],
)
def test_other_encodings_are_read(body: bytes, content_type: str) -> None:
    rss = "<rss><channel><item><title>Größe</title></item></channel></rss>".encode("iso-8859-1")
    (item,) = read_feed(body.replace(b"{}", rss), content_type)
    assert item.data["title"] == "Größe"


@pytest.mark.parametrize("charset", ["utf-16", "utf-32", "windows-1251", "no-such-encoding", "shift_jis"])
def test_no_encoding_raises_anything_else(charset: str) -> None:
    rss = "<rss><channel><item><guid>1</guid><title>Ж</title></item></channel></rss>"
    try:
        body = rss.encode(charset)
    except (LookupError, UnicodeEncodeError):
        body = rss.encode()
    try:
        items = read_feed(body, f"text/xml; charset={charset}")
    except UpstreamFailed:
        return
    assert [item.key for item in items] == ["1"]


def test_items_without_ids_are_known_by_their_content() -> None:
    body = b"<rss><channel><item><title>A</title></item><item><title>B</title></item></channel></rss>"
    first, second = read_feed(body, "")
    assert first.key.startswith("content:")
    assert first.key != second.key
    assert [item.key for item in read_feed(body, "")] == [first.key, second.key]


def test_items_of_one_id_are_told_apart_by_the_rest() -> None:
    item = "<item><guid>same</guid><link>https://example.org/{}</link></item>"
    body = f"<rss><channel>{item.format(1)}{item.format(2)}</channel></rss>".encode()
    first, second = read_feed(body, "")
    assert first.key == second.key
    assert first.full_key != second.full_key


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"<html><body>no feed</body></html>", b"\x00\xff" * 100, b"<a>" * 100_000],
)
def test_what_is_no_feed_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(UpstreamFailed, match="This address has no RSS or Atom feed"):
        read_feed(body, "text/html")


def test_what_is_read_is_bounded() -> None:
    long = f"<item><guid>l</guid><title>{'x' * 2 * MAX_TEXT}</title></item>"
    many = "".join(f"<item><guid>{number}</guid></item>" for number in range(MAX_ITEMS + 10))
    items = read_feed(f"<rss><channel>{long}{many}</channel></rss>".encode(), "")
    assert len(items) == MAX_ITEMS
    assert len(str(items[0].data["title"])) == MAX_TEXT


@pytest.mark.parametrize(
    "date", ["yesterday", "Mon, 99 Nov 2026 00:00:00 GMT", "9999-99-99", "Mon, 01 Jan 0001 00:00:00 +2400"]
)
def test_a_wrong_time_is_none(date: str) -> None:
    body = f"<rss><channel><item><guid>1</guid><pubDate>{date}</pubDate></item></channel></rss>"
    (item,) = read_feed(body.encode(), "")
    assert item.at is None or item.at.tzinfo is not None


def test_an_item_with_very_many_attributes_is_read() -> None:
    """Making a list of them took a quarter of an hour, in which the whole process stood still; pytest's limit ends that."""
    many = " ".join(f'a{number}="1"' for number in range(200_000))
    (item,) = read_feed(f"<rss><item {many} x:about='id' xmlns:x='x'/></rss>".encode(), "text/xml")
    assert item.key == "id"
