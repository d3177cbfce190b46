"""The order in which files of tests are given to workers."""

from __future__ import annotations

import heapq

import pytest
from tests.support.costs import long_ones
from tests.support.scheduling import folder_of, next_file

pytestmark = pytest.mark.requirement("structure:scheduling")

SECONDS = {
    "tests/integration/console/test_pages.py": 90.0,
    "tests/integration/console/cards/test_run_card.py": 20.0,
    "tests/integration/console/test_keys.py": 10.0,
    "tests/integration/http/test_files.py": 40.0,
    "tests/integration/http/test_keys.py": 30.0,
    "tests/chaos/test_storm.py": 60.0,
    "tests/unit/store/test_files.py": 1.0,
    "tests/test_language.py": 4.0,
}


def given(workers: int) -> tuple[list[list[str]], list[float]]:
    """The files of each worker in their order, and when each one ends."""
    waiting, done = set(SECONDS), [list[str]() for _ in range(workers)]
    free = [(0.0, worker) for worker in range(workers)]
    while waiting:
        now, worker = heapq.heappop(free)
        at = [folder_of(files[-1]) if files else None for files in done]
        others = [folder for number, folder in enumerate(at) if folder is not None and number != worker]
        file = next_file(sorted(waiting), at[worker], others, SECONDS)
        waiting.remove(file)
        done[worker].append(file)
        heapq.heappush(free, (now + SECONDS[file], worker))
    return done, [end for end, _ in free]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_file_is_given_once(workers: int) -> None:
    done, _ = given(workers)
    assert sorted(file for files in done for file in files) == sorted(SECONDS)


def test_a_folder_has_one_worker_while_another_folder_waits() -> None:
    first, second = given(2)[0]
    assert [folder_of(file) for file in first[:3]] == ["tests/integration/console"] * 3
    assert [folder_of(file) for file in second] == ["tests/integration/http"] * 2 + ["tests/chaos"]


def test_the_longest_file_of_a_folder_is_its_first() -> None:
    order = [SECONDS[file] for file in given(1)[0][0] if folder_of(file) == "tests/integration/console"]
    assert order == [90.0, 20.0, 10.0]


def test_workers_end_with_less_than_the_last_files_between_them() -> None:
    ends = given(3)[1]
    assert max(ends) - min(ends) <= 20.0


def test_only_what_takes_long_is_kept() -> None:
    found = long_ones(
        {"tests/b.py": (60.4, 4), "tests/a.py": (9.9, 1)}, {"tests/a.py::c": 0.9, "tests/b.py::d": 1.5}
    )
    assert found == ({"tests/b.py": 15.1}, {"tests/b.py::d": 1.5})
