"""The verdict on a replay of a new version, beside a replay of the version that was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

from codewords_mcp.runtime.model.replay import (
    DifferenceChange,
    DifferenceSubject,
    ReplayDifference,
    ReplayedRun,
    ReplayVerdict,
)
from codewords_mcp.runtime.recording.baseline import (
    ANSWER,
    MAX_ORDERED,
    Baseline,
    answer_value,
    clock_of,
    seen_requests,
    write_order,
)
from codewords_mcp.runtime.recording.differences import ABSENT, Difference
from codewords_mcp.runtime.recording.excerpts import excerpts
from codewords_mcp.runtime.recording.exchanges import Recording
from codewords_mcp.runtime.recording.matching import agree
from codewords_mcp.runtime.recording.model_usage import model_of, tokens_of
from codewords_mcp.runtime.recording.noise import Scope
from codewords_mcp.runtime.recording.replay import BY_PLACE, HELD
from codewords_mcp.runtime.recording.request_pairs import SeenRequest, pair_requests
from codewords_mcp.runtime.recording.writes import RequestKind

MAX_DIFFERENCES: Final = 60
"""Differences of one run that are listed."""
_IMPORTANCE: Final[tuple[tuple[DifferenceSubject, DifferenceChange] | DifferenceSubject, ...]] = (
    "error",
    "status",
    "host",
    ("write", "added"),
    ("write", "missing"),
    "model",
    "prompt",
    "answer",
    "write",
    "order",
    "read",
)
_SUBJECTS: Final[dict[RequestKind, DifferenceSubject]] = {
    "write": "write",
    "prompt": "prompt",
    "read": "read",
}


def compare(baseline: Baseline, replay: Recording) -> ReplayedRun:
    """The verdict on a replay of another version on the baseline's recording, with all that differs."""
    return _Comparison(baseline, replay).result()


class _Comparison:
    """One replay, compared."""

    def __init__(self, baseline: Baseline, replay: Recording) -> None:
        self._baseline = baseline
        self._replay = replay
        self._now = seen_requests(replay.exchanges)
        self._found: list[ReplayDifference] = []
        self._not_compared: dict[str, None] = {}
        self._notes: list[str] = []
        # A miss that the recorded version has as well says nothing about the new one.
        before = {one.name for one in baseline.requests if one.exchange.outcome == "blocked"}
        self._misses = [
            one for one in self._now if one.exchange.outcome == "blocked" and one.name not in before
        ]
        self._made_up = any(one.exchange.note in {HELD, BY_PLACE} for one in self._now)

    def result(self) -> ReplayedRun:
        """The comparison as it is reported."""
        self._compare_destinations()
        self._compare_repeatable("write")
        self._compare_order()
        self._compare_repeatable("prompt")
        self._compare_reads()
        self._compare_end()
        self._compare_values(
            ANSWER,
            answer_value(self._baseline.replay.response),
            answer_value(self._replay.response),
            "answer",
            "",
        )

        recording, tokens = self._baseline.recording, self._tokens()
        return ReplayedRun(
            run_id=recording.run_id,
            verdict=self._verdict(),
            differences=sorted(self._found, key=_importance)[:MAX_DIFFERENCES],
            obstacles=self._baseline.obstacles,
            not_compared=list(self._not_compared),
            notes=self._notes,
            cost_before=recording.cost,
            cost_after=self._cost(*tokens),
            tokens_before=tokens[0],
            tokens_after=tokens[1],
            seconds_before=recording.seconds,
            seconds_after=self._replay.seconds,
            bytes_sent=sum(
                len(one.exchange.request.url) + len(one.exchange.request.body or b"")
                for one in self._now
                if one.exchange.outcome == "sent"
            ),
        )

    def _verdict(self) -> ReplayVerdict:
        if self._is_worse():
            return "worse"
        if self._found:
            return "changed"
        if self._baseline.obstacles or self._not_compared:
            return "cannot tell"
        return "same"

    def _is_worse(self) -> bool:
        # After an answer that is not the host's, an error or a missing write may be its consequence.
        if self._misses or self._made_up:
            return False
        return any(
            (one.subject, one.change) == ("write", "missing")
            or one.subject == "error"
            or (one.subject == "status" and _rank(one.after) > _rank(one.before))
            for one in self._found
        )

    def _compare_destinations(self) -> None:
        # What was not read when it was recorded, its own version asks in a replay.
        known = [*self._baseline.recorded, *self._baseline.requests]
        for host in _new(map(_host, known), map(_host, self._now)):
            self._add("host", "added", host)
        for model in _new(map(_model, known), map(_model, self._now)):
            self._add("model", "added", model)

    def _compare_repeatable(self, kind: RequestKind) -> None:
        """Requests of which it counts how often they are made."""
        before = [one for one in self._baseline.requests if one.kind == kind]
        now = [one for one in self._now if one.kind == kind]
        paired = pair_requests(before, now)
        for one, other in paired.pairs:
            self._compare_pair(one, other)
        for one in paired.missing:
            self._add(_SUBJECTS[kind], "missing", one.name, before=one)
        for one in paired.added:
            self._add(_SUBJECTS[kind], "added", one.name, after=one)

    def _compare_reads(self) -> None:
        """Each read once: polls and retries may ask more or less often."""
        before = _distinct(one for one in self._baseline.requests if one.kind == "read")
        now = _distinct(one for one in self._now if one.kind == "read")
        paired = pair_requests(before, now)
        for one, other in paired.pairs:
            self._compare_pair(one, other)
        for one in paired.added:
            if self._is_repeated(one, before):
                continue
            self._add("read", "added", one.name, after=one)
        for one in paired.missing:
            if not self._is_repeated(one, now):
                self._notes.append(f"no longer reads {one.name}")

    def _is_repeated(self, request: SeenRequest, others: list[SeenRequest]) -> bool:
        form = request.form
        return any(
            other.form.route == form.route
            and other.form.fields == form.fields
            and other.headers.keys() == request.headers.keys()
            and agree(other.form.tokens, form.tokens, self._baseline.corpus)
            for other in others
        )

    def _compare_pair(self, before: SeenRequest, now: SeenRequest) -> None:
        if before.same_as(now):
            return
        if before.exchange.request.body is None or now.exchange.request.body is None:
            self._not_compared[f"the body of {now.name}"] = None
        self._compare_values(before.place, before.value, now.value, _SUBJECTS[now.kind], now.name)

    def _compare_values(
        self, scope: Scope, before: object, now: object, subject: DifferenceSubject, where: str
    ) -> None:
        noise = self._baseline.noise
        for one in noise.between(scope, before, now):  # pyright: ignore[reportArgumentType]
            judgement = noise.judge(scope, one, clock_of(self._replay))
            if judgement == "unknown":
                self._not_compared[f"{_field(one)} of {where or 'the answer'}"] = None
            elif judgement == "difference":
                texts = excerpts(one.before, one.after)
                self._add_field(subject, where, one, texts)

    def _compare_order(self) -> None:
        places = write_order(self._baseline.requests, self._now)
        if len(places) > MAX_ORDERED:
            self._not_compared[f"the order of more than {MAX_ORDERED} writes"] = None
            return
        for first, second in combinations(sorted(places), 2):
            if places[first] > places[second] and self._baseline.keeps_order(first, second):
                # The first pair is enough: one write that moved changes places with many.
                names = self._baseline.requests[first].name, self._baseline.requests[second].name
                self._found.append(
                    ReplayDifference(subject="order", change="changed", where=names[1], before=names[0])
                )
                return

    def _compare_end(self) -> None:
        before, now = self._baseline.replay, self._replay
        # A request that was not sent may be the very cause of the other end.
        if self._misses and now.response.status != before.response.status:
            self._notes.append(
                f"ends with {now.response.status} after what was not sent; the rest was not seen"
            )
        if before.response.status != now.response.status:
            self._found.append(
                ReplayDifference(
                    subject="status",
                    change="changed",
                    before=str(before.response.status),
                    after=str(now.response.status),
                )
            )
        if now.error and now.error != before.error:
            self._found.append(
                ReplayDifference(
                    subject="error", change="added", before=before.error or None, after=now.error
                )
            )

    def _add(
        self,
        subject: DifferenceSubject,
        change: DifferenceChange,
        where: str,
        *,
        before: SeenRequest | None = None,
        after: SeenRequest | None = None,
    ) -> None:
        texts = [
            None if one is None else excerpts(ABSENT, one.value.get("body", one.value.get("query", "")))[1]
            for one in (before, after)
        ]
        self._found.append(
            ReplayDifference(subject=subject, change=change, where=where, before=texts[0], after=texts[1])
        )

    def _add_field(
        self, subject: DifferenceSubject, where: str, one: Difference, texts: tuple[str | None, str | None]
    ) -> None:
        self._found.append(
            ReplayDifference(
                subject=subject,
                change="changed",
                where=where,
                field=_field(one),
                before=texts[0],
                after=texts[1],
            )
        )

    def _tokens(self) -> tuple[int, int]:
        """(tokens of the recorded run, tokens of the new version: recorded ones for answered calls, else its own)."""
        recorded = [one for one in self._baseline.recorded if one.kind == "prompt"]
        now = [one for one in self._now if one.kind == "prompt"]
        before = sum(tokens_of(one.exchange) for one in recorded)
        answered = pair_requests(recorded, [one for one in now if one.exchange.outcome == "answered"])
        after = sum(tokens_of(one.exchange) for one, _ in answered.pairs)
        return before, after + sum(tokens_of(one.exchange) for one in now if one.exchange.outcome == "sent")

    def _cost(self, before: int, after: int) -> float:
        if not before:
            return self._replay.cost
        # Answered calls cost nothing in a replay, so a token is priced as in the recorded run.
        return self._baseline.recording.cost * after / before


def _importance(one: ReplayDifference) -> int:
    if (one.subject, one.change) in _IMPORTANCE:
        return _IMPORTANCE.index((one.subject, one.change))
    return _IMPORTANCE.index(one.subject)


def _field(one: Difference) -> str:
    return one.path.removeprefix("body.").removeprefix("body") or "body"


def _rank(status: str | None) -> int:
    # Up to 3xx no status is a failure, so none is worse than another.
    return max(int(status or 0) // 100, 3)


def _host(one: SeenRequest) -> str:
    request = one.exchange.request
    if request.channel != "egress":
        return ""
    return request.host


def _model(one: SeenRequest) -> str:
    if one.kind != "prompt":
        return ""
    return model_of(one.exchange.request)


def _new(known: Iterator[str] | map[str], now: Iterator[str] | map[str]) -> list[str]:
    before = set(known)
    return [one for one in dict.fromkeys(now) if one and one not in before]


def _distinct(requests: Iterator[SeenRequest]) -> list[SeenRequest]:
    found: dict[object, SeenRequest] = {}
    for one in requests:
        found.setdefault((one.key, tuple(sorted(one.headers.items(), key=str))), one)
    return list(found.values())
