"""Differences in shape between what a service sent and what its stand-in sends to the same request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from codewords_testing.fidelity.exchange import SentReply
from codewords_testing.fidelity.framing import messages


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference: the path of a value, and its types on either side, "" where it is absent.

    Only what the stand-in sends and the service does not is `wrong`: a stand-in need not send all that there is.
    """

    path: str
    service: str
    stand_in: str

    @property
    def wrong(self) -> bool:
        """Whether tests ran against what the service does not send."""
        return bool(self.stand_in)

    def __str__(self) -> str:
        if not self.service:
            return f"- {self.path}: the stand-in sends {self.stand_in}, the service nothing"
        if not self.stand_in:
            return f"+ {self.path}: the service sends {self.service}, the stand-in nothing"
        return f"≠ {self.path}: the service sends {self.service}, the stand-in {self.stand_in}"


@dataclass
class _Shape:
    """Types that were seen at one place, with the shapes of an object's fields and of a list's items."""

    kinds: set[str] = field(default_factory=set[str])
    fields: dict[str, _Shape] = field(default_factory=dict[str, "_Shape"])
    items: _Shape | None = None

    def add(self, value: object, name: str, maps: frozenset[str]) -> None:
        """Take in a value, which is the field `name` of another one."""
        self.kinds.add(_KINDS.get(type(value), "null"))
        if isinstance(value, dict):
            for key, part in cast("dict[str, object]", value).items():
                self.fields.setdefault("*" if name in maps else key, _Shape()).add(part, key, maps)
        elif isinstance(value, list):
            for part in cast("list[object]", value):
                self.items = self.items or _Shape()
                self.items.add(part, name, maps)

    @property
    def text(self) -> str:
        """The types in words. A null says nothing of what else the value may be."""
        return " or ".join(sorted(self.kinds - {"null"})) or "null"


_KINDS: dict[type, str] = {
    dict: "object",
    list: "list",
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
}


def drift(service: SentReply, stand_in: SentReply, maps: frozenset[str]) -> list[Drift]:
    """Differences between two replies; of streams by the events' names. `maps` are names of objects whose fields are data.

    Raises MalformedBody.
    """
    if service.status != stand_in.status:
        return [Drift("status", str(service.status), str(stand_in.status))]
    theirs, ours = _shape_of(service, maps), _shape_of(stand_in, maps)
    return [
        one
        for name in sorted(theirs.keys() | ours.keys())
        for one in _between(name, theirs.get(name), ours.get(name))
    ]


def _shape_of(reply: SentReply, maps: frozenset[str]) -> dict[str, _Shape]:
    found: dict[str, _Shape] = {}
    for message in messages(reply):
        # A stream tells what an event is by the type in it where it has no name.
        found.setdefault(message.kind or "$", _Shape()).add(message.value, "", maps)
    return found


def _between(path: str, there: _Shape | None, here: _Shape | None) -> Iterator[Drift]:
    if there is None or here is None:
        if there is not here:
            yield Drift(path, there.text if there else "", here.text if here else "")
        return
    if "null" not in (there.text, here.text) and not here.kinds - {"null"} <= there.kinds:
        yield Drift(path, there.text, here.text)
        return
    # Fields of what was null, and items of an empty list, are not known.
    if "object" in there.kinds & here.kinds:
        for name in sorted(there.fields.keys() | here.fields.keys()):
            yield from _between(f"{path}.{name}", there.fields.get(name), here.fields.get(name))
    if there.items is not None and here.items is not None:
        yield from _between(f"{path}[]", there.items, here.items)
