"""What lines say about themselves."""

from __future__ import annotations

import pytest

from codewords_mcp.runtime.model.log_text import LEVELS, MAX_PARSED, fields_of, is_at_least, level_of

pytestmark = pytest.mark.requirement("logs:levels")


@pytest.mark.parametrize(
    ("message", "level"),
    [
        ('{"event": "ready", "level": "info", "n": 1}', "info"),
        ('{"message": "odd", "levelname": "WARNING"}', "warning"),
        ('{"msg": "down", "severity": "FATAL"}', "critical"),
        ('{"level": 30}', None),
        ('{"level": "loud"}', None),
        ('{"level": "info"', None),
        ("INFO:     Started server process [2]", "info"),
        ("ERROR:    Exception in ASGI application", "error"),
        ("2026-01-31T09:30:00.123Z [warning  ] slow answer  seconds=3", "warning"),
        ("2026-01-31 09:30:00 [debug    ] x", "debug"),
        ("[error] no time", "error"),
        ("Traceback (most recent call last):", "error"),
        ("[not a level] x", None),
        ("INFORMATION: x", None),
        ("plain words", None),
        ("", None),
        ("{" * 100_000, None),
    ],
)
def test_a_level_is_read_where_a_line_says_one(message: str, level: str | None) -> None:
    assert level_of(message) == level


def test_fields_are_those_of_a_json_object_and_of_nothing_else() -> None:
    assert fields_of('{"event": "x", "user": {"id": 1}}') == {"event": "x", "user": {"id": 1}}
    for message in ("[1]", "{}x", "plain", '{"a": "' + "y" * MAX_PARSED + '"}', '{"a":' * 5000):
        assert fields_of(message) is None
    assert fields_of("{}") == {}


def test_a_line_without_a_level_counts_as_info() -> None:
    assert [least for least in LEVELS if is_at_least(level_of("plain"), least)] == ["debug", "info"]
    assert [least for least in LEVELS if is_at_least(level_of("ERROR: x"), least)] == [
        "debug",
        "info",
        "warning",
        "error",
    ]
