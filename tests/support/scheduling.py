"""A plugin that gives files of tests to workers: those of a folder to the same one, and long ones first.

What the tests of a folder share for a session, such as a runtime or a browser, is then made once and not in each worker. Where
folders run out, workers help with the longest that is left, so that all end at about the same time.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer  # pyright: ignore[reportMissingTypeStubs]
    from xdist.scheduler import LoadFileScheduling  # pyright: ignore[reportMissingTypeStubs]
    from xdist.workermanage import WorkerController  # pyright: ignore[reportMissingTypeStubs]

DURATIONS = Path(__file__).parents[1] / "durations.json"
"""A `Durations` as JSON. `tests.support.costs` writes it."""
USUAL_SECONDS = 0.3
"""Seconds of a test whose file `DURATIONS` does not have."""


class Durations(NamedTuple):
    """`files`: seconds of the clock for each test of a file. `tests`: seconds of processors. Of those that take long."""

    files: dict[str, float]
    tests: dict[str, float]


def durations() -> Durations:
    """Return the content of `DURATIONS`."""
    return Durations(**json.loads(DURATIONS.read_text(encoding="utf-8")))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Schedule whole files as described above; leave other distributions to xdist."""
    if config.getoption("dist") != "loadfile":
        return None

    from xdist.scheduler import LoadFileScheduling  # pyright: ignore[reportMissingTypeStubs]

    each = durations().files

    class FolderScheduling(LoadFileScheduling):
        def __init__(self) -> None:
            super().__init__(config, log)
            self._folders: dict[WorkerController, str] = {}

        def _assign_work_unit(self, node: WorkerController) -> None:
            others = [folder for worker, folder in self._folders.items() if worker is not node]
            seconds = {
                file: len(tests) * each.get(file, USUAL_SECONDS) for file, tests in self.workqueue.items()
            }
            file = next_file(self.workqueue, self._folders.get(node), others, seconds)
            self._folders[node] = folder_of(file)
            self.workqueue.move_to_end(file, last=False)
            super()._assign_work_unit(node)

    return FolderScheduling()


def folder_of(file: str) -> str:
    """The folder whose tests share something: the second one below `tests`, or the first where a file is in that."""
    return "/".join(file.split("/")[:-1][:3])


def next_file(
    waiting: Iterable[str], own: str | None, others: Collection[str], seconds: Mapping[str, float]
) -> str:
    """The file that a worker does next.

    `waiting` are the files that nobody has begun, at least one; `own` is the folder of the worker's last one, `others`
    the folders of the other workers. It stays in its folder; then it takes the folder with the most to do of those that
    nobody is at; then it helps where most is left for each.
    """
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for file in waiting:
        folders[folder_of(file)].append(file)

    if own in folders:
        chosen = own
    else:
        workers = Counter(others)
        chosen = max(
            folders,
            key=lambda folder: (
                not workers[folder],
                sum(seconds[file] for file in folders[folder]) / (workers[folder] + 1),
            ),
        )
    return max(folders[chosen], key=seconds.__getitem__)
