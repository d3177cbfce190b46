"""Equality of writes between a dry run and the run that applies it: method, address and body, byte for byte.

Three things may differ, and the list says so: times of now, ids that the program made up, and values out of the answer to
an earlier write, which only the real answer can give. An id that the program was given is compared like any other text.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from codewords_mcp.runtime.recording.exchanges import Headers, RecordedRequest
from codewords_mcp.runtime.recording.recorder import OpenExchange

NOW_SECONDS: Final = 600.0
"""Distance from now within which a time counts as the present."""
MAX_VALUES: Final = 200
"""Values of one answer that later writes may name."""
MAX_SEEN: Final = 500
"""Responses in which an id is looked for before it counts as made up."""

_ID: Final = re.compile(
    rb"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-f]{32})(?![0-9A-Za-z])"
)
_TIME: Final = re.compile(
    rb"(?<![0-9])\d{4}-\d\d-\d\d[T ]\d\d(?::|%3A)\d\d(?::|%3A)\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d|%2B\d\d(?::|%3A)?\d\d)?"
)
_EPOCH: Final = re.compile(rb"(?<![0-9A-Za-z_.-])\d{10}(?:\.\d{1,9}|\d{3})?(?![0-9A-Za-z_.-])")
_SECRET: Final = re.compile(rb"\[secret [A-Za-z0-9_]+\]")
_BOUNDARY: Final = re.compile(rb'boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?', re.IGNORECASE)
_FILE: Final = b"/file/"
# A name of something, as ids are. Words would be found where they mean nothing.
_REFERENCE: Final = re.compile(r"(?=.*\d)[\w.:@=+-]{4,128}", re.ASCII)
# Headers beside the body that say what a request does.
_MEANING: Final = re.compile(
    rb"content-(type|encoding)|x-(http-)?method(-override)?|x-original-.*|x-rewrite-url"
)


@dataclass(frozen=True, slots=True)
class WriteKey:
    """`digest` is "" for a body that is not whole. `varies`: what was left out of it, in words."""

    digest: str
    varies: tuple[str, ...]


class WriteKeys:
    """Makes the keys of one run's writes.

    `known` returns the texts that the program knows from the start, its input and code. None where they are not whole:
    then no id counts as made up.
    """

    def __init__(
        self, known: Callable[[], Sequence[bytes] | None], clock: Callable[[], float] = time.time
    ) -> None:
        self._known = known
        self._clock = clock
        self._seen: list[OpenExchange] = []
        self._answers: list[tuple[int, Callable[[], bytes]]] = []

    def saw(self, exchange: OpenExchange) -> None:
        """Remember an exchange, whose response the program will know."""
        if len(self._seen) < MAX_SEEN:
            self._seen.append(exchange)

    def answered(self, number: int, body: Callable[[], bytes]) -> None:
        """Let later writes name values of the answer to write `number` of the list."""
        self._answers.append((number, body))

    def key(self, request: RecordedRequest) -> WriteKey:
        """The key of a write."""
        if request.body is None:
            return WriteKey("", ())

        varies: dict[str, None] = {}
        heads, boundary = _meaning(request.headers)
        origin, target = _split(request.url)
        body = request.body
        if request.channel == "call" and target.startswith(_FILE):
            # A link is made for each upload.
            target = _FILE
            varies["the link of the upload"] = None
        if boundary:
            body = body.replace(boundary, b"<boundary>")
        for value, label in self._references():
            named = re.compile(rb"(?<![\w.-])" + re.escape(value) + rb"(?![\w.-])")
            if named.search(target) or named.search(body):
                varies[f"the {label}"] = None
            mark = f"<{label}>".encode()
            target, body = named.sub(mark, target), named.sub(mark, body)

        target, body = self._without_noise(target, varies), self._without_noise(body, varies)
        whole = b"\0".join(
            (request.channel.encode(), request.method.encode(), origin, target, *heads, b"\0", body)
        )
        return WriteKey(hashlib.sha256(whole).hexdigest(), tuple(varies))

    def _without_noise(self, text: bytes, varies: dict[str, None]) -> bytes:
        def id_of(match: re.Match[bytes]) -> bytes:
            # An id that came to the program is the same in each attempt.
            if self._knows(match[0]):
                return match[0]
            varies["ids that the program makes up (UUIDs)"] = None
            return b"<id>"

        def time_of(match: re.Match[bytes]) -> bytes:
            at = _moment(match[0])
            # A time that is not now is data, such as a date of birth, and tells one write from
            # another.
            if at is None or abs(at - self._clock()) > NOW_SECONDS:
                return match[0]
            varies["times of the moment"] = None
            return b"<time>"

        text = _ID.sub(id_of, text)
        return _EPOCH.sub(time_of, _TIME.sub(time_of, text))

    def _knows(self, token: bytes) -> bool:
        """Whether the program was given this text: then it is no id of its own."""
        known = self._known()
        if known is None or len(self._seen) >= MAX_SEEN or any(token in text for text in known):
            return True
        # What was not recorded whole may have had it.
        return any(
            token in exchange.body or not (exchange.whole or exchange.status == 0) for exchange in self._seen
        )

    def _references(self) -> list[tuple[bytes, str]]:
        """(value, its name) of answers to earlier writes, the longest values first."""
        found: dict[bytes, str] = {}
        for number, body in self._answers:
            for path, text in _values(body()):
                value = text.encode()
                if not any(value in text for text in self._known() or ()):
                    found.setdefault(value, f"{path} of the answer to {number}")
        # A short value may be a part of a longer one, which would not be found any more.
        return sorted(found.items(), key=_longest_first)


def exact_digest(request: RecordedRequest) -> str:
    """Equal for requests with equal channel, method, address, body and account. The body must be whole."""
    return _digest(request, request.url.encode(), _body(request))


def bare_digest(request: RecordedRequest, at: float) -> str:
    """Equal for requests that differ in UUIDs, and in times within `NOW_SECONDS` of the moment `at` of each, at the most."""

    def time_of(match: re.Match[bytes]) -> bytes:
        moment = _moment(match[0])
        if moment is None or abs(moment - at) > NOW_SECONDS:
            return match[0]
        return b"<time>"

    def bare(text: bytes) -> bytes:
        return _EPOCH.sub(time_of, _TIME.sub(time_of, _ID.sub(b"<id>", text)))

    return _digest(request, bare(request.url.encode()), bare(_body(request)))


def _body(request: RecordedRequest) -> bytes:
    body = request.body or b""
    _, boundary = _meaning(request.headers)
    if boundary:
        return body.replace(boundary, b"<boundary>")
    return body


def _digest(request: RecordedRequest, url: bytes, body: bytes) -> str:
    heads, _ = _meaning(request.headers)
    target = f"{request.channel}\0{request.method}\0".encode() + url
    return hashlib.sha256(b"\0".join((target, *heads, b"", body))).hexdigest()


def _split(url: str) -> tuple[bytes, bytes]:
    """(scheme and host, which never vary; the rest)."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}".encode(), f"{slash}{path}".encode()


def _longest_first(reference: tuple[bytes, str]) -> int:
    return -len(reference[0])


def _meaning(headers: Headers) -> tuple[list[bytes], bytes]:
    """(the headers that say what a request does, and the secrets in the others; a multipart boundary)."""
    parts: list[bytes] = []
    boundary = b""
    for name, value in headers:
        lowered = name.lower()
        if _MEANING.fullmatch(lowered):
            if value.lower().startswith(b"multipart/"):
                found = _BOUNDARY.search(value)
            else:
                found = None
            if found:
                boundary = found[1]
            parts.append(lowered + b":" + (value.replace(boundary, b"<boundary>") if found else value))
        else:
            # The account that a write is made with: another secret is another write.
            parts += [lowered + b":" + secret for secret in _SECRET.findall(value)]
    return sorted(parts), boundary


def _moment(text: bytes) -> float | None:
    """Seconds since 1970 of a written time; None if it is none."""
    plain = text.decode("ascii").replace("%3A", ":").replace("%2B", "+").replace(",", ".")
    if plain.replace(".", "").isdigit():
        seconds = float(plain)
        return seconds / 1000 if seconds >= 1e11 else seconds
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", plain))
    except ValueError:
        return None
    # Programs write local times without a zone. The clock of a sandbox is UTC.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _values(body: bytes) -> Iterator[tuple[str, str]]:
    """(path, text) of the texts and numbers in a JSON body by which a later request could name something."""
    try:
        root = json.loads(body)
    except (ValueError, RecursionError):
        return

    count = 0
    # A list in place of recursion: the program chooses how deep its JSON is.
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting and count < MAX_VALUES:
        path, value = waiting.pop()
        if isinstance(value, dict):
            fields = cast("dict[str, Any]", value)
            waiting += [(f"{path}.{name}".lstrip("."), item) for name, item in reversed(fields.items())]
        elif isinstance(value, list):
            items = cast("list[Any]", value)[:MAX_VALUES]
            waiting += [
                (f"{path}.{place}".lstrip("."), item) for place, item in reversed(list(enumerate(items)))
            ]
        elif (
            isinstance(value, str | int) and not isinstance(value, bool) and _REFERENCE.fullmatch(str(value))
        ):
            count += 1
            yield path or "value", str(value)
