"""Structural differences of two values, with the paths of what differs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from codewords_mcp.runtime.recording.content import Value


class Missing(Enum):
    """A field that is not there."""

    ABSENT = "absent"


ABSENT: Final = Missing.ABSENT
Side = Value | Literal[Missing.ABSENT]
ORDER: Final = "(order)"
"""Ends the path of a list whose items are equal and stand in another order."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One path with two values. `general` is the path without the numbers of items."""

    path: str
    general: str
    before: Side
    after: Side


def differences(
    before: Side, after: Side, *, unordered: frozenset[str] = frozenset(), path: str = "", general: str = ""
) -> Iterator[Difference]:
    """The differences of two values. The order of items does not count at the `unordered` paths."""
    if isinstance(before, dict) and isinstance(after, dict):
        # Each name once, in the order of the first.
        for name in dict.fromkeys([*before, *after]):
            yield from differences(
                before.get(name, ABSENT),
                after.get(name, ABSENT),
                unordered=unordered,
                path=_join(path, name),
                general=_join(general, name),
            )
    elif isinstance(before, list) and isinstance(after, list):
        yield from _of_lists(before, after, unordered, path, general)
    elif not equal(before, after):
        yield Difference(path, general, before, after)


def equal(before: Side, after: Side) -> bool:
    """Whether two values are the same: 1 and 1.0 are, 1 and true are not."""
    # In Python `True == 1`.
    if isinstance(before, bool) or isinstance(after, bool):
        return before is after
    if isinstance(before, int | float) and isinstance(after, int | float):
        return before == after
    return type(before) is type(after) and before == after


def canonical(value: Side) -> str:
    """A text that equal values share."""
    if value is ABSENT:
        return ""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Value) -> Value:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    # JSON has one kind of number, so 1.0 and 1 have to give one text, as they are one value for `equal`.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _of_lists(
    before: list[Value], after: list[Value], unordered: frozenset[str], path: str, general: str
) -> Iterator[Difference]:
    if len(before) != len(after):
        # Compared by place, everything behind one inserted item would differ.
        yield from _of_lengths(before, after, path, general)
        return

    if json.dumps(before) == json.dumps(after):
        return
    texts = [canonical(item) for item in before], [canonical(item) for item in after]
    if texts[0] == texts[1]:
        return
    if sorted(texts[0]) == sorted(texts[1]):
        yield Difference(f"{path} {ORDER}", f"{general} {ORDER}", before, after)
        return
    # In a known order of chance each item would be compared with some other one.
    if general in unordered:
        before, after = sorted(before, key=canonical), sorted(after, key=canonical)
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        yield from differences(
            one, other, unordered=unordered, path=f"{path}[{number}]", general=f"{general}[]"
        )


def _of_lengths(before: list[Value], after: list[Value], path: str, general: str) -> Iterator[Difference]:
    """Items that only one of two lists has. What both have says nothing here."""
    texts = [canonical(item) for item in before], [canonical(item) for item in after]
    gone = _beyond(before, texts[0], Counter(texts[1]))
    added = _beyond(after, texts[1], Counter(texts[0]))
    yield Difference(f"{path}[]", f"{general}[]", gone or ABSENT, added or ABSENT)


def _beyond(items: list[Value], texts: list[str], others: Counter[str]) -> list[Value]:
    """The items of which the other list has fewer."""
    found: list[Value] = []
    for item, text in zip(items, texts, strict=True):
        if others[text] > 0:
            others[text] -= 1
        else:
            found.append(item)
    return found


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
