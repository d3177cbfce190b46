"""The source `folder`, on real files."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.source_tools import Tools, source_tools

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import CodewordsError, Forbidden, InvalidInput, NotFound, StorageFailed
from codewords_mcp.runtime.triggers.sources import folder as module
from codewords_mcp.runtime.triggers.sources.base import Polled
from codewords_mcp.runtime.triggers.sources.folder import FolderOptions, FolderSource

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("triggers:folder")]
SOURCE = FolderSource()


@pytest.fixture
async def tools(tmp_path: Path) -> AsyncGenerator[Tools]:
    (tmp_path / "inbox").mkdir()
    async with source_tools() as found:
        found.folders = [tmp_path / "inbox"]
        found.home = tmp_path / "home"
        yield found


def options(tools: Tools, **fields: Any) -> FolderOptions:
    return FolderOptions.model_validate({"path": str(tools.folders[0])} | fields)


def data(polled: Polled) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", event.data) for event in polled.events]


def names(polled: Polled) -> list[str]:
    return [found["path"] for found in data(polled)]


async def looks(tools: Tools, chosen: FolderOptions, state: JsonValue, times: int = 2) -> Polled:
    polled = await SOURCE.poll(chosen, state, tools)
    for _ in range(times - 1):
        polled = await SOURCE.poll(chosen, polled.state, tools)
    return polled


async def test_a_new_file_is_an_event_at_the_second_look_with_a_copy_and_only_once(tools: Tools) -> None:
    inbox, chosen = Path(tools.folders[0]), options(tools, pattern="*.csv")
    (inbox / "old.csv").write_text("before", encoding="utf-8")
    state = (await SOURCE.poll(chosen, None, tools)).state
    (inbox / "new.csv").write_text("a,b", encoding="utf-8")
    for other in (".hidden.csv", "half.csv.part", "notes.txt"):
        (inbox / other).write_text("x", encoding="utf-8")

    first = await SOURCE.poll(chosen, state, tools)
    second = await SOURCE.poll(chosen, first.state, tools)
    third = await SOURCE.poll(chosen, second.state, tools)

    assert (list(first.events), list(third.events)) == ([], [])
    [event] = data(second)
    assert (event["path"], event["size"], event["content_type"]) == ("new.csv", 3, "text/csv")
    assert tools.files[event["url"]] == (b"a,b", "text/csv")


async def test_a_file_that_grows_is_no_event_until_it_rests(tools: Tools) -> None:
    inbox, chosen = Path(tools.folders[0]), options(tools)
    polled = await SOURCE.poll(chosen, None, tools)
    for size in range(1, 5):
        (inbox / "growing").write_bytes(b"x" * size)
        polled = await SOURCE.poll(chosen, polled.state, tools)
        assert list(polled.events) == []
    polled = await SOURCE.poll(chosen, polled.state, tools)
    assert [event["size"] for event in data(polled)] == [4]

    (inbox / "growing").write_bytes(b"changed later")
    assert [event["size"] for event in data(await looks(tools, chosen, polled.state))] == [13]


async def test_a_file_with_an_old_time_is_found_whatever_the_clock_says(tools: Tools) -> None:
    inbox, chosen = Path(tools.folders[0]), options(tools)
    (inbox / "now").touch()
    state = (await SOURCE.poll(chosen, None, tools)).state
    for name, time in (("old", 1), ("before 1970", -(10**9)), ("future", 2**40)):
        (inbox / name).touch()
        os.utime(inbox / name, (time, time))
    found = await looks(tools, chosen, state)
    assert sorted(names(found)) == ["before 1970", "future", "old"]


async def test_a_folder_that_vanishes_is_a_fault_and_its_return_starts_nothing_again(tools: Tools) -> None:
    inbox, chosen = Path(tools.folders[0]), options(tools)
    for name in ("a", "b"):
        (inbox / name).touch()
    state = (await SOURCE.poll(chosen, None, tools)).state
    away = inbox.with_name("away")
    inbox.rename(away)
    with pytest.raises(NotFound, match="not there"):
        await SOURCE.poll(chosen, state, tools)

    # As a drive that is not mounted leaves it.
    inbox.mkdir()
    polled = await looks(tools, chosen, state)
    inbox.rmdir()
    away.rename(inbox)
    assert list((await looks(tools, chosen, polled.state, 3)).events) == []


async def test_many_files_come_page_by_page_and_one_that_came_between_waits_for_its_second_look(
    tools: Tools,
) -> None:
    inbox, chosen = Path(tools.folders[0]), options(tools)
    state = (await SOURCE.poll(chosen, None, tools)).state
    count = 2 * module.PAGE + 7
    for number in range(count):
        (inbox / f"{number:04}").touch()
    polled = await SOURCE.poll(chosen, state, tools)
    (inbox / "between").touch()
    found: list[str] = []
    more = True
    while more:
        polled = await SOURCE.poll(chosen, polled.state, tools)
        found, more = found + names(polled), polled.more
    assert sorted(found) == [f"{number:04}" for number in range(count)]
    assert names(await SOURCE.poll(chosen, polled.state, tools)) == ["between"]


async def test_links_pipes_and_what_may_not_be_read_hold_up_nothing(tools: Tools, tmp_path: Path) -> None:
    inbox, chosen = Path(tools.folders[0]), options(tools, recursive=True)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret", encoding="utf-8")
    state = (await SOURCE.poll(chosen, None, tools)).state
    (inbox / "link").symlink_to(secret / "key")
    (inbox / "folder").symlink_to(secret)
    os.mkfifo(inbox / "pipe")
    (inbox / "below").mkdir()
    (inbox / "below" / "file").touch()
    os.close(os.open(os.fsencode(inbox) + b"/\xff", os.O_CREAT))
    assert names(await looks(tools, chosen, state)) == ["below/file"]


async def test_a_large_file_is_an_event_without_a_copy(tools: Tools) -> None:
    inbox, chosen = Path(tools.folders[0]), options(tools)
    state = (await SOURCE.poll(chosen, None, tools)).state
    with (inbox / "large").open("wb") as file:
        file.truncate(50 << 20)
    tools.max_file = 3
    (inbox / "more than the home keeps").write_bytes(b"four")
    assert [(event["size"], event["url"]) for event in data(await looks(tools, chosen, state))] == [
        (50 << 20, None),
        (4, None),
    ]


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("inbox", InvalidInput, "whole path"),
        ("{}", Forbidden, "may not be watched"),
        ("{}/inbox/../home", Forbidden, "may not be watched"),
        ("{}/inbox/out", Forbidden, "may not be watched"),
        ("{}/inbox/none", NotFound, "not there"),
        ("/etc", Forbidden, "may not be watched"),
    ],
)
async def test_a_folder_that_is_not_allowed_is_refused(
    tools: Tools, tmp_path: Path, path: str, error: type[CodewordsError], words: str
) -> None:
    (tmp_path / "inbox" / "out").symlink_to(tmp_path)
    with pytest.raises(error, match=words):
        await SOURCE.poll(options(tools, path=path.format(tmp_path)), None, tools)


async def test_the_runtimes_home_and_other_owners_are_refused(tools: Tools, tmp_path: Path) -> None:
    tools.folders = [tmp_path]
    tools.home.mkdir()
    for path in (tmp_path, tools.home):
        with pytest.raises(Forbidden, match="secrets"):
            await SOURCE.poll(options(tools, path=str(path)), None, tools)
    tools.owner = "guest"
    with pytest.raises(Forbidden, match="owner"):
        await SOURCE.poll(options(tools), None, tools)


async def test_too_many_files_and_an_unreadable_folder_are_said(tools: Tools, tmp_path: Path) -> None:
    inbox = Path(tools.folders[0])
    for number in range(12):
        (inbox / str(number)).touch()
    assert len((await SOURCE.poll(options(tools), None, tools)).events) == 0
    (tmp_path / "inbox" / "file").touch()
    with pytest.raises((NotFound, StorageFailed)):
        await SOURCE.poll(options(tools, path=str(inbox / "file")), None, tools)


async def test_the_sample_is_the_file_that_changed_last(tools: Tools) -> None:
    assert await SOURCE.sample(options(tools), tools) is None
    first, last = (Path(tools.folders[0]) / name for name in ("b", "a"))
    first.touch()
    last.touch()
    # The times of files are coarse.
    while last.stat().st_ctime_ns <= first.stat().st_ctime_ns:
        os.utime(last)
    sample = await SOURCE.sample(options(tools), tools)
    assert cast("Any", sample).data["path"] == "a"
