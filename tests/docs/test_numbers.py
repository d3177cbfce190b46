"""The page of numbers says what the benchmarks' files say, and the files are written by the benchmarks alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from benchmarks._drawings import drawings
from benchmarks._page import HERE, first_sentence, measured, numbers_page, themes
from tests.docs.pages import ROOT

pytestmark = pytest.mark.requirement("docs:numbers")

NAMES = sorted(path.stem for path in HERE.glob("[a-z]*.py") if path.stem != "all")
WORKS = 'import json; print(json.dumps({"question": "q", "ours": 1, "unit": "ms", "holds": True}))'


def row(question: str, ours: float, peer: float | None, **more: Any) -> dict[str, Any]:
    """A result as benchmarks print it."""
    ratio = ours / peer if peer else None
    return {
        "question": question,
        "ours": ours,
        "peer": peer,
        "ratio": ratio,
        "unit": "ms",
        "peer_name": "uv run",
    } | more


def keep(results: Path, name: str, *rows: dict[str, Any]) -> None:
    """Write a file as `all.py` does."""
    machine = {"cores": 2, "memory_gib": 8, "kernel": "6.1.0", "processor": "chip", "python": "3.12.1"}
    kept = {
        "benchmark": name, "command": f"python benchmarks/{name}.py --json", "date": "2026-11-29 10:00", "commit": "abc",
        "changed": False, "machine": machine, "load": {"before": 1, "after": 2}, "seconds": 3, "results": rows,
    }  # fmt: skip
    (results / f"{name}.json").write_text(json.dumps(kept), encoding="utf-8")


def section(page: str, title: str) -> str:
    """The text below a heading, up to the next of its level."""
    level = title.partition(" ")[0]
    return re.split(rf"^{level} ", page.partition(f"{title}\n")[2], flags=re.MULTILINE)[0]


def test_every_benchmark_is_in_one_section_and_asks_something() -> None:
    assert sorted(name for names in themes().values() for name in names) == NAMES
    assert [name for name in NAMES if len(first_sentence(name)) < 20] == []


def test_the_page_tells_what_is_worse_missed_and_not_measured(tmp_path: Path) -> None:
    keep(
        tmp_path, "sandbox_start",
        row("slower", 30, 10, target=1.0, holds=False), row("faster", 1, 100, target=0.5, holds=True),
        row("fewer a second", 5, 10, more_is_better=True), row("more a second", 20, 10, more_is_better=True),
        row("with a record", 12, 10, peer_name="the same run without a record"), row("alone", 7, None, at_most=9),
    )  # fmt: skip
    page = numbers_page({}, tmp_path)

    worse = section(page, "## What it is worse at")
    others, features = worse.split("### What a feature costs")
    assert re.findall(r"^\| ([\w ]+) \|.*\| ([\d.]+) x \|", others, re.MULTILINE) == [
        ("slower", "3"),
        ("fewer a second", "2"),
    ]
    assert "with a record" in features
    assert "| slower | 30 ms | ≤ 1 x | 3 x |" in section(page, "## Targets that are missed")
    assert "faster" not in section(page, "## Targets that are missed")
    assert "| alone | 7 ms | - | - | ≤ 9 ms | yes |" in page
    assert "2026-11-29 10:00 UTC at `abc`, load 1 before and 2 after" in page
    assert "busy" not in page
    assert "| `gateway` |" in section(page, "## Not measured yet")
    assert "`sandbox_start`" not in section(page, "## Not measured yet")


def test_a_measurement_beside_other_work_is_marked(tmp_path: Path) -> None:
    keep(tmp_path, "cancel", row("late", 30, 10))
    path = tmp_path / "cancel.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(kept | {"load": {"before": 1, "after": 9}}), encoding="utf-8")
    page = numbers_page({}, tmp_path)
    assert "**1 of these benchmarks ran on a busy machine**" in page
    assert "[`cancel`](#cancel), busy" in page


def test_each_kept_result_has_what_the_page_needs() -> None:
    for name, one in measured().items():
        assert name in NAMES
        assert {"date", "commit", "machine", "load", "command", "seconds"} <= one.kept.keys()
        # Older results don't say on what file system the homes were.
        assert one.kept["machine"].keys() - {"disk"} == {
            "cores",
            "memory_gib",
            "kernel",
            "processor",
            "python",
        }
        assert one.kept["command"].startswith(f"python benchmarks/{name}.py ")
        assert all({"question", "ours", "unit"} <= row.keys() for row in one.rows)


def test_each_published_figure_has_a_date_a_boundary_and_a_source() -> None:
    figures = json.loads((HERE / "published.json").read_text(encoding="utf-8"))
    assert figures
    for one in figures:
        assert all(one[key] for key in ("system", "question", "figure", "boundary", "date"))
        assert one["source"].startswith("https://")
        assert one["beside"] in NAMES


def test_growth_is_drawn_a_line_for_each_question_and_a_picture_for_each_database(tmp_path: Path) -> None:
    cells = [("a start", 0, 900), ("a start", 5_000_000, 1000), ("a page", 0, 1), ("a page", 5_000_000, 10)]
    rows = [row(f"{name}, 10,000 workflows, {runs:,} runs, SQLite", ms, None) for name, runs, ms in cells]
    keep(tmp_path, "growth", *rows, row("a start, 1 workflows, 0 runs, SQLite", 9, None))

    found = drawings(tmp_path)["growth"]
    assert list(found) == ["growth-sqlite.svg"]
    svg = ET.fromstring(found["growth-sqlite.svg"].svg)
    words = [one.text for one in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a start", "a page", "0", "5,000,000", "1", "1,000"} <= set(words)
    lines = [one.get("points", "") for one in svg.iter("{http://www.w3.org/2000/svg}polyline")]
    heights = [[float(point.partition(",")[2]) for point in line.split()] for line in lines]
    assert heights[1][0] - heights[1][1] > 10 * (heights[0][0] - heights[0][1]) > 0  # up is smaller

    titles = {"growth": {name: drawing.title for name, drawing in found.items()}}
    page = section(numbers_page(titles, tmp_path), "### `growth`")
    assert f"![{found['growth-sqlite.svg'].title}](../images/growth-sqlite.svg)" in page


def test_a_failed_benchmark_is_told_the_next_one_runs_and_a_repeated_call_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for name in ("all.py", "_page.py"):
        shutil.copy(HERE / name, folder)
    fails = (
        '"""Fails?"""\nimport pathlib\nif not pathlib.Path("mended").exists(): raise SystemExit("broken")\n'
    )
    (folder / "broken.py").write_text(f"{fails}{WORKS}", encoding="utf-8")
    (folder / "works.py").write_text(f'"""Works?"""\n{WORKS}', encoding="utf-8")
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "All"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True, capture_output=True)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "benchmarks/all.py", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)

    first = run()
    assert first.returncode == 1
    assert re.search(r"broken +failed: exit code 1, no results: broken", first.stdout)
    assert re.search(r"works +measured in", first.stdout)
    assert [path.name for path in (folder / "results").iterdir()] == ["works.json"]

    (tmp_path / "mended").touch()
    second = run()
    assert second.returncode == 0
    assert re.search(r"broken +measured in", second.stdout)
    assert re.search(r"works +kept", second.stdout)
    kept = json.loads((folder / "results" / "works.json").read_text(encoding="utf-8"))
    assert kept["results"] == [{"question": "q", "ours": 1, "unit": "ms", "holds": True}]
    assert kept["command"] == "python benchmarks/works.py --json"


def test_the_page_is_linked_from_the_readme() -> None:
    assert "docs/reference/numbers.md" in (ROOT / "README.md").read_text(encoding="utf-8")
