"""The live tests run where they are asked for, and end with what has drifted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `--live` the tests that call a service are not there, rather than skipped."""
    if config.getoption("--live"):
        return
    left_out = [item for item in items if item.get_closest_marker("live")]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what the services sent differently."""
    lines = list(_lines(terminalreporter))
    if lines:
        terminalreporter.section("drift of the stand-ins")
        for line in lines:
            terminalreporter.write_line(line)


def _lines(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            found = [str(value) for name, value in report.user_properties if name == "drift"]
            if found:
                yield report.nodeid.partition("[")[2].removesuffix("]")
                yield from (f"  {line}" for line in found)
