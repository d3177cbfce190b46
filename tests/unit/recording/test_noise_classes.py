"""What chance and the clock decide, by class: it is never called a change, and hides none.

A program is recorded, repeated twice, and changed. Each run has another seed and another moment.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

import pytest
from tests.unit.recording.helpers import decide, exchange, recording, replayed, request

from codewords_mcp.runtime.model.replay import ReplayedRun
from codewords_mcp.runtime.recording.baseline import Baseline
from codewords_mcp.runtime.recording.comparison import compare
from codewords_mcp.runtime.recording.exchanges import RecordedRequest
from codewords_mcp.runtime.recording.relative_times import read_time
from codewords_mcp.runtime.recording.replay import ReplayRecorder
from codewords_mcp.runtime.recording.volatile import template

pytestmark = pytest.mark.requirement("recording:noise-classes")

Make = Callable[[Random, datetime], Any]
Program = Callable[[Any], list[RecordedRequest]]
BEGIN = datetime(2026, 11, 27, 9, 30, 12, 345678, tzinfo=UTC)
DAYS = (0, 1, 4, 9)
"""When the recording, its two repetitions and the changed version ran."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def of(letters: str, length: int) -> Make:
    return lambda chance, _: "".join(chance.choice(letters) for _ in range(length))


def encoded(size: int, by: Callable[[bytes], bytes]) -> Make:
    return lambda chance, _: by(chance.randbytes(size)).decode()


def jwt(chance: Random, at: datetime) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"sub": "ada", "iat": round(at.timestamp()), "jti": chance.randbytes(8).hex()}
    signature = base64.urlsafe_b64encode(chance.randbytes(32)).rstrip(b"=").decode()
    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.{signature}"


IDS: dict[str, Make] = {
    "uuid4": lambda chance, _: str(UUID(bytes=chance.randbytes(16), version=4)),
    "uuid7": lambda chance, at: f"{round(at.timestamp() * 1000):012x}"[:8] + "-0123-7abc-8abc-" + chance.randbytes(6).hex(),
    "uuid without dashes": lambda chance, _: chance.randbytes(16).hex(),
    "uuid in capitals": lambda chance, _: str(UUID(bytes=chance.randbytes(16), version=4)).upper(),
    "ulid": lambda chance, _: "01J" + "".join(chance.choice(_BASE32) for _ in range(23)),
    "hex of 16": lambda chance, _: chance.randbytes(8).hex(),
    "hex of 40": lambda chance, _: chance.randbytes(20).hex(),
    "nanoid": of(_LETTERS + "_-", 21),
    "nonce in base64": encoded(18, base64.b64encode),
    "nonce with padding": encoded(16, base64.b64encode),
    "url-safe nonce": encoded(24, base64.urlsafe_b64encode),
    "prefixed id": lambda chance, _: "ord_" + "".join(chance.choice(_LETTERS) for _ in range(14)),
    "snowflake": lambda chance, _: str(chance.randrange(10**18, 9 * 10**18)),
    "number": lambda chance, _: chance.randrange(10**6, 10**7),
    "jwt": jwt,
}  # fmt: skip
TIMES: dict[str, Make] = {
    "iso": lambda _, at: at.replace(microsecond=0).isoformat(),
    "iso with z": lambda _, at: f"{at:%Y-%m-%dT%H:%M:%SZ}",
    "iso with microseconds": lambda _, at: at.isoformat(),
    "iso with milliseconds": lambda _, at: at.isoformat(timespec="milliseconds"),
    "iso with a blank": lambda _, at: f"{at:%Y-%m-%d %H:%M:%S}",
    "iso of another zone": lambda _, at: (at + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00"),
    "day": lambda _, at: f"{at:%Y-%m-%d}",
    "day with points": lambda _, at: f"{at:%d.%m.%Y}",
    "day and minute with points": lambda _, at: f"{at:%d.%m.%Y %H:%M}",
    "compact": lambda _, at: f"{at:%Y%m%dT%H%M%SZ}",
    "http date": lambda _, at: f"{at:%a, %d %b %Y %H:%M:%S GMT}",
    "mail date": lambda _, at: f"{at:%a, %d %b %Y %H:%M:%S +0000}",
    "words": lambda _, at: f"{at.day} {at:%B %Y at %H:%M}",
    "american words": lambda _, at: f"{at:%b} {at.day}, {at:%Y, %H:%M:%S}",
    "day with strokes": lambda _, at: f"{at:%d/%m/%Y}",
    "epoch": lambda _, at: round(at.timestamp()),
    "epoch as text": lambda _, at: str(round(at.timestamp())),
    "epoch with a fraction": lambda _, at: at.timestamp(),
    "epoch in ms": lambda _, at: round(at.timestamp() * 1e3),
    "epoch in ns": lambda _, at: round(at.timestamp() * 1e6) * 1000,
}  # fmt: skip
NUMBERS: dict[str, Make] = {
    "fraction": lambda chance, _: chance.random(),
    "milliseconds": lambda chance, _: round(chance.uniform(3, 90), 3),
    "fraction as text": lambda chance, _: f"{chance.random():.6f}",
    "big fraction": lambda chance, _: chance.uniform(1e8, 1e9),
}
EVERY = {**IDS, **TIMES, **NUMBERS}
URL = "https://shop.example/orders"
FORM = [(b"content-type", b"application/x-www-form-urlencoded")]


def in_json(value: Any, amount: int = 20) -> list[RecordedRequest]:
    return [request("POST", URL, {"amount": amount, "trace": {"of": [value]}, "note": "tea"})]


def in_form(value: Any, amount: int = 20) -> list[RecordedRequest]:
    body = urlencode({"amount": amount, "of": value}).encode()
    return [request("POST", URL, body, headers=FORM)]


def in_query(value: Any, amount: int = 20) -> list[RecordedRequest]:
    return [request("POST", f"{URL}?{urlencode({'of': value})}", {"amount": amount})]


def in_text(value: Any, amount: int = 20) -> list[RecordedRequest]:
    return [request("POST", URL, f"Sent {amount} by the shop ({value}), thank you".encode())]


def in_header(value: Any, amount: int = 20) -> list[RecordedRequest]:
    return [request("POST", URL, {"amount": amount}, headers=[(b"x-request-id", str(value).encode())])]


PLACES: dict[str, Callable[..., list[RecordedRequest]]] = {
    "json": in_json, "form": in_form, "query": in_query, "text": in_text, "header": in_header,
}  # fmt: skip


def judged(before: list[list[RecordedRequest]], after: list[RecordedRequest]) -> ReplayedRun:
    """The verdict on the last of four runs of a program; the first was recorded, the second and third are repetitions."""
    first, *repeated = before
    made = replace(
        recording(*(exchange(number, one, {"ok": True}) for number, one in enumerate(first)), answer="done"),
        created_at=round(BEGIN.timestamp() * 1e6),
    )

    def run(requests: list[RecordedRequest], day: int, *, same: bool) -> Any:
        found = replayed(ReplayRecorder(made, same_version=same), requests, made, "done")
        return replace(found, created_at=round((BEGIN + timedelta(days=day)).timestamp() * 1e6))

    olds = [run(requests, day, same=True) for requests, day in zip(repeated, DAYS[1:], strict=False)]
    return compare(Baseline(made, olds), run(after, DAYS[3], same=False))


def values(make: Make, seed: int = 7, ahead: timedelta = timedelta()) -> list[Any]:
    """The value in each of the four runs."""
    return [make(Random(f"{seed} {day}"), BEGIN + timedelta(days=day, seconds=day) + ahead) for day in DAYS]


@pytest.mark.parametrize("name", EVERY)
def test_what_chance_or_the_clock_decides_is_no_change(name: str) -> None:
    for seed in range(3):
        *before, now = values(EVERY[name], seed)
        for place, program in PLACES.items():
            run = judged([program(value) for value in before], program(now))
            assert run.verdict == "same", (place, seed, run)


@pytest.mark.parametrize("name", EVERY)
def test_a_change_beside_what_chance_decides_is_seen(name: str) -> None:
    *before, now = values(EVERY[name])
    for place, program in PLACES.items():
        run = judged([program(value) for value in before], program(now, amount=21))
        assert run.verdict == "changed", (place, run)


@pytest.mark.parametrize("name", EVERY)
def test_a_fixed_word_in_the_place_of_what_chance_decides_is_seen(name: str) -> None:
    *before, _ = values(EVERY[name])
    for place, program in PLACES.items():
        for instead in ("", "fixed", "n/a"):
            run = judged([program(value) for value in before], program(instead))
            assert run.verdict == "changed", (place, instead, run)


@pytest.mark.parametrize("name", [name for name in IDS if name not in {"number", "snowflake", "jwt"}])
def test_an_id_of_another_length_is_seen(name: str) -> None:
    *before, now = values(IDS[name])
    for place, program in PLACES.items():
        run = judged([program(value) for value in before], program(str(now)[:-3]))
        assert run.verdict == "changed", (place, run)


@pytest.mark.parametrize("name", TIMES)
def test_a_time_at_another_distance_from_now_is_seen(name: str) -> None:
    *before, _ = values(TIMES[name])
    for days in (-30, 1, 30):
        moved = values(TIMES[name], ahead=timedelta(days=days))[-1]
        for place, program in PLACES.items():
            run = judged([program(value) for value in before], program(moved))
            assert run.verdict == "changed", (place, days, run)


def test_a_clock_without_a_day_keeps_its_distance_too() -> None:
    def clock(chance: Random, at: datetime) -> str:
        return f"{at + timedelta(minutes=90):%H:%M}"

    *before, now = values(clock)
    olds = [in_json(value) for value in before]
    assert judged(olds, in_json(now)).verdict == "same"
    assert judged(olds, in_json(values(clock, ahead=timedelta(hours=-1))[-1])).verdict == "changed"


WRITTEN = {
    "2026-11-27T09:30:12Z": BEGIN, "2026-11-27 09:30": BEGIN, "2026-11-27T11:30:12,345678+02:00": BEGIN, "2026-11-27T09:30:12 UTC": BEGIN,
    "27.11.2026 09:30": BEGIN, "27.11.2026, 09:30:12": BEGIN, "27/11/2026 09:30": BEGIN, "Fri, 27 Nov 2026 09:30:12 GMT": BEGIN,
    "Fri, 27 Nov 2026 09:30:12 +0000": BEGIN, "27-Nov-2026 09:30:12": BEGIN, "27 November 2026 at 09:30": BEGIN,
    "Nov 27, 2026, 09:30": BEGIN, "Friday, November 27, 2026 at 09:30": BEGIN, "20261127T093012Z": BEGIN, "20261127-093012": BEGIN,
    "20261127093012345": BEGIN, "09:30": BEGIN, "09:30:12.345": BEGIN, "2026-11-27": BEGIN, "27.11.2026": BEGIN, "27 Nov 2026": BEGIN,
    "20261127": BEGIN,
}  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_each_form_of_a_time_that_is_marked_is_read(text: str) -> None:
    form, tokens = template(f"at {text} it was")
    assert [found for _, found in tokens] == [text]
    assert form != f"at {text} it was"
    moment = read_time(text, BEGIN)
    assert moment is not None
    has_clock = ":" in text or (len(text) > len("20261127") and text[:8].isdigit())
    assert abs(moment - BEGIN) < (timedelta(minutes=1) if has_clock else timedelta(days=1))


def test_a_date_with_strokes_is_read_as_its_samples_are() -> None:
    def american(day: int) -> str:
        return (BEGIN + timedelta(days=day)).strftime("%m/%d/%Y")

    *before, now = (in_json(american(day)) for day in DAYS)
    assert judged(before, now).verdict == "same"
    assert judged(before, in_json(american(DAYS[-1] + 30))).verdict == "changed"


def upload(boundary: str, content: bytes = b"a,b\n1,2\n", name: str = "orders.csv") -> list[RecordedRequest]:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="note"\r\n\r\ntea\r\n'
    file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n'
    body = head.encode() + file.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}".encode()
    return [request("POST", URL, body, headers=[(b"content-type", kind)])]


BOUNDARIES = (
    [f"----WebKitFormBoundary{'aB3dE5gH7jK9mN1p'[at:]}{'Xy2zQ4wR'[at:]}" for at in range(4)],
    [Random(at).randbytes(16).hex() for at in range(4)],
)


@pytest.mark.parametrize("boundaries", BOUNDARIES)
def test_the_boundary_of_an_upload_is_no_change_and_what_is_within_counts(boundaries: list[str]) -> None:
    *before, now = boundaries
    olds = [upload(one) for one in before]
    assert judged(olds, upload(now)).verdict == "same"
    for other in (
        upload(now, b"a,b\n1,3\n"),
        upload(now, name="other.csv"),
        upload(now, b"a,b\n1,2\n\n"),
    ):
        assert judged(olds, other).verdict == "changed"


def shuffled(value: Any, chance: Random) -> Any:
    """The same value, with its keys in another order."""
    if isinstance(value, dict):
        pairs = list(cast("dict[str, Any]", value).items())
        chance.shuffle(pairs)
        return {name: shuffled(item, chance) for name, item in pairs}
    return [shuffled(one, chance) for one in cast("list[Any]", value)] if isinstance(value, list) else value


def test_the_order_of_keys_is_no_change_and_that_of_a_list_is() -> None:
    order: dict[str, Any] = {
        "to": "ada",
        "rows": [{"a": 1, "b": [2, 3]}, {"c": None, "d": {"e": 1.0, "f": True}}],
    }
    runs = [[request("POST", URL, shuffled(order, Random(seed)))] for seed in range(4)]
    assert judged(runs[:3], runs[3]).verdict == "same"
    turned = [request("POST", URL, {**order, "rows": order["rows"][::-1]})]
    assert judged(runs[:3], turned).verdict == "changed"
    query = [[request("POST", f"{URL}?{text}", {})] for text in ("a=1&b=2", "b=2&a=1", "a=1&b=2", "b=2&a=1")]
    assert judged(query[:3], query[3]).verdict == "same"
    assert judged(query[:3], [request("POST", f"{URL}?a=2&b=1", {})]).verdict == "changed"


def test_the_level_and_the_time_of_a_compression_are_no_change() -> None:
    def packed(text: str, level: int, at: int) -> list[RecordedRequest]:
        body = gzip.compress(text.encode(), level, mtime=at)
        return [request("POST", URL, body, headers=[(b"content-encoding", b"gzip")])]

    olds = [packed('{"n": 1}', level, level * 1000) for level in (1, 6, 9)]
    assert judged(olds, packed('{"n": 1}', 5, 77)).verdict == "same"
    assert judged(olds, packed('{"n": 2}', 5, 77)).verdict == "changed"


def test_a_host_that_answers_otherwise_each_time_gives_a_replay_what_it_gave_the_run() -> None:
    read, made_of = request("GET", "https://dice.example/roll"), [3, 5, 3, 1]
    exchanges = [exchange(number, read, {"roll": roll}) for number, roll in enumerate(made_of)]
    sums = request("POST", URL, {"sum": sum(made_of)})
    made = recording(*exchanges, exchange(9, sums), answer="done")
    requests = [read] * len(made_of)
    old = replayed(ReplayRecorder(made, same_version=True), [*requests, sums], made, "done")
    baseline = Baseline(made, [old])
    assert not baseline.noise.learned
    recorder = ReplayRecorder(made)
    assert [json.loads(decide(recorder, read)[1])["roll"] for _ in made_of] == made_of
    again = replayed(ReplayRecorder(made), [*requests, sums], made, "done")
    assert compare(baseline, again).verdict == "same"
    other = request("POST", URL, {"sum": 11})
    assert compare(baseline, replayed(ReplayRecorder(made), [*requests, other], made, "done")).verdict == (
        "changed"
    )
