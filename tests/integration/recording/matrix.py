"""The matrix of what recordings do with each thing that a program can do, and the tests that it names.

`python -m tests.integration.recording.matrix` runs these tests and keeps what came of them for the reference page; with
words, only the tests whose ids have one of them, beside what is kept of the others.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

HERE: Final = Path(__file__).parent
TESTS: Final = HERE.parents[1]
RESULTS: Final = TESTS.parent / "docs" / "reference" / "recordings.json"
COLUMNS: Final = ("recorded", "replayed", "held", "resumed")
WORDS: Final = ("yes", "in part", "no", "not tried")
CLAIMS: Final = ("yes", "in part")


@dataclass(frozen=True)
class Cell:
    """One thing in one column. `test` is the id of the test that runs it, "" without one."""

    word: str
    reason: str
    test: str


@dataclass(frozen=True)
class Row:
    """One thing that a program can do, by column."""

    what: str
    cells: dict[str, Cell]


def rows() -> list[Row]:
    """The matrix."""
    content = tomllib.loads((HERE / "matrix.toml").read_text(encoding="utf-8"))

    def cell(word: str, reason: str, name: str = "") -> Cell:
        return Cell(word, reason, content["tests"][name] if name else "")

    return [Row(row["what"], {column: cell(*row[column]) for column in COLUMNS}) for row in content["row"]]


def named_tests() -> list[str]:
    """The ids of all tests that cells name."""
    return sorted({cell.test for row in rows() for cell in row.cells.values() if cell.test})


def passed() -> dict[str, int]:
    """How often each test passed when the matrix was last run: once for each of its parameters."""
    return dict(json.loads(RESULTS.read_text(encoding="utf-8"))["passed"])


def main(words: list[str]) -> int:
    """Run the tests whose ids have one of these words, or all, and keep the results."""
    named = named_tests()
    chosen = [test for test in named if not words or any(word in test for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        targets = [str(TESTS / test) for test in chosen]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            "0",
            "--timeout",
            "200",
            f"--junit-xml={report}",
        ]
        code = subprocess.run([*command, *targets], check=False).returncode
        found = _passed_in(report)
    kept = {test: count for test, count in passed().items() if test in named and test not in chosen}
    found |= kept
    content = json.dumps({"passed": found}, indent=1, sort_keys=True)
    RESULTS.write_text(content + "\n", encoding="utf-8")
    return code


def _passed_in(report: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for case in ET.parse(report).iter("testcase"):
        module = case.attrib["classname"].removeprefix("tests.").replace(".", "/")
        test = f"{module}.py::{case.attrib['name'].partition('[')[0]}"
        if case.find("failure") is None and case.find("error") is None and case.find("skipped") is None:
            counts[test] = counts.get(test, 0) + 1
    return counts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
