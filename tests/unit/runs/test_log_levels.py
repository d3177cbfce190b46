"""Which level a log line has: a traceback is an error to its last word, wherever it is cut into batches."""

from __future__ import annotations

import json

import pytest

from codewords_mcp.runtime.model.log_text import Line, is_server_line, levelled, readable, tracing_after

pytestmark = pytest.mark.requirement("logs:levels")


def lines(text: str, stream: str = "stderr") -> list[Line]:
    return [(f"2026-01-31T09:30:00.{n:06}Z", stream, line) for n, line in enumerate(text.split("\n"))]


PLAIN = """Traceback (most recent call last):
  File "/app/main.py", line 1, in <module>
    fail()
    ^^^^^^
ValueError: cannot count 2"""
CHAINED = (
    PLAIN
    + """

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/main.py", line 4, in <module>
KeyError: 'x'"""
)
CAUSED = (
    PLAIN
    + """

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/main.py", line 4, in <module>
package.errors.OwnThing: with words
and a second line of the message"""
)
GROUP = """  + Exception Group Traceback (most recent call last):
  |   File "/app/main.py", line 5, in <module>
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/app/main.py", line 3, in fail
    | ValueError: one
    +------------------------------------"""
ASGI = "ERROR:    Exception in ASGI application\n" + PLAIN
LOGGED = "2026-01-31T09:30:00Z [error    ] it broke\n" + PLAIN


@pytest.mark.parametrize("text", [PLAIN, CHAINED, CAUSED, GROUP, ASGI, LOGGED])
@pytest.mark.parametrize(
    "after", ["INFO:     Shutting down", "DEBUG: more", '{"event": "on", "level": "info", "timestamp": 1}']
)
def test_every_line_of_a_traceback_is_an_error_and_the_line_after_is_not(text: str, after: str) -> None:
    whole = lines(f"before\n{text}\n{after}\nmore")
    levels = [level for _, level in levelled(whole)]
    assert levels[0] is None
    assert set(levels[1:-2]) == {"error"}
    assert levels[-2] in {"info", "debug"}
    assert levels[-1] is None


@pytest.mark.parametrize("text", [PLAIN, CHAINED, GROUP, ASGI])
def test_where_a_log_is_cut_into_batches_changes_no_level(text: str) -> None:
    whole = lines(f"before\n{text}\nINFO:     on\nmore")
    expected = list(levelled(whole))
    for cut in range(len(whole) + 1):
        tracing = tracing_after(whole[:cut])
        assert [*levelled(whole[:cut]), *levelled(whole[cut:], tracing)] == expected


def test_a_traceback_on_stdout_ends_with_its_exception() -> None:
    levels = [level for _, level in levelled(lines(f"{PLAIN}\nprinted afterwards\n  indented", "stdout"))]
    assert levels == ["error"] * 5 + [None, None]


def test_a_traceback_of_one_stream_says_nothing_of_the_other() -> None:
    mixed = lines(PLAIN)
    mixed.insert(2, ("2026-01-31T09:30:01.000000Z", "stdout", "a print between"))
    assert [level for line, level in levelled(mixed) if line[1] == "stdout"] == [None]
    assert {level for line, level in levelled(mixed) if line[1] == "stderr"} == {"error"}


def test_a_logger_s_json_is_text_with_its_exception_on_lines_of_its_own() -> None:
    entry = {
        "event": "it broke",
        "level": "error",
        "timestamp": "t",
        "n": 1,
        "deep": {"a": [1]},
        "exception": PLAIN,
    }
    assert readable(json.dumps(entry)) == ("error", f'it broke n=1 deep={{"a":[1]}}\n{PLAIN}')
    assert readable('{"message": "std", "levelname": "WARNING", "asctime": "t"}') == ("warning", "std")


@pytest.mark.parametrize(
    "message",
    [
        '{"answer": 42}',
        '{"event": "no time or level"}',
        '{"event": 1, "level": "info"}',
        "{broken",
        "[1]",
        "plain",
    ],
)
def test_json_that_no_logger_wrote_stays_as_it_is(message: str) -> None:
    assert readable(message) is None


@pytest.mark.parametrize(
    ("stream", "message", "hidden"),
    [
        ("stderr", "INFO:     Started server process [2]", True),
        ("stderr", "INFO:     Application startup complete.", True),
        ("stdout", 'INFO:     127.0.0.1:0 - "POST / HTTP/1.1" 500 Internal Server Error', True),
        ("stdout", "INFO:     my own words", False),
        ("stderr", "ERROR:    Exception in ASGI application", False),
        ("stderr", "WARNING:  Invalid HTTP request received.", False),
        ("platform", "INFO:     Shutting down", False),
    ],
)
def test_only_what_the_server_always_says_is_hidden(stream: str, message: str, *, hidden: bool) -> None:
    assert is_server_line(stream, message) is hidden
