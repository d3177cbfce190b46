"""The parts of a scrubber that a recording needs, so that it depends on no secrets."""

from __future__ import annotations

from typing import Protocol


class StreamScrubber(Protocol):
    """Removes values from one stream. See `secrets.scrub.Scrubber`."""

    def __bool__(self) -> bool:
        """Whether there are values to remove."""
        ...

    def another(self, *, same_length: bool = False) -> StreamScrubber:
        """A scrubber of the same values for another stream."""
        ...

    def feed(self, data: bytes) -> bytes:
        """The next chunk, scrubbed."""
        ...

    def flush(self) -> bytes:
        """The bytes that were still buffered at the stream's end."""
        ...

    def whole(self, data: bytes) -> bytes:
        """Whole data, scrubbed."""
        ...


class NothingSecret:
    """The scrubber of an exchange that has no values to remove."""

    def __bool__(self) -> bool:
        """No value."""
        return False

    def another(self, *, same_length: bool = False) -> StreamScrubber:  # noqa: ARG002
        """Itself: it has no state."""
        return self

    def feed(self, data: bytes) -> bytes:
        """The chunk as it is."""
        return data

    def flush(self) -> bytes:
        """Nothing is kept back."""
        return b""

    def whole(self, data: bytes) -> bytes:
        """The data as it is."""
        return data
