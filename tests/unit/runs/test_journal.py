"""Logs of runs: lines, times, following, bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.support.databases import open_database
from tests.support.waiting import until_async

from codewords_mcp.runtime.model.events import EventBus
from codewords_mcp.runtime.model.log_text import Line
from codewords_mcp.runtime.model.run import LogLine
from codewords_mcp.runtime.runs.log_followers import by_line
from codewords_mcp.runtime.runs.run_logs import MAX_LINE, Journal
from codewords_mcp.runtime.store import runs
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.requirement("logs:order", "logs:follow", "logs:bounded", "runs:steps"),
]


@pytest.fixture
def database(tmp_path: Path):
    opened = open_database(tmp_path)
    opened.write_blocking(
        lambda c: runs.add(c, {"id": "r", "owner": "o", "status": "running", "created_at": now()})
    )
    yield opened
    opened.close()


def _never(_connection: Connection) -> bool:
    return False


def _always(_connection: Connection) -> bool:
    return True


async def _all(
    journal: Journal,
    *,
    after: str | None = None,
    follow: bool = True,
    ended: Callable[[Connection], bool] | None = None,
) -> list[LogLine]:
    batches = journal.followers.follow("r", after=after, follow=follow, has_ended=ended or _always)
    return [line async for line in by_line(batches) if line is not None]


async def test_lines_are_whole_and_times_strictly_rise_by_a_millisecond_at_least(database: Database) -> None:
    journal = Journal(database, 1 << 20, EventBus())
    log = journal.open("r")
    log.write("stdout", b"one\ntw")
    log.write("stderr", b"err\r\n")
    log.write("stdout", "o ☃".encode()[:-1])
    log.write("stdout", "☃".encode()[-1:] + b"\nno newline")
    journal.close(log)
    lines = await _all(journal)
    assert [(line.stream, line.message) for line in lines] == [
        ("stdout", "one"),
        ("stderr", "err"),
        ("stdout", "two ☃"),
        ("stdout", "no newline"),
    ]
    stamps = [line.created_at for line in lines]
    assert stamps == sorted(set(stamps))
    assert len({stamp[:23] for stamp in stamps}) == len(stamps), "no two lines within one millisecond"
    assert len({len(stamp) for stamp in stamps}) == 1


async def test_after_is_exclusive_and_a_follower_gets_lines_as_they_come_and_the_end(
    database: Database,
) -> None:
    journal = Journal(database, 1 << 20, EventBus())
    log = journal.open("r")
    got: asyncio.Queue[LogLine | None] = asyncio.Queue()

    async def follow() -> None:
        async for line in by_line(journal.followers.follow("r", after=None, follow=True, has_ended=_always)):
            await got.put(line)

    follower = asyncio.create_task(follow())
    async with asyncio.timeout(120):
        for message in ("first", "second"):
            log.write("stdout", message.encode() + b"\n")
            line = await got.get()
            assert line is not None
            assert line.message == message
        journal.close(log)
        await follower
    first = (await _all(journal))[0]
    assert [line.message for line in await _all(journal, after=first.created_at)] == ["second"]
    assert await _all(journal, after="9999") == []


async def test_a_provisioned_run_can_be_followed_before_it_starts(database: Database) -> None:
    journal = Journal(database, 1 << 20, EventBus())
    over = asyncio.Event()

    def ended(_connection: Connection) -> bool:
        return over.is_set()

    follower = asyncio.create_task(_all(journal, ended=ended))
    await asyncio.sleep(0)
    log = journal.open("r")
    log.write("stdout", b"hello\n")
    over.set()
    journal.close(log)
    async with asyncio.timeout(120):
        assert [line.message for line in await follower] == ["hello"]


async def test_without_follow_it_ends_at_once_though_the_run_goes_on(database: Database) -> None:
    journal = Journal(database, 1 << 20, EventBus())
    journal.open("r")
    async with asyncio.timeout(120):
        assert await _all(journal, follow=False, ended=_never) == []


async def test_a_log_past_its_bound_ends_in_a_line_that_says_so(database: Database) -> None:
    journal = Journal(database, 1000, EventBus())
    log = journal.open("r")
    for _ in range(500):
        log.write("stdout", b"x" * 99 + b"\n")
    journal.close(log)
    lines = await _all(journal)
    assert len(lines) == 11
    assert lines[-1].stream == "platform"
    assert "log cut here" in lines[-1].message


async def test_an_endless_line_is_cut_into_bounded_ones(database: Database) -> None:
    journal = Journal(database, 1 << 20, EventBus())
    log = journal.open("r")
    for _ in range(5):
        log.write("stdout", b"y" * (MAX_LINE // 2))
    journal.close(log)
    sizes = [len(line.message) for line in await _all(journal)]
    assert sum(sizes) == MAX_LINE // 2 * 5
    assert max(sizes) <= MAX_LINE


async def test_announced_steps_are_kept_with_their_time(database: Database) -> None:
    journal = Journal(database, 1 << 20, EventBus())
    log = journal.open("r")
    log.write("stdout", b"2026-01-01 [info] STEPLOG START fetch_page\nwork\nSTEPLOG START sum.up\n")
    journal.close(log)
    assert [step.id for step in log.steps] == ["fetch_page", "sum.up"]


async def test_binary_and_nul_bytes_do_not_break_the_log(database: Database) -> None:
    journal = Journal(database, 1 << 20, EventBus())
    log = journal.open("r")
    log.write("stdout", bytes(range(256)) + b"\nafter\n")
    journal.close(log)
    lines = await _all(journal)
    assert lines[-1].message == "after"
    assert "\x00" not in "".join(line.message for line in lines)


@pytest.mark.requirement("logs:shared")
async def test_followers_of_one_log_share_each_look_at_the_store_and_what_is_written_of_it(
    database: Database,
) -> None:
    journal = Journal(database, 1 << 20, EventBus())
    log = journal.open("r")
    looked, written = 0, 0

    def ended(_connection: Connection) -> bool:
        nonlocal looked
        looked += 1
        return True

    def write(lines: list[Line]) -> list[bytes]:
        nonlocal written
        written += 1
        return [message.encode() for _, _, message in lines]

    async def follow() -> bytes:
        batches = journal.followers.follow("r", after=None, follow=True, has_ended=ended)
        return b"".join([b"".join(batch.encoded("plain", write)) async for batch in batches if batch])

    followers = asyncio.gather(*(follow() for _ in range(20)))
    await until_async(lambda: journal.followers.followed_runs)
    log.write("stdout", b"one\ntwo\n")
    journal.close(log)
    async with asyncio.timeout(120):
        assert await followers == [b"onetwo"] * 20
    assert (looked, written) == (1, 1)
    assert not journal.followers.followed_runs, "nothing is kept of logs that nobody follows"


async def test_a_long_log_comes_whole_and_in_order_also_to_who_comes_back_in_its_middle(
    database: Database,
) -> None:
    journal = Journal(database, 1 << 20, EventBus())
    log = journal.open("r")
    for number in range(450):  # more chunks than one look takes
        log.write("stdout", b"%d\n" % number)
        journal.flush()
    journal.close(log)
    lines = await _all(journal)
    assert [line.message for line in lines] == [str(number) for number in range(450)]
    for number in (0, 199, 200, 448, 449):
        assert await _all(journal, after=lines[number].created_at) == lines[number + 1 :]


async def test_only_what_fits_of_lines_that_come_at_once_is_kept_and_a_long_line_among_them_is_cut(
    database: Database,
) -> None:
    journal = Journal(database, MAX_LINE + 100, EventBus())
    log = journal.open("r")
    log.write("stdout", b"y" * (MAX_LINE + 10) + b"\nshort\n" + b"z" * 100 + b"\nnever\n")
    log.write("stdout", b"nor this\n")
    journal.close(log)
    lines = await _all(journal)
    assert [len(line.message) for line in lines[:-1]] == [MAX_LINE, 10, 5]
    assert "log cut here" in lines[-1].message
    assert [line.created_at for line in lines] == sorted({line.created_at for line in lines})


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("STEPLOG START item 3 of 36", "item 3 of 36"),
        ('{"event": "STEPLOG START item 3 of 36", "level": "info"}', "item 3 of 36"),
        ('{"event": "STEPLOG START send.mail", "entries": 3}', "send.mail"),
        ("2026-01-01 [info     ] STEPLOG START read all rows            rows=3 of=4", "read all rows"),
        ("STEPLOG START fetch url=http://a", "fetch"),
        ("INFO:root:STEPLOG START größe 2/3", "größe 2/3"),
        ("STEPLOG START " + "x" * 500, "x" * 100),
        ('{"event": "STEPLOG START one\\ntwo"}', "one"),
        ("STEPLOG START a\x1b[31mb", "a"),
    ],
)
async def test_a_step_is_named_whole_also_with_blanks(database: Database, line: str, step: str) -> None:
    log = Journal(database, 1 << 20, EventBus()).open("r")
    log.write("stdout", line.encode() + b"\n")
    assert [one.id for one in log.steps] == [step]


async def test_lines_after_a_response_hold_no_other_log_up_and_are_written_with_it(
    database: Database,
) -> None:
    database.write_blocking(
        lambda c: runs.add(c, {"id": "s", "owner": "o", "status": "running", "created_at": now()})
    )
    journal = Journal(database, 1 << 20, EventBus())
    settled, live = journal.open("r"), journal.open("s")
    settled.settled()
    settled.write("stderr", b"Shutting down\n")
    later = journal.flush_at
    live.write("stdout", b"one\n")
    assert journal.flush_at < later

    await until_async(lambda: not live.pending)
    assert not settled.pending
    journal.close(settled)
    assert [line.message for line in await _all(journal)] == ["Shutting down"]
