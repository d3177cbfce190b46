"""The recorded exchange that answers a request: an equal one first, then one that differs in times and ids only, then the next of
its route.

Keys come before positions, so that programs which send several requests at once are answered alike in any order. Each exchange
answers once. A read answers again when all that are equal to it have answered, as polls and retries ask the same until they get
another answer.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final, Literal

from codewords_mcp.runtime.recording.content import Value, header, pairs_of, read_content
from codewords_mcp.runtime.recording.exchanges import Exchange, RecordedRequest, Recording, split_url
from codewords_mcp.runtime.recording.volatile import Token, template
from codewords_mcp.runtime.recording.writes import kind_of

MatchKind = Literal["exact", "normalised", "noise", "position"]
"""Equal; equal but for times and ids; equal but for fields that differ between replays of one version; the next of its route."""
FieldName = tuple[str, str]
"""(route, field): one field of all requests of a route."""

_MAX_REMEMBERED: Final = 1 << 15
"""Bytes of a body whose normal form is remembered."""
MAX_LOOKED_AT: Final = 50
"""Recorded requests with equal templates that one request is compared with."""


@dataclass(frozen=True, slots=True)
class Match:
    """The exchange that answers a request, and the way in which it was found."""

    exchange: Exchange
    kind: MatchKind
    again: bool = False
    """It has answered before."""


@dataclass(frozen=True, slots=True)
class NormalForm:
    """A request in the form in which its matching is decided."""

    route: str
    """Channel, method and address, with marks for times and ids."""
    fields: tuple[tuple[str, str], ...]
    """(field, template of its value), by name."""
    tokens: tuple[Token, ...]
    """The times and ids, in the order of the fields."""
    shape: tuple[str, ...]
    """Names of the fields."""


def request_value(request: RecordedRequest) -> dict[str, Value]:
    """The parts of a request that count: query and body. Its address is the route."""
    kind = header(request.headers, b"content-type")
    return _value(split_url(request.url).query, kind, request.body or b"")


def _value(query: str, kind: str, body: bytes) -> dict[str, Value]:
    found: dict[str, Value] = {}
    if query:
        found["query"] = pairs_of(query)
    if body:
        found["body"] = read_content(body, kind)
    return found


def flatten(value: Value) -> list[tuple[str, str]]:
    """The scalars of a value as text, with their paths. Numbers of equal value are equal, however they are written."""
    found: list[tuple[str, str]] = []
    _collect(value, "", found)
    return found


def _collect(value: Value, path: str, found: list[tuple[str, str]]) -> None:
    if isinstance(value, str):
        found.append((path, value))
    elif isinstance(value, dict):
        # Names of a JSON object have no order.
        for name in sorted(value):
            _collect(value[name], f"{path}.{name}" if path else name, found)
        if not value:
            # Without a field an empty object would be like one that is not there.
            found.append((path, "{}"))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _collect(item, f"{path}[{number}]", found)
        if not value:
            found.append((path, "[]"))
    elif isinstance(value, float) and value.is_integer():
        found.append((path, str(int(value))))
    else:
        found.append((path, json.dumps(value)))


def normal_form(request: RecordedRequest) -> NormalForm:
    """The normal form of a request with its whole body."""
    body = request.body or b""
    kind = header(request.headers, b"content-type") if body else ""
    # The cache has up to 512 bodies as keys, which is 16 MiB at this size.
    if len(body) > _MAX_REMEMBERED:
        return _normal_form.__wrapped__(request.channel, request.method, request.url, kind, body)
    return _normal_form(request.channel, request.method, request.url, kind, body)


# Each recorded request is looked at in every replay of its recording.
@lru_cache(maxsize=512)
def _normal_form(channel: str, method: str, url: str, kind: str, body: bytes) -> NormalForm:
    parts = split_url(url)
    address, in_address = template(f"{parts.netloc}{parts.path}")
    tokens = list(in_address)
    fields: list[tuple[str, str]] = []
    for path, text in flatten(_value(parts.query, kind, body)):
        name, in_name = template(path)
        form, in_text = template(text)
        tokens += in_name
        tokens += in_text
        fields.append((name, form))
    shape = tuple(name for name, _ in fields)
    return NormalForm(f"{channel} {method} {address}", tuple(fields), tuple(tokens), shape)


class Corpus:
    """All that the run got from outside: its input and the responses. A time or id of it is data and no accident."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @cached_property
    def _content(self) -> tuple[bytes, dict[int, int]]:
        """(all bytes, how many of them came before each exchange). Made when something differs."""
        recording = self._recording
        pieces = [recording.request.target.encode(), b"\n", recording.request.body or b""]
        sizes: list[int] = [sum(map(len, pieces))]
        for one in recording.exchanges:
            body = one.body
            pieces += [b"\n", body]
            sizes.append(sizes[-1] + 1 + len(body))
        return b"".join(pieces), {one.number: sizes[at] for at, one in enumerate(recording.exchanges)}

    def has(self, text: str, before: int | None = None) -> bool:
        """Whether it came from outside; with `before`, in a response to a request before that number."""
        content, sizes = self._content
        if before is None:
            end = len(content)
        else:
            end = sizes.get(before, len(content))
        return content.find(text.encode(), 0, end) >= 0


def agree(
    recorded: tuple[Token, ...], now: tuple[Token, ...], corpus: Corpus, number: int | None = None
) -> bool:
    """Whether times and ids that differ do so by accident: none of them is data that the run got from outside."""
    for (kind, before), (_, text) in zip(recorded, now, strict=True):
        if before == text:
            continue
        if corpus.has(text):
            return False
        # A day may stand in a response by chance, an id does not.
        if kind != "time" and corpus.has(before, number):
            return False
    return True


@dataclass(slots=True)
class _Queue:
    """Exchanges that can answer alike, in order."""

    waiting: deque[Exchange] = field(default_factory=deque[Exchange])
    last: Exchange | None = None

    def take(self, used: set[int]) -> Exchange | None:
        while self.waiting:
            one = self.waiting.popleft()
            self.last = one
            if one.number not in used:
                return one
        return None


class Matcher:
    """Finds the exchanges of one recording that answer the requests of one replay.

    `noise`: fields that are known to differ between replays of one version.
    """

    def __init__(self, recording: Recording, noise: frozenset[FieldName] = frozenset()) -> None:
        self.corpus = Corpus(recording)
        self._noise = noise
        self._noisy_routes = {route for route, _ in noise}
        self._used: set[int] = set()
        self._sent = [one for one in recording.exchanges if one.outcome == "sent"]
        self._replayable = [one for one in self._sent if one.replayable]
        self._by_key: defaultdict[str, _Queue] = defaultdict(_Queue)
        for one in self._replayable:
            if (key := one.request.key) is not None:
                self._by_key[key].waiting.append(one)

        self._forms: dict[int, NormalForm] | None = None
        self._by_form: defaultdict[tuple[object, ...], list[Exchange]] = defaultdict(list)
        self._by_route: defaultdict[tuple[object, ...], _Queue] = defaultdict(_Queue)

    def find(self, request: RecordedRequest) -> Match | None:
        """The exchange that answers this request, or None: it is not on the recording."""
        key = request.key
        if key is None:
            return None
        if key in self._by_key and (match := self._take_equal(self._by_key[key], request)):
            return match

        form = normal_form(request)
        return self._take_alike(form, request) or self._take_next(form, request)

    def why_not(self, request: RecordedRequest) -> str:
        """The reason why nothing answers a request."""
        if request.body is None:
            return "its body is longer than is kept"
        for one in self._sent:
            if one.request.key == request.key and not one.replayable:
                return one.why_not_replayable
        return "it is not on the recording"

    def _take_equal(self, queue: _Queue, request: RecordedRequest) -> Match | None:
        if one := queue.take(self._used):
            return self._match(one, "exact")
        if queue.last is None or kind_of(request) == "write":
            return None
        return Match(queue.last, "exact", again=True)

    def _take_alike(self, form: NormalForm, request: RecordedRequest) -> Match | None:
        forms = self._index()
        used: Exchange | None = None
        kind = kind_of(request)
        candidates = self._by_form.get((form.route, form.fields), [])
        for looked_at, one in enumerate(candidates):
            # A loop sends thousands of requests with one template, and each would be compared with all.
            if looked_at >= MAX_LOOKED_AT:
                break
            if kind_of(one.request) != kind:
                continue
            if not agree(forms[one.number].tokens, form.tokens, self.corpus, one.number):
                continue
            if one.number not in self._used:
                # Behind those that have not answered yet, so that the bound leaves room for them.
                candidates.remove(one)
                candidates.append(one)
                return self._match(one, "normalised")
            used = one
        if used is None or kind == "write":
            return None
        return Match(used, "normalised", again=True)

    def _take_next(self, form: NormalForm, request: RecordedRequest) -> Match | None:
        """The next of its route: first of those with the same fields."""
        forms = self._index()
        kind = kind_of(request)
        # Those with the same fields come first: a program may send different ones to a route by
        # turns.
        for place in ((form.route, kind, form.shape), (form.route, kind)):
            queue = self._by_route.get(place)
            if queue is None:
                continue
            one = queue.take(self._used)
            if one is None and form.route in self._noisy_routes and kind != "write":
                one = queue.last
            if one is None:
                continue
            again = one.number in self._used
            if self._only_noise(form, forms[one.number]):
                return self._match(one, "noise", again=again)
            if not again:
                return self._match(one, "position")
        return None

    def _only_noise(self, form: NormalForm, recorded: NormalForm) -> bool:
        if form.route not in self._noisy_routes or form.shape != recorded.shape:
            return False
        different = (
            name
            for (name, text), (_, before) in zip(form.fields, recorded.fields, strict=True)
            if text != before
        )
        return all((form.route, name) in self._noise for name in different)

    def _match(self, exchange: Exchange, kind: MatchKind, *, again: bool = False) -> Match:
        self._used.add(exchange.number)
        return Match(exchange, kind, again)

    def _index(self) -> dict[int, NormalForm]:
        """The normal forms of the recorded requests. Made when a request is not equal to any."""
        if self._forms is not None:
            return self._forms
        self._forms = {}
        for one in self._replayable:
            form = normal_form(one.request)
            self._forms[one.number] = form
            self._by_form[form.route, form.fields].append(one)
            kind = kind_of(one.request)
            self._by_route[form.route, kind, form.shape].waiting.append(one)
            self._by_route[form.route, kind].waiting.append(one)
        return self._forms
