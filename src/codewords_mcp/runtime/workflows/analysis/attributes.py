"""Values of attributes and items: of modules, of the script's own classes and objects, of
collections.
"""

from __future__ import annotations

import ast

from codewords_mcp.runtime.workflows.analysis.names import Names
from codewords_mcp.runtime.workflows.analysis.scopes import NameScope
from codewords_mcp.runtime.workflows.analysis.syntax import is_property, is_static, takes_input
from codewords_mcp.runtime.workflows.analysis.values import (
    NONE,
    ONLY_UNKNOWN,
    UNKNOWN,
    Bound,
    Class,
    Collection,
    Func,
    InstanceValue,
    Obj,
    Ref,
    Text,
    Value,
    Values,
    bounded,
    constants,
)


class Attributes(Names):
    """Attributes and subscripts."""

    def _attribute(self, value: ast.expr, attr: str, scope: NameScope) -> Values:
        found: set[Value] = set()
        for base in self.values(value, scope):
            found |= self._attribute_of(base, attr)
        return bounded(found)

    def _attribute_of(self, base: Value, attr: str) -> Values:
        match base:
            case Ref(name) if name in self._index.shared:
                return self.imported(f"{name}.{attr}") | self._assigned(attr)
            case Ref(name):
                return self.imported(f"{name}.{attr}")
            case InstanceValue():
                # Both: an object of another module may have had the attribute assigned by the
                # script.
                return frozenset({Bound(base, attr)}) | self._assigned(attr)
            case Obj(of):
                return self._member(of, attr, bound=True)
            case Class():
                return self._member(base, attr, bound=False)
            case Text() if attr == "value":  # of an enumeration's member
                return frozenset({base})
            case Bound(instance, method):
                return frozenset({Bound(instance, f"{method}.{attr}")})
            case Collection():
                return NONE  # a method of the language's own
            case _:
                # The object's class is unknown, so any assignment to an attribute of this name
                # may count.
                return self._assigned(attr) or ONLY_UNKNOWN

    def _assigned(self, attr: str, of: Class | None = None) -> Values:
        """Values assigned to an attribute of this name: anywhere, or outside of all classes except
        `of`.
        """
        return bounded(
            value
            for binding, scope in self._index.fields.get(attr, [])
            if of is None or _class_around(scope) in {None, of.node}
            for value in self._bound(binding, scope, attr)
        )

    def _member(self, of: Class, attr: str, *, bound: bool) -> Values:
        inner = self._index.scope_of[of.node]
        found: set[Value] = set(self._assigned(attr, of))
        for binding in inner.names.get(attr, []):
            for value in self._bound(binding, inner, attr):
                if isinstance(value, Func) and is_property(value.node):
                    found |= self.returned(value)
                elif isinstance(value, Func) and bound:
                    # A bound method takes `self` out of the positions of its arguments.
                    found.add(Func(value.node, value.scope, 0 if is_static(value.node) else 1))
                else:
                    found.add(value)

        bases = self.all_of((base, of.scope) for base in of.node.bases)
        for base in bases:
            if isinstance(base, Class) and base != of:
                key = (base.node, attr)
                # Classes may inherit in a circle in code that never runs.
                if key not in self._open:
                    self._open.add(key)
                    found |= self._member(base, attr, bound=bound)
                    self._open.discard(key)
            elif isinstance(base, Ref) and attr not in inner.names and bound:
                # Not defined here, so a method that is inherited from a class of another
                # module.
                found.add(Bound(InstanceValue(base.name, None, None), attr))

        # pydantic-settings fills each field from the variable of the same name in upper case.
        if any(isinstance(base, Ref) and base.name.endswith("BaseSettings") for base in bases):
            return self.variable(attr.upper(), bounded(found) or ONLY_UNKNOWN)

        # The default is only one possible value: a caller may pass another one.
        if takes_input(bases, of.node) and attr in inner.names:
            found.add(UNKNOWN)
        return bounded(found) or ONLY_UNKNOWN

    def _subscript(self, value: ast.expr, key: ast.expr, scope: NameScope) -> Values:
        known = next(constants(self.values(key, scope)), None)
        found: set[Value] = set()
        for base in self.values(value, scope):
            match base:
                case Ref("os.environ"):
                    found |= self.variable(known, ONLY_UNKNOWN)
                case Collection():
                    found |= self.items(
                        frozenset({base}), key.value if isinstance(key, ast.Constant) else None
                    )
                case Text() if isinstance(key, ast.Slice) and key.lower is None and key.step is None:
                    # `url[:n]` keeps the beginning, and with it the host.
                    found.add(base)
                case Ref() | InstanceValue() | Class() | Obj():
                    found |= {base} if isinstance(base, Class | Ref) else {UNKNOWN}
                case _:
                    found.add(UNKNOWN)

        return bounded(found)


def _class_around(scope: NameScope) -> ast.AST | None:
    """The class that the code of a scope stands in."""
    inner: NameScope | None = scope
    while inner is not None and not isinstance(inner.node, ast.ClassDef):
        inner = inner.parent
    if inner:
        return inner.node
    return None
