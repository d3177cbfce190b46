"""Items of a feed's document: RSS 0.9 to 2.0, RDF and Atom. Entities are not expanded, and nothing is loaded for it."""

from __future__ import annotations

import hashlib
import importlib
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, cast

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.errors import UpstreamFailed

if TYPE_CHECKING:
    # What lxml makes has the same methods, and no types.
    from xml.etree.ElementTree import Element

MAX_ITEMS = 2000
"""Items of a document that are read: its first ones."""
MAX_TEXT = 64 << 10
"""Characters of a field."""
MAX_LIST = 50
_ROOTS = frozenset({"rss", "rdf", "feed"})
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*encoding\s*=", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]{1,40})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FeedItem:
    """An item. `key` is its id, link or content; `full_key` also tells apart items of one id."""

    key: str
    full_key: str
    data: JsonObject
    at: datetime | None


def read_feed(body: bytes, content_type: str) -> list[FeedItem]:
    """Return a feed's items in the order of the document. Raises UpstreamFailed for what is no feed. Blocking."""
    root = _parse(body, content_type)
    if root is None or _name(root).lower() not in _ROOTS:
        raise UpstreamFailed(
            "This address has no RSS or Atom feed.", hint="Give the address of the feed itself."
        )

    items: list[FeedItem] = []
    # Of RSS they are below the channel, of RDF beside it, of Atom below the root.
    for element in root.iter():
        if _name(element) in {"item", "entry"}:
            items.append(_read_item(element))
            if len(items) == MAX_ITEMS:
                break
    return items


def _parse(body: bytes, content_type: str) -> Element | None:
    etree: Any = importlib.import_module("lxml.etree")
    encoding = None
    charset = _CHARSET.search(content_type)
    # What the document says of itself is right more often than what its server says.
    if charset is not None and not _DECLARED.match(body[:300]):
        encoding = charset.group(1)
    # A server may name a charset that does not exist; then the document itself decides.
    for tried in dict.fromkeys((encoding, None)):
        with suppress(LookupError):
            parser = etree.XMLParser(
                encoding=tried, resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False,
                huge_tree=False, recover=True, remove_comments=True, remove_pis=True,
            )  # fmt: skip
            try:
                return etree.fromstring(body, parser)
            except (etree.XMLSyntaxError, ValueError):
                return None
    return None


def _name(element: Element) -> str:
    """The name without its namespace; "" for what is no element, like an entity."""
    tag: Any = element.tag
    if not isinstance(tag, str):
        return ""
    return tag.rpartition("}")[2]


def _read_item(item: Element) -> FeedItem:
    fields: dict[str, list[Element]] = {}
    for child in item:
        fields.setdefault(_name(child), []).append(child)

    link = _link(fields.get("link", []))
    identity = _first(fields, "guid", "id") or _attribute(item, "about")
    title = _first(fields, "title")
    published = _first(fields, "pubDate", "published", "date", "issued", "updated", "modified")
    summary = _first(fields, "description", "summary")
    content = _first(fields, "encoded", "content")
    at = _time(published)

    data: JsonObject = {
        "id": identity or link or "",
        "title": title,
        "link": link,
        "summary": summary,
        "content": content,
        "author": _author(fields),
        "published": at.isoformat() if at is not None else None,
        "categories": _categories(fields.get("category", [])),
        "enclosures": _enclosures(fields),
    }
    content_key = hashlib.sha256(_joined(title, published, summary, content)).hexdigest()
    key = identity or link or f"content:{content_key}"
    full = hashlib.sha256(_joined(key, link, title)).hexdigest()
    return FeedItem(key, f"item:{full}", data, at)


def _joined(*parts: str) -> bytes:
    return "\0".join(parts).encode()


def _text(element: Element) -> str:
    """The text of an element and of those in it, such as XHTML, without what entities stand for."""
    parts: list[str] = []
    size = 0
    for part in element.itertext():
        parts.append(part)
        size += len(part)
        if size > MAX_TEXT:
            break
    return "".join(parts).strip()[:MAX_TEXT]


def _first(fields: dict[str, list[Element]], *names: str) -> str:
    for name in names:
        for element in fields.get(name, []):
            if text := _text(element):
                return text
    return ""


def _attribute(element: Element, name: str) -> str:
    # Without a list of all attributes: lxml takes quadratic time for it, in which nothing else of the process runs.
    value = element.get(name)
    if value is None:
        found: Any = cast("Any", element).xpath("@*[local-name() = $name][1]", name=name, smart_strings=False)
        value = "".join(found)
    return value[:MAX_TEXT].strip()


def _link(links: list[Element]) -> str:
    """The address of an item: Atom has it in an attribute, and several by their relation."""
    alternates = [link for link in links if _attribute(link, "rel") in {"", "alternate"}]
    for link in [*alternates, *links]:
        if address := _attribute(link, "href") or _text(link):
            return address[:2000]
    return ""


def _author(fields: dict[str, list[Element]]) -> str:
    for element in fields.get("author", []):
        for child in element:
            if _name(child) == "name" and (name := _text(child)):
                return name[:500]
    return _first(fields, "author", "creator")[:500]


def _categories(elements: list[Element]) -> list[JsonValue]:
    found = [_attribute(element, "term") or _text(element) for element in elements[:MAX_LIST]]
    return [category[:500] for category in found if category]


def _enclosures(fields: dict[str, list[Element]]) -> list[JsonValue]:
    links = [link for link in fields.get("link", []) if _attribute(link, "rel") == "enclosure"]
    return [
        {
            "url": (_attribute(element, "url") or _attribute(element, "href"))[:2000],
            "type": _attribute(element, "type")[:200],
            "length": _attribute(element, "length")[:20],
        }
        for element in [*fields.get("enclosure", []), *links][:MAX_LIST]
    ]


def _time(text: str) -> datetime | None:
    if not text:
        return None
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        # OverflowError: a year or an offset that no time has.
        with suppress(ValueError, TypeError, OverflowError):
            moment = parse(text[:100])
            if moment.tzinfo:
                return moment.astimezone(UTC)
            return moment.replace(tzinfo=UTC)
    return None
