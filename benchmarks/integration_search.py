"""How long does a search of the integrations take, and does it find what is meant, beside SQLite's full-text index?

The catalogue is a folder with `apps.jsonl` and `catalogue.jsonl` (CODEWORDS_CATALOGUE): 2,118 apps and 4,403 actions where
the target was set. The questions are `integration_queries.txt`, written before the search was; --misses prints those missed.

    python benchmarks/integration_search.py [--quick] [--json] [--misses]
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from _bench import Question, options, report

from codewords_mcp.runtime.integrations.catalogue import build_index
from codewords_mcp.runtime.integrations.search import ActionIndex
from codewords_mcp.runtime.model.integration import App, Hit

CATALOGUE = Path(os.environ.get("CODEWORDS_CATALOGUE", "."))
QUERIES = Path(__file__).with_name("integration_queries.txt")
TOP = 3


def queries() -> list[tuple[str, set[str]]]:
    lines = [line for line in QUERIES.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [(query.strip(), set(keys.split())) for query, _, keys in (line.partition("|") for line in lines)]


def rows(name: str) -> list[dict[str, object]]:
    text = (CATALOGUE / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def title(slug: object) -> str:
    return str(slug).replace("_", " ").title()


def ours() -> ActionIndex:
    apps = [App(slug=str(row["slug"]), name=title(row["slug"])) for row in rows("apps.jsonl")]
    hits: list[tuple[Hit, str]] = []
    for row in rows("catalogue.jsonl"):
        app = next((str(p["app"]) for p in row["p"] if p["t"] == "app"), str(row["a"]))  # type: ignore[attr-defined]
        key = str(row["k"])
        name = title(key.partition("-")[2].replace("-", " "))
        hits.append((Hit(key=key, app=app, name=name, writes=True, backend="connect"), ""))
    return build_index(apps, hits)


def peer() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:")
    made.execute(
        "CREATE VIRTUAL TABLE found USING fts5(key UNINDEXED, app, name, tokenize='porter unicode61')"
    )
    for row in rows("catalogue.jsonl"):
        app, _, name = str(row["k"]).partition("-")
        made.execute(
            "INSERT INTO found VALUES (?, ?, ?)", (row["k"], app.replace("_", " "), name.replace("-", " "))
        )
    return made


def ask_peer(made: sqlite3.Connection, query: str) -> list[str]:
    match = " OR ".join(re.findall(r"\w+", query))
    found = made.execute(
        "SELECT key FROM found WHERE found MATCH ? ORDER BY bm25(found, 0, 3, 1) LIMIT ?", (match, TOP)
    )
    return [row[0] for row in found]


def asked_of(ask: Callable[[str], list[str]], *, show: bool = False) -> tuple[float, float]:
    """(milliseconds of a search, per cent of the questions answered in the first three). `show` prints the others."""
    times: list[float] = []
    questions, found = queries(), 0
    for query, right in questions:
        began = time.perf_counter()
        keys = ask(query)
        times.append((time.perf_counter() - began) * 1000)
        found += bool(right & set(keys))
        if show and not right & set(keys):
            print(f"{query!r}: {keys}", file=sys.stderr)
    return statistics.median(times), 100 * found / len(questions)


def main() -> int:
    show = "--misses" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--misses"]
    chosen = options(__doc__ or "", runs=5, quick_runs=2)
    if not (CATALOGUE / "catalogue.jsonl").exists():
        print("CODEWORDS_CATALOGUE names no folder with a catalogue.", file=sys.stderr)
        return 2
    index, made = ours(), peer()
    speed = Question("a search", "SQLite FTS5, bm25", "ms", None, at_most=20)
    hits = Question("found in the first three", "SQLite FTS5, bm25", "%", None, at_least=95)
    for number in range(chosen.runs):
        mine = asked_of(
            lambda query: [hit.key for hit in index.search(query, TOP)[0]], show=show and not number
        )
        theirs = asked_of(lambda query: ask_peer(made, query))
        for place, question in enumerate((speed, hits)):
            question.ours.append(mine[place])
            question.peer.append(theirs[place])
    return report([speed, hits], chosen)


if __name__ == "__main__":
    sys.exit(main())
