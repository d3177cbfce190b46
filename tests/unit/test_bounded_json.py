"""JSON from outside: what `parse` lets through can be stored, encoded and walked by everybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic_core import to_json
from tests.support.databases import open_database

from codewords_mcp.common.bounded_json import (
    MAX_DEPTH,
    UnacceptableJson,
    check,
    has_more_values,
    parse,
    parse_or_none,
    parse_stored,
)
from codewords_mcp.errors import InvalidInput, StorageFailed
from codewords_mcp.http.wire_format import log_record, result_record
from codewords_mcp.mcp_server.run_format import format_run
from codewords_mcp.mcp_server.run_result import RunView, _log, run_result  # pyright: ignore[reportPrivateUsage]
from codewords_mcp.runtime.model.log_text import level_of
from codewords_mcp.runtime.model.run import LogLine
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.runs.results import CapturedBody, WorkflowResponse, response_record
from codewords_mcp.runtime.store import runs
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

pytestmark = [pytest.mark.requirement("runs:said-bounded")]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec=None, categories=None), max_size=8),
    st.sampled_from([10**4299, float("inf"), "\x00", "\ud800", "\udfff", "\u202e\x9b31m"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
)


def nested(depth: int, inner: str = "") -> str:
    return "[" * depth + inner + "]" * depth


@st.composite
def said(draw: st.DrawFn) -> bytes:
    """What a program may say: JSON at any depth, odd numbers, halves of pairs, or anything at all."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=40))
    value, depth = (
        draw(VALUES),
        draw(st.sampled_from([0, 1, 90, 99, 100, 101, 200, 255, 1000, 3000, 100_000])),
    )
    try:
        text = json.dumps(value)
    except ValueError:  # an integer beyond what this interpreter writes
        text = "1" * 5001
    shape = draw(st.sampled_from(["[]", "{}"]))
    opening, closing = ("[", "]") if shape == "[]" else ('{"a":', "}")
    return (opening * depth + text + closing * depth).encode()


ODD = [
    nested(3000),
    nested(MAX_DEPTH + 1),
    nested(300, '"x"'),
    '{"a":' * 300 + "1" + "}" * 300,
    '"\\ud800"',
    '"\\uDFFFx"',
    "1e400",
    "-1e400",
    "1" + "0" * 250 + "e99",
    "NaN",
    "[Infinity]",
    "-Infinity",
    "9" * 5000,
    '"\\u0000"',
    '{"a": 1, "a": 2}',
    "\ufeff[1]",
]


@pytest.mark.parametrize(
    "text", [nested(MAX_DEPTH), nested(MAX_DEPTH, "1"), "[[],[]]" + " ", '"\\ud83d\\ude00"']
)
def test_what_is_within_the_bounds_is_parsed_as_ever(text: str) -> None:
    assert parse(text) == json.loads(text)
    assert parse(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        nested(MAX_DEPTH + 1),
        nested(100_000),
        "[" * 100_000 + "]" * 100_000 + "x",
        '{"a":' * 101 + "1" + "}" * 101,
        '"\\ud800"',
        "1e400",
        "NaN",
        "-Infinity",
        "9" * 5000,
    ],
)
def test_what_is_beyond_a_bound_is_refused_and_says_which(text: str) -> None:
    with pytest.raises(ValueError, match=r"it (is nested|holds)|Expecting|Extra data"):
        parse(text.encode())
    assert parse_or_none(text) is None


def test_keys_that_are_named_twice_are_refused_where_that_is_asked_for() -> None:
    assert parse('{"a": 1, "a": 2}') == {"a": 2}
    with pytest.raises(UnacceptableJson, match="twice"):
        parse('[{"a": 1, "b": {"c": 1, "c": 2}}]', unique_keys=True)
    assert parse('{"a": 1, "b": {"a": 1}}', unique_keys=True) == {"a": 1, "b": {"a": 1}}


def test_size_is_bounded_before_anything_is_parsed() -> None:
    with pytest.raises(UnacceptableJson, match="longer"):
        parse(b"[" * 100, max_bytes=10)


@given(said())
@settings(max_examples=300)
@example(nested(101).encode())
@example(b'"\\ud800"')
def test_what_is_parsed_can_be_written_again_by_every_encoder(data: bytes) -> None:
    try:
        value = parse(data)
    except ValueError:
        return
    check(value)
    assert parse(json.dumps(value, ensure_ascii=False, allow_nan=False).encode()) == value
    assert parse(to_json(value)) is not None or value is None


@given(st.text(st.characters(codec=None, categories=None)) | said().map(lambda data: data.decode("latin-1")))
@settings(max_examples=200)
def test_what_was_stored_is_always_read_and_can_be_written(text: str) -> None:
    check(parse_stored(text))


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    opened = open_database(tmp_path, url)
    yield opened
    opened.close()


def _told(database: Database, run_id: str) -> tuple[bytes, str]:
    """What HTTP and MCP tell of a run."""
    run = database.write_blocking(lambda c: runs.get(c, run_id))
    assert run is not None
    listed = database.write_blocking(
        lambda c: runs.page(c, "o", service_id=None, status=None, limit=5, before=None)
    )
    assert run_id in [one.id for one in listed]
    told = run_result(RunView(run))
    told.model_dump_json()
    return to_json(result_record(run)), format_run(told)


def test_whatever_a_program_answers_its_record_is_settled_and_read(database: Database) -> None:
    numbers = iter(range(100_000))

    @given(said())
    @settings(
        max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    )
    @example(nested(300).encode())
    @example(nested(3000).encode())
    @example(b'"\\ud800"')
    @example(b'{"a": "\\u0000\\u009b"}')
    @example(b"1e400")
    @example(b"[NaN]")
    @example(b"\x00\x9b[31m")
    def settle(answered: bytes) -> None:
        run_id = f"run-{next(numbers)}"
        kept = CapturedBody(1 << 20)
        kept.add(answered)
        values = response_record(
            WorkflowResponse(200, [(b"content-type", b"application/json")]), kept, whole=True
        )
        row: RunColumns = {
            "id": run_id,
            "owner": "o",
            "status": "running",
            "created_at": now() + next(numbers),
        }
        database.write_blocking(lambda c: runs.add(c, row))
        assert database.write_blocking(lambda c: runs.change(c, run_id, values | {"status": "succeeded"}))
        _told(database, run_id)

    settle()


@pytest.mark.parametrize("text", ODD)
def test_a_record_that_was_stored_without_bounds_is_read(database: Database, text: str) -> None:
    def poison(connection: Any) -> None:
        row: RunColumns = {"id": "r", "owner": "o", "status": "succeeded", "created_at": now()}
        runs.add(connection, row | {"response_status": 200, "response_content": text})
        cast = "CAST(:text AS json)" if database.shared else ":text"
        statement = f"UPDATE runs SET response_json = {cast}"  # of the two above
        connection.exec_driver_sql(
            statement.replace(":text", "%(text)s" if database.shared else ":text"), {"text": text}
        )

    try:
        database.write_blocking(poison)
    except StorageFailed:
        assert database.shared, "PostgreSQL takes some of it for no JSON; SQLite stores anything"
    else:
        _told(database, "r")


@given(said())
@settings(max_examples=200)
@example(('{"level": "info", "event": ' + nested(300) + "}").encode())
@example(b'{"level": "info", "event": "\\ud800"}')
def test_whatever_a_program_logs_its_line_is_shown(data: bytes) -> None:
    message = data.decode("utf-8", "replace")
    assert to_json(log_record(("2026-01-31T09:30:00.000250Z", "stdout", message), level_of(message)))
    line = LogLine(created_at="2026-01-31T09:30:00.000250Z", stream="stdout", message=message)
    assert _log([line]) or not message.strip()


def test_a_text_that_the_database_does_not_take_is_the_callers_fault_and_said_so(database: Database) -> None:
    row: RunColumns = {"id": "n", "owner": "o", "status": "queued", "created_at": now()}

    def add(connection: Any) -> None:
        runs.add(connection, row | {"correlation_id": "a\x00b"})

    if database.shared:
        with pytest.raises(InvalidInput, match="NUL"):
            database.write_blocking(add)
    else:
        database.write_blocking(add)
    database.write_blocking(lambda c: runs.add(c, row | {"id": "next"}))


def marks_outside_strings(text: str) -> int:
    """Commas and opening brackets, found character by character."""
    count, within, escaped = 0, False, False
    for character in text:
        if within:
            within = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            within = True
        else:
            count += character in ",[{"
    return count


@given(
    value=VALUES | st.lists(st.text(st.sampled_from('\\",[{a'), max_size=6), max_size=6),
    piece=st.integers(1, 9),
)
def test_values_are_counted_outside_of_strings_only(value: Any, piece: int) -> None:
    text = json.dumps(value)
    count = marks_outside_strings(text)
    assert not has_more_values(text.encode(), count, piece=piece)
    assert has_more_values(text.encode(), count - 1, piece=piece)
