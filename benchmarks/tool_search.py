"""Does the search of MCP servers' tools find what questions mean that others wrote, beside BM25?

Two public sets: MetaTool (20,614 questions, made for 199 plugins of a chat host) and the Berkeley Function-Calling
Leaderboard (1,911 questions, 1,311 of them typed by users, for 1,096 functions). What a question's authors call right
has to be among the first. Half of each set was looked at while tuning, by a shuffle with seed 1; the other half is what is
counted here. --misses prints what the first half misses.

    python benchmarks/tool_search.py [--data FOLDER] [--quick] [--json] [--misses]
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from _bench import Question, clean_environment, options, report
from _peers import environment_of, installed
from _yardsticks import BFCL, METATOOL, checkouts

from codewords_mcp.runtime.integrations.mcp.index import build_tool_index
from codewords_mcp.runtime.model.mcp import AgreedTool, McpServer, ServerTool

Tool = tuple[str, str, dict[str, Any]]
"""Name, description and the JSON Schema of the input, empty where the set has none."""
Asked = tuple[list[Tool], list[tuple[str, str]]]
"""Tools, and questions as (words, the right name)."""
TOP, QUICK = 3, 1000
_FILES = ("live_multiple", "multiple", "live_simple", "simple_python")


def metatool(folder: Path) -> Asked:
    """The questions of MetaTool for one tool each."""
    described: dict[str, str] = {}
    for name in ("plugin_des.json", "big_tool_des.json"):
        described |= json.loads((folder / "dataset" / name).read_text(encoding="utf-8"))
    named = {name.lower(): name for name in described}
    with (folder / "dataset/data/all_clean_data.csv").open(encoding="utf-8", newline="") as file:
        questions = [(row["Query"], named[row["Tool"].lower()]) for row in csv.DictReader(file)]
    meant = {name for _, name in questions}
    return [(name, text, {}) for name, text in described.items() if name in meant], questions


def leaderboard(folder: Path) -> Asked:
    """The questions of the leaderboard that one function answers; all functions are in one list."""
    data = folder / "berkeley-function-call-leaderboard/bfcl_eval/data"
    tools: dict[str, Tool] = {}
    questions: list[tuple[str, str]] = []
    for file in _FILES:
        right = {
            one["id"]: next(iter(one["ground_truth"][0]))
            for one in rows(data / f"possible_answer/BFCL_v4_{file}.json")
        }
        for one in rows(data / f"BFCL_v4_{file}.json"):
            for function in one["function"]:
                name = function["name"]
                tools.setdefault(name, (name, function["description"], function["parameters"]))
            said = [message["content"] for message in one["question"][0] if message["role"] == "user"]
            questions.append((" ".join(said), right[one["id"]]))
    return list(tools.values()), questions


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ours(tools: list[Tool], questions: list[str]) -> list[list[str]]:
    """The first names for each question."""
    server = McpServer(name="tools", url="https://tools.example.com/mcp", title="", agreed=True)
    listed = [ServerTool(name=name, description=text, input_schema=schema) for name, text, schema in tools]
    index = build_tool_index([server], [AgreedTool(server=server, now=tool, agreed=tool) for tool in listed])
    return [[hit.key.partition("/")[2] for hit in index.search(question, TOP)[0]] for question in questions]


def parameters(schema: dict[str, Any]) -> str:
    """The names, descriptions and choices of an input's fields, for peers that know texts only."""
    said: list[str] = []
    for name, field in schema.get("properties", {}).items():
        said += [name, field.get("description", ""), *map(str, field.get("enum", ())), parameters(field)]
    return " ".join([*said, *([parameters(schema["items"])] if "items" in schema else [])])


def peers(tools: list[Tool], questions: list[str]) -> dict[str, list[list[str]]]:
    """The same by peer; empty where they cannot be installed. They read what we read, as one text."""
    python = installed(
        "bm25", "venv/bin/python", *environment_of("bm25s==0.3.16", "PyStemmer==3.1.0", "rank-bm25==0.2.2")
    )
    if python is None:
        return {}
    texts = [(name, f"{text} {parameters(schema)}") for name, text, schema in tools]
    asked = json.dumps({"tools": texts, "questions": questions, "top": TOP})
    done = subprocess.run(
        [python, Path(__file__).with_name("_bm25.py")],
        input=asked, encoding="utf-8", stdout=subprocess.PIPE, env=clean_environment(), check=True, timeout=600,
    )  # fmt: skip
    return json.loads(done.stdout)


def share(found: list[list[str]], right: list[str], first: int) -> float:
    """Per cent of the questions whose right name is among the first ones."""
    return 100 * sum(name in names[:first] for names, name in zip(found, right, strict=True)) / len(right)


def main() -> int:
    show = "--misses" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--misses"]
    folders = checkouts(METATOOL, BFCL)
    chosen = options((__doc__ or "").partition("\n")[0], runs=1, quick_runs=1)
    asked: list[Question] = []
    for title, (tools, questions) in (
        ("MetaTool", metatool(folders[0])),
        ("BFCL", leaderboard(folders[1])),
    ):
        random.Random(1).shuffle(questions)
        half = questions[0::2] if show else questions[1::2]
        half = half[:QUICK] if chosen.quick else half
        words, right = [question for question, _ in half], [name for _, name in half]
        mine = ours(tools, words)
        if show:
            for question, names, name in zip(words, mine, right, strict=True):
                if name not in names:
                    print(f"{title}: {question!r}: {name}, found {names}", file=sys.stderr)
        for peer, theirs in peers(tools, words).items():
            for first, place in ((1, "first"), (TOP, f"among the first {TOP}")):
                asked.append(
                    Question(
                        f"{title}, {len(half)} questions: the right one of {len(tools)} tools {place}",
                        peer, "%", 1.0, [share(mine, right, first)], [share(theirs, right, first)], more_is_better=True,
                    )
                )  # fmt: skip
    return report(asked, chosen)


if __name__ == "__main__":
    sys.exit(main())
