"""Drawings of the page of numbers, from the files of `benchmarks/results/`: how a number grows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
WIDTH, HEIGHT = 800, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 310, 36, 44
"""Of the picture, and of what is around the lines in it."""
COLOURS = ("#2f7ed8", "#e0662c", "#3a9d5d", "#b0489a", "#c09a1f", "#22a3a3", "#8a6fd1", "#d04a5a", "#7d8590")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.grid{stroke:#d0d7de}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}}"
)
Lines = dict[str, dict[str, float]]
"""By its name, a line's values at each place, in order."""


@dataclass(frozen=True)
class Plan:
    """The part of a benchmark's questions that is drawn: `line`, `at` and maybe `group`, each group a drawing of its own."""

    pattern: re.Pattern[str]
    file: str
    title: str


@dataclass(frozen=True)
class Drawing:
    """A title, and lines as an SVG."""

    title: str
    svg: str


PLANS = {
    "growth": Plan(
        re.compile(r"(?P<line>.+), 10,000 workflows, (?P<at>[\d,]+) runs, (?P<group>\w+)"),
        "growth-{group}.svg",
        "Processor time in ms among 10,000 workflows, by stored runs, {group}",
    ),
    "core_simulation": Plan(
        re.compile(r"executions a second of (?P<at>\d+) cores, (?P<line>.+)"),
        "cores.svg",
        "Executions a second, by cores, simulated",
    ),
}


def drawings(results: Path = RESULTS) -> dict[str, dict[str, Drawing]]:
    """By benchmark, its drawings by file name."""
    found: dict[str, dict[str, Drawing]] = {}
    for benchmark, plan in PLANS.items():
        path = results / f"{benchmark}.json"
        rows = json.loads(path.read_text(encoding="utf-8"))["results"] if path.exists() else []
        groups: dict[str, Lines] = {}
        for row in rows:
            if cell := plan.pattern.fullmatch(row["question"]):
                lines = groups.setdefault(cell.groupdict().get("group", ""), {})
                lines.setdefault(cell["line"], {})[cell["at"]] = row["ours"]
        for group, lines in groups.items():
            title = plan.title.format(group=group)
            drawing = Drawing(title, draw(title, lines))
            found.setdefault(benchmark, {})[plan.file.format(group=group).lower()] = drawing
    return found


def draw(title: str, lines: Lines) -> str:
    """An SVG of lines over places at equal distances; values are above 0 and on a scale of powers of ten."""
    places = list(dict.fromkeys(at for line in lines.values() for at in line))
    values = [value for line in lines.values() for value in line.values()]
    low, high = floor(log10(min(values))), ceil(log10(max(values)))

    def x(at: str) -> float:
        return LEFT + places.index(at) * (WIDTH - LEFT - RIGHT) / max(len(places) - 1, 1)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (log10(value) - low) * (HEIGHT - TOP - BOTTOM) / max(high - low, 1)

    parts = [f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>']
    for power in range(low, high + 1):
        height = y(10.0**power)
        parts += [
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>',
            f'<text text-anchor="end" x="{LEFT - 8}" y="{height + 4:.1f}">{10.0**power:,g}</text>',
        ]
    parts += [
        f'<text text-anchor="middle" x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 20}">{at}</text>' for at in places
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour, height = COLOURS[number % len(COLOURS)], TOP + 8 + 20 * number
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in line.items())
        parts += [
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>',
            *(f'<circle fill="{colour}" r="3" cx="{x(at):.1f}" cy="{y(value):.1f}"/>' for at, value in line.items()),
            f'<rect fill="{colour}" x="{WIDTH - RIGHT + 16}" y="{height - 9}" width="10" height="10"/>',
            f'<text x="{WIDTH - RIGHT + 32}" y="{height}">{escape(name)}</text>',
        ]  # fmt: skip
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">\n'
        f"<style>{STYLE}</style>\n{body}\n</svg>\n"
    )
