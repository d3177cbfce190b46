"""Takes the values of secrets out of output, as it streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from codewords_mcp.runtime.secrets.encodings import forms
from codewords_mcp.runtime.secrets.multi_pattern import HEAD, MultiPattern

MIN_LENGTH = 6
"""Characters of the shortest value that is scrubbed."""

_DEEPEST = 300


class Scrubber:
    """Replaces the values of secrets by `[secret NAME]`, in every form of `forms`, across chunk boundaries.

    One scrubber serves one stream: `feed` each chunk, then `flush`; `another` is for a second stream beside
    it. `text` and `json` are for whole things and leave the stream alone. Without a value to scrub it is
    false and hands everything back as it is.

    Values of fewer than 6 characters are not scrubbed: `true` or `5432` would vanish from ordinary text
    everywhere, and the gaps would tell the value. What a program does to a value beyond those forms
    (compressing, reversing, spelling it out) gets through: this guards against accidents.

    Only bytes that could begin a value wait for the next chunk, at most 255 of them. Forms over 256 bytes
    are known by their first 256, and what follows is dropped for as long as it goes on as the form does: so
    time is linear in the output, and a long value that is cut off is scrubbed too.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        labels: dict[bytes, bytes] = {}
        for name, value in values.items():
            if len(value) >= MIN_LENGTH:
                for form in forms(value):
                    labels.setdefault(form, f"[secret {name}]".encode())

        if labels:
            self._heads = MultiPattern(sorted(labels.items()))
        else:
            self._heads = None

        self._same_length = False
        self._held = b""
        self._going_on: list[bytes] = []

    def another(self, *, same_length: bool = False) -> Scrubber:
        """A scrubber of the same values for another stream, without preparing the forms again. With `same_length` labels
        are cut or filled up with `*`, where what comes after counts bytes.
        """
        copy = Scrubber({})
        copy._heads = self._heads
        copy._same_length = same_length
        return copy

    def __bool__(self) -> bool:
        return self._heads is not None

    @property
    def holds(self) -> bool:
        """Whether something was held back that `flush` would give."""
        return bool(self._held)

    def feed(self, data: bytes) -> bytes:
        """The next chunk, scrubbed."""
        if self._heads is None:
            return data
        return self._scrub(self._heads, data, final=False)

    def flush(self) -> bytes:
        """The end of the stream: what was still held back."""
        if self._heads is None:
            return b""
        rest = self._scrub(self._heads, b"", final=True)
        self._going_on = []
        return rest

    def text(self, text: str) -> str:
        """A whole text, scrubbed."""
        if self._heads is None:
            return text
        data = text.encode("utf-8", "surrogatepass")
        clean = self.whole(data)
        if clean is data:
            return text
        return clean.decode("utf-8", "surrogatepass")

    def whole(self, data: bytes) -> bytes:
        """Whole data, scrubbed."""
        if self._heads is None or not self._heads.found_in(data):
            return data
        stream = self.another()
        return stream.feed(data) + stream.flush()

    def json(self, value: Any) -> Any:
        """A JSON value with strings, keys and numbers scrubbed; a number that is a secret becomes a string.

        What is nested deeper than 300 is left out, and a string in its place says so.
        """
        if self._heads is None:
            return value
        return self._walk(value, 0)

    def _walk(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (dict, list, tuple)):
            return self._walk_into(cast("dict[str, Any] | list[Any]", value), depth)

        if isinstance(value, (int, float)) and not isinstance(value, bool):
            shown = repr(value)
            scrubbed = self.text(shown)
            if scrubbed == shown:
                return value

            return scrubbed

        return value

    def _walk_into(self, value: dict[str, Any] | list[Any], depth: int) -> Any:
        if depth >= _DEEPEST:
            return "[nested too deeply to scrub]"
        if not isinstance(value, dict):
            return [self._walk(item, depth + 1) for item in value]
        return {self.text(str(key)): self._walk(item, depth + 1) for key, item in value.items()}

    def _scrub(self, heads: MultiPattern, data: bytes, *, final: bool) -> bytes:
        data = self._held + data
        done: list[bytes] = []
        position = self._go_on(data, 0, done)
        unfinished = [] if final else heads.unfinished(data)
        limit = _first_from(unfinished, position, len(data))
        places = heads.found_in(data, position)

        while places and places[0][0] < limit:
            start, head = places.popleft()
            done.append(data[position:start])
            position = self._replace(heads, head, data, start + len(head), done)
            limit = _first_from(unfinished, position, len(data))
            if places and places[0][0] < position:  # what was passed over had another value's beginning in it
                places = heads.found_in(data, position)

        self._held = data[limit:]
        done.append(data[position:limit])
        return b"".join(done)

    def _replace(self, heads: MultiPattern, head: bytes, data: bytes, end: int, done: list[bytes]) -> int:
        """Write the label, and pass over the rest of a form longer than its head."""
        endings = heads.endings(head)
        if len(head) < HEAD:
            done.append(self._fitted(endings[0][1], len(head)))
            return end
        lengths = [_common(ending, data, end) for ending, _ in endings]
        done.append(self._fitted(endings[lengths.index(max(lengths))][1], len(head)))
        self._going_on = [ending for ending, _ in endings]
        return self._go_on(data, end, done)

    def _fitted(self, label: bytes, length: int) -> bytes:
        if self._same_length:
            return label[:length].ljust(length, b"*")
        return label

    def _go_on(self, data: bytes, position: int, done: list[bytes]) -> int:
        """Pass over what continues a long form; remember the forms that the next chunk may continue."""
        if not self._going_on:
            return position
        lengths = [_common(ending, data, position) for ending in self._going_on]
        pairs = zip(self._going_on, lengths, strict=True)
        available = len(data) - position
        self._going_on = [ending[length:] for ending, length in pairs if length == available < len(ending)]
        done.append(self._fitted(b"", max(lengths)))
        return position + max(lengths)


def _first_from(positions: list[int], least: int, default: int) -> int:
    return next((position for position in positions if position >= least), default)


def _common(ending: bytes, data: bytes, position: int) -> int:
    """How many bytes of `ending` the data goes on with."""
    low, high = 0, min(len(ending), len(data) - position)
    while low < high:
        middle = (low + high + 1) // 2
        if ending[low:middle] == data[position + low : position + middle]:
            low = middle
        else:
            high = middle - 1
    return low
