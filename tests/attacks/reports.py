"""Attacks made as root and as an ordinary user at the same time, each in a process of its own.

`python -m tests.attacks.reports` makes them and keeps what was seen for the page of the reference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.attacks.probes import DRIVERS, Driver, Result, User
from tests.support import as_user
from tests.support.paths import PROJECT
from tests.support.sandbox_programs import build_environment

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.host.files import remove_tree

OBSERVED: Final = PROJECT / "docs" / "reference" / "attacks.json"
MODULE: Final = "tests.attacks.run"
_SECONDS: Final = 280
_LONGEST: Final = 90


@dataclass(frozen=True)
class Report:
    """What one user's attacks came to."""

    user: User
    driver: Driver
    tier: str
    results: list[Result]


def users() -> tuple[User, ...]:
    """Whom attacks can be made as: root can become the other one."""
    return ("root", "user") if os.geteuid() == 0 else ("user",)


def make(environment: EnvironmentRef, driver: Driver) -> list[Report]:
    """One report for each user; a user without root's rights makes its own."""
    options = ("--driver", driver)
    runtime = ("--keys",) if driver == "namespaces" else ()
    if os.geteuid() != 0:
        return [by_this_user(environment, *options, *runtime)]
    with ThreadPoolExecutor(2) as both:
        made = (
            both.submit(by_this_user, environment, *options, *runtime),
            both.submit(by_ordinary_user, environment, *options),
        )
        return [one.result() for one in made]


def by_this_user(environment: EnvironmentRef, *options: str) -> Report:
    """A report by whoever asks for it."""
    with tempfile.TemporaryDirectory(prefix="codewords-report-") as folder:
        path = Path(folder) / "report.json"
        variables = {**os.environ, "SANDBOX_TEST_ENVIRONMENT": str(environment.path)}
        return _read(path, [sys.executable, "-m", MODULE, path, *options], variables, PROJECT)


def by_ordinary_user(environment: EnvironmentRef, *options: str) -> Report:
    """A report by a user without any rights. Only root can have it made."""
    with tempfile.TemporaryDirectory(prefix="codewords-user-") as folder:
        own = Path(folder) / "own"
        path = own / "report.json"
        command, variables = as_user.command(Path(folder), environment, "-m", MODULE, path, *options)
        try:
            return _read(path, command, variables, Path("/"))
        finally:
            remove_tree(own)


def _read(path: Path, command: list[str | Path], variables: dict[str, str], folder: Path) -> Report:
    found = read(path, command, variables, folder)
    results = [Result(**one) for one in found["results"]]
    return Report(found["user"], found["driver"], found["tier"], results)


def read(path: Path, command: list[str | Path], variables: dict[str, str], folder: Path) -> dict[str, Any]:
    """What a command writes to a file, as JSON."""
    done = subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        timeout=_SECONDS,
        env=variables,
        cwd=folder,
        check=False,
    )
    assert path.exists(), done.stdout[-2000:] + done.stderr[-4000:]
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def observed(reports: list[Report]) -> dict[str, Any]:
    """What the page keeps of reports: id → user → way → what was seen."""
    seen: dict[str, dict[str, dict[str, str]]] = {}
    for report in reports:
        for one in report.results:
            text = f"{'' if one.held else 'NOT HELD: '}{one.saw}"[:_LONGEST]
            seen.setdefault(one.id, {}).setdefault(report.user, {})[one.way] = text
    tiers: dict[str, dict[str, str]] = {}
    for report in reports:
        tiers.setdefault(report.driver, {})[report.user] = report.tier
    return {"tiers": tiers, "probes": seen}


def main() -> None:
    """Entry point."""
    if os.geteuid() != 0:
        sys.exit("Only root can make the attacks as both users.")
    environment = build_environment()
    reports = [report for driver in DRIVERS for report in make(environment, driver)]
    OBSERVED.write_text(json.dumps(observed(reports), indent=0, sort_keys=True) + "\n", encoding="utf-8")
    bad = [one.id for report in reports for one in report.results if not one.held]
    print(f"{sum(len(report.results) for report in reports)} results, not held: {bad or 'none'}")


if __name__ == "__main__":
    main()
