"""What a resumed attempt is answered, what it sends, and what a person is asked."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.recording.helpers import request

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.model.provider import CallUsage
from codewords_mcp.runtime.recording.earlier_requests import Knowledge
from codewords_mcp.runtime.recording.exchanges import RecordedRequest
from codewords_mcp.runtime.recording.journal import (
    Answer,
    EntryState,
    JournalEntry,
    RequestKeys,
    entry_of_bytes,
    entry_to_bytes,
    repeat_key,
)
from codewords_mcp.runtime.recording.recorder import BlockedRequest, OpenExchange, RecordedResponse
from codewords_mcp.runtime.recording.resume import MAX_READS, ResumeRecorder, completed

URL = "https://api.example.com/orders"
INPUT = b'{"known": "0f8fad5b-d9cb-469f-a165-70867728950e"}'


@dataclass
class MemoryJournal:
    """A journal in memory, with what a person was asked."""

    entries: dict[tuple[int, int], JournalEntry] = field(default_factory=dict[tuple[int, int], JournalEntry])
    attempt: int = 1
    asked: list[JournalEntry] = field(default_factory=list[JournalEntry])
    questions: list[Sequence[JournalEntry]] = field(default_factory=list[Sequence[JournalEntry]])
    failures: list[StorageFailed] = field(default_factory=list[StorageFailed])
    full: bool = False
    lost: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    async def begin(self, entry: JournalEntry) -> bool:
        if self.full:
            raise StorageFailed("The disk is full.")
        self.entries[entry.place] = entry
        return True

    def complete(self, entry: JournalEntry, exchange: OpenExchange) -> None:
        self.entries[entry.place] = completed(entry, exchange)

    def drop(self, entry: JournalEntry) -> None:
        self.entries.pop(entry.place, None)

    async def answer_is_lost(self, entry: JournalEntry) -> bool:
        return entry.place in self.lost

    async def ask(self, entries: Sequence[JournalEntry]) -> None:
        self.asked = list(entries)

    def tell(self, entry: JournalEntry, state: EntryState) -> None:
        self.entries[entry.place] = replace(entry, state=state)


class Attempts:
    """Attempts of one program, one after the other."""

    def __init__(self, max_reads: int = MAX_READS) -> None:
        self._max_reads = max_reads
        self.journal = MemoryJournal()
        self.recorder = self._new()

    def _new(self) -> ResumeRecorder:
        journal = self.journal

        def given() -> Sequence[bytes]:
            return (b"code", INPUT)

        # As the store gives them back.
        earlier = [
            entry_of_bytes(one.attempt, one.number, one.state, entry_to_bytes(one))
            for one in journal.entries.values()
        ]
        return ResumeRecorder(
            "run_1",
            earlier,
            journal,
            Knowledge(given),
            journal.questions.append,
            journal.failures.append,
            max_reads=self._max_reads,
        )

    def again(self) -> None:
        """The next attempt."""
        self.journal.attempt += 1
        self.recorder = self._new()

    def sends(self, sent: RecordedRequest, answer: Any = None, status: int = 200) -> tuple[str, Any]:
        """(its fate, the answer) of a request; without an answer of the host, it is cut off."""

        async def decide() -> tuple[str, Any]:
            verdict = await self.recorder.decide(sent)
            if isinstance(verdict, RecordedResponse):
                return "answered", json.loads(b"".join([piece async for piece in verdict.pieces]))
            if isinstance(verdict, BlockedRequest):
                return "blocked", verdict.why
            assert isinstance(verdict, OpenExchange)
            if answer is not None:
                verdict.record_response(status, [(b"content-type", b"application/json")])
                verdict.record_chunk(json.dumps(answer).encode())
            verdict.end(whole=answer is not None)
            return "sent", dict(verdict.sends)

        return asyncio.run(decide())


@pytest.fixture
def attempts() -> Attempts:
    return Attempts()


def post(body: Any, **more: Any) -> RecordedRequest:
    return request("POST", URL, body, **more)


@pytest.mark.requirement("runs:resume")
def test_writes_are_answered_once_each_in_any_order(attempts: Attempts) -> None:
    for n in (1, 2, 2, 3):
        assert attempts.sends(post({"n": n}), {"id": n})[0] == "sent"
    attempts.again()
    assert attempts.sends(post({"n": 3})) == ("answered", {"id": 3})
    assert attempts.sends(post({"n": 4}), {"id": 4})[0] == "sent"
    assert [attempts.sends(post({"n": 2}), {})[0] for _ in range(3)] == ["answered", "answered", "sent"]
    assert attempts.sends(post({"n": 1})) == ("answered", {"id": 1})
    attempts.again()
    fates = [attempts.sends(post({"n": n}), {})[0] for n in (1, 2, 2, 2, 3, 4, 5)]
    assert fates == ["answered"] * 6 + ["sent"]


@pytest.mark.requirement("runs:resume")
def test_reads_follow_the_writes_that_may_depend_on_them(attempts: Attempts) -> None:
    read = request("GET", URL)
    attempts.sends(read, {"stock": 1})
    attempts.sends(post({"n": 1}), {})
    attempts.sends(read, {"stock": 0})
    attempts.again()
    # Something new goes out first: the read is still that which the write to come was made of.
    assert attempts.sends(post({"new": 1}), {})[0] == "sent"
    assert attempts.sends(read) == ("answered", {"stock": 1})
    assert attempts.sends(post({"n": 1}))[0] == "answered"
    # Nothing that went out came after this one, and the world has changed.
    assert attempts.sends(read, {"stock": 5})[0] == "sent"


@pytest.mark.requirement("runs:resume")
def test_a_failure_is_given_again_only_if_the_program_went_on_from_it(attempts: Attempts) -> None:
    read = request("GET", URL)
    attempts.sends(post({"n": 1}), {"why": "busy"}, 429)
    attempts.sends(post({"n": 1}), {"id": 1})
    attempts.sends(post({"n": 2}), {"why": "busy"}, 429)
    attempts.sends(read, {"why": "away"}, 503)
    attempts.again()
    assert attempts.sends(post({"n": 1})) == ("answered", {"why": "busy"})
    assert attempts.sends(post({"n": 1})) == ("answered", {"id": 1})
    assert attempts.sends(read, {"stock": 1})[0] == "sent"
    assert attempts.sends(post({"n": 2}), {"id": 2})[0] == "sent"
    attempts.again()
    assert attempts.sends(post({"n": 2})) == ("answered", {"id": 2})
    assert attempts.sends(read) == ("answered", {"stock": 1})


@pytest.mark.requirement("runs:resume-asks")
def test_a_write_that_was_answered_with_a_server_error_is_unknown(attempts: Attempts) -> None:
    attempts.sends(post({"n": 1}), {"why": "broken"}, 500)
    attempts.again()
    assert attempts.sends(post({"n": 1}), {})[0] == "blocked"
    assert attempts.journal.asked


@pytest.mark.requirement("runs:resume")
@pytest.mark.parametrize(
    ("first", "second", "fate"),
    [
        ("6f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "answered"),
        # Version 5 is computed, and what the program was given is data.
        ("886313e1-3b8a-5372-9b90-0c9aee199e5d", "74738ff5-5367-5958-9aee-98fffdcd1876", "blocked"),
        ("6f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b-d9cb-469f-a165-70867728950e", "sent"),
        ("9f86d081884c7d65", "60303ae22b998861", "blocked"),
        ("one", "two", "sent"),
    ],
)
def test_what_may_differ_in_a_write_that_comes_again(
    attempts: Attempts, first: str, second: str, fate: str
) -> None:
    attempts.sends(post({"id": first, "n": 1}), {"ok": True})
    attempts.again()
    assert attempts.sends(post({"id": second, "n": 1}), {})[0] == fate


@pytest.mark.requirement("runs:resume")
def test_ids_that_come_again_are_no_accident(attempts: Attempts) -> None:
    for token in ("9f86d081884c7d65", "60303ae22b998861"):
        attempts.sends(post({"id": token}), {})
    attempts.again()
    assert attempts.sends(post({"id": "60303ae22b998861"}))[0] == "answered"
    assert attempts.sends(post({"id": "fd61a03af4f77d87"}), {})[0] == "sent"
    assert attempts.sends(post({"id": "9f86d081884c7d65"}))[0] == "answered"


@pytest.mark.requirement("runs:resume-asks")
def test_an_unknown_write_is_repeated_with_the_first_key_only(attempts: Attempts) -> None:
    attempts.sends(post({"n": 1}, headers=[(b"idempotency-key", b"first")]))
    attempts.again()
    fate = attempts.sends(post({"n": 1}, headers=[(b"idempotency-key", b"second")]), {"id": 1})
    assert fate == ("sent", {b"idempotency-key": b"first"})
    attempts.again()
    assert attempts.sends(post({"n": 1}, headers=[(b"idempotency-key", b"third")])) == ("answered", {"id": 1})


@pytest.mark.requirement("runs:resume-asks")
def test_what_a_person_says_about_an_unknown_write_counts(attempts: Attempts) -> None:
    attempts.sends(post({"n": 1}))
    attempts.again()
    assert attempts.sends(post({"n": 1}), {})[0] == "blocked"
    # Nothing else is written meanwhile.
    assert attempts.sends(post({"n": 2}), {})[0] == "blocked"
    attempts.journal.tell(attempts.journal.asked[0], "sent")
    attempts.again()
    assert attempts.sends(post({"n": 1}))[1]["sent"] is True
    assert attempts.sends(post({"n": 2}), {})[0] == "sent"


def asked_bodies(attempts: Attempts) -> list[Any]:
    [question] = attempts.journal.questions
    assert list(question) == attempts.journal.asked
    return [json.loads(one.request.body or b"") for one in question]


@pytest.mark.requirement("runs:resume-asks")
def test_all_unknown_writes_are_asked_about_at_once(attempts: Attempts) -> None:
    for n in (1, 2):
        attempts.sends(post({"n": n}))
    attempts.sends(post({"n": 3}), {"id": 3})
    attempts.sends(post({"n": 4}, headers=[(b"idempotency-key", b"k")]))
    attempts.sends(post({"n": 5}), {"why": "broken"}, 500)
    attempts.again()
    assert attempts.sends(post({"n": 2}), {})[0] == "blocked"
    assert asked_bodies(attempts) == [{"n": 1}, {"n": 2}, {"n": 5}]

    for entry, state in zip(attempts.journal.asked, ("sent", "unsent", "unsent"), strict=True):
        attempts.journal.tell(entry, state)
    attempts.again()
    fates = [attempts.sends(post({"n": n}), {"id": n})[0] for n in (1, 2, 3, 5)]
    assert fates == ["answered", "sent", "answered", "sent"]


@pytest.mark.requirement("runs:resume-asks")
def test_writes_that_differ_in_the_same_nonce_are_asked_about_at_once(attempts: Attempts) -> None:
    for token in ("9f86d081884c7d65", "60303ae22b998861"):
        attempts.sends(post({"id": token}), {})
    attempts.again()
    assert attempts.sends(post({"id": "fd61a03af4f77d87"}), {})[0] == "blocked"
    assert len(asked_bodies(attempts)) == 2


@pytest.mark.requirement("runs:resume-asks")
def test_a_write_that_cannot_be_put_on_record_is_not_sent(attempts: Attempts) -> None:
    attempts.journal.full = True
    assert attempts.sends(post({"n": 1}), {})[0] == "blocked"
    assert [one.message for one in attempts.journal.failures] == ["The disk is full."]
    # What was on record stays on record.
    assert not attempts.journal.entries


@pytest.mark.requirement("runs:resume")
def test_an_entry_has_its_times_and_what_a_model_call_used(attempts: Attempts) -> None:
    attempts.sends(post({"n": 1}), {"id": 1})
    [entry] = attempts.journal.entries.values()
    assert 0 < entry.began <= entry.ended
    used = CallUsage({"input_tokens": 3}, 0.01, False, False, "m")
    entry = replace(entry, usage=used)
    assert entry_of_bytes(1, 0, "done", entry_to_bytes(entry)) == entry


@pytest.mark.requirement("runs:resume-asks")
def test_calls_of_runs_have_a_key_of_the_runtime(attempts: Attempts) -> None:
    call = request("POST", "http://runtime/run_async/child/", {}, channel="call")
    _, first = attempts.sends(call)
    assert first[b"idempotency-key"] == b"run_1/1/0"
    attempts.again()
    assert attempts.sends(call, {"request_id": "x"}) == ("sent", first)


@pytest.mark.requirement("runs:resume-asks")
def test_calls_whose_runs_ended_without_an_answer_are_asked_about(attempts: Attempts) -> None:
    def call(name: str) -> RecordedRequest:
        return request("POST", f"http://runtime/run/{name}/", {}, channel="call")

    for name in ("one", "two", "three"):
        attempts.sends(call(name))
    attempts.journal.lost = {(1, 0), (1, 2)}
    attempts.again()
    assert attempts.sends(call("two"), {})[0] == "sent"
    assert attempts.sends(call("three"), {})[0] == "blocked"
    [question] = attempts.journal.questions
    assert [one.place for one in question] == [(1, 0), (1, 2)]


@pytest.mark.requirement("runs:resume-asks")
@pytest.mark.parametrize(
    ("url", "headers", "body", "key"),
    [
        (URL, [(b"Idempotency-Key", b"k1")], {}, "k1"),
        (URL, [(b"idempotency-key", b"[secret KEY]")], {}, ""),
        ("https://api-m.paypal.com/v2", [(b"paypal-request-id", b"k2")], {}, "k2"),
        (URL, [(b"paypal-request-id", b"k2")], {}, ""),
        ("https://connect.squareup.com/v2", [], {"idempotency_key": "k3"}, "k3"),
        ("https://notsquareup.com/v2", [], {"idempotency_key": "k3"}, ""),
        ("https://ec2.eu.amazonaws.com/?ClientToken=k4", [], {}, "k4"),
        (URL, [], [1], ""),
    ],
)
def test_the_keys_by_which_hosts_know_a_request_again(
    url: str, headers: list[tuple[bytes, bytes]], body: Any, key: str
) -> None:
    assert repeat_key(request("POST", url, body, headers=headers)) == key


@pytest.mark.requirement("runs:resume")
def test_a_program_that_polls_for_days_fills_no_journal() -> None:
    attempts = Attempts(max_reads=2)
    for n in range(4):
        attempts.sends(request("GET", URL), {"n": n})
    attempts.sends(post({"n": 1}), {})
    assert [one.is_write for one in attempts.journal.entries.values()] == [False, False, True]


@pytest.mark.requirement("runs:resume")
def test_a_damaged_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="damaged"):
        entry_of_bytes(1, 0, "done", b"no entry")


@pytest.mark.requirement("runs:resume")
def test_an_entry_that_is_cut_off_is_refused_and_gives_no_half_answer() -> None:
    noise = random.Random(1).randbytes(5000)  # nothing that compresses
    entry = JournalEntry(
        1, 0, "done", request("GET", URL), RequestKeys("a", "b", "c"), False, answer=Answer(200, [], noise)
    )
    written = entry_to_bytes(entry)
    assert entry_of_bytes(1, 0, "done", written) == entry
    with pytest.raises(ValueError, match="damaged"):
        entry_of_bytes(1, 0, "done", written[:-2000])


@pytest.mark.requirement("runs:resume-asks")
def test_a_write_is_refused_only_after_the_question_has_ended_the_run(attempts: Attempts) -> None:
    """A program that fails of the refusal would end the run by its own error, and nobody would be asked."""
    attempts.sends(post({"n": 1}))
    attempts.again()
    order: list[str] = []

    async def play() -> None:
        released = asyncio.Event()
        journal, recorder = attempts.journal, attempts.recorder
        ask = journal.ask

        async def slow(entries: Sequence[JournalEntry]) -> None:
            await released.wait()
            order.append(f"question about {len(entries)}")
            await ask(entries)

        journal.ask = slow

        async def write(number: int) -> None:
            assert isinstance(await recorder.decide(post({"n": number, "other": number})), BlockedRequest)
            order.append("refused")

        async def first() -> None:
            assert isinstance(await recorder.decide(post({"n": 1})), BlockedRequest)

        tasks = [asyncio.create_task(first()), asyncio.create_task(write(2))]
        for _ in range(20):
            await asyncio.sleep(0)
        released.set()
        await asyncio.gather(*tasks)

    asyncio.run(play())
    assert order == ["question about 1", "refused"]
    assert len(attempts.journal.questions) == 1
