"""Replays of the version that was recorded, on its own recording.

They teach which fields differ by themselves, and whether the recording can be repeated at all: a run that its own version does
not repeat is never called the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from codewords_mcp.runtime.recording.content import Value, content_of, header
from codewords_mcp.runtime.recording.exchanges import Exchange, Recording, RunMessage
from codewords_mcp.runtime.recording.matching import Corpus, FieldName
from codewords_mcp.runtime.recording.noise import Noise, Scope
from codewords_mcp.runtime.recording.request_pairs import RequestPairs, SeenRequest, pair_requests

ANSWER: Final[Scope] = ("answer", "")
MAX_ORDERED: Final = 200
"""Writes of one run whose order is compared."""
# Headers by which a caller acts; a date or the name of a server says nothing about the program.
_ANSWER_HEADERS: Final = (b"content-type", b"location", b"content-disposition", b"set-cookie")


class Baseline:
    """One recording with at least one replay of its own version, to which replays of other versions are compared.

    More replays teach more noise: a field that takes one of few values by chance may be equal in two.
    """

    def __init__(self, recording: Recording, replays: Sequence[Recording]) -> None:
        if not replays:
            raise ValueError("a replay of the recorded version is needed")
        self.recording = recording
        self.replay = replays[0]
        self.corpus = Corpus(recording)
        self.noise = Noise(self.corpus, recording.seconds)
        self.recorded = seen_requests(recording.exchanges)
        replayed = [seen_requests(one.exchanges) for one in replays]
        self.requests = replayed[0]
        """The requests of the first replay, which others are compared with."""
        self._obstacles = dict.fromkeys(recording.obstacles)
        self._noisy_fields: set[FieldName] = set()

        # Each run beside the one before it: every run teaches, without comparing all with all.
        before, requests_before = recording, self.recorded
        for replay, requests in zip(replays, replayed, strict=True):
            self._learn(before, replay, pair_requests(requests_before, requests))
            self._check(replay, requests)
            before, requests_before = replay, requests
        self._orders = [write_order(self.requests, one) for one in (self.recorded, *replayed[1:])]

    @property
    def obstacles(self) -> list[str]:
        """Reasons why the run cannot be judged whole."""
        return list(self._obstacles)

    @property
    def noisy_fields(self) -> frozenset[FieldName]:
        """Fields of requests that differ by themselves, for the recorder of other versions."""
        return frozenset(self._noisy_fields)

    def keeps_order(self, first: int, second: int) -> bool:
        """Whether two writes come in this order in each run of the recorded version, one after the other's response."""
        for order in self._orders:
            if first not in order or second not in order or order[first] > order[second]:
                return False
        recorded = self._orders[0]
        one, other = self.recorded[recorded[first]].exchange, self.recorded[recorded[second]].exchange
        # Of writes that overlapped the order was chance.
        return one.ended is not None and one.ended <= other.started

    def learn_from(self, first: Recording, second: Recording) -> None:
        """Learn noise from two replays of one program, whichever it is."""
        requests = seen_requests(first.exchanges), seen_requests(second.exchanges)
        self._learn(first, second, pair_requests(*requests))

    def _learn(self, before: Recording, after: Recording, paired: RequestPairs) -> None:
        clocks = clock_of(before), clock_of(after)
        self.noise.learn(ANSWER, answer_value(before.response), answer_value(after.response), clocks)
        for one, other in paired.pairs:
            if one.same_as(other):
                continue
            self.noise.learn(one.place, one.value, other.value, clocks)
            # Only the same fields can be compared one by one.
            if one.form.shape != other.form.shape:
                continue
            self._noisy_fields.update(
                (one.form.route, name)
                for (name, text), (_, now) in zip(one.form.fields, other.form.fields, strict=True)
                if text != now
            )

    def _check(self, replay: Recording, requests: list[SeenRequest]) -> None:
        paired = pair_requests(self.recorded, requests)
        found = [
            *(f"{one.exchange.note}: {one.name}" for one in requests if one.exchange.outcome == "blocked"),
            *(
                f"its own version does not repeat it in a replay: {one.name}"
                for one in _writes(paired.missing)
            ),
            *(f"its own version does more in a replay: {one.name}" for one in _writes(paired.added)),
        ]
        before, after = self.recording.response.status, replay.response.status
        if before != after:
            found.append(f"its own version answers {after} in a replay, and answered {before}")
        self._obstacles.update(dict.fromkeys(found))


def _writes(requests: Iterable[SeenRequest]) -> list[SeenRequest]:
    return [one for one in requests if one.kind == "write"]


def seen_requests(exchanges: Iterable[Exchange]) -> list[SeenRequest]:
    """The requests of a run, as comparisons see them."""
    return [SeenRequest(one) for one in exchanges]


def clock_of(run: Recording) -> float:
    """Seconds since 1970 when a run began."""
    return run.created_at / 1e6


def answer_value(response: RunMessage) -> Value:
    """The answer of a run as a value. Its status is compared by itself."""
    found: dict[str, Value] = {"body": content_of(response.body, response.headers)}
    for name in _ANSWER_HEADERS:
        if text := header(response.headers, name):
            found[name.decode()] = text
    return found


def write_order(before: Sequence[SeenRequest], after: Sequence[SeenRequest]) -> dict[int, int]:
    """Places of the writes of one run, by the places of their counterparts in the run before."""
    # By identity, since equal requests are equal values and each of them has a place of its own.
    places = {id(one): at for at, one in enumerate(before)}, {id(one): at for at, one in enumerate(after)}
    paired = pair_requests(_writes(before), _writes(after))
    return {places[0][id(one)]: places[1][id(other)] for one, other in paired.pairs}
