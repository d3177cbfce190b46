"""Finds many byte strings at once, in a stream: the engine of the scrubber."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

MAX_PREFIX = 256
"""Bytes that the search itself compares; a longer string is found by its first ones, its head."""


class MultiPattern:
    """An immutable set of byte strings, each with a label, whose prefixes are found in data.

    One automaton over all prefixes (Aho-Corasick) reads data once, however many there are. Its
    contiguous form takes less than a millisecond to build for 50 secrets, and is built for each
    run.
    """

    def __init__(self, strings: Iterable[tuple[bytes, bytes]]) -> None:
        self._endings: dict[bytes, list[tuple[bytes, bytes]]] = {}
        for string, label in strings:
            # Strings with equal prefixes are told apart after the match, by their endings.
            self._endings.setdefault(string[:MAX_PREFIX], []).append((string[MAX_PREFIX:], label))
        self._sorted = sorted(self._endings)
        self._automaton = BytesAhoCorasick(
            self._sorted, matchkind=MatchKind.LeftmostLongest, implementation=Implementation.ContiguousNFA
        )
        # Two bytes rule out almost every position before a prefix is compared.
        self._pairs = {prefix[:2] for prefix in self._sorted}
        self._firsts = {prefix[:1] for prefix in self._sorted}
        self._longest = max(map(len, self._sorted))

    def endings(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Return the rest after the prefix, and the label, of each string with that prefix."""
        return self._endings[prefix]

    def find(self, data: bytes, position: int = 0) -> deque[tuple[int, bytes]]:
        """Find (position, prefix) in the data from `position` on, leftmost first.

        At one position the longest prefix is found, and none within another.
        """
        # A view: a slice would copy the rest of the data at each match.
        found = self._automaton.find_matches_as_indexes(memoryview(data)[position:] if position else data)
        return deque((start + position, self._sorted[index]) for index, start, _ in found)

    def unfinished(self, data: bytes) -> list[int]:
        """Each position from which the data, up to its end, could be the beginning of a longer head."""
        # Only the last bytes can begin a string that goes on in the next chunk.
        start, last = max(0, len(data) - self._longest + 1), len(data) - 1
        pairs = self._pairs
        candidates = [i for i in range(start, last) if data[i : i + 2] in pairs]
        if last >= start and data[last:] in self._firsts:
            candidates.append(last)
        return [i for i in candidates if self._begins_prefix(data[i:])]

    def _begins_prefix(self, part: bytes) -> bool:
        index = bisect_left(self._sorted, part)
        if index < len(self._sorted) and self._sorted[index] == part:
            index += 1
        return index < len(self._sorted) and self._sorted[index].startswith(part)
