"""Finds many byte strings at once, in a stream: the engine of the scrubber."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

HEAD = 256
"""Bytes that the search itself compares; a longer string is found by its first ones, its head."""


class MultiPattern:
    """An immutable set of byte strings, each with a label, whose heads are found in data.

    One automaton over all heads (Aho-Corasick) reads data once, however many heads there are. Its contiguous form takes
    less than a millisecond to build for 50 secrets, since one is built for each run.
    """

    def __init__(self, strings: Iterable[tuple[bytes, bytes]]) -> None:
        self._endings: dict[bytes, list[tuple[bytes, bytes]]] = {}
        for string, label in strings:
            self._endings.setdefault(string[:HEAD], []).append((string[HEAD:], label))
        self._sorted = sorted(self._endings)
        self._automaton = BytesAhoCorasick(
            self._sorted, matchkind=MatchKind.LeftmostLongest, implementation=Implementation.ContiguousNFA
        )
        self._pairs = {head[:2] for head in self._sorted}
        self._firsts = {head[:1] for head in self._sorted}
        self._longest = max(map(len, self._sorted))

    def endings(self, head: bytes) -> list[tuple[bytes, bytes]]:
        """What follows the head, and the label, of each string with that head."""
        return self._endings[head]

    def found_in(self, data: bytes, position: int = 0) -> deque[tuple[int, bytes]]:
        """(position, head) of each place in the data from `position` on, leftmost first, the longest there, none within
        another.
        """
        found = self._automaton.find_matches_as_indexes(memoryview(data)[position:] if position else data)
        return deque((start + position, self._sorted[index]) for index, start, _ in found)

    def unfinished(self, data: bytes) -> list[int]:
        """Each position from which the data, up to its end, could be the beginning of a longer head."""
        start, last = max(0, len(data) - self._longest + 1), len(data) - 1
        pairs = self._pairs
        candidates = [i for i in range(start, last) if data[i : i + 2] in pairs]
        if last >= start and data[last:] in self._firsts:
            candidates.append(last)
        return [i for i in candidates if self._begins_head(data[i:])]

    def _begins_head(self, part: bytes) -> bool:
        index = bisect_left(self._sorted, part)
        if index < len(self._sorted) and self._sorted[index] == part:
            index += 1
        return index < len(self._sorted) and self._sorted[index].startswith(part)
