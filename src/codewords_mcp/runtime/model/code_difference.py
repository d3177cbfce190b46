"""The difference of two programs, from the text that a sandbox compiles. Every page, terminal and chat draws this object.

A drawn row begins with its kind: a space for a line that stays, `-` and `+` for one that goes or comes, `@` for the place of a
hunk, `…` for what was left out. So whoever reads the rows can make the second program from the first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Final, Literal

from codewords_mcp.common.counts import counted
from codewords_mcp.common.unseen import spelled
from codewords_mcp.runtime.model.modules import HEADING, normalise

Kind = Literal["same", "removed", "added"]
MOST_SHOWN: Final = 4_000_000
"""Characters of a difference that a page still shows whole: twice the largest program, with what is spelled out in it."""
NO_NEWLINE: Final = "⟨no newline⟩"
"""Ends a last line that no newline ends."""
_SIGNS: Final[dict[Kind, str]] = {"same": " ", "removed": "-", "added": "+"}
_KINDS: Final[dict[str, Literal["same", "changed"]]] = {"equal": "same"}
_MOST_PAIRS: Final = 200_000
"""Pairs of equal lines over which lines are not matched any more: measured, 200,000 take up to 2 s and more take minutes."""
_MODULE = re.compile(rf"{re.escape(HEADING)}([\w/]+\.py)\s*")
_Part = tuple[Literal["same", "changed"], int, int, int, int]
"""Lines of both programs: the first and the end in the first program, then in the second."""


@dataclass(frozen=True, slots=True)
class DifferenceLine:
    """A line with its number in the first program and in the second, from 1; 0 where it is not there. `text` is spelled out."""

    kind: Kind
    old: int
    new: int
    text: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """Neighbouring changes with the lines around them. `before` are the numbers of lines in front of it in both programs.

    `module` is the path of the shared module that it is in, "" for the program itself.
    """

    before: tuple[int, int]
    lines: tuple[DifferenceLine, ...]
    module: str = ""

    @property
    def place(self) -> str:
        """Its first line and number of lines in both programs, as in a unified diff."""
        old = sum(line.kind != "added" for line in self.lines)
        new = sum(line.kind != "removed" for line in self.lines)
        place = f"@@ -{_range(self.before[0], old)} +{_range(self.before[1], new)} @@"
        if self.module:
            place += f" in the module {self.module}, which runs"
        return place


@dataclass(frozen=True, slots=True)
class CodeDifference:
    """The hunks, in order."""

    hunks: tuple[Hunk, ...] = ()

    @property
    def changed(self) -> Iterator[DifferenceLine]:
        """The lines that go or come."""
        return (line for hunk in self.hunks for line in hunk.lines if line.kind != "same")

    @property
    def added(self) -> int:
        """The number of lines that come."""
        return sum(line.kind == "added" for line in self.changed)

    @property
    def removed(self) -> int:
        """The number of lines that go."""
        return sum(line.kind == "removed" for line in self.changed)

    def rows(self) -> Iterator[str]:
        """The rows as they are drawn."""
        for hunk in self.hunks:
            yield hunk.place
            for line in hunk.lines:
                yield _SIGNS[line.kind] + line.text

    def text(self) -> str:
        """The rows as one text, "" where nothing differs."""
        return "\n".join(self.rows())


def code_difference(before: str, after: str, *, context: int = 3) -> CodeDifference:
    """Compare two programs. `context` is the number of unchanged lines around changes."""
    old, new = program_lines(before), program_lines(after)
    modules = list(_modules(new))
    hunks: list[Hunk] = []
    for group in _groups(_changes(old, new), context):
        lines: list[DifferenceLine] = []
        for kind, first, last, start, end in group:
            if kind == "same":
                pairs = zip(range(first, last), range(start, end), strict=True)
                lines += [DifferenceLine("same", at + 1, to + 1, _shown(old[at])) for at, to in pairs]
            else:
                lines += [DifferenceLine("removed", at + 1, 0, _shown(old[at])) for at in range(first, last)]
                lines += [DifferenceLine("added", 0, to + 1, _shown(new[to])) for to in range(start, end)]
        _, first, _, start, _ = group[0]
        module = next((path for line, path in reversed(modules) if line <= start), "")
        hunks.append(Hunk((first, start), tuple(lines), module))
    return CodeDifference(tuple(hunks))


def first_rows(drawn: str, characters: int) -> str:
    """The first rows of a drawn difference, with the number of those left out: for what is not there to agree to."""
    if len(drawn) <= characters:
        return drawn
    shown = drawn[:characters].rpartition("\n")[0]
    left_out = drawn.count("\n") - shown.count("\n") + (not shown)
    return f"{shown}\n… {counted(left_out, 'more line')} of the difference".lstrip("\n")


def program_lines(code: str) -> list[str]:
    """The lines of a program as Python counts them, each with its newline: no other separator ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", normalise(code))


def _shown(line: str) -> str:
    if line.endswith("\n"):
        return spelled(line[:-1])
    return spelled(line) + NO_NEWLINE


def _range(before: int, count: int) -> str:
    return f"{before + (count > 0)},{count}"


def _modules(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The position and path of each shared module's heading."""
    for position, line in enumerate(lines):
        if line.startswith(HEADING) and (found := _MODULE.fullmatch(line)):
            yield position, found[1]


def _changes(old: list[str], new: list[str]) -> list[_Part]:
    """The parts of both programs, in order."""
    shorter = min(len(old), len(new))
    top = sum(1 for _ in takewhile(lambda at: old[at] == new[at], range(shorter)))
    end = sum(1 for _ in takewhile(lambda at: old[-at - 1] == new[-at - 1], range(shorter - top)))
    before, after = old[top : len(old) - end], new[top : len(new) - end]
    parts: list[_Part] = [("same", 0, top, 0, top)]
    for tag, *places in _matched(before, after):
        first, last, start, stop = (top + place for place in places)
        parts.append((_KINDS.get(tag, "changed"), first, last, start, stop))
    parts.append(("same", len(old) - end, len(old), len(new) - end, len(new)))
    return parts


def _matched(before: list[str], after: list[str]) -> Iterable[tuple[str, int, int, int, int]]:
    counts, others = Counter(before), Counter(after)
    if sum(count * others[line] for line, count in counts.items()) > _MOST_PAIRS:
        return [("replace", 0, len(before), 0, len(after))]
    return SequenceMatcher(None, before, after).get_opcodes()


def _groups(parts: Iterable[_Part], context: int) -> Iterator[list[_Part]]:
    """The changed parts with the lines around them; those with few lines between them are one group."""
    group: list[_Part] = []
    for kind, first, last, start, stop in parts:
        length = last - first
        changed = any(part[0] == "changed" for part in group)
        if kind == "changed" or (changed and length <= 2 * context):
            group.append((kind, first, last, start, stop))
            continue
        if changed:
            yield [*group, ("same", first, first + context, start, start + context)]
        shown = min(length, context)
        group = [("same", last - shown, last, stop - shown, stop)]
    if any(part[0] == "changed" for part in group):
        yield group
