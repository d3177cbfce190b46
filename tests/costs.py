"""A plugin that tells what each file of tests costs, in seconds of processors and of the clock.

Processor seconds are those of the test's process and of every program it started and waited for. Beside others a test takes
longer by the clock and hardly works more: those seconds are the ones to compare.
"""

from __future__ import annotations

import json
import resource
from collections import Counter
from collections.abc import Generator

import pytest

_SHOWN = 30


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Costs(), "costs")


class _Costs:
    """Where a test runs, its reports get what they cost; where they arrive, they are added up."""

    def __init__(self) -> None:
        self._processors, self._clock = Counter[str](), Counter[str]()
        self._before = 0.0

    def pytest_runtest_logstart(self) -> None:
        self._before = _used()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        used = _used()
        report.user_properties.append(("processors", used - self._before))
        self._before = used
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.partition("::")[0]
        self._processors[file] += sum(
            value
            for name, value in report.user_properties
            if name == "processors" and isinstance(value, float)
        )
        self._clock[file] += report.duration

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        files = self._processors.most_common()
        if config.pluginmanager.has_plugin("cacheprovider") and config.cache is not None:
            where = config.cache.mkdir("costs") / "files.json"
            figures = {file: [round(used, 2), round(self._clock[file], 2)] for file, used in files}
            where.write_text(json.dumps(figures, indent=1), encoding="utf-8")
        terminalreporter.section("what files cost: seconds of processors, seconds of the clock")
        for file, used in files[:_SHOWN]:
            terminalreporter.write_line(f"{used:8.1f} {self._clock[file]:8.1f} {file}")
        total, clock = self._processors.total(), self._clock.total()
        terminalreporter.write_line(f"{total:8.1f} {clock:8.1f} all {len(files)} files")


def _used() -> float:
    """Seconds of processors of this process and of those it has waited for."""
    sums = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in sums)
