"""Requests and replies of a stand-in provider, and the steering of its answers by a model's name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, cast

from codewords_testing.fidelity.exchange import SentReply, is_observed, report

Json = dict[str, Any]


def part(value: Any, *path: str) -> Json:
    """The object at a path of keys, {} where there is none."""
    for name in path:
        if isinstance(value, dict):
            value = cast("Json", value).get(name)
        else:
            value = None
    if isinstance(value, dict):
        return cast("Json", value)
    return {}


CUT: Any = object()
"""In a stream: the connection breaks off here."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived. Header names are lower case; `path` is without the query."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    provider: str = ""

    @property
    def json(self) -> Json:
        """The body where it is a JSON object, else {}."""
        if self.body.lstrip()[:1] != b"{":
            # Bodies that are no object, such as uploads, need not be parsed.
            return {}
        try:
            parsed: Any = json.loads(self.body)
        except ValueError:
            return {}
        return part(parsed)


@dataclass(slots=True)
class StubReply:
    """An answer: `body`, or `stream` of pieces with `delay` seconds before each; `wait` seconds before the first byte.

    `hangs_up`: the connection is closed without a byte instead.
    """

    status: int = 200
    body: bytes = b""
    stream: list[Any] | None = None
    media: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    delay: float = 0.0
    wait: float = 0.0
    hangs_up: bool = False
    usage: Json = field(default_factory=Json)
    """What this answer bills, in the provider's own names; tallied by the server."""
    is_faulty: bool = False
    """The reply is of no shape that the service has, as a test asked for."""


def report_reply(service: str, request: Request, reply: StubReply) -> None:
    """Give a reply to those who compare it with the service's description."""
    if not is_observed() or reply.is_faulty or reply.hangs_up:
        return
    pieces = reply.stream or []
    whole = b"".join(piece for piece in pieces if piece is not CUT) if pieces else reply.body
    report(
        SentReply(
            service,
            request.method,
            request.path,
            reply.status,
            reply.media,
            whole,
            CUT in pieces,
            request.body,
        )
    )


@dataclass(frozen=True, slots=True)
class Steering:
    """Behaviour that a model's name selects, in parts joined by dashes.

    Numbers: `err-429`, `ra2` (retry-after), `c64` pieces, `d25` ms between them, `w500` ms before the first byte, `mb10`
    megabytes of text. Flags: `gzip`, `br`, `deflate`, `cut`, `midstream` (an error inside the stream), `nousage`, `twice`
    (usage is reported twice), `loose` (an answer that breaks its schema), `mends` (one that breaks it until the request
    says so), `short` (an answer that ended at its limit of tokens), `bills` (pictures and stored things are billed too).
    """

    status: int = 200
    retry_after: str | None = None
    pieces: int = 16
    delay: float = 0.0
    wait: float = 0.0
    megabytes: int = 0
    flags: frozenset[str] = frozenset()


_FLAGS = frozenset(
    {"gzip", "br", "deflate", "cut", "midstream", "nousage", "twice", "loose", "mends", "short", "bills"}
)


def steer(model: str) -> Steering:
    """Read a model's name."""

    def number(mark: str, usual: int) -> int:
        found = re.search(rf"(?:^|-){mark}(\d+)(?=-|$)", model)
        if found:
            return int(found[1])
        return usual

    retry_after = number("ra", -1)
    return Steering(
        number("err-", 200),
        str(retry_after) if retry_after >= 0 else None,
        number("c", 16),
        number("d", 0) / 1000,
        number("w", 0) / 1000,
        number("mb", 0),
        frozenset(model.split("-")) & _FLAGS,
    )


def dumped(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


_WORDS = (
    "Hello",
    " from",
    " the",
    " stand",
    "-in",
    ",",
    " one",
    " word",
    " after",
    " another",
    " and",
    " no",
    " more",
    " of",
    " it",
    ".",
)


def words(count: int) -> list[str]:
    """So many pieces of text."""
    return [_WORDS[index % len(_WORDS)] for index in range(count)]


def text_of(steering: Steering) -> str:
    """The whole text of an answer."""
    if steering.megabytes:
        return "x" * (steering.megabytes << 20)
    return "".join(words(steering.pieces))


def input_tokens(request: Request) -> int:
    """Count a prompt as a quarter of its bytes, 7 at the least; for a model that `bills`, pictures and stored things too."""
    text = max(7, len(request.body) // 4)
    if b"-bills" in request.body or "-bills" in request.path:
        return text + _beside_text(request.json)
    return text


_PICTURE, _WINDOW = 48_169, 128_000
_PICTURES = ("imageurl", "inlinedata")
_STORED = ("fileid", "filedata", "fileuri", "fileurl", "previousresponseid", "conversation", "cachedcontent")


def _beside_text(value: Any) -> int:
    """Pictures as gpt-4o-mini bills them, and stored things as if they filled its window; names are read leniently."""
    if isinstance(value, list):
        return sum(_beside_text(item) for item in cast("list[Any]", value))
    if not isinstance(value, dict):
        return 0

    total, stored = 0, False
    for name, item in cast("Json", value).items():
        plain = name.casefold().replace("_", "")
        total += _PICTURE if plain in _PICTURES and item else 0
        stored = stored or (plain in _STORED and bool(item))
        total += _beside_text(item)

    if cast("Json", value).get("type") == "image":
        total += _PICTURE
    return total + (_WINDOW if stored else 0)


def sample(schema: Json, definitions: Json | None = None) -> object:
    """A value that satisfies a JSON Schema, the smallest that comes to mind. Gemini's upper-case types are read too."""
    known: Json = definitions or part(schema, "$defs")
    if "$ref" in schema:
        return sample(part(known, str(schema["$ref"]).rsplit("/", 1)[-1]), known)
    if schema.get("enum"):
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]

    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return sample(schema[word][0], known)

    kind: Any = schema.get("type", "object")
    kind = str(cast("list[Any]", kind)[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        return {name: sample(value, known) for name, value in part(schema, "properties").items()}
    if kind == "array":
        return [sample(part(schema, "items") or {"type": "string"}, known)]

    return {"integer": 1, "number": 1.5, "boolean": True, "null": None}.get(kind, "sample")


def structured(request: Request, schema: Json | None, steering: Steering) -> str | None:
    """The text of a structured answer, or None where none was asked for."""
    if not schema:
        return None
    # The words by which the gateway asks for a corrected answer.
    is_correction = b"does not fit" in request.body
    breaks = "loose" in steering.flags or ("mends" in steering.flags and not is_correction)
    if breaks:
        return '{"unasked": 1}'
    return json.dumps(sample(schema))
