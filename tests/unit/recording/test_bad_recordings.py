"""Bodies and addresses that are made to be expensive or unreadable are compared all the same."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.recording.helpers import exchange, recording, replayed, request

from codewords_mcp.runtime.recording.baseline import Baseline
from codewords_mcp.runtime.recording.comparison import compare
from codewords_mcp.runtime.recording.content import MAX_UNPACKED
from codewords_mcp.runtime.recording.replay import ReplayRecorder
from codewords_mcp.runtime.recording.volatile import template

KIND = [(b"content-type", b"application/json")]


def zipped(size: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"0" * size)
    return out.getvalue()


def rows(count: int, step: int) -> bytes:
    return json.dumps([{"n": n * step} for n in range(count)]).encode()


BODIES = {
    "deep": (b"[" * 5000 + b"]" * 5000, b"[" * 5001 + b"]" * 5001),
    "nearly deep": (b"[" * 90 + b"1" + b"]" * 90, b"[" * 90 + b"2" + b"]" * 90),
    "long number": (b"9" * 5000, b"9" * 5001),
    "infinite": (b'{"a": 1e999}', b'{"a": -1e999}'),
    "a name twice": (b'{"a": 1, "a": 2}', b'{"a": 3, "a": 2}'),
    "gzip bomb": (gzip.compress(b"0" * (MAX_UNPACKED + 1)), gzip.compress(b"0" * (MAX_UNPACKED + 2))),
    "zip bomb": (zipped(MAX_UNPACKED + 1), zipped(MAX_UNPACKED + 2)),
    "cut gzip": (gzip.compress(b"text")[:-3], gzip.compress(b"test")[:-3]),
    "binary": (bytes(range(256)), bytes(range(255))),
    "many rows": (rows(20_000, 1), rows(20_001, 2)),
    "no boundary": (b"--a\r\n\r\nx", b"--a\r\n\r\ny"),
}


@pytest.mark.requirement("recording:bad-input")
@pytest.mark.parametrize("name", BODIES)
@pytest.mark.slow
def test_a_body_that_is_hard_to_read_is_the_same_only_as_itself(name: str) -> None:
    before, after = (request("POST", "https://a.example/x", body, headers=KIND) for body in BODIES[name])
    made = recording(exchange(0, before, {}), answer={})
    baseline = Baseline(
        made, [replayed(ReplayRecorder(made, same_version=True), [before], made, {}) for _ in range(2)]
    )

    def verdict(sent: Any) -> str:
        return compare(baseline, replayed(ReplayRecorder(made), [sent], made, {})).verdict

    assert verdict(before) == "same"
    assert verdict(after) == "changed"


@pytest.mark.requirement("recording:bad-input")
def test_an_address_that_cannot_be_read_is_an_address() -> None:
    odd = request("GET", "http://[::1/x?a=1")
    made = recording(exchange(0, odd, {}), answer={})
    old = replayed(ReplayRecorder(made, same_version=True), [odd], made, {})
    assert compare(Baseline(made, [old]), old).verdict == "same"
    other = replayed(ReplayRecorder(made), [request("GET", "http://[::2/x?a=1")], made, {})
    assert compare(Baseline(made, [old]), other).verdict == "changed"


@pytest.mark.requirement("recording:bad-input")
@pytest.mark.parametrize(
    "piece", ["a", "a-", "eyJ-", "A", "0", "a1-", "Jan ", "1-", "20", "_", "-", "aB", "Mon, "]
)
def test_long_texts_are_read_in_one_go(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    assert template(text)[0]
    assert template(f"{text}!")[0]


@pytest.mark.requirement("recording:bad-input")
def test_noise_in_many_rows_is_learned_from_some() -> None:
    def answer(start: int) -> dict[str, Any]:
        return {"rows": [{"ms": start + n} for n in range(5000)]}

    made = replace(recording(), response=recording(answer=answer(0)).response)
    olds = [replayed(ReplayRecorder(made, same_version=True), [], made, answer(n)) for n in (7, 9)]
    baseline = Baseline(made, olds)
    assert compare(baseline, replayed(ReplayRecorder(made), [], made, answer(50_000))).verdict == "same"
    assert compare(baseline, replayed(ReplayRecorder(made), [], made, {"rows": []})).verdict == "changed"
