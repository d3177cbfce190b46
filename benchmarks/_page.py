"""The generated part of `docs/reference/numbers.md`, from the JSON files of `benchmarks/results/`."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
THEMES: dict[str, tuple[str, ...]] = {
    "Starting sandboxes": (
        "sandbox_start", "sandbox_load", "sandbox_cpu", "snapshots", "environment_build", "environment_disk", "leftovers",
    ),
    "Runs": ("http_door", "run_record", "background_runs", "cancel", "resume", "approvals", "run_logs"),
    "Large stores, many replicas": (
        "stored_runs", "growth", "usage_sums", "triggers", "alerts", "audit", "metrics", "core_simulation", "scale_simulation",
        "replicas",
    ),
    "Models": ("gateway",),
    "The network of sandboxes": ("host_rules", "sandbox_calls", "authority", "people", "services"),
    "Recordings, replays and dry runs": (
        "recording", "recording_trace", "replay", "replay_matching", "replay_verdicts", "dry_runs",
    ),
    "Chat hosts and MCP": ("front_start", "mcp_calls", "mcp_broker", "mcp_stdio", "tool_tokens", "journey"),
    "Writing workflows": (
        "dev", "authoring", "authoring_picks", "authoring_sets", "chat_wishes", "manifest", "integration_search", "tool_search",
    ),
    "Browsers and web pages": ("browser", "markdown", "page_text", "console"),
    "Installing, and these pages": (
        "install_size",
        "install_first_result",
        "container_start",
        "documentation",
    ),
}  # fmt: skip
"""Sections of the page with their benchmarks, each once. Others come last."""

_OTHERS = re.compile(
    r"uv run|prefect|dbos|mcp sdk|bare mcp|SDK's client|litellm|portkey|fastmcp|bubblewrap|firejail|playwright|fts5|uvicorn"
    r"|trafilatura|html2text|html-to-markdown|markdownify|n8n|bm25|readability|resiliparse|newspaper4k|justext",
    re.IGNORECASE,
)
"""Peers that are somebody else's program; others are the same thing without what is measured."""

_NOTICEABLE = 1.02


@dataclass(frozen=True)
class Measured:
    """One benchmark's file: its question, when and where it ran, its rows."""

    name: str
    question: str
    kept: Row

    @property
    def rows(self) -> list[Row]:
        return self.kept["results"]

    @property
    def busy(self) -> bool:
        """True if more was running than the machine has cores, before it began or after."""
        load = self.kept["load"]
        return max(load["before"], load["after"]) > 1.5 * self.kept["machine"]["cores"]


def themes() -> dict[str, tuple[str, ...]]:
    """All benchmarks by section."""
    listed = {name for names in THEMES.values() for name in names}
    others = tuple(sorted(path.stem for path in HERE.glob("[a-z]*.py") if path.stem not in {*listed, "all"}))
    return THEMES | ({"More": others} if others else {})


def measured(results: Path = HERE / "results") -> dict[str, Measured]:
    """All benchmarks with results, by name."""
    return {
        path.stem: Measured(
            path.stem, first_sentence(path.stem), json.loads(path.read_text(encoding="utf-8"))
        )
        for path in sorted(results.glob("*.json"))
    }


def first_sentence(name: str) -> str:
    """The first paragraph of a benchmark's docstring, in one line."""
    tree = ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))
    return " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split())


def numbers_page(drawings: Mapping[str, Mapping[str, str]], results: Path = HERE / "results") -> str:
    """The generated part of the page of numbers. `drawings`: of each benchmark that has some, titles by file in `docs/images`."""
    found = measured(results)
    parts = [_summary(found), *_worse(found), *_missed(found)]
    for theme, names in themes().items():
        if here := [found[name] for name in names if name in found]:
            parts.append(f"## {theme}\n")
            parts += [_benchmark(one, drawings.get(one.name, {})) for one in here]
    parts += _published(found)
    parts += _not_measured(found)
    return "\n".join(parts)


def _summary(found: dict[str, Measured]) -> str:
    rows = [row for one in found.values() for row in one.rows]
    aimed = [row for row in rows if _target(row) != "-"]
    dates = sorted(one.kept["date"] for one in found.values())
    machines = {
        json.dumps(one.kept["machine"], sort_keys=True): one.kept["machine"] for one in found.values()
    }
    told = "; ".join(
        f"{one['cores']} cores of {one['processor']}, {one['memory_gib']:g} GiB, Linux {one['kernel']}, Python {one['python']}"
        + (f", {one['disk']}" if "disk" in one else "")
        for one in machines.values()
    )
    asked = sum(len(names) for names in themes().values())
    span = f" Measured from {dates[0]} to {dates[-1]} UTC on: {told}." if dates else ""
    held = sum(row.get("holds") is not False for row in aimed)
    busy = sum(one.busy for one in found.values())
    caution = (
        f"\n**{busy} of these benchmarks ran on a busy machine** (marked *busy*): other work shared its cores. "
        "Their times are longer than those of a quiet one, which is why many a target in milliseconds is missed, "
        "and their ratios are less certain.\n"
    )
    return (
        f"{len(rows)} numbers of {len(found)} of {asked} benchmarks. {len(aimed)} have a target, "
        f"which {held} reach.{span}\n{caution if busy else ''}"
    )


def _worse(found: dict[str, Measured]) -> list[str]:
    """Tables of what is slower, larger or less exact than what was measured beside it, the worst first."""
    behind = sorted(
        ((factor, one, row) for one in found.values() for row in one.rows if (factor := _behind(row)) > _NOTICEABLE),
        key=lambda item: (-item[0], item[1].name, item[2]["question"]),
    )  # fmt: skip
    parts: list[str] = []
    for title, others in (
        ("Others' programs that were better in the same run", True),
        ("What a feature costs, beside the same without it", False),
    ):
        rows = [
            [
                row["question"],
                _value(row, "ours"),
                _value(row, "peer"),
                str(row["peer_name"]),
                f"{factor:.3g} x",
                _link(one),
            ]
            for factor, one, row in behind
            if bool(_OTHERS.search(str(row["peer_name"]))) is others
        ]
        if rows:
            heads = ["question", "ours", "beside it", "which is", "worse by", "benchmark"]
            parts.append(f"### {title}\n\n{_table(heads, rows)}")
    return ["## What it is worse at\n", *parts] if parts else []


def _missed(found: dict[str, Measured]) -> list[str]:
    rows = [
        [row["question"], _value(row, "ours"), _target(row), _ratio(row), _link(one)]
        for one in found.values()
        for row in one.rows
        if row.get("holds") is False
    ]
    if not rows:
        return []
    return [
        f"## Targets that are missed\n\n{_table(['question', 'ours', 'target', 'ratio', 'benchmark'], rows)}"
    ]


def _benchmark(one: Measured, drawings: Mapping[str, str]) -> str:
    rows = [
        [row["question"], _value(row, "ours"), _peer(row), _ratio(row), _target(row), _holds(row)]
        for row in one.rows
    ]
    kept = one.kept
    busy = "busy, " if one.busy else ""
    load = f"{busy}load {kept['load']['before']:g} before and {kept['load']['after']:g} after"
    changed = ", with uncommitted changes" if kept["changed"] else ""
    pictures = "".join(f"\n![{title}](../images/{name})\n" for name, title in drawings.items())
    return (
        f"### `{one.name}`\n\n{one.question}\n{pictures}\n"
        f"{_table(['question', 'ours', 'beside it', 'ratio', 'target', 'holds'], rows)}\n"
        f"{kept['date']} UTC at `{kept['commit']}`{changed}, {load}, in {kept['seconds']:g} s: `{kept['command']}`\n"
    )


def _published(found: dict[str, Measured]) -> list[str]:
    """The table of figures that others publish; nothing here was measured."""
    figures: list[Row] = json.loads((HERE / "published.json").read_text(encoding="utf-8"))
    rows = [
        [
            f"[{one['system']}]({one['source']})", one["question"], one["figure"], one["boundary"], one["date"],
            f"[`{one['beside']}`](#{one['beside']})" if one["beside"] in found else f"`{one['beside']}`",
        ]
        for one in figures
    ]  # fmt: skip
    heads = ["published by", "question", "figure", "boundary", "date", "nearest of ours"]
    return [
        "## What others publish\n\nNot measured here: other machines, other programs, other boundaries.\n",
        _table(heads, rows),
    ]


def _not_measured(found: dict[str, Measured]) -> list[str]:
    rows = [
        [f"`{name}`", first_sentence(name), f"`python benchmarks/all.py {name}`"]
        for names in themes().values()
        for name in names
        if name not in found
    ]
    return [f"## Not measured yet\n\n{_table(['benchmark', 'question', 'command'], rows)}"] if rows else []


def _behind(row: Row) -> float:
    """The factor by which ours is worse than its peer; 0 where there is none to compare with."""
    ours, peer = row["ours"], row.get("peer")
    if not ours or not peer:
        return 0.0
    return peer / ours if row.get("more_is_better") else ours / peer


def _value(row: Row, side: str) -> str:
    value = row[side]
    if value is None:
        return "-"
    spread = row.get(f"{side}_range")
    told = f" ({spread[0]:,g} to {spread[1]:,g})" if spread and spread[0] != spread[1] else ""
    return f"{value:,g} {row['unit']}{told}".strip()


def _peer(row: Row) -> str:
    return "-" if row.get("peer") is None else f"{_value(row, 'peer')}: {row['peer_name']}"


def _ratio(row: Row) -> str:
    return f"{row['ratio']:.3g} x" if row.get("ratio") else "-"


def _target(row: Row) -> str:
    """The target in words: text as it is, a number as a ratio, then limits of ours alone."""
    target = row.get("target")
    parts = [target] if isinstance(target, str) and target != "-" else []
    if isinstance(target, int | float):
        parts.append(f"{'≥' if row.get('more_is_better') else '≤'} {target:.3g} x")
    if (adds := row.get("adds_at_most")) is not None:
        parts.append(f"≤ + {adds:g} {row['unit']}")
    if (most := row.get("at_most")) is not None:
        parts.append(f"≤ {most:g} {row['unit']}")
    if (least := row.get("at_least")) is not None:
        parts.append(f"≥ {least:g} {row['unit']}")
    return ", ".join(part.strip() for part in parts) or "-"


def _holds(row: Row) -> str:
    if _target(row) == "-":
        return "-"
    return "**no**" if row.get("holds") is False else "yes"


def _link(one: Measured) -> str:
    return f"[`{one.name}`](#{one.name}){', busy' if one.busy else ''}"


def _table(headers: list[str], rows: list[list[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |\n"
        for row in lines
    )
