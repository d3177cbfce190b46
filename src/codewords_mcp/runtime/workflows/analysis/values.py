"""Possible values of an expression, as far as static analysis finds them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codewords_mcp.runtime.workflows.analysis.scopes import NameScope

MAX_VALUES = 48
"""Maximum values followed for one expression. Further ones count as unknown."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A piece of text that is only known when the program runs. `env` is the variable it comes from, if it is one."""

    env: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A string: literal pieces and holes. Two pieces never stand beside each other."""

    parts: tuple[str | Hole, ...]

    @property
    def constant(self) -> str | None:
        """The whole text if it has no hole."""
        if not self.holes:
            return "".join(str(part) for part in self.parts)
        return None

    @property
    def holes(self) -> tuple[Hole, ...]:
        """The unknown parts."""
        return tuple(part for part in self.parts if isinstance(part, Hole))

    @property
    def start(self) -> str:
        """The literal beginning."""
        if self.parts and isinstance(self.parts[0], str):
            return self.parts[0]
        return ""


@dataclass(frozen=True, slots=True)
class Ref:
    """Something of another module, by its dotted name: `httpx.AsyncClient`."""

    name: str


@dataclass(frozen=True, slots=True)
class InstanceValue:
    """The result of calling `of`. `call` is None if only an annotation says so."""

    of: str
    call: ast.Call | None
    scope: NameScope | None


@dataclass(frozen=True, slots=True)
class Bound:
    """A method of such an instance."""

    instance: InstanceValue
    method: str


@dataclass(frozen=True, slots=True)
class Func:
    """A function or lambda of the script."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: NameScope
    skipped: int = 0
    """Leading parameters that a call does not give: `self`, and what `functools.partial` gave already."""


@dataclass(frozen=True, slots=True)
class Class:
    """A class of the script."""

    node: ast.ClassDef
    scope: NameScope


@dataclass(frozen=True, slots=True)
class Obj:
    """An object of such a class."""

    of: Class


@dataclass(frozen=True, slots=True)
class Partial:
    """`functools.partial(function, …)`."""

    call: ast.Call
    scope: NameScope


@dataclass(frozen=True, slots=True)
class Collection:
    """A list, tuple, set or dict as it is written, or a comprehension."""

    node: ast.expr
    scope: NameScope


Value = Text | Ref | InstanceValue | Bound | Func | Class | Obj | Partial | Collection
Values = frozenset[Value]

NONE: Values = frozenset()
# Any text: what is not understood has to be taken for everything, never for nothing.
UNKNOWN = Text((Hole(),))
ONLY_UNKNOWN: Values = frozenset({UNKNOWN})


def text(*parts: str | Hole) -> Text:
    """A text of these pieces, joined where they touch."""
    joined: list[str | Hole] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return Text(tuple(joined))


def texts(values: Iterable[Value]) -> list[Text]:
    """The texts among the values. Any other value becomes a hole, since it may be converted to any
    text.
    """
    found = dict.fromkeys(value if isinstance(value, Text) else UNKNOWN for value in values)
    return list(found)


def concat(pieces: Iterable[Iterable[Value]]) -> Values:
    """Every way to join one text of each piece, up to `MAX_VALUES`; a piece without values is unknown."""
    ways: list[tuple[str | Hole, ...]] = [()]
    for piece in pieces:
        options = texts(piece) or [UNKNOWN]
        ways = [(*way, *option.parts) for way in ways for option in options]
        if len(ways) > MAX_VALUES:
            # The number of ways multiplies with each piece.
            ways = [*ways[:MAX_VALUES], (Hole(),)]
    return frozenset(text(*way) for way in ways)


def bounded(values: Iterable[Value]) -> Values:
    """At most `MAX_VALUES` values, with an unknown one for the rest."""
    found: set[Value] = set()
    for value in values:
        found.add(value)
        if len(found) > MAX_VALUES:
            return frozenset({*found, UNKNOWN})
    return frozenset(found)


def constants(values: Iterable[Value]) -> Iterator[str]:
    """The texts without an unknown part."""
    for value in values:
        if isinstance(value, Text) and (known := value.constant) is not None:
            yield known
