"""Memory of a source that lists everything there is at each look: which of it was there before.

The newest items are remembered one by one; all that is older than every one of them counts as known. So a state is bounded
however much is listed, and an item with an old time is still found where there are some thousand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.runtime.triggers.sources.seen_keys import MAX_SEEN, SeenKeys


@dataclass(frozen=True, slots=True)
class ListedItem:
    """An item in one version. `changed` is its time by the system that holds it, in any unit."""

    key: str
    changed: int


class ListedItems:
    """Items of earlier looks, from a state. `max_items`: how many are remembered one by one."""

    def __init__(self, state: Mapping[str, JsonValue], *, max_items: int = MAX_SEEN) -> None:
        known_until = state.get("known_until")
        self._seen = SeenKeys(state.get("seen"))
        if isinstance(known_until, int):
            self._known_until = known_until
        else:
            self._known_until = None
        self._max = max_items

    def __contains__(self, item: ListedItem) -> bool:
        """Whether the item was there before."""
        return item.key in self._seen or (self._known_until is not None and item.changed <= self._known_until)

    def after(self, items: Collection[ListedItem]) -> JsonObject:
        """Return the fields for the next state. `items` are those of this look that count as known from now on."""
        newest_first = sorted(items, key=_changed, reverse=True)
        dropped = newest_first[self._max :]
        known_until = self._known_until
        if dropped:
            # Never earlier than before: what older looks have dropped stays known.
            known_until = max(
                dropped[0].changed, known_until if known_until is not None else dropped[0].changed
            )

        remembered = [item.key for item in newest_first[: self._max]]
        return {"seen": self._seen.with_shown(remembered), "known_until": known_until}


def _changed(item: ListedItem) -> int:
    return item.changed
