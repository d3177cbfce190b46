"""Counters and histograms, and the text in which Prometheus reads them.

An instrument is a dictionary of numbers by label values. The text of a series' labels is made once, when the series
begins, so that writing a page costs a concatenation for each series.
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

OTHER: Final = "other"
"""The label value of all names beyond a limit."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MAX_LABEL: Final = 120
"""Characters of a label value. Longer ones are cut."""
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Kind = Literal["counter", "gauge"]


class BoundedNames:
    """The first `limit` names that come are label values, every later one is `other`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._names: set[str] = set()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[str]:
        """The names that are label values."""
        return iter(sorted(self._names))

    def label(self, name: str, *, admits: bool = True) -> str:
        """The label value of a name. With `admits` false a name that is not known yet takes no place."""
        if name in self._names:
            return name
        with self._lock:
            if not admits or len(self._names) >= self.limit:
                return OTHER
            self._names.add(name)
        return name


class Counter:
    """A number that grows, for each combination of label values. Safe in every thread."""

    def __init__(self, name: str, description: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.description = description
        self._labels = tuple(labels)
        self._cells: dict[tuple[str, ...], _Cell] = {}
        self._lock = threading.Lock()

    def add(self, *values: str, amount: float = 1) -> None:
        """Add to the series of these label values."""
        with self._lock:
            cell = self._cells.get(values)
            if cell is None:
                cell = self._cells[values] = _Cell(label_text(self._labels, values))
            cell.value += amount

    def value(self, *values: str) -> float:
        """The number of a series; 0 for one that has not begun."""
        cell = self._cells.get(values)
        return 0.0 if cell is None else cell.value

    def lines(self) -> Iterator[str]:
        """The family in Prometheus' text format."""
        with self._lock:
            series = [(cell.labels, cell.value) for cell in self._cells.values()]
        yield from family(self.name, self.description, "counter", series)


class Histogram:
    """Counts of values by upper bound, their number and their sum, for each combination of label values.

    Safe in every thread.
    """

    def __init__(
        self, name: str, description: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.description = description
        self._bounds = tuple(bounds)
        self._bound_texts = (*(number_text(bound) for bound in bounds), "+Inf")
        self._labels = tuple(labels)
        self._cells: dict[tuple[str, ...], _Buckets] = {}
        self._lock = threading.Lock()

    def observe(self, value: float, *labels: str) -> None:
        """Count a value in the series of these label values."""
        with self._lock:
            cell = self._cells.get(labels)
            if cell is None:
                cell = self._cells[labels] = _Buckets(label_text(self._labels, labels), len(self._bounds) + 1)
            cell.counts[bisect_left(self._bounds, value)] += 1
            cell.sum += value

    def count(self, *labels: str) -> int:
        """The number of values of a series."""
        cell = self._cells.get(labels)
        return 0 if cell is None else sum(cell.counts)

    def lines(self) -> Iterator[str]:
        """The family in Prometheus' text format."""
        with self._lock:
            series = [(cell.labels, tuple(cell.counts), cell.sum) for cell in self._cells.values()]
        yield from _head(self.name, self.description, "histogram")

        name = self.name
        for labels, counts, total in series:
            before = f'{name}_bucket{{{labels}{"," if labels else ""}le="'
            seen = 0
            for bound, count in zip(self._bound_texts, counts, strict=True):
                seen += count
                yield f'{before}{bound}"}} {seen}\n'
            braces = f"{{{labels}}}" if labels else ""
            yield f"{name}_sum{braces} {number_text(total)}\n{name}_count{braces} {seen}\n"


class _Cell:
    __slots__ = ("labels", "value")

    def __init__(self, labels: str) -> None:
        self.labels = labels
        self.value = 0.0


class _Buckets:
    __slots__ = ("counts", "labels", "sum")

    def __init__(self, labels: str, size: int) -> None:
        self.labels = labels
        self.counts = [0] * size
        self.sum = 0.0


def family(name: str, description: str, kind: Kind, series: Iterable[tuple[str, float]]) -> Iterator[str]:
    """A family of plain numbers in Prometheus' text format; each with the text of its labels, "" for none."""
    yield from _head(name, description, kind)
    for labels, value in series:
        yield f"{name}{{{labels}}} {number_text(value)}\n" if labels else f"{name} {number_text(value)}\n"


def label_text(names: Sequence[str], values: Sequence[str]) -> str:
    """Labels as they stand between the braces."""
    return ",".join(
        f'{name}="{clean_label(value).translate(_ESCAPES)}"'
        for name, value in zip(names, values, strict=True)
    )


def clean_label(text: str) -> str:
    """Cut a label value, and show control and bidirectional characters as a mark: they hide what follows."""
    cut = text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else "�" for char in cut)


def number_text(value: float) -> str:
    """A number in Prometheus' text format."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(float(value))


def _head(name: str, description: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {description}\n# TYPE {name} {kind}\n"
