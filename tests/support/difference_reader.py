"""A reader of drawn differences: makes the second program from the first and the rows, as a person with a pencil would.

Run as a program it does so for random pairs of hostile programs:
`python -m tests.support.difference_reader PAIRS [SEED]`.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterable
from html.parser import HTMLParser

from codewords_mcp.runtime.model.code_difference import NO_NEWLINE, code_difference, program_lines

_PLACE = re.compile(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@.*")
_MARK = re.compile(r"⟨U\+([0-9A-F]{4,6})(?: x(\d+))?⟩")
PIECES = (
    "", "x", "++ x", "-- x", "--- a", "+++ b", "@@ -1,2 +3,4 @@", "@@", "\\ No newline at end of file", " ", "  x", "\tx", "x ", "x\t",
    "# a\x0cprint(1)", "# a\x0bb", "\x1c", "a\x85b", "a\u2028b", "\u2029", "\u202e", "\u200bx", "\u3164", "\u115f = 1", "\uffa0", "\ufeff",
    "\x00", "\x1b[2J", "\x7f", "\u00e9", "e\u0301", "\u0430pi", "\uff45val", "\u00a0x", "\u2003", "⟨U+200B⟩", "⟨", NO_NEWLINE, "⟨U+0020 x3⟩", "\ufe0f", "\U000e0041",
    " " * 90 + "x", "x" + " " * 200 + "y", "… 3 more lines of the difference", "# /// module shared/a.py", "#| x", "<ins>", "&lt;", "</del>x", "```",
    "↪ x", "<span>", "\u2800", "\u00ad", "\u0131", "a\rb", "\ufb01", "\ue000", "\u0378", "\U0001f6a8\ufe0f", "\U0001d431", "\\u{3164}", "U+3164",
)  # fmt: skip
"""Lines, and pieces of lines, that have deceived a reader somewhere."""


def redo(before: str, rows: Iterable[str]) -> str:
    """The second program, from the first and the rows of their difference. Raises ValueError for rows that do not fit it."""
    lines, made, done = program_lines(before), list[str](), 0
    for row in rows:
        kind, text = row[:1], row[1:]
        if kind == "@":
            place = _PLACE.fullmatch(row)
            if place is None:
                raise ValueError(f"not a place: {row!r}")
            start = int(place[1]) - (place[2] != "0")
            made += lines[done:start]
            done = start
        elif kind in {" ", "-"} and lines[done] == _read(text):
            made += [_read(text)] * (kind == " ")
            done += 1
        elif kind == "+":
            made.append(_read(text))
        else:
            raise ValueError(f"not a row of this program: {row!r}")
    return "".join([*made, *lines[done:]])


def _read(text: str) -> str:
    if text.endswith(NO_NEWLINE):
        line = text.removesuffix(NO_NEWLINE)
    else:
        line = text + "\n"
    return _MARK.sub(lambda found: chr(int(found[1], 16)) * int(found[2] or 1), line)


class _Page(HTMLParser):
    """The rows of a consent page, each an element of its own."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[str] = []
        self._inside = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag in {"ins", "del", "span"}
        if self._inside:
            self.rows.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1] += data


def page_rows(page: str) -> list[str]:
    """The rows that the page of a consent shows."""
    return _Page(page.partition('<pre class="diff">')[2].partition("</pre>")[0]).rows


def hostile_pair(chance: random.Random) -> tuple[str, str]:
    """Two programs of a few lines, the second often near the first."""
    first = [_line(chance) for _ in range(chance.randrange(12))]
    second = list(first)
    for _ in range(chance.randrange(5)):
        at = chance.randrange(len(second) + 1)
        second[at : at + chance.randrange(3)] = [_line(chance) for _ in range(chance.randrange(3))]
    return _joined(first, chance), _joined(second, chance)


def _line(chance: random.Random) -> str:
    return "".join(chance.choices(PIECES, k=chance.choice((1, 1, 2, 3))))


def _joined(lines: list[str], chance: random.Random) -> str:
    ends = chance.choices(("\n", "\r\n", "\r"), (9, 1, 1), k=max(len(lines) - 1, 0))
    return "".join(line + end for line, end in zip(lines, [*ends, chance.choice(("\n", ""))], strict=False))


def read_pairs(pairs: int, seed: int) -> list[tuple[str, str]]:
    """The pairs, of so many, whose drawn difference does not lead from the first program to the second."""
    chance = random.Random(seed)
    failed: list[tuple[str, str]] = []
    for _ in range(pairs):
        before, after = hostile_pair(chance)
        drawn = code_difference(before, after).text()
        rows = drawn.split("\n") if drawn else []
        try:
            fits = redo(before, rows) == "".join(program_lines(after))
        except (ValueError, IndexError):
            fits = False
        if not fits or not (drawn.replace("\n", "").isprintable()):
            failed.append((before, after))
    return failed


if __name__ == "__main__":
    number, start = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    wrong = read_pairs(number, start)
    print(f"{number} pairs, {len(wrong)} cannot be read back", wrong[:3])
    sys.exit(bool(wrong))
