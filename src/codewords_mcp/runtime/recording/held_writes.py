"""Writes that a dry run held, and the list of them that a person agrees to.

A dry run and each run that applies it share one list. A write on it is *held*, then *agreed* to by a person, then *sent*, at
most once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, cast

from codewords_mcp.runtime.recording.exchanges import Headers, RecordedRequest, RecordingChannel, split_url

WriteState = Literal["held", "agreed", "sent"]
MAX_WRITES: Final = 500
"""Writes on one list. A dry run that would write more often is refused the rest."""
MAX_SHOWN_BODY: Final = 600
"""Characters of a body in a list that a person reads. The agreement is to the whole of it."""
MAX_GROUPS: Final = 12
_MAX_GROUP_BODY: Final = 160
_MAX_ADDRESS: Final = 200
_STORED_HEADERS: Final = frozenset({b"content-type", b"content-encoding", b"idempotency-key"})


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The complete response to a write that was sent, for a run that comes to the same write again."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class HeldWrite:
    """One write. `run_id` made it: the dry run, a run below it, or a run that applied it."""

    number: int
    """Its place on the list, from 1."""
    run_id: str
    request: RecordedRequest
    key: str
    """Equal for the same write in another run; "" where its body is too long to be compared."""
    why: str
    """The reason why it is a write."""
    effect: str
    """Its effect, in words."""
    varies: tuple[str, ...] = ()
    """Parts that may differ in the run that applies it, in words."""
    answered: str = ""
    """Where the response came from that stood for its own."""
    state: WriteState = "held"
    answer: StoredAnswer | None = field(default=None, repr=False)
    """Its response, once it was sent and all of that was recorded."""

    @property
    def address(self) -> str:
        """See `address_of`."""
        return address_of(self.request)

    @property
    def name(self) -> str:
        """Its method, address and number on the list, without its query and body."""
        bare = cut(self.address.partition("?")[0], _MAX_ADDRESS)
        return f"{self.request.method} {bare} (number {self.number} on the list)"

    @property
    def body_text(self) -> str:
        """See `text_of_body`."""
        return text_of_body(self.request)


class WriteList(Protocol):
    """The list that one run adds to or is bound by; see `DryRuns`."""

    async def hold(self, write: HeldWrite) -> int | None:
        """Put a write on the list. Returns its number, None if the list is full."""
        ...

    async def claim(self, key: str, used: Collection[int]) -> HeldWrite | None:
        """Take the first agreed write with this key, which is *sent* from then on.

        Without one, the first that an earlier run sent, with its answer; None if there is neither. `used`: the numbers
        that this run has come to already.
        """
        ...

    def keep_answer(self, write: HeldWrite, answer: StoredAnswer) -> None:
        """Store the response of a write that was sent."""
        ...


def effect_of(request: RecordedRequest, summary: str = "") -> str:
    """The effect of a write, in words. `summary`: of the operation of a library service."""
    if summary:
        return summary.rstrip(".")
    if request.channel == "call":
        return f"changes something in this home ({_service_address(request.url)})"

    host = request.host or "a host"
    if request.channel == "gateway":
        host = f"the account at {host}"
    path = split_url(request.url).path or "/"
    # HTTP leaves it to the target what a POST does, so the words promise neither.
    verbs = {
        "POST": "creates or sends something at",
        "PUT": "creates or replaces",
        "PATCH": "changes",
        "DELETE": "deletes",
    }
    verb = verbs.get(request.method, f"may change something by {request.method} at")
    return f"{verb} {cut(path, 100)} of {host}"


def stored_headers(headers: Headers) -> Headers:
    """The headers of a write that are kept: those that say what its body is, and its idempotency key."""
    return [(name.lower(), value) for name, value in headers if name.lower() in _STORED_HEADERS]


def write_lines(writes: Iterable[HeldWrite]) -> list[str]:
    """One line for each write, with as much of its body as a person can read."""
    return [
        f"{write.request.method} {cut(write.address, _MAX_ADDRESS)}{_with_body(write, MAX_SHOWN_BODY)}"
        for write in writes
    ]


def grouped_lines(writes: Iterable[HeldWrite]) -> list[str]:
    """A short list: equal routes as one line with the first body, at most `MAX_GROUPS` lines and one for the rest."""
    groups: dict[str, list[HeldWrite]] = {}
    for write in writes:
        groups.setdefault(write.request.route, []).append(write)

    lines: list[str] = []
    for members in list(groups.values())[:MAX_GROUPS]:
        first = members[0]
        times = f"{len(members)} x " if len(members) > 1 else ""
        address = cut(first.address.partition("?")[0] if times else first.address, _MAX_ADDRESS)
        if len({member.request.body for member in members}) > 1:
            more = ", and others"
        else:
            more = ""
        lines.append(f"{times}{first.request.method} {address}{_with_body(first, _MAX_GROUP_BODY)}{more}")

    if left := list(groups.values())[MAX_GROUPS:]:
        lines.append(f"and {sum(map(len, left))} more to {len(left)} other addresses")
    return lines


def varying_parts(writes: Iterable[HeldWrite]) -> list[str]:
    """All parts that may differ from the list, each once."""
    return list(dict.fromkeys(part for write in writes for part in write.varies))


def to_bytes(write: HeldWrite) -> bytes:
    """The content of a write, without its place and state. `from_bytes` reads it."""
    request = write.request
    heads = {
        "channel": request.channel,
        "method": request.method,
        "url": request.url,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers],
        # An empty body and one that was too long to be kept have to be read back as what they were.
        "body": request.body is not None,
        "why": write.why,
        "effect": write.effect,
        "varies": list(write.varies),
        "answered": write.answered,
    }
    text = json.dumps(heads).encode()
    return len(text).to_bytes(4, "big") + text + (request.body or b"")


def from_bytes(data: bytes, *, number: int, run_id: str, key: str, state: str) -> HeldWrite:
    """The write that `to_bytes` wrote."""
    end = 4 + int.from_bytes(data[:4], "big")
    heads = json.loads(data[4:end])
    request = RecordedRequest(
        cast("RecordingChannel", heads["channel"]),
        heads["method"],
        heads["url"],
        [(name.encode("latin-1"), value.encode("latin-1")) for name, value in heads["headers"]],
        data[end:] if heads["body"] else None,
        writes=True,
    )
    return HeldWrite(
        number,
        run_id,
        request,
        key,
        heads["why"],
        heads["effect"],
        tuple(heads["varies"]),
        heads["answered"],
        cast("WriteState", state),
    )


def answer_to_bytes(answer: StoredAnswer) -> bytes:
    """The bytes of a stored answer. `answer_from_bytes` reads them."""
    heads = {
        "status": answer.status,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers],
    }
    text = json.dumps(heads).encode()
    return len(text).to_bytes(4, "big") + text + answer.body


def answer_from_bytes(data: bytes) -> StoredAnswer:
    """The answer that `answer_to_bytes` wrote."""
    end = 4 + int.from_bytes(data[:4], "big")
    heads = json.loads(data[4:end])
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in heads["headers"]]
    return StoredAnswer(heads["status"], headers, data[end:])


def _service_address(url: str) -> str:
    path = split_url(url).path.strip("/")
    for prefix in ("run/", "run_async/"):
        path = path.removeprefix(prefix)
    return path or "runtime"


def _with_body(write: HeldWrite, limit: int) -> str:
    text = write.body_text
    return f"  {cut(text, limit)}" if text else ""


def address_of(request: RecordedRequest) -> str:
    """The address without the scheme; of a library service, its name and path."""
    if request.channel == "call":
        return _service_address(request.url)
    return request.url.partition("://")[2] or request.url


def text_of_body(request: RecordedRequest) -> str:
    """The body in one line, or the size of one that is no text."""
    body = request.body
    if body is None:
        return "(longer than 1 MiB, not kept)"
    if not body:
        return ""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return f"({len(body):,} bytes{_kind(request.headers)})"
    if not text.isprintable():
        # JSON and forms are written with line breaks; what is unprintable beside them is no text.
        text = " ".join(text.split())
    if not text.isprintable():
        return f"({len(body):,} bytes{_kind(request.headers)})"
    return text


def _kind(headers: Headers) -> str:
    kind = next((value for name, value in headers if name == b"content-type"), b"").decode("latin-1")
    kind = kind.partition(";")[0].strip()
    # The program chose this header, and it stands in a list that a person agrees to.
    if kind.isascii() and kind.isprintable() and 0 < len(kind) <= 60:
        return f" of {kind}"
    return ""


def cut(text: str, limit: int) -> str:
    """The text in printable characters, at most so many."""
    # Control and bidirectional characters could make a list show another address than the one agreed to.
    text = "".join(letter if letter.isprintable() else "·" for letter in text)
    if len(text) <= limit:
        return text
    return text[: limit - 1] + "…"
