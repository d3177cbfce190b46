"""Memory of a source for the items that it has shown, small enough for its state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from codewords_mcp.common.json_parts import text_of

MAX_SEEN = 5000
"""Items that are remembered, the latest first."""
_DIGITS = 10


def digest(key: str) -> str:
    """A short digest of a key: 40 bits, which are enough among some thousand."""
    # JSON may hold lone surrogates, which UTF-8 itself does not encode.
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]


class SeenKeys:
    """Keys of items by their digests, from the text that a state holds."""

    def __init__(self, stored: object) -> None:
        text = text_of(stored)
        self._digests = [text[at : at + _DIGITS] for at in range(0, len(text), _DIGITS)]
        self._known = set(self._digests)

    def __contains__(self, key: str) -> bool:
        """Whether an item of this key was shown before."""
        return digest(key) in self._known

    def with_shown(self, keys: Iterable[str]) -> str:
        """Return the text for the next state: the items that are shown now, then earlier ones while there is room."""
        shown = list(dict.fromkeys(digest(key) for key in keys))
        recent = set(shown)
        earlier = [known for known in self._digests if known not in recent]
        return "".join([*shown, *earlier][:MAX_SEEN])
