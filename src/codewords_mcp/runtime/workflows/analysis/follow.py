"""Evaluation of an expression with protection against cycles and unbounded work."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from codewords_mcp.runtime.workflows.analysis.scopes import NameScope, ScriptIndex
from codewords_mcp.runtime.workflows.analysis.syntax import members
from codewords_mcp.runtime.workflows.analysis.values import (
    NONE,
    ONLY_UNKNOWN,
    UNKNOWN,
    Collection,
    Func,
    Hole,
    Value,
    Values,
    bounded,
    text,
)

DEEPEST = 60
"""Steps that one value is followed; a chain that is longer is unknown."""
FUEL = 60_000
"""Expressions that are looked at in one script, repeats included; what is left then is unknown."""
Items = tuple[ast.expr, NameScope]


class Follower(ABC):
    """Facts of one script. `env`: variables of the header, None for required ones."""

    def __init__(self, index: ScriptIndex, env: Mapping[str, str | None], stars: Mapping[str, str]) -> None:
        self._index = index
        self._env = env
        self._stars = stars
        """Names that a wildcard import gives, and what they are."""
        self._known: dict[tuple[ast.AST, NameScope], Values] = {}
        self._open: set[object] = set()
        self._depth = 0
        self._cut = False
        self._fuel = FUEL

    @property
    def exhausted(self) -> bool:
        """Whether the script was too large to be followed everywhere."""
        return self._fuel <= 0

    def values(self, node: ast.expr | None, scope: NameScope) -> Values:
        """Possible values of the expression. Empty for None and for cyclic definitions."""
        if node is None:
            return NONE

        key = (node, scope)
        if key in self._known:
            return self._known[key]

        # Counted for what isn't cached: a definition by doubling would otherwise grow without
        # end.
        self._fuel -= 1
        # Cyclic: the values come from the other definitions, so this branch adds none.
        if key in self._open:
            self._cut = True
            return NONE
        # Below Python's recursion limit, since each step takes several frames.
        if self._depth >= DEEPEST or self._fuel <= 0:
            self._cut = True
            return ONLY_UNKNOWN

        # Only cuts below this expression make its result incomplete.
        outer_cut, self._cut = self._cut, False
        self._open.add(key)
        self._depth += 1
        try:
            found = self._expression(node, scope)
        finally:
            self._depth -= 1
            self._open.discard(key)

        if not self._cut or self._depth == 0:  # what was cut short may be more when it is asked for by itself
            self._known[key] = found
        self._cut = outer_cut or (self._cut and self._depth > 0)
        return found

    def all_of(self, nodes: Iterable[Items]) -> Values:
        """The values of several expressions together."""
        return bounded(value for node, scope in nodes for value in self.values(node, scope))

    @abstractmethod
    def _expression(self, node: ast.expr, scope: NameScope) -> Values:
        """The values of an expression that is not known yet."""

    def items(self, values: Values, key: object) -> Values:
        """The item at a place or key of collections; any item where that is not written out."""
        found: set[Value] = set()
        for value in values:
            if not isinstance(value, Collection):
                found.add(UNKNOWN)
                continue
            node, scope = value.node, value.scope
            if isinstance(node, ast.Dict) and isinstance(key, str):
                at = [item for name, item in zip(node.keys, node.values, strict=True)
                      if isinstance(name, ast.Constant) and name.value == key]  # fmt: skip
                # A key that isn't written out may have been added later; the last of equal keys
                # wins.
                found |= self.values(at[-1], scope) if at else self.elements(frozenset({value}))
            elif (
                isinstance(node, ast.List | ast.Tuple)
                and isinstance(key, int)
                and -len(node.elts) <= key < len(node.elts)
            ):
                found |= self.values(node.elts[key], scope)
            else:
                found |= self.elements(frozenset({value}))

        return bounded(found)

    def elements(self, values: Values) -> Values:
        """All possible items of an iterable or collection; values of a dict, not its keys."""
        found: set[Value] = set()
        for value in values:
            if not isinstance(value, Collection):
                found.add(UNKNOWN)
                continue
            for node in members(value.node):
                found |= self.values(node, value.scope) or ONLY_UNKNOWN
        return bounded(found)

    def variable(self, name: str | None, default: Values) -> Values:
        """The environment variable: its value from the header, else its default if the header does
        not declare it.
        """
        if name is None:
            return ONLY_UNKNOWN
        if name not in self._env:
            return default
        default_value = self._env[name]
        return frozenset({text(Hole(name)) if default_value is None else text(default_value)}) | (
            default - ONLY_UNKNOWN
        )

    def returned(self, function: Func) -> Values:
        """Values that a function of the script returns or yields."""
        return self.all_of(self._index.returns.get(function.node, [])) or ONLY_UNKNOWN
