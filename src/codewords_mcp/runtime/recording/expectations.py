"""Expectations of tests: which differences of a replay from its recording make a test fail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.replay import ReplayDifference, ReplayedRun
from codewords_mcp.runtime.model.testing import USUAL_EXPECTATIONS, TestedRun
from codewords_mcp.runtime.recording.content import Value, content_of
from codewords_mcp.runtime.recording.exchanges import RunMessage
from codewords_mcp.runtime.recording.replay_summary import describe_difference

MAX_EXPECTATIONS: Final = 50
MAX_LINES: Final = 20
_SUBJECTS: Final = {
    "answer": frozenset({"answer", "status", "error"}),
    "status": frozenset({"status", "error"}),
    "writes": frozenset({"write", "order", "host"}),
    "same": frozenset({"status", "error", "answer", "write", "order", "prompt", "read", "host", "model"}),
}
_PATH: Final = re.compile(r"\$(\.[^.\[\]\s]+|\[\d+\])+")
_STEP: Final = re.compile(r"\.([^.\[\]\s]+)|\[(\d+)\]")
_OF_ANSWER: Final = " of the answer"


def read_expectations(texts: Iterable[str]) -> list[str]:
    """The expectations, each once; the usual ones for none. Raises InvalidInput."""
    found = list(dict.fromkeys(text.strip() for text in texts)) or list(USUAL_EXPECTATIONS)
    for text in found:
        if text not in _SUBJECTS and not _PATH.fullmatch(text):
            raise InvalidInput(
                f"{text[:60]!r} is nothing that a test can expect.",
                hint="Use `answer`, `status`, `writes`, `same`, or a field of the answer as `$.items[0].total`.",
            )
    if len(found) > MAX_EXPECTATIONS:
        raise InvalidInput(f"A test expects at most {MAX_EXPECTATIONS} things.")
    return found


def judge_test(run: ReplayedRun, expect: Sequence[str]) -> TestedRun:
    """The outcome of a test whose replay was compared with its recording."""
    failures = [one for one in run.differences if any(_breaks(one, text) for text in expect)]
    lines = [describe_difference(one) for one in failures]
    if failures:
        # An answer that differs is often the consequence of a request that nothing on the recording answers.
        lines += [
            describe_difference(one)
            for one in run.differences
            if one.subject in {"host", "read", "prompt"} and one not in failures
        ]
        lines += run.notes
        outcome = "failed"
    else:
        lines = list(run.obstacles)
        lines += [f"differs in every run: {one}" for one in run.not_compared if _concerns(one, expect)]
        outcome = "cannot tell" if lines else "passed"
    return TestedRun(
        run_id=run.run_id,
        expect=list(expect),
        outcome=outcome,
        lines=list(dict.fromkeys(lines))[:MAX_LINES],
        seconds=run.seconds_after,
    )


def _breaks(one: ReplayDifference, expectation: str) -> bool:
    subjects = _SUBJECTS.get(expectation)
    if subjects is not None:
        return one.subject in subjects
    if one.subject != "answer":
        return False
    # The other way round as well: an object that is missing as a whole lacks each field in it.
    return _within(one.field, expectation) or _within(_without_root(expectation), f"$.{one.field}")


def _within(field: str, path: str) -> bool:
    """Whether a field is the one at this path, or in it."""
    if field == "body":  # the whole answer is another
        return True
    root = _without_root(path).removesuffix("[]")
    return field == root or field.startswith((f"{root}.", f"{root}[", f"{root} "))


def _without_root(path: str) -> str:
    return path.removeprefix("$").removeprefix(".")


def _concerns(text: str, expect: Sequence[str]) -> bool:
    """Whether something that was not compared is among what is expected."""
    if "same" in expect:
        return True
    if not text.endswith(_OF_ANSWER):
        return "writes" in expect
    field = text.removesuffix(_OF_ANSWER)
    paths = (one for one in expect if one.startswith("$"))
    return "answer" in expect or any(_within(field, path) for path in paths)


def missing_fields(answer: RunMessage, expect: Iterable[str]) -> list[str]:
    """Those expected fields that an answer does not have: they would be equal in any two answers."""
    value = content_of(answer.body, answer.headers)
    return [one for one in expect if one.startswith("$") and not _has(value, one)]


def _has(value: Value, path: str) -> bool:
    at = value
    for step in _STEP.finditer(path):
        name, number = step[1], step[2]
        if name is not None and isinstance(at, dict) and name in at:
            at = at[name]
        elif number is not None and isinstance(at, list) and int(number) < len(at):
            at = at[int(number)]
        else:
            return False
    return True
