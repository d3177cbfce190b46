"""Reads a mail that anybody may have written: text, HTML and attachments, within bounds."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.feedparser import BytesFeedParser
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any, cast

from codewords_mcp.common.bounded_json import JsonObject, JsonValue

MAX_PARTS, MAX_DEPTH = 100, 10
"""Parts of a mail at all levels, and levels. Reading a line costs as much as it is nested deep."""
MAX_LINES = 500_000
"""Lines of a mail; 25 MB of attachments are some 350,000."""
MAX_TEXT_BYTES, MAX_HTML_BYTES = 64 << 10, 192 << 10
MAX_ADDRESSES = 100
"""Recipients that an event lists."""
MAX_ATTACHMENTS = 20
_MAX_HEADERS, _MAX_HEADER_CHARS = 500, 8192
_MAX_HEAD = 256 << 10
_BINARY = "application/octet-stream"
_TYPE = re.compile(r"[a-z0-9]+/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")
# Their decoders take quadratic time, or read escapes of Python's.
_REFUSED_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class _TooComplex(Exception):  # an outcome, caught in this module
    """A mail has more parts, levels or lines than are read."""


class _MailPart(Message):
    """A part of a mail, whose header is bounded: reading parameters takes quadratic time.

    Bytes beyond ASCII that no encoding announces are read as UTF-8.
    """

    depth = 0

    def attach(self, payload: Any) -> None:
        if self.depth == MAX_DEPTH:
            raise _TooComplex
        payload.depth = self.depth + 1
        super().attach(payload)

    def set_raw(self, name: str, value: Any) -> None:
        if len(self) < _MAX_HEADERS:
            text = str(value)[:_MAX_HEADER_CHARS].encode(errors="surrogateescape").decode(errors="replace")
            super().set_raw(name, text)


@dataclass(frozen=True, slots=True)
class MailAttachment:
    """A file of a mail. `name` has no folders."""

    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class MailContent:
    """A mail's fields for an event, and its first attachments. `attachment_count` counts all of them."""

    identity: str
    """The same for one delivered mail, however it is numbered, and no other."""
    fields: JsonObject
    attachments: tuple[MailAttachment, ...]
    attachment_count: int
    sent_at: datetime | None


def read_mail(raw: bytes, *, complete: bool = True) -> MailContent:
    """Read a mail. Never raises for its content: where it can't be read, the fields are the header's.

    `complete`: `raw` is all of it. Otherwise, and where something was cut, `truncated` is true.
    """
    try:
        # The parser ends lines at either.
        if raw.count(b"\n") + raw.count(b"\r") - raw.count(b"\r\n") > MAX_LINES:
            raise _TooComplex
        message, readable = _parse(raw), True
    # The library raises ValueError for some parameters that it can't decode.
    except (_TooComplex, RecursionError, MessageError, ValueError, LookupError):
        head = re.split(rb"\r?\n\r?\n", raw[:_MAX_HEAD], maxsplit=1)[0]
        message, readable = BytesHeaderParser(_MailPart).parsebytes(head), False

    texts: dict[str, str] = {}
    attachments: list[MailAttachment] = []
    cut, count = not (complete and readable), 0
    for part in _leaves(message) if readable else ():
        kind = _content_type(part)
        if kind in {"text/plain", "text/html"} and kind not in texts and not _is_file(part):
            texts[kind], was_cut = _text(part, MAX_TEXT_BYTES if kind == "text/plain" else MAX_HTML_BYTES)
            cut = cut or was_cut
            continue

        count += 1
        # The last part of an incomplete mail would be half of a file.
        if complete and len(attachments) < MAX_ATTACHMENTS:
            attachments.append(_attachment(part, kind, count))

    sent_at = _sent_at(message)
    fields: JsonObject = {
        "message_id": _header(message, "message-id")[:500],
        "from": next(iter(_addresses(message, "from")), None),
        "to": _addresses(message, "to"),
        "cc": _addresses(message, "cc"),
        "reply_to": _addresses(message, "reply-to"),
        "subject": _header(message, "subject")[:1000],
        "date": None if sent_at is None else sent_at.isoformat(),
        "text": texts.get("text/plain", ""),
        "html": texts.get("text/html", ""),
        "truncated": cut,
    }
    return MailContent(_identity(message), fields, tuple(attachments), count, sent_at)


def _identity(message: _MailPart) -> str:
    """Return what tells one delivered mail from every other, whatever its number in a folder."""
    # A Message-ID alone is the sender's, who can use it twice.
    names = ("message-id", "date", "from", "to", "subject", "received")
    fields = [f"{name}: {value}" for name in names for value in _values(message, name)]
    return hashlib.sha256("\n".join(fields).encode()).hexdigest()


def _parse(raw: bytes) -> _MailPart:
    """Parse a mail. Raises _TooComplex."""
    count = 0

    def counted(policy: Any) -> _MailPart:
        nonlocal count
        count += 1
        if count > MAX_PARTS:
            raise _TooComplex
        return _MailPart(policy=policy)

    # The library calls it with its policy.
    parser = BytesFeedParser(cast("Callable[[], _MailPart]", counted))
    parser.feed(raw)
    return parser.close()


def _leaves(message: _MailPart) -> Iterator[_MailPart]:
    """Yield the parts that hold content. A mail within a mail is one of them."""
    pending = [message]
    while pending:
        part = pending.pop()
        if part.get_content_maintype() != "multipart":
            yield part
        elif part.is_multipart():
            pending.extend(reversed(_inner(part)))


def _inner(part: _MailPart) -> list[_MailPart]:
    payload: Any = part.get_payload()
    return payload


def _content_type(part: _MailPart) -> str:
    kind = part.get_content_type()
    return kind if _TYPE.fullmatch(kind) else _BINARY


def _is_file(part: _MailPart) -> bool:
    return part.get_content_disposition() == "attachment" or _parameter(part, "filename") != ""


def _attachment(part: _MailPart, kind: str, number: int) -> MailAttachment:
    if part.is_multipart():
        content = _as_source(_inner(part))
        usual = f"attachment-{number}.eml"
    else:
        content = _bytes(part)
        usual = f"attachment-{number}"
    return MailAttachment(_file_name(part) or usual, kind, content)


def _as_source(messages: list[_MailPart]) -> bytes:
    """Return the text of mails within a mail; empty where the library can't write what it has read."""
    try:
        return b"".join(message.as_bytes() for message in messages)
    except (MessageError, ValueError, LookupError, TypeError, AttributeError):
        return b""


def _file_name(part: _MailPart) -> str:
    """Return the name without folders and control characters; empty if nothing is left."""
    base = re.split(r"[/\\]", _parameter(part, "filename") or _parameter(part, "name"))[-1]
    printable = "".join(letter for letter in base if letter.isprintable()).strip()
    # A file's name may have 255 bytes.
    cut = printable.encode()[:200].decode(errors="ignore")
    return "" if cut in {".", ".."} else cut


def _parameter(part: _MailPart, name: str) -> str:
    """Return a parameter of the disposition, or `name` of the content type; empty where there is none."""
    if name in {"name", "charset"}:
        header = "content-type"
    else:
        header = "content-disposition"
    try:
        value: Any = part.get_param(name, "", header)
    except (ValueError, LookupError):
        return ""

    # RFC 2231: charset, language and text.
    if isinstance(value, tuple):
        charset, _, text = cast("tuple[str | None, str | None, str]", value)
        return _decode(text.encode("raw-unicode-escape"), charset or "utf-8")
    return _decoded(str(value))


def _text(part: _MailPart, max_bytes: int) -> tuple[str, bool]:
    """Return (the part's text, whether it was cut)."""
    data = _bytes(part)
    charset = _parameter(part, "charset") or "utf-8"
    # Cut before it is decoded: a character of any charset takes at most four bytes.
    text = _CONTROL.sub("", _decode(data[: 4 * max_bytes], charset)).replace("\r\n", "\n")
    encoded = text.encode()
    if len(encoded) <= max_bytes:
        return text, len(data) > 4 * max_bytes
    return encoded[:max_bytes].decode(errors="ignore"), True


def _bytes(part: _MailPart) -> bytes:
    payload: Any = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _decode(data: bytes, charset: str) -> str:
    try:
        name = codecs.lookup(charset).name
        if name in _REFUSED_CHARSETS:
            raise LookupError
        return data.decode(name, errors="replace")
    # Some codecs are none of text, and some raise errors of their own.
    except (LookupError, ValueError):
        return data.decode(errors="replace")


def _header(message: _MailPart, name: str) -> str:
    return _decoded(next(iter(_values(message, name)), "")).strip()


def _values(message: _MailPart, name: str) -> list[str]:
    return [str(value) for value in message.get_all(name, [])]


def _decoded(text: str) -> str:
    """Decode the encoded words of a header. Line breaks and control characters become spaces."""
    try:
        pieces: list[tuple[Any, str | None]] = decode_header(text)
    except (MessageError, ValueError):
        pieces = [(text, None)]

    joined = ""
    for piece, charset in pieces:
        if isinstance(piece, str):
            joined += piece
        elif charset is None:
            # The form that the library gives to what stands between encoded words.
            joined += piece.decode("raw-unicode-escape", errors="replace")
        else:
            joined += _decode(piece, charset)
    return "".join(letter if letter.isprintable() else " " for letter in joined)


def _addresses(message: _MailPart, name: str) -> list[JsonValue]:
    values = [re.sub(r"[\r\n]", " ", value) for value in _values(message, name)[:10]]
    try:
        pairs = getaddresses(values)
    # Comments within comments are read by recursion.
    except (RecursionError, ValueError, LookupError):
        return []

    found: list[JsonValue] = []
    for person, address in pairs:
        if address and len(found) < MAX_ADDRESSES:
            found.append({"name": _decoded(person)[:200], "address": _decoded(address)[:320]})
    return found


def _sent_at(message: _MailPart) -> datetime | None:
    try:
        found = parsedate_to_datetime(_header(message, "date"))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
