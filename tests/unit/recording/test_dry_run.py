"""Dry runs hold what they must, and a run that applies sends what was agreed to, once."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace

import pytest

from codewords_mcp.runtime.recording.apply import ApplyRecorder
from codewords_mcp.runtime.recording.dry_run import DryRunRecorder
from codewords_mcp.runtime.recording.exchanges import Exchange, RecordedRequest
from codewords_mcp.runtime.recording.held_answers import NoEarlierAnswers, best_exchange
from codewords_mcp.runtime.recording.held_writes import (
    MAX_GROUPS,
    HeldWrite,
    StoredAnswer,
    answer_from_bytes,
    answer_to_bytes,
    from_bytes,
    grouped_lines,
    to_bytes,
    varying_parts,
    write_lines,
)
from codewords_mcp.runtime.recording.recorder import BlockedRequest, OpenExchange, RecordedResponse
from codewords_mcp.runtime.recording.write_keys import WriteKeys

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("runs:dry-run")]
JSON = [(b"content-type", b"application/json")]


def write(
    path: str = "/v1/refunds", body: bytes | None = b'{"charge": "ch_1"}', method: str = "POST"
) -> RecordedRequest:
    return RecordedRequest("egress", method, f"https://api.example.com{path}", JSON, body, writes=True)


class ListInMemory:
    """A list as `DryRuns` keeps it."""

    def __init__(self, limit: int = 100) -> None:
        self.writes: list[HeldWrite] = []
        self._limit = limit

    async def hold(self, write: HeldWrite) -> int | None:
        if len(self.writes) >= self._limit:
            return None
        self.writes.append(replace(write, number=len(self.writes) + 1))
        return len(self.writes)

    async def claim(self, key: str, used: Collection[int]) -> HeldWrite | None:
        for state in ("agreed", "sent"):
            for place, known in enumerate(self.writes):
                if (known.key, known.state) == (key, state) and known.number not in used:
                    self.writes[place] = replace(known, state="sent")
                    return known
        return None

    def keep_answer(self, write: HeldWrite, answer: StoredAnswer) -> None:
        self.writes[write.number - 1] = replace(self.writes[write.number - 1], answer=answer)

    def agree(self) -> None:
        self.writes = [
            replace(known, state="agreed") if known.state == "held" else known for known in self.writes
        ]


class OneEarlierRun:
    def __init__(self, *exchanges: Exchange) -> None:
        self._exchanges = exchanges

    async def find(self, request: RecordedRequest) -> Exchange | None:
        return best_exchange(request, self._exchanges)


def dry(held: ListInMemory, earlier: OneEarlierRun | None = None) -> DryRunRecorder:
    return DryRunRecorder("dry", held, earlier or NoEarlierAnswers(), WriteKeys(list))


def applying(held: ListInMemory, ended: list[int | None]) -> ApplyRecorder:
    def on_held(number: int | None, *, sent_before: HeldWrite | None = None) -> None:
        # One that was sent before is named; its number is the same.
        assert sent_before is None or sent_before.number == number
        ended.append(number)

    return ApplyRecorder("apply", held, WriteKeys(list), on_held)


async def content(response: object) -> bytes:
    assert isinstance(response, RecordedResponse)
    return b"".join([piece async for piece in response.pieces])


async def test_reads_go_out_and_writes_are_held() -> None:
    held = ListInMemory()
    recorder = dry(held)
    assert isinstance(
        await recorder.decide(replace(write(), method="GET", body=b"", writes=False)), OpenExchange
    )

    response = await recorder.decide(write())
    assert isinstance(response, RecordedResponse)
    assert (response.status, response.held) == (202, True)
    assert json.loads(await content(response))["held"] is True
    assert [one.address for one in held.writes] == ["api.example.com/v1/refunds"]


async def test_a_websocket_is_refused_in_words() -> None:
    upgrade = replace(write(method="GET"), headers=[(b"connection", b"Upgrade"), (b"upgrade", b"websocket")])
    held = ListInMemory()
    verdict = await dry(held).decide(upgrade)
    assert isinstance(verdict, BlockedRequest)
    assert "websocket" in verdict.why
    assert held.writes == []


async def test_a_full_list_refuses_more() -> None:
    held = ListInMemory(limit=1)
    recorder = dry(held)
    await recorder.decide(write())
    assert isinstance(await recorder.decide(write()), BlockedRequest)


async def test_the_answer_of_an_earlier_run_stands_for_that_of_a_held_write() -> None:
    def sent(request: RecordedRequest, body: bytes, status: int = 200) -> Exchange:
        headers = [*JSON, (b"set-cookie", b"a=b")]
        return Exchange(0, request, "sent", 0, 1, status, headers, ((0, body),), len(body), whole=True)

    earlier = OneEarlierRun(
        sent(write(), b"failed", 500),
        sent(write(body=b"{}"), b'{"id": "other"}'),
        sent(write(), b'{"id": "equal"}'),
    )
    equal = await dry(ListInMemory(), earlier).decide(write())
    assert await content(equal) == b'{"id": "equal"}'
    assert isinstance(equal, RecordedResponse)
    assert b"set-cookie" not in dict(equal.headers)
    assert await content(await dry(ListInMemory(), earlier).decide(write(body=b"[]"))) == b'{"id": "other"}'
    assert b"held" in await content(await dry(ListInMemory(), earlier).decide(write("/else")))


async def test_a_held_call_of_a_tool_is_answered_in_its_protocol() -> None:
    call = write("/mcp", json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call"}).encode())
    answer = json.loads(await content(await dry(ListInMemory()).decide(call)))
    assert answer["id"] == 7
    assert answer["result"]["content"][0]["type"] == "text"


async def test_an_agreed_write_is_sent_once() -> None:
    held, ended = ListInMemory(), list[int | None]()
    await dry(held).decide(write())
    held.agree()
    recorder = applying(held, ended)

    sent = await recorder.decide(write())
    assert isinstance(sent, OpenExchange)
    sent.record_response(201, [*JSON, (b"content-length", b"2")])
    sent.record_chunk(b"{}")
    sent.end(whole=True)
    assert ended == []

    assert isinstance(await recorder.decide(write()), BlockedRequest)
    assert len(ended) == 1

    # A later run of the same list gets the answer, and nothing is sent.
    again = await applying(held, ended).decide(write())
    assert await content(again) == b"{}"


async def test_a_write_whose_answer_is_unknown_is_not_repeated() -> None:
    held, ended = ListInMemory(), list[int | None]()
    await dry(held).decide(write())
    held.agree()
    recorder = applying(held, ended)
    broken = await recorder.decide(write())
    assert isinstance(broken, OpenExchange)
    broken.end(whole=False)

    verdict = await applying(held, ended).decide(write())
    assert isinstance(verdict, BlockedRequest)
    assert "unknown" in verdict.why
    assert len(ended) == 1


@pytest.mark.parametrize("first", [write("/v1/refunds"), write("/v1/never-agreed")], ids=["unknown", "held"])
async def test_nothing_is_sent_after_the_write_that_ends_the_run(first: RecordedRequest) -> None:
    held, ended = ListInMemory(), list[int | None]()
    planned = dry(held)
    await planned.decide(write("/v1/refunds"))
    await planned.decide(write("/v1/next"))
    held.agree()
    assert isinstance(await applying(held, ended).decide(write("/v1/refunds")), OpenExchange)

    # The program is killed some milliseconds later, and ignores what it was told until then.
    recorder = applying(held, ended)
    assert isinstance(await recorder.decide(first), BlockedRequest)
    assert isinstance(await recorder.decide(write("/v1/next")), BlockedRequest)
    assert len(ended) == 1
    assert [one.state for one in held.writes[:2]] == ["sent", "agreed"]


@pytest.mark.parametrize(
    "other",
    [
        write(body=b'{"charge": "ch_2"}'),
        write(body=b'{"charge": "ch_1"} '),
        write("/v1/Refunds"),
        write(method="PUT"),
        write(body=None),
    ],
)
async def test_a_write_that_differs_in_a_byte_is_held_and_ends_the_run(other: RecordedRequest) -> None:
    held, ended = ListInMemory(), list[int | None]()
    await dry(held).decide(write())
    held.agree()

    verdict = await applying(held, ended).decide(other)
    assert isinstance(verdict, BlockedRequest)
    assert len(ended) == 1
    assert [one.state for one in held.writes] == ["agreed", "held"]


async def test_equal_writes_are_agreed_to_one_by_one() -> None:
    held, ended = ListInMemory(), list[int | None]()
    recorder = dry(held)
    await recorder.decide(write())
    await recorder.decide(write())
    held.agree()

    real = applying(held, ended)
    assert isinstance(await real.decide(write()), OpenExchange)
    assert isinstance(await real.decide(write()), OpenExchange)
    assert not isinstance(await real.decide(write()), OpenExchange)


async def test_a_held_write_and_its_answer_survive_their_bytes() -> None:
    held = ListInMemory()
    await dry(held).decide(write(body=b"\xff\x00"))
    one = held.writes[0]
    assert from_bytes(to_bytes(one), number=1, run_id="dry", key=one.key, state="held") == one
    answer = StoredAnswer(200, JSON, b"\xff")
    assert answer_from_bytes(answer_to_bytes(answer)) == answer


async def test_the_list_is_short_grouped_and_bounded() -> None:
    held = ListInMemory(limit=500)
    recorder = dry(held)
    for number in range(40):
        await recorder.decide(
            write("/v1/messages", b'{"text": "' + b"x" * 2000 + str(number).encode() + b'"}')
        )
    for number in range(30):
        await recorder.decide(write(f"/v1/{number}", b"\x00\xff", "DELETE"))

    lines = grouped_lines(held.writes)
    assert lines[0].startswith("40 x POST api.example.com/v1/messages")
    assert len(lines) == MAX_GROUPS + 1
    assert lines[-1] == "and 19 more to 19 other addresses"
    assert max(map(len, lines)) < 450
    assert "(2 bytes of application/json)" in write_lines(held.writes)[-1]


async def test_text_of_a_program_brings_no_lines_into_the_list() -> None:
    held = ListInMemory()
    await dry(held).decide(write("/a\u202eb", b'{"a":\n\n"\x1b[2J"}'))
    assert all(line.isprintable() for line in write_lines(held.writes) + grouped_lines(held.writes))


async def test_the_list_says_what_may_differ() -> None:
    held = ListInMemory()
    await dry(held).decide(write(body=b'{"id": "11111111-2222-4333-8444-555555555555"}'))
    assert varying_parts(held.writes) == ["ids that the program makes up (UUIDs)"]
