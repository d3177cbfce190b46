"""Possible values of expressions: constants, names of other modules, the script's own functions and
objects.
"""

from __future__ import annotations

import ast
import string
from collections.abc import Iterable

from codewords_mcp.runtime.workflows.analysis.attributes import Attributes
from codewords_mcp.runtime.workflows.analysis.scopes import NameScope
from codewords_mcp.runtime.workflows.analysis.syntax import applied, constant, joined_url
from codewords_mcp.runtime.workflows.analysis.values import (
    NONE,
    ONLY_UNKNOWN,
    UNKNOWN,
    Class,
    Collection,
    Func,
    InstanceValue,
    Obj,
    Partial,
    Ref,
    Text,
    Value,
    Values,
    bounded,
    concat,
    constants,
    text,
    texts,
)

_SAME = frozenset(
    {"str", "bytes", "httpx.URL", "yarl.URL", "pydantic.HttpUrl", "pydantic.AnyUrl", "pydantic.AnyHttpUrl", "typing.cast",
     "copy.copy", "copy.deepcopy", "os.path.expandvars", "urllib.parse.unquote"}
)  # fmt: skip
"""Functions that give the last thing that they are given."""
_JOINS = frozenset({"urllib.parse.urljoin", "posixpath.join", "os.path.join"})
_ELEMENTS = frozenset(
    {"list", "tuple", "set", "sorted", "iter", "reversed", "frozenset", "next", "random.choice", "max", "min"}
)
_GET_ENV = frozenset({"os.getenv", "os.environ.get", "os.environ.setdefault", "os.environ.pop"})
_TEXT_METHODS = frozenset(
    {
        "strip",
        "rstrip",
        "lstrip",
        "lower",
        "upper",
        "removesuffix",
        "removeprefix",
        "replace",
        "casefold",
        "title",
    }
)
_UNCHANGED = frozenset(
    {"encode", "decode", "unicode_string", "human_repr", "geturl", "copy", "get_secret_value"}
)
_IMPORTERS = frozenset({"importlib.import_module", "__import__"})


class Evaluator(Attributes):
    """Values of the expressions of one script. `env`: the header's variables with their values."""

    def _expression(self, node: ast.expr, scope: NameScope) -> Values:
        match node:
            case ast.Constant(value=value):
                return constant(value)
            case ast.JoinedStr(values=pieces):
                return concat(self._formatted(piece, scope) for piece in pieces)
            case ast.FormattedValue():
                return self._formatted(node, scope)
            case ast.BinOp(op=ast.Add()):
                return self._sum(node, scope)
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                return self._percent(left, right, scope)
            case ast.BinOp(left=left, op=ast.Div(), right=right):  # yarl and pathlib
                return concat([self.values(left, scope), [text("/")], self.values(right, scope)])
            case ast.Name(id=name):
                return self.name(name, scope)
            case ast.Attribute(value=value, attr=attr):
                return self._attribute(value, attr, scope)
            case ast.Subscript(value=value, slice=key):
                return self._subscript(value, key, scope)
            case ast.IfExp(body=body, orelse=other):
                return self.values(body, scope) | self.values(other, scope)
            case ast.BoolOp(values=options):
                return self.all_of((option, scope) for option in options)
            case ast.Await(value=value) | ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.values(value, scope)
            case ast.Call():
                return self._call(node, scope)
            case ast.Lambda():
                return frozenset({Func(node, scope)})
            case ast.List() | ast.Tuple() | ast.Set() | ast.Dict():
                return frozenset({Collection(node, scope)})
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return frozenset({Collection(node, self._index.scope_of[node])})
            case _:
                return ONLY_UNKNOWN

    def argument(
        self, call: ast.Call, scope: NameScope, position: int | None, keywords: Iterable[str]
    ) -> Values:
        """The values of an argument of a call. Empty if it is absent or None."""
        names = frozenset(keywords)
        node = next((keyword.value for keyword in call.keywords if keyword.arg in names), None)
        if node is None and position is not None and position < len(call.args):
            node = call.args[position]
        if node is None or isinstance(node, ast.Constant):
            return self.values(node, scope)
        # It is there and not understood: no value at all would mean that it is absent.
        return self.values(node, scope) or ONLY_UNKNOWN

    def _formatted(self, piece: ast.expr, scope: NameScope) -> Values:
        if isinstance(piece, ast.FormattedValue):
            return self.values(piece.value, scope) or ONLY_UNKNOWN
        return self.values(piece, scope)

    def _sum(self, node: ast.BinOp, scope: NameScope) -> Values:
        pieces: list[ast.expr] = []
        # A loop, since a sum of many strings nests to the left once for each of them.
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
            pieces.append(left.right)
            left = left.left
        found = [self.values(piece, scope) for piece in (left, *reversed(pieces))]
        lists = [value for values in found for value in values if isinstance(value, Collection)]
        if lists:
            return frozenset(lists)
        return concat(found)

    def _percent(self, left: ast.expr, right: ast.expr, scope: NameScope) -> Values:
        if isinstance(right, ast.Tuple):
            arguments = right.elts
        else:
            arguments = [right]

        found: list[Value] = []
        for template in texts(self.values(left, scope)):
            # A template with a hole keeps its own beginning, which is where a host stands.
            if (known := template.constant) is None:
                found.append(template)
                continue

            pieces = known.replace("%d", "%s").replace("%r", "%s").split("%s")
            between: list[Iterable[Value]] = [[text(pieces[0])]]
            for position, piece in enumerate(pieces[1:]):
                if position < len(arguments):
                    passed = self.values(arguments[position], scope)
                else:
                    passed = ONLY_UNKNOWN

                between += [passed, [text(piece)]]

            found += concat(between)

        return bounded(found)

    def callees(self, call: ast.Call, scope: NameScope) -> Values:
        """The possible functions of a call."""
        return self.values(call.func, scope)

    def _call(self, call: ast.Call, scope: NameScope) -> Values:
        if isinstance(call.func, ast.Attribute):
            own = self._method(call, call.func, scope)
        else:
            own = None
        if own is not None:
            return own
        return bounded(
            value for callee in self.callees(call, scope) for value in self._called(callee, call, scope)
        )

    def _called(self, callee: Value, call: ast.Call, scope: NameScope) -> Values:
        match callee:
            case Func():
                return self.returned(callee)
            case Class():
                return frozenset({Obj(callee)})
            case Ref(name):
                return self._of_module(name, call, scope)
            case Partial(inner):
                if inner.args:
                    return self.all_of((argument, callee.scope) for argument in inner.args[:1])
                return ONLY_UNKNOWN
            case _:
                return ONLY_UNKNOWN

    def _of_module(self, name: str, call: ast.Call, scope: NameScope) -> Values:
        if call.args:
            first = self.values(call.args[0], scope)
        else:
            first = NONE

        if name in _GET_ENV:
            if len(call.args) > 1:
                default = call.args[1]
            else:
                default = next((k.value for k in call.keywords if k.arg == "default"), None)

            return self.variable(next(constants(first), None), self.values(default, scope))
        # The last argument: `typing.cast` has the type before the value.
        if name in _SAME:
            if call.args:
                return self.values(call.args[-1], scope)
            return NONE
        if name in _ELEMENTS and first:
            if any(isinstance(value, Collection) for value in first) and name not in {
                "next",
                "random.choice",
            }:
                return first
            return self.elements(first)
        if name in _JOINS:
            return self._joined(
                [self.values(argument, scope) for argument in call.args], absolute=name.startswith("urllib")
            )
        if name == "functools.partial":
            return frozenset({Partial(call, scope)})
        if name in _IMPORTERS:
            return frozenset(Ref(module) for module in constants(first)) or ONLY_UNKNOWN
        if name == "getattr" and len(call.args) > 1:
            attrs = list(constants(self.values(call.args[1], scope)))
            return (
                bounded(value for base in first for attr in attrs for value in self._attribute_of(base, attr))
                or ONLY_UNKNOWN
            )

        return frozenset({InstanceValue(name, call, scope)})

    def _joined(self, pieces: list[Values], *, absolute: bool) -> Values:
        if absolute and len(pieces) > 1:
            found: set[Value] = set()
            for base in texts(pieces[0]):
                for other in texts(pieces[1]):
                    if (b := base.constant) is not None and (o := other.constant) is not None:
                        found.add(text(joined_url(b, o)))
                    elif "://" in other.start or (not base.start and other.start):
                        # urljoin takes an absolute second part instead of the first.
                        found.add(other)
                    else:
                        found.add(base)

            return bounded(found)

        parted: list[Iterable[Value]] = []
        for piece in pieces:
            parted += [piece, [text("/")]]
        return concat(parted[:-1])

    def _method(self, call: ast.Call, func: ast.Attribute, scope: NameScope) -> Values | None:
        """Methods of texts and collections; None for all others."""
        base = self.values(func.value, scope)
        if not any(isinstance(value, Text | Collection) for value in base):
            return None

        known = frozenset(value for value in base if isinstance(value, Text | Collection))
        attr = func.attr
        if attr == "format":
            return bounded(
                value for template in texts(known) for value in self._format(template, call, scope)
            )
        if attr == "join" and call.args:
            return self._glued(known, call.args[0], scope)

        if attr in {"get", "pop", "setdefault"} and any(isinstance(value, Collection) for value in known):
            if call.args:
                key = next(constants(self.values(call.args[0], scope)), None)
            else:
                key = None

            if len(call.args) > 1:
                default = call.args[1]
            else:
                default = None

            return self.items(known, key) | self.values(default, scope)

        if attr == "values":
            return known
        if attr in _UNCHANGED:
            return known
        if attr in _TEXT_METHODS:
            arguments = [next(constants(self.values(argument, scope)), None) for argument in call.args]
            return frozenset(applied(value, attr, arguments) for value in texts(known))

        # With other values too, the method may be one of theirs: the general rules apply.
        rest = base - known
        if rest:
            return None

        return ONLY_UNKNOWN

    def _format(self, template: Text, call: ast.Call, scope: NameScope) -> Values:
        if (known := template.constant) is None:
            return frozenset({template})

        keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        pieces: list[Iterable[Value]] = []
        position = 0
        try:
            fields = list(string.Formatter().parse(known))
        except ValueError:
            return ONLY_UNKNOWN

        for literal, field, _, _ in fields:
            pieces.append([text(literal)])
            if field is None:
                continue

            name = field.partition(".")[0].partition("[")[0]
            if not name or name.isdecimal():
                at = int(name) if name else position
                position += 1
                if at < len(call.args):
                    passed = self.values(call.args[at], scope)
                else:
                    passed = ONLY_UNKNOWN
            else:
                passed = self.values(keywords.get(name), scope)

            # `{0.attr}` and `{0[key]}` read something of the argument that isn't followed.
            pieces.append(passed if field == name else ONLY_UNKNOWN)

        return concat(pieces)

    def _glued(self, separators: Values, items: ast.expr, scope: NameScope) -> Values:
        separator = next(constants(separators), None)
        found: set[Value] = set()
        for value in self.values(items, scope):
            if (
                not isinstance(value, Collection)
                or separator is None
                or not isinstance(value.node, ast.List | ast.Tuple)
            ):
                found.add(UNKNOWN)
                continue

            pieces: list[Iterable[Value]] = []
            for item in value.node.elts:
                pieces += [self.values(item, value.scope), [text(separator)]]
            found |= concat(pieces[:-1])

        return bounded(found)
