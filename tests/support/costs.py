"""A plugin that tells what each file of tests costs, in seconds of processors and of the clock.

Processor seconds are those of the test's process, of every program it started and waited for, and of the servers that tests
share (`SHARED_SERVERS`). Beside others a test takes longer by the clock and hardly works more: those seconds are the ones to compare.

`python -m tests.support.costs`, after a run of many tests, writes what takes long into `durations.json`: by it files are scheduled,
and the tests chosen that prove each promise (`depth`).
"""

from __future__ import annotations

import json
import resource
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.paths import PROJECT
from tests.support.processes import SHARED_SERVERS, processor_seconds
from tests.support.scheduling import DURATIONS, Durations, durations

_SHOWN = 30
_LONG_FILE = 10
"""Seconds of the clock from which on a file is told to the scheduler."""
_LONG_TEST = 1
"""Seconds of processors from which on `depth` is told of a test."""


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Costs(), "costs")


@dataclass(slots=True)
class _Cost:
    processors: float = 0.0
    clock: float = 0.0
    tests: int = 0


class _Costs:
    """Where a test runs, its reports get what they cost; where they arrive, they are added up."""

    def __init__(self) -> None:
        self._files: defaultdict[str, _Cost] = defaultdict(_Cost)
        self._tests: dict[str, float] = {}
        self._before = 0.0

    def pytest_runtest_logstart(self) -> None:
        self._before = _used()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "teardown":
            report.user_properties.append(("processors", _used() - self._before))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        cost = self._files[report.nodeid.partition("::")[0]]
        cost.clock += report.duration
        cost.tests += report.when == "teardown"
        for name, value in report.user_properties:
            if name == "processors" and isinstance(value, float):
                cost.processors += value
                self._tests[report.nodeid] = round(value, 1)

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        if not self._files:
            return
        files = sorted(self._files.items(), key=lambda entry: -entry[1].processors)
        # Not what a few of them cost when they were tried once more.
        if config.pluginmanager.has_plugin("cacheprovider") and not config.getoption("lf"):
            where = config.cache.mkdir("costs")
            figures = {file: [round(cost.clock, 2), cost.tests] for file, cost in files}
            for name, measured in (("files", figures), ("tests", self._tests)):
                (where / f"{name}.json").write_text(json.dumps(measured, indent=1), encoding="utf-8")

        terminalreporter.section("what files cost: seconds of processors, seconds of the clock")
        for file, cost in files[:_SHOWN]:
            terminalreporter.write_line(f"{cost.processors:8.1f} {cost.clock:8.1f} {file}")
        processors = sum(cost.processors for _, cost in files)
        clock = sum(cost.clock for _, cost in files)
        terminalreporter.write_line(f"{processors:8.1f} {clock:8.1f} all {len(files)} files")


def _used() -> float:
    """Seconds of processors of this process, of those it has waited for, and of the shared servers with what they waited for."""
    sums = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    servers = sum(processor_seconds(pid) for pid in tuple(SHARED_SERVERS))
    return servers + sum(used.ru_utime + used.ru_stime for used in sums)


def long_ones(files: dict[str, tuple[float, int]], tests: dict[str, float]) -> Durations:
    """What takes long of a run's seconds of the clock and numbers of tests by file, and seconds of processors by test."""
    return Durations(
        {file: round(clock / count, 2) for file, (clock, count) in files.items() if clock >= _LONG_FILE},
        {test: seconds for test, seconds in tests.items() if seconds >= _LONG_TEST},
    )


def main() -> None:
    """Write what the last run measured to `durations.json`; what did not run keeps what it has."""
    measured: Path = PROJECT / ".pytest_cache" / "d" / "costs"
    files, tests = (
        json.loads((measured / f"{name}.json").read_text(encoding="utf-8")) for name in ("files", "tests")
    )
    before, now = durations(), long_ones(files, tests)
    kept = Durations(
        {
            name: each
            for name, each in before.files.items()
            if name not in files and (PROJECT / name).exists()
        },
        {
            name: each
            for name, each in before.tests.items()
            if name not in tests and (PROJECT / name.partition("::")[0]).exists()
        },
    )
    text = json.dumps(
        {"files": kept.files | now.files, "tests": kept.tests | now.tests}, indent=1, sort_keys=True
    )
    DURATIONS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
