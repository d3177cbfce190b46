"""Print the drawn difference of two programs on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from codewords_mcp.cli import _output

_STYLES: Final = {"+": "green", "-": "red", "@": "cyan", "…": "dim"}
"""Kind of a row (`runtime.model.code_difference`) → style."""
_GOES_ON: Final = "↪"
"""Begins no row."""


def print_rows(
    drawn: str, *, indent: int = 0, most: int = sys.maxsize, stderr: bool = False, columns: int | None = None
) -> None:
    """Print the rows; with `most` only so many, and the number of the others. `columns`: if not the terminal's.

    A row that is longer than the terminal goes on under a mark: where the terminal itself broke it, its rest could be made to
    look like another row.
    """
    rows = drawn.split("\n")
    left_out = max(len(rows) - most, 0)
    if columns is None:
        columns = _columns(stderr=stderr)
    for row in rows[: len(rows) - left_out]:
        for piece in _pieces(row, columns - indent):
            _print(" " * indent + piece, _STYLES.get(row[:1], ""), stderr=stderr)
    if left_out:
        _print(f"{' ' * indent}… {left_out} more lines of the difference", "dim", stderr=stderr)


def _print(text: str, style: str, *, stderr: bool) -> None:
    if stderr:
        _output.note(text, style, always=True, whole=True)
    else:
        _output.line(text, style)


def _columns(*, stderr: bool) -> int:
    """The width of the terminal; 0 for a pipe, where nothing breaks rows."""
    if (sys.stderr if stderr else sys.stdout).isatty():
        return _output.console(stderr=stderr).width
    return 0


def _pieces(row: str, columns: int) -> Iterator[str]:
    """The row in pieces that fit."""
    if columns < 20 or len(row) * 2 <= columns:
        yield row
        return
    from rich.cells import chop_cells

    first, *rest = chop_cells(row, columns - 2)
    yield first
    yield from (f"{_GOES_ON} {piece}" for piece in rest)
