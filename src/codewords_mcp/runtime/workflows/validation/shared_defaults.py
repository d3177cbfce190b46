"""Defaults of parameters that are lists or dictionaries, and so one object for all calls: which of them do no harm.

ruff warns of each (B006). All 74 in the right solutions of BigCodeBench are only read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

_ROUTES = frozenset({"get", "post", "put", "patch", "delete", "api_route", "websocket"})
_CHANGING_METHODS = frozenset(
    {"append", "appendleft", "add", "extend", "update", "insert", "pop", "popitem", "popleft", "remove", "discard", "clear",
     "setdefault", "sort", "reverse"}
)  # fmt: skip
_CHANGING_CALLS = frozenset(
    {"shuffle", "heappush", "heappop", "heapify", "heapreplace", "insort", "insort_left", "insort_right"}
)


def harmless_defaults(tree: ast.Module | None) -> set[int]:
    """The lines of defaults that nothing changes: those of routes, which FastAPI copies for each request, and those of
    parameters that their function neither changes nor hands on to be kept.
    """
    lines: set[int] = set()
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            copied = any(map(_is_route, node.decorator_list))
            changed = set[str]() if copied else {name for one in ast.walk(node) for name in _changed(one)}
            lines |= {default.lineno for name, default in _defaults(node.args) if name not in changed}
    return lines


def _defaults(arguments: ast.arguments) -> Iterator[tuple[str, ast.expr]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = positional[len(positional) - len(arguments.defaults) :]
    yield from ((one.arg, default) for one, default in zip(with_default, arguments.defaults, strict=True))
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            yield one.arg, default


def _changed(node: ast.AST) -> Iterator[str]:
    """Names whose object a node may change, or keep for later."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if (
            method in _CHANGING_METHODS
        ):
            yield name
        case ast.Call(
            func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Name(id=name), *_]
        ) if called in _CHANGING_CALLS:
            yield name
        case (
            ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del())
            | ast.AugAssign(target=ast.Name(id=name))
        ):
            yield name
        case (
            ast.Return(value=ast.Name(id=name))
            | ast.Yield(value=ast.Name(id=name))
            | ast.Assign(value=ast.Name(id=name))
            | ast.AnnAssign(value=ast.Name(id=name))
        ):
            yield name
        case _:
            pass


def _is_route(decorator: ast.expr) -> bool:
    match decorator:
        case ast.Call(func=ast.Attribute(attr=method)):
            return method in _ROUTES
        case _:
            return False
