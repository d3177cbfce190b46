"""Changes of a program: texts that stand in it once, or a unified patch. All of a change is made, or nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.authoring import Edit

MOST = 50
"""Edits of one change."""
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@.*|@@.*")
_SHOWN = 5


def apply_edits(code: str, edits: Sequence[Edit]) -> str:
    """The code with every edit made, in order. Raises InvalidInput naming the edit, and where its text stands or nearly does."""
    if not 1 <= len(edits) <= MOST:
        raise InvalidInput(f"A change has 1 to {MOST} edits.", hint="Give each as {old, new}.")
    for number, edit in enumerate(edits, start=1):
        code = _replaced(code, edit, f"Edit {number} of {len(edits)}", None)
    return code


def apply_patch(code: str, patch: str) -> str:
    """The code with every hunk of a unified diff made.

    What counts is the hunk's text; its line numbers decide only where the text stands more than once. Raises InvalidInput.
    """
    hunks = list(_hunks(patch))
    if not hunks:
        raise InvalidInput(
            "The patch has no hunk.",
            hint="It is a unified diff: a line `@@`, then lines with ` `, `-` and `+`.",
        )

    for number, (line, edit) in enumerate(hunks, start=1):
        code = _replaced(code, edit, f"Hunk {number} of {len(hunks)}", line)
    return code


def diff_of(before: str, after: str, names: tuple[str, str]) -> str:
    """The unified diff; "" where nothing differs."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, n=2, lineterm="")
    return "\n".join(lines)


def _replaced(code: str, edit: Edit, which: str, near: int | None) -> str:
    if not edit.old:
        raise InvalidInput(
            f"{which} has no old text, so its place is unknown; nothing was changed.",
            hint="Give a line that stands there as old, and the same line with what to add as new.",
        )

    places = [place.start() for place in re.finditer(re.escape(edit.old), code)]
    if not places:
        raise _missing(code, edit, which)
    if edit.replace_all:
        return code.replace(edit.old, edit.new)

    if len(places) > 1:
        at = [code.count("\n", 0, place) + 1 for place in places]
        if near not in at:
            told = ", ".join(map(str, at[:_SHOWN])) + (" …" if len(at) > _SHOWN else "")
            raise InvalidInput(
                f"{which}: its old text stands {len(at)} times, on lines {told}; nothing was changed.",
                hint="Take in a neighbouring line, so that it stands there once, or give replace_all.",
            )
        places = [places[at.index(near)]]

    start = places[0]
    return code[:start] + edit.new + code[start + len(edit.old) :]


def _missing(code: str, edit: Edit, which: str) -> InvalidInput:
    lines, wanted = code.splitlines(), [line.strip() for line in edit.old.strip().splitlines()]
    bare = [line.strip() for line in lines]
    for at in range(len(lines) - len(wanted) + 1):
        if wanted and bare[at : at + len(wanted)] == wanted:
            return InvalidInput(
                f"{which}: line {at + 1} has its old text with other spaces; nothing was changed.",
                hint="Give its spaces exactly as they are there.",
            )

    if wanted:
        near = difflib.get_close_matches(wanted[0], bare, n=1, cutoff=0.6)
    else:
        near = []

    if near:
        place = f"; the nearest is line {bare.index(near[0]) + 1}"
    else:
        place = ""

    return InvalidInput(
        f"{which}: its old text is not in the code{place}; nothing was changed.",
        hint="Look at the code as it is now (get_workflow with include_code) and give the text exactly.",
    )


def _hunks(patch: str) -> Iterator[tuple[int | None, Edit]]:
    """(the line where it should begin, the text before and after) of each hunk."""
    start: int | None = None
    old: list[str] = []
    new: list[str] = []
    inside = False

    for line in [*patch.splitlines(), "@@"]:
        if found := _HUNK.fullmatch(line):
            if old != new:
                yield start, Edit(old="\n".join(old), new="\n".join(new))
            start, old, new, inside = int(found[1]) if found[1] else None, [], [], True
        elif not inside or line.startswith(("--- ", "+++ ", "\\")):
            continue
        elif line.startswith("-"):
            old.append(line[1:])
        elif line.startswith("+"):
            new.append(line[1:])
        else:
            old.append(line[1:])
            new.append(line[1:])
