"""What the benchmarks share: runs of us and a peer that take turns, medians, one table, `--quick` and `--json`."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

Measure = Callable[[], float]


@dataclass(frozen=True)
class Options:
    """`quick`: a run of under 60 s; `runs`: how often each side is measured."""

    quick: bool
    as_json: bool
    runs: int


@dataclass
class Question:
    """What is asked, who is measured, and the ratio ours ÷ peer that has to hold. `target` None: reported only.

    `more_is_better`: the ratio must be at least the target, not at most. `adds_at_most` is for ours minus peer of each
    turn, `at_most` and `at_least` for ours alone, in `unit`, where that is asked instead.
    """

    question: str
    peer_name: str
    unit: str
    target: float | None
    ours: list[float] = field(default_factory=list[float])
    peer: list[float] = field(default_factory=list[float])
    adds_at_most: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    more_is_better: bool = False

    def result(self) -> dict[str, object]:
        """The line of `--json`."""
        ours, peer = statistics.median(self.ours), statistics.median(self.peer)
        ratio = ours / peer
        return {
            "question": self.question,
            "ours": round(ours, 2),
            "peer": round(peer, 2),
            "peer_name": self.peer_name,
            "ratio": round(ratio, 3),
            "unit": self.unit,
            "runs": len(self.ours),
            "target": self.target,
            "adds": round(self._adds(), 2),
            "adds_at_most": self.adds_at_most,
            "at_most": self.at_most,
            "at_least": self.at_least,
            "more_is_better": self._more_is_better(),
            "ours_range": _range(self.ours),
            "peer_range": _range(self.peer),
            "holds": self._holds(ours, peer),
        }

    def _more_is_better(self) -> bool:
        return self.more_is_better or self.at_least is not None or self.unit.endswith("/s")

    def _adds(self) -> float:
        """The median of what each turn's measurement has more than its peer's: what disturbs a turn disturbs both."""
        return statistics.median(mine - theirs for mine, theirs in zip(self.ours, self.peer, strict=True))

    def _holds(self, ours: float, peer: float) -> bool:
        ratio = ours / peer
        if self.target is not None and (ratio < self.target if self.more_is_better else ratio > self.target):
            return False
        if self.adds_at_most is not None and self._adds() > self.adds_at_most:
            return False
        if self.at_least is not None and ours < self.at_least:
            return False
        return self.at_most is None or ours <= self.at_most


def options(description: str, *, runs: int, quick_runs: int) -> Options:
    """Read the command line of a benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer runs, under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object a question and line")
    given = parser.parse_args()
    return Options(given.quick, given.json, quick_runs if given.quick else runs)


def interleave(question: Question, ours: Measure, peer: Measure, runs: int) -> None:
    """Measure in turns, so that a machine that becomes busy is so for both; the first pair warms up and is dropped."""
    interleave_several([(question, peer)], ours, runs)


def interleave_several(asked: list[tuple[Question, Measure]], ours: Measure, runs: int) -> None:
    """The same with several peers: in each turn we are measured once, and then each of them."""
    title = asked[0][0].question
    for number in range(runs + 1):
        _tell(f"{title}: {number}/{runs}")
        mine = ours()
        for question, peer in asked:
            theirs = peer()
            if number:
                question.ours.append(mine)
                question.peer.append(theirs)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


def _tell(progress: str) -> None:
    """What is being measured, on stderr: in one line that changes, or one line each where that is no terminal."""
    sys.stderr.write(f"\r{progress} \x1b[K" if sys.stderr.isatty() else f"{progress}\n")
    sys.stderr.flush()


def report(questions: list[Question], chosen: Options) -> int:
    """Print the table or the JSON lines; the exit code: 1 where a target does not hold."""
    results = [question.result() for question in questions]
    if chosen.as_json:
        for result in results:
            print(json.dumps(result))
    else:
        _table(questions, results)
    return 0 if all(result["holds"] for result in results) else 1


def alone(
    question: str,
    ours: float,
    unit: str,
    *,
    runs: int,
    at_most: float | None = None,
    at_least: float | None = None,
    holds: bool = True,
    **more: object,
) -> bool:
    """Print the JSON line of a number without a peer. Returns whether it holds; with `holds` False it does not."""
    result = _number(question, ours, unit, runs=runs, at_most=at_most, at_least=at_least, holds=holds)
    print(json.dumps(result | more), flush=True)
    return bool(result["holds"])


def _number(
    question: str,
    ours: float,
    unit: str,
    *,
    runs: int,
    at_most: float | None,
    at_least: float | None,
    holds: bool = True,
) -> dict[str, object]:
    above = at_most is not None and ours > at_most
    below = at_least is not None and ours < at_least
    return {
        "question": question, "ours": ours, "peer": None, "peer_name": "nothing", "ratio": None, "unit": unit,
        "runs": runs, "target": None, "at_most": at_most, "at_least": at_least, "holds": holds and not above and not below,
    }  # fmt: skip


@dataclass
class Numbers:
    """Numbers without a peer: JSON lines as they come, or one table of all."""

    as_json: bool
    rows: list[list[str]] = field(default_factory=list[list[str]])
    hold: bool = True

    def add(
        self,
        question: str,
        ours: float,
        unit: str,
        *,
        runs: int = 1,
        at_most: float | None = None,
        at_least: float | None = None,
        **more: object,
    ) -> None:
        """One number. `more` is what was measured with it."""
        result = _number(question, ours, unit, runs=runs, at_most=at_most, at_least=at_least)
        self.hold = self.hold and bool(result["holds"])
        if self.as_json:
            print(json.dumps(result | more), flush=True)
            return

        _tell(question)
        target = (
            f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}" if at_least is not None else "-"
        )
        besides = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in more.items())
        holds = "-" if target == "-" else "yes" if result["holds"] else "NO"
        self.rows.append([question, f"{ours:g} {unit}", target, holds, str(runs), besides])

    def print_table(self) -> None:
        """Print what was added, where it was not printed as it came."""
        if self.rows:
            _columns([["question", "ours", "target", "holds", "runs", "besides"], *self.rows])


def _table(questions: list[Question], results: list[dict[str, object]]) -> None:
    heads = ["question", "ours", "peer", "ratio", "target", "holds", "runs"]
    rows = [
        [
            str(r["question"]),
            f"{r['ours']} {r['unit']} ({_spread(q.ours)})",
            f"{r['peer']} {r['unit']} ({_spread(q.peer)})",
            f"{r['ratio']} x" if q.adds_at_most is None else f"+ {r['adds']} {r['unit']}",
            _target(q),
            "yes" if r["holds"] else "NO",
            str(r["runs"]),
        ]
        for q, r in zip(questions, results, strict=True)
    ]
    _columns([heads, *rows])
    for name in dict.fromkeys(str(r["peer_name"]) for r in results):
        print(f"peer: {name}. Median (least to most).")


def _columns(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _target(question: Question) -> str:
    if question.adds_at_most is not None:
        return f"<= + {question.adds_at_most:g} {question.unit}"
    if question.at_most is not None:
        return f"<= {question.at_most:g} {question.unit}"
    if question.at_least is not None:
        return f">= {question.at_least:g} {question.unit}"
    sign = ">=" if question.more_is_better else "<="
    return "-" if question.target is None else f"{sign} {question.target:.3g} x"


def _range(values: list[float]) -> list[float]:
    return [round(min(values), 2), round(max(values), 2)]


def _spread(values: list[float]) -> str:
    digits = 0 if max(values) >= 100 else 1
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def clean_environment(**more: str) -> dict[str, str]:
    """The environment for both sides: bytecode is written and used, as on a person's machine."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("CODEWORDS_")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env | more
