"""Edits of a program: replacements of unique texts, or a unified patch. A change is applied as a
whole or not at all.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from codewords_mcp.common.unseen import unspelled
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.authoring import Edit
from codewords_mcp.runtime.model.code_difference import NO_NEWLINE
from codewords_mcp.runtime.model.modules import normalise

MAX_EDITS = 50
"""Maximum edits of one change."""
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@.*|@@.*")
_MAX_LINES_SHOWN = 5


def apply_edits(code: str, edits: Sequence[Edit]) -> str:
    """Apply the edits in order. Raises InvalidInput that names the edit and the lines where its
    text occurs, or nearly does.
    """
    if not 1 <= len(edits) <= MAX_EDITS:
        raise InvalidInput(f"A change has 1 to {MAX_EDITS} edits.", hint="Give each as {old, new}.")
    for number, edit in enumerate(edits, start=1):
        code = _replaced(code, edit, f"Edit {number} of {len(edits)}", None)
    return code


def apply_patch(code: str, patch: str) -> str:
    """Apply all hunks of a unified diff.

    The hunk's text is searched for; its line numbers only decide between several occurrences.
    Raises InvalidInput.
    """
    hunks = list(_hunks(patch))
    if not hunks:
        raise InvalidInput(
            "The patch has no hunk.",
            hint="It is a unified diff: a line `@@`, then lines with ` `, `-` and `+`.",
        )

    for number, (line, edit) in enumerate(hunks, start=1):
        # Hunks apply in order to the changed code, but only a unique text is replaced, so an
        # earlier hunk can't move the target of a later one.
        code = _replaced(code, edit, f"Hunk {number} of {len(hunks)}", line)
    return code


def _replaced(code: str, edit: Edit, label: str, near: int | None) -> str:
    if not edit.old:
        raise InvalidInput(
            f"{label} has no old text, so its place is unknown; nothing was changed.",
            hint="Give a line that stands there as old, and the same line with what to add as new.",
        )

    # Overlapping occurrences count once, as str.replace counts them.
    positions = [position.start() for position in re.finditer(re.escape(edit.old), code)]
    if not positions:
        raise _missing(code, edit, label)
    if edit.replace_all:
        return code.replace(edit.old, edit.new)

    if len(positions) > 1:
        at = [code.count("\n", 0, position) + 1 for position in positions]
        if near not in at:
            numbers = ", ".join(map(str, at[:_MAX_LINES_SHOWN])) + (
                " …" if len(at) > _MAX_LINES_SHOWN else ""
            )
            raise InvalidInput(
                f"{label}: its old text occurs {len(at)} times, on lines {numbers}; nothing was changed.",
                hint="Take in a neighbouring line, so that it stands there once, or give replace_all.",
            )
        positions = [positions[at.index(near)]]

    start = positions[0]
    return code[:start] + edit.new + code[start + len(edit.old) :]


def _missing(code: str, edit: Edit, label: str) -> InvalidInput:
    lines, old_lines = code.split("\n"), [line.strip() for line in edit.old.strip().split("\n")]
    bare = [line.strip() for line in lines]
    # Wrong indentation is the most common fault of models, and has a precise answer.
    for at in range(len(lines) - len(old_lines) + 1):
        if old_lines and bare[at : at + len(old_lines)] == old_lines:
            return InvalidInput(
                f"{label}: line {at + 1} has its old text with other spaces; nothing was changed.",
                hint="Give its spaces exactly as they are there.",
            )

    if old_lines:
        near = difflib.get_close_matches(old_lines[0], bare, n=1, cutoff=0.6)
    else:
        near = []

    if near:
        position = f"; the nearest is line {bare.index(near[0]) + 1}"
    else:
        position = ""

    return InvalidInput(
        f"{label}: its old text is not in the code{position}; nothing was changed.",
        hint="Look at the code as it is now (get_workflow with include_code) and give the text exactly.",
    )


def _hunks(patch: str) -> Iterator[tuple[int | None, Edit]]:
    """(expected line, edit) of each hunk of a patch, or of a drawn difference.

    Raises InvalidInput where two lines may be of the code or name a file.
    """
    # The added "@@" ends the last hunk like any other.
    lines = [*normalise(patch).removesuffix("\n").split("\n"), "@@"]
    head: re.Match[str] | None = None
    old: list[str] = []
    new: list[str] = []
    skipped = 0

    for at, line in enumerate(lines):
        if skipped:
            skipped -= 1
        elif header := _HUNK.fullmatch(line):
            # A hunk of context alone changes nothing.
            if head and old != new:
                yield int(head[1]) if head[1] else None, Edit(old="\n".join(old), new="\n".join(new))
            head, old, new = header, [], []
        # In front of the first hunk are the names of files.
        elif head is None or line.startswith("\\"):
            continue
        elif _names_file(lines[at : at + 3]):
            if (len(old), len(new)) != (int(head[2] or 1), int(head[3] or 1)) or not head[1]:
                raise InvalidInput(
                    f"Line {at + 1} of the patch may be a line of the code or the name of a file; nothing was changed.",
                    hint="Give the hunks of one file below one head, or each hunk's numbers of lines.",
                )
            skipped = 1
        else:
            # The lines of code that begin with `-- ` or `++ ` look like names of files.
            text = unspelled(line[1:].removesuffix(NO_NEWLINE))
            if not line.startswith("+"):
                old.append(text)
            if not line.startswith("-"):
                new.append(text)


def _names_file(lines: list[str]) -> bool:
    """Whether these lines can be the head of another file's hunks."""
    return [line[:4] for line in lines[:2]] == ["--- ", "+++ "] and bool(_HUNK.fullmatch(lines[2]))
