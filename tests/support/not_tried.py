"""A plugin that skips tests whose needs are not there, and says at the end what was not tried."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.support.needs import lacking, require


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            require(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        _, _, reason = report.longrepr
        reasons[reason.removeprefix("Skipped: ")] += 1
    if not reasons:
        return

    terminalreporter.section("not tried here")
    for reason, tests in reasons.most_common():
        terminalreporter.write_line(f"{tests:8} {reason}")
    if packages := lacking():
        terminalreporter.write_line(f"./scripts/setup --for-tests installs {', '.join(packages)}.")
