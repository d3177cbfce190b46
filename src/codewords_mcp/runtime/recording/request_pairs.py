"""Requests of two runs of one input, each with its counterpart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from codewords_mcp.runtime.recording.content import Value
from codewords_mcp.runtime.recording.exchanges import Exchange, Headers, split_url
from codewords_mcp.runtime.recording.matching import NormalForm, normal_form, request_value
from codewords_mcp.runtime.recording.writes import RequestKind, kind_of

_OF_CLIENTS: Final = frozenset(
    b"""host user-agent accept-encoding accept-language connection keep-alive content-length transfer-encoding date traceparent
    tracestate x-correlation-id x-provisioned-request-id x-amz-date x-amz-content-sha256 content-md5 proxy-connection te
    """.split()
)
"""Headers that name the client, the connection or the moment, and nothing that the host would act on."""
_KEYS: Final = ("authorization", "x-api-key", "x-codewords-api-key", "x-goog-api-key")
"""Headers by which a program shows the runtime its key."""
MAX_SCORED: Final = 40
"""Requests of one route that are compared each with each to find the likeliest pairs. More are paired in their order."""


@dataclass(eq=False)
class SeenRequest:
    """A request of a run, as comparisons see it."""

    exchange: Exchange
    kind: RequestKind = field(init=False)

    def __post_init__(self) -> None:
        self.kind = kind_of(self.exchange.request)

    @cached_property
    def headers(self) -> dict[str, Value]:
        """The headers that a host acts on."""
        found = _meaning(self.exchange.request.headers)
        if self.exchange.request.channel != "egress":
            # The run's own key, another one each time.
            for name in _KEYS:
                found.pop(name, None)
        return found

    @cached_property
    def form(self) -> NormalForm:
        """Its normal form."""
        return normal_form(self.exchange.request)

    @cached_property
    def value(self) -> dict[str, Value]:
        """Path, query, body and headers."""
        request = self.exchange.request
        found: dict[str, Value] = {"path": split_url(request.url).path, **request_value(request)}
        if self.headers:
            found["headers"] = dict(self.headers)
        if request.body is None:
            found["body"] = None
        return found

    @cached_property
    def key(self) -> object:
        """Equal for requests that are equal, headers of meaning included; those without their whole body equal none."""
        key = self.exchange.request.key
        return key if key is not None else self

    @property
    def place(self) -> tuple[str, str]:
        """(kind, route)."""
        return self.kind, self.form.route

    @property
    def name(self) -> str:
        """The request in words: method and address, or the service that it calls."""
        request = self.exchange.request
        parts = split_url(request.url)
        if request.channel == "call":
            path = parts.path.strip("/")
            service = path.removeprefix("run_async/").removeprefix("run/")
            return f"{request.method} {service if service != path else f'runtime/{path}'}"
        return f"{request.method} {parts.netloc}{parts.path}"

    def same_as(self, other: SeenRequest) -> bool:
        """Whether both are equal in everything that counts."""
        return self.key == other.key and self.headers == other.headers


@dataclass
class RequestPairs:
    """The requests of two runs: those that belong together, and those that only one of them has."""

    pairs: list[tuple[SeenRequest, SeenRequest]] = field(
        default_factory=list[tuple[SeenRequest, SeenRequest]]
    )
    missing: list[SeenRequest] = field(default_factory=list[SeenRequest])
    added: list[SeenRequest] = field(default_factory=list[SeenRequest])


def pair_requests(before: Sequence[SeenRequest], after: Sequence[SeenRequest]) -> RequestPairs:
    """Pair equal requests, then those that differ in times and ids, then those that are likest on their route."""
    result = RequestPairs()
    rest = _pair_by(before, after, _key, result)
    rest = _pair_by(*rest, _form, result)
    by_place: defaultdict[tuple[str, str], tuple[list[SeenRequest], list[SeenRequest]]] = defaultdict(_lists)
    for one in rest[0]:
        by_place[one.place][0].append(one)
    for one in rest[1]:
        by_place[one.place][1].append(one)
    for old, new in by_place.values():
        _pair_likest(old, new, result)

    result.pairs.sort(key=_number)
    return result


def _lists() -> tuple[list[SeenRequest], list[SeenRequest]]:
    return [], []


def _key(one: SeenRequest) -> object:
    return one.kind, one.key


def _form(one: SeenRequest) -> object:
    return one.kind, one.form.route, one.form.fields


def _number(pair: tuple[SeenRequest, SeenRequest]) -> int:
    return pair[0].exchange.number


def _pair_by(
    before: Iterable[SeenRequest],
    after: Iterable[SeenRequest],
    key: Callable[[SeenRequest], object],
    result: RequestPairs,
) -> tuple[list[SeenRequest], list[SeenRequest]]:
    waiting: defaultdict[object, list[SeenRequest]] = defaultdict(list)
    before = list(before)
    after = list(after)
    if not before or not after:
        return before, after
    # The list's end is taken first, so that the earliest of equal requests is paired first.
    for one in reversed(before):
        waiting[key(one)].append(one)

    left: list[SeenRequest] = []
    for one in after:
        found = waiting.get(key(one))
        if found:
            result.pairs.append((found.pop(), one))
        else:
            left.append(one)
    unpaired = {id(one) for ones in waiting.values() for one in ones}
    return [one for one in before if id(one) in unpaired], left


def _pair_likest(old: list[SeenRequest], new: list[SeenRequest], result: RequestPairs) -> None:
    # Scores are made for all pairs, which costs the square of what one loop sends.
    if len(old) * len(new) > MAX_SCORED**2:
        count = min(len(old), len(new))
        result.pairs += zip(old[:count], new[:count], strict=True)
        result.missing += old[count:]
        result.added += new[count:]
        return

    scores = sorted(
        # Of two that are as like the nearer in place is meant.
        (-likeness, abs(i - j), i, j)
        for i, one in enumerate(old)
        for j, other in enumerate(new)
        if (likeness := _likeness(one.form, other.form)) > 0
    )
    paired: dict[int, int] = {}
    for _, _, i, j in scores:
        if i not in paired and j not in paired.values():
            paired[i] = j
    result.pairs += [(old[i], new[j]) for i, j in paired.items()]
    missing = [one for i, one in enumerate(old) if i not in paired]
    added = [one for j, one in enumerate(new) if j not in paired.values()]
    if len(missing) == len(added) and all(one.exchange.request.channel == "egress" for one in missing):
        # As many calls of one address: each has another body. A service's operations share an address.
        result.pairs += zip(missing, added, strict=True)
        return
    result.missing += missing
    result.added += added


def _likeness(one: NormalForm, other: NormalForm) -> float:
    """From 0 to 2. 0: they have nothing to do with each other."""
    if not one.fields and not other.fields:
        return 2.0
    equal = len(set(one.fields) & set(other.fields))
    share = equal / max(len(one.fields), len(other.fields))
    if one.shape == other.shape:
        return 1.0 + share
    return share if share >= 1 / 3 else 0.0


def _meaning(headers: Headers) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in headers:
        text = value.decode("latin-1")
        lowered = name.lower()
        if lowered in _OF_CLIENTS or (lowered == b"accept" and text == "*/*"):
            continue
        if lowered == b"content-type":
            # The boundary of a multipart is another one each time.
            text = text.partition(";")[0].strip().lower()
        found[lowered.decode("latin-1")] = text
    return found
