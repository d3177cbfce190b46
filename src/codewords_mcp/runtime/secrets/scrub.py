"""Takes the values of secrets out of output, as it streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.runtime.secrets.encodings import forms
from codewords_mcp.runtime.secrets.multi_pattern import MAX_PREFIX, MultiPattern

MIN_LENGTH = 6
"""Characters of the shortest value that is scrubbed."""

_DEEPEST = 300


def label_of(name: str) -> str:
    """The text that stands in place of a secret's value."""
    return f"[secret {name}]"


class Scrubber:
    """Replaces the values of secrets by `[secret NAME]`, in every encoding, across chunk
    boundaries.

    One scrubber serves one stream: `feed` each chunk, then `flush`; `another` makes one for a
    second stream. `text` and `json` take complete values and do not touch the stream. Without a
    value to scrub, it is false and returns its input unchanged.

    Values of fewer than 6 characters are not scrubbed: `true` or `5432` would vanish from ordinary
    text, and the gaps would reveal the value. Other transformations by a program (compressing,
    reversing, spelling out) get through: this guards against accidents.

    Only bytes that could begin a value wait for the next chunk, at most 255. Encodings over 256
    bytes are recognised by their first 256; following bytes are dropped while they continue the
    encoding. So time is linear in the output, and a truncated long value is scrubbed too.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        labels: dict[bytes, bytes] = {}
        for name, value in values.items():
            if len(value) >= MIN_LENGTH:
                for form in forms(value):
                    # The first name wins where two secrets have the same value.
                    labels.setdefault(form, label_of(name).encode())

        if labels:
            self._patterns = MultiPattern(sorted(labels.items()))
        else:
            self._patterns = None

        self._same_length = False
        self._pending = b""
        self._continuations: list[bytes] = []

    def another(self, *, same_length: bool = False) -> Scrubber:
        """Return a scrubber of the same values for another stream, without computing the encodings
        again.

        With `same_length` labels are cut or filled up with `*`, for receivers that count bytes.
        """
        copy = Scrubber({})
        copy._patterns = self._patterns
        copy._same_length = same_length
        return copy

    def __bool__(self) -> bool:
        return self._patterns is not None

    def feed(self, data: bytes) -> bytes:
        """The next chunk, scrubbed."""
        if self._patterns is None:
            return data
        return self._scrub(self._patterns, data, final=False)

    def flush(self) -> bytes:
        """End the stream. Returns the bytes that were still buffered."""
        if self._patterns is None:
            return b""
        rest = self._scrub(self._patterns, b"", final=True)
        self._continuations = []
        return rest

    def text(self, text: str) -> str:
        """A whole text, scrubbed."""
        if self._patterns is None:
            return text
        data = text.encode("utf-8", "surrogatepass")
        # Identity, not equality: most texts hold no secret and are returned as they are.
        clean = self.whole(data)
        if clean is data:
            return text
        return clean.decode("utf-8", "surrogatepass")

    def whole(self, data: bytes) -> bytes:
        """Whole data, scrubbed."""
        # Searched first: data without a secret is not copied.
        if self._patterns is None or not self._patterns.find(data):
            return data
        stream = self.another()
        return stream.feed(data) + stream.flush()

    def json(self, value: JsonValue) -> JsonValue:
        """Scrub the strings, keys and numbers of a JSON value; a number that is a secret becomes a
        string.

        Values nested deeper than 300 are replaced by a string that says so.
        """
        if self._patterns is None:
            return value
        return self._walk(value, 0)

    def _walk(self, value: JsonValue, depth: int) -> JsonValue:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (dict, list, tuple)):
            return self._walk_into(cast("dict[str, Any] | list[Any]", value), depth)

        # A number may be a PIN or an account; bool is an int in Python.
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            shown = repr(value)
            scrubbed = self.text(shown)
            if scrubbed == shown:
                return value

            return scrubbed

        return value

    def _walk_into(self, value: JsonObject | list[JsonValue], depth: int) -> JsonValue:
        # Deeper data would exceed Python's own recursion limit.
        if depth >= _DEEPEST:
            return "[nested too deeply to scrub]"
        if not isinstance(value, dict):
            return [self._walk(item, depth + 1) for item in value]
        return {self.text(str(key)): self._walk(item, depth + 1) for key, item in value.items()}

    def _scrub(self, patterns: MultiPattern, data: bytes, *, final: bool) -> bytes:
        data = self._pending + data
        done: list[bytes] = []
        # The previous chunk may have ended inside a long value.
        position = self._skip_continuation(data, 0, done)
        # At the end nothing can go on: what could begin a value is given out.
        unfinished = [] if final else patterns.unfinished(data)
        limit = _first_from(unfinished, position, len(data))
        matches = patterns.find(data, position)

        while matches and matches[0][0] < limit:
            start, prefix = matches.popleft()
            done.append(data[position:start])
            position = self._replace(patterns, prefix, data, start + len(prefix), done)
            limit = _first_from(unfinished, position, len(data))
            # The dropped bytes may contain the beginning of another value.
            if matches and matches[0][0] < position:
                matches = patterns.find(data, position)

        self._pending = data[limit:]
        done.append(data[position:limit])
        return b"".join(done)

    def _replace(
        self, patterns: MultiPattern, prefix: bytes, data: bytes, end: int, done: list[bytes]
    ) -> int:
        """Write the label, and pass over the rest of a form longer than its head."""
        endings = patterns.endings(prefix)
        if len(prefix) < MAX_PREFIX:
            done.append(self._fitted(endings[0][1], len(prefix)))
            return end
        # Of several long strings with one prefix, the one that the data follows furthest.
        lengths = [_common(ending, data, end) for ending, _ in endings]
        done.append(self._fitted(endings[lengths.index(max(lengths))][1], len(prefix)))
        self._continuations = [ending for ending, _ in endings]
        return self._skip_continuation(data, end, done)

    def _fitted(self, label: bytes, length: int) -> bytes:
        if self._same_length:
            return label[:length].ljust(length, b"*")
        return label

    def _skip_continuation(self, data: bytes, position: int, done: list[bytes]) -> int:
        """Skip the continuation of a long encoding; remember encodings that the next chunk may
        continue.
        """
        if not self._continuations:
            return position
        lengths = [_common(ending, data, position) for ending in self._continuations]
        pairs = zip(self._continuations, lengths, strict=True)
        available = len(data) - position
        # Only strings that matched up to the chunk's end can go on in the next.
        self._continuations = [
            ending[length:] for ending, length in pairs if length == available < len(ending)
        ]
        done.append(self._fitted(b"", max(lengths)))
        return position + max(lengths)


def _first_from(positions: list[int], least: int, default: int) -> int:
    return next((position for position in positions if position >= least), default)


def _common(ending: bytes, data: bytes, position: int) -> int:
    """Count the bytes of `ending` that the data continues with."""
    # Binary search: bytes compare fast in slices, slowly one by one.
    low, high = 0, min(len(ending), len(data) - position)
    while low < high:
        middle = (low + high + 1) // 2
        if ending[low:middle] == data[position + low : position + middle]:
            low = middle
        else:
            high = middle - 1
    return low
