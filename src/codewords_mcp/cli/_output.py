"""Print output of commands: results on stdout, messages about them on stderr."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from codewords_mcp.cli._terminal import terminal_json, terminal_text
from codewords_mcp.common.unseen import spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from rich.console import Console


_LEAST_PROSE = 20
"""Columns that prose at the end of a table needs to be worth reading."""


def console(*, stderr: bool = False) -> Console:
    """A rich console that leaves strings alone: no markup, no guessing at numbers and paths."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """Print a JSON value: on one stdout line when piped, indented on a terminal."""
    if not sys.stdout.isatty():
        json_line(value)
        return
    from rich.highlighter import JSONHighlighter
    from rich.text import Text

    shown = Text(terminal_json(value, indent=2))
    JSONHighlighter().highlight(shown)  # rich's own JSON would parse it, and undo the escapes
    console().print(shown, soft_wrap=True)


def json_line(value: Any) -> None:
    """Print a JSON value on one stdout line."""
    _write(terminal_json(value) + "\n")


def raw(content: str) -> None:
    """Text on stdout as it is in a pipe, and as a terminal may have it there."""
    _write(terminal_text(content) if sys.stdout.isatty() else content)


def program(code: str) -> None:
    """A program on stdout: as it is in a pipe, on a terminal with what is not seen spelled out as in a difference."""
    if sys.stdout.isatty():
        code = "\n".join(map(spelled, code.split("\n")))
    _write(code)


def line(text: str = "", style: str = "") -> None:
    """A line of a result on stdout, never wrapped."""
    _styled_line(terminal_text(text), style, stderr=False)


def prose(text: str, style: str = "", *, indent: int = 0) -> None:
    """A sentence on stdout; on a terminal it wraps between words, under itself."""
    text = terminal_text(text)
    if not sys.stdout.isatty():
        _write(" " * indent + text + "\n")
        return
    _wrapped(console(), text, style, indent)


def _wrapped(shown: Console, text: str, style: str, indent: int) -> None:
    from rich.padding import Padding
    from rich.text import Text

    shown.print(Padding(Text(text, style, overflow="fold"), (0, 0, 0, indent), expand=False))


def clipped(text: str, style: str = "") -> None:
    """A line on stdout that ends with the terminal's edge."""
    text = terminal_text(text)
    if not sys.stdout.isatty():
        _write(text + "\n")
        return
    from rich.text import Text

    console().print(Text(text, style), no_wrap=True, overflow="ellipsis")


def note(text: str, style: str = "dim", *, always: bool = False, whole: bool = False) -> None:
    """A line about the result on stderr, for a person at a terminal; with `always` in a pipe too.

    On a terminal it wraps between words; with `whole` it does not, so that it can be copied.
    """
    if sys.stderr.isatty() and not whole:
        _wrapped(console(stderr=True), terminal_text(text), style, 0)
    elif always or sys.stderr.isatty():
        _styled_line(terminal_text(text), style, stderr=True)


def labelled(mark: str, style: str, label: str, text: str) -> None:
    """`✓ label   text` on stdout; on a terminal a long text wraps under itself."""
    text = terminal_text(text)
    if not sys.stdout.isatty():
        under = "\n" + " " * 12
        _write(f"{mark or ' '} {label:<9} {text.replace(chr(10), under)}".rstrip() + "\n")
        return

    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(width=9)
    grid.add_column(overflow="fold")
    grid.add_row(Text(mark, style), Text(label, "bold"), Text(text))
    console().print(grid)


def error(message: str, hint: str = "") -> None:
    """`error: sentence` and `hint: what to do` on stderr, after what stdout says."""
    # Both streams often are one terminal, where the order must be right.
    sys.stdout.flush()
    for label, style, text in (("error", "bold red", message), ("hint", "bold cyan", hint)):
        if not text:
            continue
        if sys.stderr.isatty():
            from rich.text import Text

            console(stderr=True).print(Text.assemble((f"{label}: ", style), terminal_text(text)))
        else:
            sys.stderr.write(f"{label}: {terminal_text(text)}\n")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Rows on stdout; `empty` on stderr when there are none."""
    if not rows:
        note(empty)
        return
    # A newline or tab in a name would break the columns of a pipe.
    cells = [[re.sub(r"\s+", " ", terminal_text(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _write("".join("\t".join(row) + "\n" for row in cells))
        return
    _draw([list(headers), *cells])


def _draw(lines: list[list[str]]) -> None:
    """Aligned columns. Only prose in the last one may be cut; where more would be, each row is a block of its own."""
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    shown = console()
    # `cell_len` and not len: some characters are two columns wide.
    widths = [max(cell_len(line[index]) for line in lines) + 2 for index in range(len(lines[0]) - 1)]
    last = max(cell_len(line[-1]) for line in lines)

    if any(" " in line[-1] for line in lines[1:]):
        needed = min(last, _LEAST_PROSE)
    else:
        needed = last

    if sum(widths) + needed > shown.width:
        _draw_blocks(shown, lines)
        return

    for number, cells in enumerate(lines):
        text = (
            "".join(set_cell_size(cell, width) for cell, width in zip(cells, widths, strict=False))
            + cells[-1]
        )
        shown.print(Text(text, "bold" if number == 0 else ""), no_wrap=True, overflow="ellipsis")


def _draw_blocks(shown: Console, lines: list[list[str]]) -> None:
    """The first column of each row, and the others named below it."""
    from rich.padding import Padding
    from rich.text import Text

    headers = lines[0]

    for cells in lines[1:]:
        shown.print(Text(cells[0], "bold"), soft_wrap=True)
        named = zip(headers[1:], cells[1:], strict=True)
        facts = [f"{header.lower()} {cell}" for header, cell in named if cell]
        for packed in _packed(facts, shown.width - 2):
            shown.print(Padding(Text(packed, overflow="fold"), (0, 0, 0, 2), expand=False))


def _packed(facts: list[str], width: int) -> list[str]:
    """Pack facts into lines, as many as fit. A fact is broken only if it is longer than a line."""
    from rich.cells import cell_len

    packed: list[str] = []
    for fact in facts:
        if packed and cell_len(f"{packed[-1]} · {fact}") <= width:
            packed[-1] += f" · {fact}"
        else:
            packed.append(fact)
    return packed


@contextmanager
def spinner(message: str) -> Generator[Callable[[str], None]]:
    """A moving line on stderr while the block runs; yields what changes its text. Silent when piped."""
    if not sys.stderr.isatty():
        yield _ignore
        return
    shown = console(stderr=True)
    with shown.status(_fit(terminal_text(message), shown.width)) as status:

        def update(text: str) -> None:
            status.update(_fit(terminal_text(text), shown.width))

        yield update


def _ignore(_text: str) -> None:
    """Nobody watches."""


def _fit(text: str, width: int) -> str:
    from rich.markup import escape

    # Room for the spinner itself.
    room = max(width - 4, 10)
    # A spinner reads its text as markup, whatever the console is set to.
    return escape(text if len(text) <= room else text[: room - 1] + "…")


def _styled_line(text: str, style: str, *, stderr: bool) -> None:
    stream = sys.stderr if stderr else sys.stdout
    if style and stream.isatty():
        from rich.text import Text

        console(stderr=stderr).print(Text(text, style), soft_wrap=True)
    else:
        stream.write(text + "\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def size(number: float) -> str:
    """Bytes for people: `2 GB`, `1.5 GB`, `300 MB`."""
    for unit in ("bytes", "KB", "MB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f}".removesuffix(".0") + " GB"
