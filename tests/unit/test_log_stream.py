"""A log that cannot be written: no error and no wait of the code that logs, and a report of what was lost."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codewords_mcp.common.log_stream import LogStream

pytestmark = pytest.mark.requirement("serve:log-lost")

WRITERS = """
import asyncio, logging, sys, threading, traceback, warnings
import structlog
from codewords_mcp.logging import configure, guard

sys.stderr = guard(sys.stderr)
configure("INFO")
structlog.get_logger("ours").warning("structured")
logging.getLogger("uvicorn.error").error("of a library")
print("printed", file=sys.stderr, flush=True)
warnings.warn("a warning")
try:
    raise ValueError("broken")
except ValueError:
    traceback.print_exc()
    logging.getLogger("uvicorn.error").exception("with a traceback")

class Unraisable:
    def __del__(self):
        raise ValueError("in a destructor")
Unraisable()

thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()

async def fails():
    asyncio.get_running_loop().call_exception_handler({"message": "of the loop"})
asyncio.run(fails())
print("went on", sys.stderr.lost_lines)
"""


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_no_writer_of_stderr_fails_where_it_cannot_be_written(redirection: str) -> None:
    command = f'exec "$0" -c "$1" {redirection}'
    told = subprocess.run(
        ["sh", "-c", command, sys.executable, WRITERS], check=False, capture_output=True, encoding="utf-8"
    )
    assert told.returncode == 0
    went_on, lost = told.stdout.rsplit(maxsplit=1)
    assert went_on == "went on"
    assert (int(lost) > 10) is (redirection == "2>/dev/full")


@pytest.fixture
def pipe() -> Iterator[tuple[int, LogStream]]:
    """The end that reads, and the log that is written to the other."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as file:
        yield reading, LogStream(file)
    os.close(reading)


def test_a_reader_that_stops_holds_up_nobody_and_is_told_what_it_missed(pipe: tuple[int, LogStream]) -> None:
    reading, log = pipe
    for number in range(100_000):
        log.write(f"line {number}\n")
    missed = log.lost_lines
    assert missed > 0
    seen = os.read(reading, 1 << 20).decode()
    assert seen.startswith("line 0\nline 1\n")
    log.write("after\n")
    report, after = os.read(reading, 1 << 20).decode().splitlines()[-2:]
    assert (json.loads(report)["event"], json.loads(report)["lines"]) == ("log lines lost", missed)
    assert (after, log.lost_lines) == ("after", 0)


def test_a_line_longer_than_a_pipe_is_cut_where_nobody_reads_and_the_next_begins_anew(
    pipe: tuple[int, LogStream],
) -> None:
    reading, log = pipe
    log.write("x" * (1 << 20) + "\n")
    assert log.lost_lines == 1
    cut = os.read(reading, 1 << 20)
    assert set(cut) == {ord("x")}
    log.write("after\n")
    empty, report, after = os.read(reading, 1 << 20).decode().splitlines()
    assert (empty, json.loads(report)["lines"], after) == ("", 1, "after")


def test_a_closed_stream_takes_lines_and_a_file_gets_them_at_once(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as file:
        log = LogStream(file)
        log.write("ein Zeichen: \udcff\n")
        assert (tmp_path / "log").read_text(encoding="utf-8") == "ein Zeichen: \\udcff\n"
    log.write("closed\n")
    assert log.lost_lines == 1


def test_the_standard_librarys_handler_writes_to_it(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as file:
        logging.StreamHandler(LogStream(file)).emit(logging.makeLogRecord({"msg": "said"}))
        assert (tmp_path / "log").read_text(encoding="utf-8") == "said\n"
