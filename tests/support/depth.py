"""A plugin that divides the suite: `--depth first` runs what proves each promise once, `--depth deep` all the rest.

First are the quick unit tests, and for each promise of `behaviours.txt` that these do not claim the cheapest test that does
(`durations.json`): the same promise at a second level, in a second file or with a second parameter is deep. So no list says
what belongs where. A test marked `deep` is never first; the mark says why, and is for what proves by volume or needs a machine
of its own. One that is first and takes longer than `MOST_SECONDS` of a processor says why: `@pytest.mark.long("reason")`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import pytest
from tests.support.scheduling import durations

MOST_SECONDS: Final = 5
"""Seconds of processors of a test in the first depth that gives no reason."""
_LEVELS = ("integration", "fidelity", "docs", "compat", "conformance", "attacks", "fuzz", "chaos", "live")
"""Folders of tests that are no unit tests. Of tests that cost the same, those of the first are taken."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--depth",
        choices=("first", "deep", "all"),
        default="all",
        help="first: what proves each promise once; deep: the rest; all: both (default)",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of the other depth. After `-k` and `-m`, so that these never leave a promise without its proof."""
    depth = config.getoption("depth")
    if depth == "all":
        return

    first = first_tests(items)
    seconds = durations().tests
    long = [
        f"{item.nodeid}: {seconds[item.nodeid]:.0f} s"
        for item in first
        if seconds.get(item.nodeid, 0) > MOST_SECONDS and item.get_closest_marker("long") is None
    ]
    if long:
        raise pytest.UsageError("Say why, with @pytest.mark.long, or make these cheaper: " + ", ".join(long))
    left = [item for item in items if (item in first) != (depth == "first")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if (item in first) == (depth == "first")]


def first_tests(items: Sequence[pytest.Item]) -> set[pytest.Item]:
    """The tests that prove each promise once, of those in `items`."""
    candidates = [item for item in items if item.get_closest_marker("deep") is None]
    first = [item for item in candidates if _is_quick(item)]
    proved = Counter(name for item in first for name in _promises(item))
    seconds = durations().tests
    chosen: list[pytest.Item] = []
    for item in sorted(
        (item for item in candidates if not _is_quick(item)),
        key=lambda item: (seconds.get(item.nodeid, 0), _level(item)),
    ):
        if not proved.keys() >= _promises(item):
            chosen.append(item)
            proved.update(_promises(item))

    # What a later one proves too, for which that had to be taken.
    for item in reversed(chosen):
        if all(proved[name] > 1 for name in _promises(item)):
            proved.subtract(_promises(item))
        else:
            first.append(item)
    return set(first)


def _is_quick(item: pytest.Item) -> bool:
    return _folder(item) not in _LEVELS and item.get_closest_marker("slow") is None


def _level(item: pytest.Item) -> int:
    return _LEVELS.index(_folder(item)) if _folder(item) in _LEVELS else -1


def _promises(item: pytest.Item) -> set[str]:
    return {name for mark in item.iter_markers("requirement") for name in mark.args}


def _folder(item: pytest.Item) -> str:
    """The folder below `tests`; the file's name for a test of the repository's rules."""
    return _file(item).split("/")[1]


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
