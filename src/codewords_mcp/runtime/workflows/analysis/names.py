"""Values of names: assignments, loops, imports, and arguments of calls."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from codewords_mcp.runtime.workflows.analysis.follow import Follower
from codewords_mcp.runtime.workflows.analysis.scopes import Binding, FunctionNode, NameScope
from codewords_mcp.runtime.workflows.analysis.syntax import (
    CALLS_ON,
    called_as,
    default_of,
    is_static,
    last_name,
)
from codewords_mcp.runtime.workflows.analysis.values import (
    NONE,
    ONLY_UNKNOWN,
    UNKNOWN,
    Class,
    Collection,
    Func,
    InstanceValue,
    Obj,
    Ref,
    Value,
    Values,
    bounded,
    concat,
)

_BUILTINS = frozenset(
    {
        "str",
        "bytes",
        "list",
        "tuple",
        "set",
        "sorted",
        "iter",
        "reversed",
        "frozenset",
        "next",
        "getattr",
        "map",
        "dict",
    }
    | {"__import__", "filter", "zip", "enumerate", "open", "exec", "eval", "max", "min", "super"}
)


class Names(Follower):
    """See `name`."""

    def name(self, name: str, scope: NameScope) -> Values:
        """Possible values of a name in a scope."""
        found = scope.find(name)
        grown = self._index.grown.get(name, [])

        if found is None:
            if name in self._stars:
                return frozenset({Ref(self._stars[name])})
            if name in _BUILTINS:
                return frozenset({Ref(name)})
            return ONLY_UNKNOWN

        where, bindings = found
        if where in self._index.packages:
            # Others may assign to a variable of a shared module, as an attribute of it.
            bindings = [*bindings, *(binding for binding, _ in self._index.fields.get(name, []))]
        values = bounded(value for binding in bindings for value in self._bound(binding, where, name))
        if grown and any(isinstance(value, Collection) for value in values):
            # What was appended may be in the collection, whatever the order of the lines.
            values |= {
                UNKNOWN if item is None else Collection(ast.List(elts=[item], ctx=ast.Load()), inside)
                for item, inside in grown
            }

        return values

    def imported(self, name: str) -> Values:
        """The values of a dotted name: a shared module or a name in one, else a name of another package."""
        own: Values = NONE
        module, _, attr = name.rpartition(".")
        scope = self._index.shared.get(module)
        key = ("import", name)
        if scope is not None and attr in scope.names and key not in self._open:
            # Modules may import from each other in a circle.
            self._open.add(key)
            try:
                own = self.name(attr, scope)
            finally:
                self._open.discard(key)
        if own and name not in self._index.shared:
            return own
        return own | frozenset({Ref(name)})

    def _bound(self, binding: Binding, scope: NameScope, name: str) -> Iterable[Value]:
        node = binding.node
        match binding.kind:
            case "import":
                return self.imported(binding.module)
            case "function":
                assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)  # noqa: S101  # as it was bound
                return {Func(node, scope)}
            case "class":
                assert isinstance(node, ast.ClassDef)  # noqa: S101  # as it was bound
                return {Class(node, scope)}
            case "parameter":
                assert binding.owner is not None  # noqa: S101  # as it was bound
                return self.parameter(binding.owner, name, scope)
            case "value" if isinstance(node, ast.expr):
                return self._at(node, binding.path, scope)
            case "element" if isinstance(node, ast.expr):
                return self._element_at(node, binding.path, scope)
            case "added" if isinstance(node, ast.expr):
                return self._added(name, node, scope)
            case _:
                return ONLY_UNKNOWN

    def _at(self, node: ast.expr, path: tuple[int, ...], scope: NameScope) -> Values:
        values = self.values(node, scope)
        for position in path:
            values = self.items(values, position)
        return values

    def _element_at(self, node: ast.expr, path: tuple[int, ...], scope: NameScope) -> Values:
        if path and (pairs := self._pairs(node, scope)) is not None:
            if path[0] >= len(pairs):
                return ONLY_UNKNOWN
            values = pairs[path[0]]
            path = path[1:]
        else:
            values = self.elements(self.values(node, scope))
        for position in path:
            values = self.items(values, position)
        return values

    def _pairs(self, node: ast.expr, scope: NameScope) -> list[Values] | None:
        """Per position, what `d.items()`, `enumerate(…)` and `zip(…)` give in turn; None for other iterables."""
        if not isinstance(node, ast.Call):
            return None

        match node.func:
            case ast.Attribute(value=value, attr="items"):
                known = self.values(value, scope)
                return [ONLY_UNKNOWN, self.elements(known)]
            case ast.Name(id="enumerate") if node.args:
                return [ONLY_UNKNOWN, self.elements(self.values(node.args[0], scope))]
            case ast.Name(id="zip"):
                return [self.elements(self.values(argument, scope)) for argument in node.args]
            case _:
                return None

    def _added(self, name: str, node: ast.expr, scope: NameScope) -> Values:
        """`url += "/x"`: what it was without this, with the addition."""
        before = bounded(
            value
            for binding in scope.names.get(name, [])
            # Without the additions themselves, which would refer to each other without end.
            if binding.kind != "added"
            for value in self._bound(binding, scope, name)
        )
        added = self.values(node, scope)
        if any(isinstance(value, Collection) for value in added):
            return added

        return concat([before, added])

    def parameter(self, owner: FunctionNode, name: str, scope: NameScope) -> Values:
        """Possible values of a parameter, from every call of that name in the script, and from its
        default.
        """
        key = (owner, name)
        # A function that calls itself with its own parameter.
        if key in self._open:
            self._cut = True
            return NONE
        self._open.add(key)
        try:
            return self._parameter(owner, name, scope)
        finally:
            self._open.discard(key)

    def _parameter(self, owner: FunctionNode, name: str, scope: NameScope) -> Values:
        outside = scope.parent or scope
        arguments = owner.args
        every = [*arguments.posonlyargs, *arguments.args]
        argument = next(parameter for parameter in (*every, *arguments.kwonlyargs) if parameter.arg == name)
        # `self` or `cls`.
        if isinstance(outside.node, ast.ClassDef) and every and every[0] is argument and not is_static(owner):
            return frozenset({Obj(Class(outside.node, outside.parent or outside))})
        if known := self._annotated(argument.annotation, outside):
            return known

        found: set[Value] = set(self.values(default_of(owner, name), outside))
        if argument in every:
            position = every.index(argument)
        else:
            position = None

        passed, complete = self._passed_values(owner, name, position, outside)
        found |= passed
        # Somebody else may call it: a framework, or code that gets the function as a value.
        if not complete or not found:
            found.add(UNKNOWN)
        return bounded(found)

    def _annotated(self, annotation: ast.expr | None, scope: NameScope) -> Values:
        """Values known from an annotation with a class of another module, or one of the script that
        is no text.
        """
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                # An annotation in quotes names a class that is defined further down.
                annotation = ast.parse(annotation.value, mode="eval").body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return NONE

        match annotation:
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._annotated(left, scope) | self._annotated(right, scope)
            case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[first, *_])):
                return self._annotated(first, scope)
            case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
                return self._annotated(inner, scope)
            case ast.Name() | ast.Attribute():
                found: set[Value] = set()
                for value in self.values(annotation, scope):
                    if isinstance(value, Class):
                        found.add(Obj(value))
                    elif (
                        isinstance(value, Ref)
                        and value.name.partition(".")[0] not in {"pydantic", "typing"} | _BUILTINS
                    ):
                        found.add(InstanceValue(value.name, None, None))

                return frozenset(found)
            case _:
                return NONE

    def _passed_values(
        self, owner: FunctionNode, name: str, position: int | None, outside: NameScope
    ) -> tuple[set[Value], bool]:
        """Values that calls pass for a parameter, and whether they are complete: the function has
        no other use.
        """
        called = called_as(owner)
        # A decorator hands the function to somebody else; FastAPI calls routes with its own
        # values.
        if called is None or getattr(owner, "decorator_list", None):
            return set(), False

        method = isinstance(outside.node, ast.ClassDef)
        if called == "__init__" and method and isinstance(outside.node, ast.ClassDef):
            # A constructor is called by the name of its class.
            called = outside.node.name
        # `self` is no argument of the call.
        shift = 1 if method and not is_static(owner) else 0
        found: set[Value] = set()
        calls = self._index.named.get(called, [])

        for call, scope in calls:
            found |= self._argument(
                call.args, call.keywords, name, None if position is None else position - shift, scope
            )

        passed_on = 0
        for call, scope, first in self._passed_on(called):
            passed_on += 1
            if first < 0:  # map(function, items)
                found |= (
                    self.elements(self.values(call.args[1], scope)) if len(call.args) > 1 else ONLY_UNKNOWN
                )
            else:
                rest = call.args[first:]
                found |= self._argument(
                    rest, call.keywords, name, None if position is None else position - shift, scope
                )

        # More reads of the name than calls: the function is passed on as a value somewhere.
        complete = self._index.loaded.get(called, 0) <= len(calls) + passed_on
        return found, complete

    def _argument(
        self,
        args: list[ast.expr],
        keywords: list[ast.keyword],
        name: str,
        position: int | None,
        scope: NameScope,
    ) -> Values:
        for keyword in keywords:
            if keyword.arg == name:
                return self.values(keyword.value, scope)
        # `*args` before the position moves everything after it.
        if position is not None and any(isinstance(passed, ast.Starred) for passed in args[: position + 1]):
            return ONLY_UNKNOWN
        if position is not None and 0 <= position < len(args):
            return self.values(args[position], scope) or ONLY_UNKNOWN
        if any(keyword.arg is None for keyword in keywords):
            return ONLY_UNKNOWN
        return NONE

    def _passed_on(self, called: str) -> Iterator[tuple[ast.Call, NameScope, int]]:
        """Calls that are given the function and call it: (call, scope, where its arguments begin; -1 for `map`)."""
        for via, at in CALLS_ON.items():
            for call, scope in self._index.named.get(via, []):
                if at < len(call.args) and last_name(call.args[at]) == called:
                    yield call, scope, -1 if via == "map" else at + 1
