"""Which writes are the same in a dry run and in the run that applies it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.runtime.recording.exchanges import RecordedRequest
from codewords_mcp.runtime.recording.recorder import OpenExchange
from codewords_mcp.runtime.recording.write_keys import WriteKeys

pytestmark = pytest.mark.requirement("runs:apply")
NOW = 1_790_000_000.0
POST = RecordedRequest(
    "egress",
    "POST",
    "https://api.example.com/v1/refunds?a=1",
    [(b"content-type", b"application/json")],
    b"",
    True,
)


def keys(*known: bytes, at: float = NOW) -> WriteKeys:
    return WriteKeys(lambda: known, clock=lambda: at)


def digest(body: bytes, *known: bytes, at: float = NOW) -> str:
    return keys(*known, at=at).key(replace(POST, body=body)).digest


@given(st.binary(max_size=200), st.data())
def test_one_changed_byte_makes_another_write(body: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(body)))
    changed = body[:place] + data.draw(st.binary(min_size=1, max_size=1)) + body[place + 1 :]
    if changed != body:
        assert digest(changed) != digest(body)


@pytest.mark.parametrize(
    "other",
    [
        replace(POST, method="PUT"),
        replace(POST, url=POST.url + "0"),
        replace(POST, channel="gateway"),
        replace(POST, headers=[(b"content-type", b"text/plain")]),
        replace(POST, headers=[*POST.headers, (b"x-http-method-override", b"DELETE")]),
        replace(POST, headers=[*POST.headers, (b"authorization", b"Bearer [secret OTHER_KEY]")]),
    ],
)
def test_another_target_or_meaning_or_account_makes_another_write(other: RecordedRequest) -> None:
    assert keys().key(other).digest != keys().key(POST).digest


def test_other_headers_do_not_count() -> None:
    other = replace(POST, headers=[*POST.headers, (b"date", b"today"), (b"idempotency-key", b"1")])
    assert keys().key(other).digest == keys().key(POST).digest


def test_a_body_that_is_not_whole_has_no_key() -> None:
    assert keys().key(replace(POST, body=None)).digest == ""


@pytest.mark.parametrize(
    "form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%f+00:00", "%Y-%m-%d %H:%M:%S", "epoch", "milliseconds"]
)
def test_times_of_the_moment_may_differ_and_others_may_not(form: str) -> None:
    def written(at: float) -> bytes:
        number = {"epoch": int(at), "milliseconds": int(at * 1000)}.get(form)
        text = datetime.fromtimestamp(at, UTC).strftime(form) if number is None else str(number)
        return f'{{"at": "{text}"}}'.encode()

    assert digest(written(NOW)) == digest(written(NOW + 90), at=NOW + 91)
    assert digest(written(NOW - 86_400)) != digest(written(NOW - 86_401))
    assert "times of the moment" in keys().key(replace(POST, body=written(NOW))).varies


def test_ids_that_the_program_makes_up_may_differ_and_given_ones_may_not() -> None:
    one, two = (f'{{"id": "{uuid.UUID(int=n)}"}}'.encode() for n in (1 << 90, 2 << 90))
    assert digest(one) == digest(two)
    assert digest(one, one) != digest(two, one)
    assert digest(one, one) != digest(two, one, two)


def test_an_id_out_of_a_response_is_compared() -> None:
    made = str(uuid.uuid4()).encode()
    with_answer = keys()
    answered = OpenExchange(replace(POST, method="GET", writes=False))
    answered.record_response(200, [])
    answered.record_chunk(b'{"account": "' + made + b'"}')
    answered.end(whole=True)
    with_answer.saw(answered)

    assert with_answer.key(replace(POST, body=made)).varies == ()
    assert with_answer.key(replace(POST, body=made)).digest != digest(str(uuid.uuid4()).encode())


def test_the_answer_to_an_earlier_write_is_named_not_compared() -> None:
    held, real = keys(), keys()
    held.answered(1, lambda: b'{"id": "cus_0001", "items": [{"n": 12345}]}')
    real.answered(1, lambda: b'{"id": "cus_7812", "items": [{"n": 99999}]}')

    dry = held.key(replace(POST, body=b'{"customer": "cus_0001", "n": 12345}'))
    assert dry.digest == real.key(replace(POST, body=b'{"customer": "cus_7812", "n": 99999}')).digest
    assert dry.digest != real.key(replace(POST, body=b'{"customer": "cus_0002", "n": 99999}')).digest
    assert dry.varies == ("the id of the answer to 1", "the items.0.n of the answer to 1")


@pytest.mark.parametrize("value", ["../../transfers", "a b", "x", "é" * 9, "a" * 200])
def test_an_answer_cannot_bring_in_more_than_a_name(value: str) -> None:
    held, real = keys(), keys()
    held.answered(1, lambda: b'{"id": "cus_0001"}')
    real.answered(1, f'{{"id": "{value}"}}'.encode)

    dry = held.key(replace(POST, url="https://api.example.com/v1/cus_0001"))
    assert dry.digest != real.key(replace(POST, url=f"https://api.example.com/v1/{value}")).digest


def test_boundaries_of_forms_may_differ() -> None:
    def form(boundary: bytes) -> RecordedRequest:
        kind = b"multipart/form-data; boundary=" + boundary
        return replace(
            POST, headers=[(b"content-type", kind)], body=b"--" + boundary + b"\r\n\r\nx\r\n--" + boundary
        )

    assert keys().key(form(b"aaaa1111")).digest == keys().key(form(b"bbbb2222")).digest
