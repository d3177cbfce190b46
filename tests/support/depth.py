"""A plugin that divides the suite: `--depth first` runs what proves each promise once, `--depth deep` all the rest.

First are the unit tests, and for each promise of `behaviours.txt` that other tests claim the cheapest of those: the same promise
at a second level, in a second file or with a second parameter is deep. So no list says what belongs where. A test marked
`deep` is never first; the mark says why, and is for what proves by volume or needs a machine of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from tests.support.scheduling import USUAL_SECONDS, seconds_of_tests

_LEVELS = ("integration", "fidelity", "docs", "compat", "conformance", "attacks", "fuzz", "chaos", "live")
"""Folders of tests that are no unit tests, the cheapest first."""


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
    left = [item for item in items if (item in first) != (depth == "first")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if (item in first) == (depth == "first")]


def first_tests(items: Sequence[pytest.Item]) -> set[pytest.Item]:
    """The tests that prove each promise once, of those in `items`."""
    unit, slow, whole = _levels(item for item in items if item.get_closest_marker("deep") is None)
    first = set(unit)
    proved: set[str] = set()
    for item in whole:
        if not proved >= _promises(item):
            first.add(item)
            proved |= _promises(item)

    for item in unit:
        proved |= _promises(item)
    for item in slow:
        if not proved >= _promises(item):
            first.add(item)
            proved |= _promises(item)
    return first


def _levels(items: Iterable[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item], list[pytest.Item]]:
    """Quick unit tests, slow ones, and all others with the cheapest first."""
    unit: list[pytest.Item] = []
    slow: list[pytest.Item] = []
    whole: list[pytest.Item] = []
    for item in items:
        if _folder(item) in _LEVELS:
            whole.append(item)
        elif item.get_closest_marker("slow") is not None:
            slow.append(item)
        else:
            unit.append(item)
    seconds = seconds_of_tests()
    whole.sort(key=lambda item: (_LEVELS.index(_folder(item)), seconds.get(_file(item), USUAL_SECONDS)))
    return unit, slow, whole


def _promises(item: pytest.Item) -> set[str]:
    return {name for mark in item.iter_markers("requirement") for name in mark.args}


def _folder(item: pytest.Item) -> str:
    """The folder below `tests`; the file's name for a test of the repository's rules."""
    return _file(item).split("/")[1]


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
