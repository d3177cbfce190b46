"""Runs start while memory is left, by what is in use."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.waiting import until_async

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.runs.headroom import (
    MAX_FILES_RESERVE,
    STARTING,
    Headroom,
    available,
    total,
)

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("runs:memory")]

MIB = 1 << 20


def _machine(root: Path, cgroup: str = "", **files: str) -> Path:
    """A root with /proc/meminfo (800 of 1,000 MiB left), the process's groups, and these files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    meminfo = f"MemTotal: {1000 * 1024} kB\nMemFree: 5 kB\nMemAvailable: {800 * 1024} kB\n"
    (root / "proc/meminfo").write_text(meminfo, encoding="ascii")
    (root / "proc/self/cgroup").write_text(cgroup, encoding="ascii")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


def test_the_machine_says_what_is_left(tmp_path: Path) -> None:
    assert available(_machine(tmp_path)) == 800 * MIB
    assert total(tmp_path) == 1000 * MIB
    assert 0 < (available() or 0) <= total()


def test_a_container_s_limit_counts_and_cache_that_can_be_dropped_does_not(tmp_path: Path) -> None:
    files = {
        "memory.max": f"{512 * MIB}\n",
        "memory.current": f"{500 * MIB}\n",
        "memory.stat": f"anon 5\ninactive_file {100 * MIB}\n",
        "app/memory.max": "max\n",
        "app/memory.current": "1\n",
        "app/memory.stat": "anon 1\n",
    }
    assert available(_machine(tmp_path, "0::/app\n", **files)) == 112 * MIB


def test_groups_of_the_first_version_count_too(tmp_path: Path) -> None:
    files = {
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": "5\n",
        "memory/memory.stat": "inactive_file 0\n",
        "memory/box/memory.limit_in_bytes": f"{64 * MIB}\n",
        "memory/box/memory.usage_in_bytes": f"{60 * MIB}\n",
        "memory/box/memory.stat": "inactive_file 0\n",
    }
    assert available(_machine(tmp_path, "3:cpu,cpuacct:/x\n7:memory:/box\n0::/\n", **files)) == 4 * MIB


def test_where_nothing_is_known_everybody_may_start(tmp_path: Path) -> None:
    assert available(tmp_path) is None
    assert Headroom(MIB, measure=lambda: None).has_room()


@pytest.mark.requirement("runs:open-files")
@pytest.mark.parametrize("limit", ["memory", "files"])
async def test_runs_wait_for_what_is_missing_and_start_when_it_is_there(limit: str) -> None:
    left, told = {"memory": 500 * MIB, "files": 2 * MAX_FILES_RESERVE}, list[str]()
    enough, left[limit] = left[limit], 0
    headroom = Headroom(
        100 * MIB, measure=lambda: left["memory"], measure_files=lambda: left["files"], fresh=0
    )
    waiting = asyncio.create_task(headroom.enter(told.append))
    await until_async(lambda: told)
    assert not waiting.done()
    left[limit] = enough
    await waiting
    assert told == [limit]


async def test_who_waits_too_long_is_told_what_is_missing() -> None:
    headroom = Headroom(100 * MIB, measure=lambda: 10 * MIB, timeout=0)
    with pytest.raises(
        TooBusy, match="10 MiB of memory left, and runs start only while 100 MiB would stay free"
    ) as caught:
        await headroom.enter(lambda _: None)
    assert caught.value.retry_after
    assert "CODEWORDS_MEMORY_RESERVE" in caught.value.hint


async def test_a_hundred_at_once_are_not_let_in_by_one_look_at_what_is_free() -> None:
    headroom = Headroom(100 * MIB, measure=lambda: 100 * MIB + 3 * STARTING, timeout=0)
    for _ in range(4):
        await headroom.enter(lambda _: None)
    with pytest.raises(TooBusy):
        await headroom.enter(lambda _: None)


async def test_a_run_that_has_ended_makes_room_for_the_next_at_once() -> None:
    headroom = Headroom(100 * MIB, measure=lambda: 100 * MIB + STARTING, timeout=0)
    first = await headroom.enter(lambda _: None)
    for _ in range(100):
        ended = await headroom.enter(lambda _: None)
        assert not headroom.has_room()
        ended()
    first()


@pytest.mark.requirement("runs:open-files")
async def test_who_is_turned_away_for_open_files_is_told_how_to_raise_the_limit() -> None:
    with pytest.raises(TooBusy) as caught:
        await Headroom(0, measure_files=lambda: 0, timeout=0).enter(lambda _: None)
    assert "ulimit -n" in caught.value.hint


async def test_without_a_reserve_nothing_is_measured() -> None:
    def fail() -> int:
        raise AssertionError

    await Headroom(0, measure=fail).enter(lambda _: None)
