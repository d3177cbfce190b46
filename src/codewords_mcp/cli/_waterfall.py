"""A trace as a waterfall: a line for each span, with its bar, and log lines between them."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from codewords_mcp.cli import _output
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._run_report import STYLES
from codewords_mcp.cli._terminal import terminal_text
from codewords_mcp.runtime.model.log_text import is_server_line

MAX_ROWS: Final = 400
"""Spans that are drawn; the others are counted."""
PIPED_WIDTH: Final = 120
"""Columns where the output is no terminal and `COLUMNS` is not set."""
_MIN_WIDTH: Final = 60
_DURATION: Final = 8
_FRACTIONS: Final = "▏▎▍▌▋▊▉█"
_KIND_STYLES: Final = {
    "run": "bold",
    "attempt": "bold",
    "step": "bold",
    "request": "cyan",
    "connection": "cyan",
    "model": "magenta",
    "service": "blue",
    "workflow": "blue",
    "runtime": "blue",
}
_QUIET: Final = "dim"


class StyledText(NamedTuple):
    """A part of a line in one style."""

    text: str
    style: str = ""


Line = list[StyledText]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Columns of the name, the bar and the details of a line that is `width` columns wide."""

    width: int
    name: int
    bar: int
    detail: int
    total_ms: float
    ascii_only: bool


@dataclass(slots=True)
class _Row:
    """A line of the waterfall at its time."""

    at_ms: float
    pieces: Line = field(default_factory=Line)


def print_trace(trace: Json) -> None:
    """Print a trace on stdout, as wide as the terminal."""
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    ascii_only = not encoding.startswith("utf")
    for line in draw(trace, _width(), ascii_only=ascii_only):
        _print(line, ascii_only=ascii_only)
    for why in trace.get("incomplete", []):
        _output.prose(f"Not complete: {why}.", "yellow")


def draw(trace: Json, width: int, *, ascii_only: bool = False) -> list[Line]:
    """The lines of a waterfall; none is wider than `width` columns, which are at least 60."""
    spans = cast("list[Json]", trace["spans"])
    layout = _layout(trace, spans, max(width, _MIN_WIDTH), ascii_only=ascii_only)
    depths = _depths(spans)
    rows = [_row(span, depths[span["id"]], layout) for span in spans[1 : MAX_ROWS + 1]]
    lines = [*_head(trace, layout), _axis(layout), *_with_log(rows, trace, layout)]
    if len(spans) > MAX_ROWS + 1:
        lines.append([StyledText(f"{len(spans) - MAX_ROWS - 1} more spans: --json", _QUIET)])
    return lines


def _width() -> int:
    if sys.stdout.isatty():
        return _output.console().width
    # The variable may hold anything, and a number of five digits is no width.
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and len(columns) < 5:
        return int(columns)
    return PIPED_WIDTH


def _print(line: Line, *, ascii_only: bool) -> None:
    if not sys.stdout.isatty():
        text = "".join(piece.text for piece in line).rstrip()
        if ascii_only:
            text = text.replace("…", "~").encode("ascii", "replace").decode()
        _output.raw(text + "\n")
        return

    from rich.text import Text

    text = Text.assemble(*((piece.text, piece.style) for piece in line))
    text.rstrip()
    _output.console().print(text, no_wrap=True, overflow="crop", crop=True)


def _layout(trace: Json, spans: list[Json], width: int, *, ascii_only: bool) -> _Layout:
    # A program may go on after its response, so spans can end after the run.
    total = max([float(trace["duration_ms"]), *(_end(span) for span in spans)])
    # Two thirds of what the durations leave are for words: names first, then details.
    room = width - _DURATION - 3
    name = min(max(room * 2 // 5, 24), 64)
    bar = max((room - name) * 11 // 20, 12)
    return _Layout(width, name, bar, room - name - bar, max(total, 0.01), ascii_only)


def _depths(spans: list[Json]) -> dict[str, int]:
    """The depth of each span below the run's own, which has no line."""
    depths: dict[str, int] = {}
    for span in spans:
        depths[span["id"]] = depths.get(span.get("parent_id") or "", -2) + 1
    return depths


def _head(trace: Json, layout: _Layout) -> list[Line]:
    status = str(trace["status"])
    facts = [status, format_ms(float(trace["duration_ms"]))]
    if trace.get("mode"):
        facts.insert(0, str(trace["mode"]).replace("_", " "))
    if trace.get("cost_usd"):
        facts.append(format_cost(float(trace["cost_usd"])))
    name = str(trace.get("workflow_id") or trace["run_id"])
    if trace.get("version"):
        name += f" version {trace['version']}"

    shown = f"{terminal_text(name)}  {', '.join(facts)}"
    style = STYLES.get(status, "bold")
    run = f"run {trace['run_id']}"
    if len(shown) + len(run) + 2 <= layout.width:
        return [[StyledText(f"{shown}  ", style), StyledText(run, _QUIET)]]
    return [[StyledText(_cut(shown, layout.width), style)], [StyledText(run, _QUIET)]]


def _axis(layout: _Layout) -> Line:
    """The scale over the bars: its begin and its end."""
    end = format_ms(layout.total_ms)
    scale = "0" + end.rjust(layout.bar - 1)
    return [StyledText(" " * (layout.name + _DURATION + 2) + scale, _QUIET)]


def _row(span: Json, depth: int, layout: _Layout) -> _Row:
    indent = "  " * min(max(depth, 0), 8)
    kind = str(span["kind"])
    style = _KIND_STYLES.get(kind, _QUIET)
    failed = span["status"] == "error"
    mark = ""
    if kind == "step":
        mark = "> " if layout.ascii_only else "▸ "
    name = _padded(indent + mark + terminal_text(str(span["name"])).replace("\n", " "), layout.name)
    duration = span.get("duration_ms")
    lasted = "…" if duration is None else format_ms(float(duration))
    if layout.ascii_only:
        lasted = lasted.replace("…", "...")

    detail_style = _QUIET
    if failed:
        detail_style = "red"
    elif span.get("outcome") == "held":
        detail_style = "yellow"

    pieces = [
        StyledText(name, "red" if failed else style),
        StyledText(" " + lasted.rjust(_DURATION) + " "),
        StyledText(_padded(_bar(span, layout), layout.bar), "red" if failed else style.replace("bold", "")),
        StyledText(" " + _cut(_details(span), layout.detail), detail_style),
    ]
    return _Row(float(span["start_ms"]), pieces)


def _bar(span: Json, layout: _Layout) -> str:
    """The span's place on the scale, to an eighth of a column."""
    scale = layout.bar / layout.total_ms
    start = min(float(span["start_ms"]) * scale, layout.bar - 1.0)
    is_open = span.get("duration_ms") is None
    if is_open:
        end = float(layout.bar)
    else:
        end = min(_end(span) * scale, float(layout.bar))
    first = int(start)
    if layout.ascii_only:
        return " " * first + ("." if is_open else "#") * max(round(end - first), 1)
    if is_open:
        return " " * first + "░" * max(round(end - first), 1)

    # Blocks are filled from the left, so that a bar begins with its column and ends within one.
    eighths = max(round((end - start) * 8), 1)
    full, rest = divmod(eighths, 8)
    drawn = "█" * full + (_FRACTIONS[rest - 1] if rest else "")
    return (" " * first + drawn)[: layout.bar]


def _details(span: Json) -> str:
    """Status, outcome, bytes, tokens and cost, and why something failed."""
    facts: list[str] = []
    outcome = span.get("outcome")
    if span.get("http_status"):
        facts.append(str(span["http_status"]))
    if outcome not in {None, "sent"}:
        facts.append(str(outcome))
    if span.get("input_tokens") is not None or span.get("output_tokens") is not None:
        facts.append(f"{span.get('input_tokens') or 0}+{span.get('output_tokens') or 0} tokens")
    if span.get("cost_usd"):
        facts.append(format_cost(float(span["cost_usd"])))
    if span.get("cached"):
        facts.append("cached")
    if not facts or span["kind"] in {"request", "connection"}:
        facts += _bytes(span)
    if span.get("note"):
        facts.append(terminal_text(str(span["note"])))
    return " ".join(facts).replace("\n", " ")


def _bytes(span: Json) -> list[str]:
    sent, received = span.get("sent_bytes") or 0, span.get("received_bytes") or 0
    facts: list[str] = []
    if sent:
        facts.append(f"{_size(sent)} out")
    if received:
        facts.append(f"{_size(received)} in")
    return facts


def _size(count: int) -> str:
    return _output.size(count).replace(" bytes", " B")


def _with_log(rows: list[_Row], trace: Json, layout: _Layout) -> list[Line]:
    """The rows, with each log line behind the last span that began before it."""
    lines = [entry for entry in trace.get("logs", []) if _tells_more(entry)]
    behind: dict[int, list[Line]] = {}
    starts = [row.at_ms for row in rows]
    for entry in lines:
        at = float(entry["at_ms"])
        place = max((index for index, start in enumerate(starts) if start <= at), default=-1)
        behind.setdefault(place, []).append(_log_line(entry, layout))

    drawn: list[Line] = behind.get(-1, [])
    for index, row in enumerate(rows):
        drawn += [row.pieces, *behind.get(index, [])]

    missing = int(trace.get("log_lines") or 0) - len(trace.get("logs", []))
    if missing > 0:
        # A trace has the last lines only.
        drawn.append([StyledText(f"{missing} earlier log lines: codewords logs RUN", _QUIET)])
    return drawn


def _tells_more(entry: Json) -> bool:
    """Whether a log line says something that no span does."""
    message = str(entry["message"])
    return not is_server_line(entry["stream"], message) and "STEPLOG START " not in message


def _log_line(entry: Json, layout: _Layout) -> Line:
    bar = "|" if layout.ascii_only else "│"
    message = terminal_text(str(entry["message"])).replace("\n", " ").replace("\t", " ")
    at = format_ms(float(entry["at_ms"])).rjust(_DURATION)
    shown = _cut(f"{at} {bar} {message}", layout.width)
    return [StyledText(shown, "red" if entry["stream"] == "stderr" else _QUIET)]


def format_ms(value: float) -> str:
    """A duration for people: `0.4 ms`, `252 ms`, `1.25 s`, `2 m 05 s`, `3 h 02 m`."""
    if value < 10:
        return f"{value:.1f} ms".replace(".0 ms", " ms")
    # From here on it would be rounded to 1000 ms.
    if value < 999.5:
        return f"{value:.0f} ms"
    if value < 59_995:
        return f"{value / 1000:.2f} s"
    minutes, seconds = divmod(round(value / 1000), 60)
    if minutes < 60:
        return f"{minutes} m {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m"


def format_cost(value: float) -> str:
    """US dollars with two significant digits at the least: `$12.50`, `$0.021`, `$0.000012`."""
    if value > 0:
        decimals = max(2, 1 - int(math.log10(value) // 1))
    else:
        decimals = 2
    return f"${value:.{decimals}f}"


def _end(span: Json) -> float:
    return float(span["start_ms"]) + float(span.get("duration_ms") or 0.0)


def _cut(text: str, width: int) -> str:
    """The text in at most this many columns."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1) + "…"


def _padded(text: str, width: int) -> str:
    from rich.cells import set_cell_size

    return set_cell_size(_cut(text, width), width)
