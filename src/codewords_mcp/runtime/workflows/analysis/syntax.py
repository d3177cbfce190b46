"""Facts from syntax alone: constants, members of collections, defaults, decorators."""

from __future__ import annotations

import ast
from collections.abc import Callable
from urllib.parse import urljoin

from codewords_mcp.runtime.workflows.analysis.scopes import FunctionNode
from codewords_mcp.runtime.workflows.analysis.values import (
    NONE,
    ONLY_UNKNOWN,
    UNKNOWN,
    Class,
    Ref,
    Text,
    Values,
    text,
)

CALLS_ON = {"to_thread": 0, "run_in_executor": 1, "submit": 0, "map": 0, "partial": 0, "create_task": 0, "add_task": 0,
             "run_sync": 0, "start_soon": 0, "Thread": 0}  # fmt: skip
"""Functions that call the function they are given → which argument that is."""


def constant(value: object) -> Values:
    """The text of a constant; numbers as they print."""
    if isinstance(value, str):
        return frozenset({text(value)})
    if isinstance(value, bytes):
        # latin-1 maps each byte to a character, so nothing fails and ASCII stays as it is.
        return frozenset({text(value.decode("latin-1"))})
    if isinstance(value, int) and not isinstance(value, bool):
        # Python refuses to print integers of thousands of digits, and none is part of an
        # address.
        return frozenset({text(str(value) if value.bit_length() < 64 else "0")})
    if value is None:
        return NONE
    return ONLY_UNKNOWN


def members(node: ast.expr) -> list[ast.expr]:
    """The expressions of a collection's items; of a dict, its values."""
    match node:
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return [item.value if isinstance(item, ast.Starred) else item for item in items]
        case ast.Dict(values=items):
            return items
        case (
            ast.ListComp(elt=item)
            | ast.SetComp(elt=item)
            | ast.GeneratorExp(elt=item)
            | ast.DictComp(value=item)
        ):
            return [item]
        case _:
            return []


def applied(text_value: Text, method: str, arguments: list[str | None]) -> Text:
    """The result of a text method if text and arguments are known; else the text itself, which
    keeps its host.
    """
    known = text_value.constant
    if known is None or None in arguments:
        # `replace` with an unknown argument may change the host; the others keep the beginning.
        if method != "replace" or not text_value.constant:
            return text_value
        return UNKNOWN

    try:
        apply: Callable[..., str] = getattr(known, method)
        return text(apply(*arguments))
    except (TypeError, ValueError):
        return UNKNOWN


def joined_url(base: str, other: str) -> str:
    """`urljoin`, for whatever text."""
    try:
        return urljoin(base, other)
    except ValueError:
        return base


def default_of(owner: FunctionNode, name: str) -> ast.expr | None:
    """The default of a parameter."""
    arguments = owner.args
    every = [*arguments.posonlyargs, *arguments.args]
    for argument, default in zip(reversed(every), reversed(arguments.defaults), strict=False):
        if argument.arg == name:
            return default
    for argument, keyword in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if argument.arg == name:
            return keyword
    return None


def called_as(owner: FunctionNode) -> str | None:
    """The name by which a function is called; None for a lambda."""
    if isinstance(owner, ast.Lambda):
        return None
    return owner.name


def last_name(node: ast.expr) -> str:
    """The last part of a dotted name."""
    if isinstance(node, ast.Name):
        return node.id
    return getattr(node, "attr", "")


def _decorated(owner: FunctionNode, names: frozenset[str]) -> bool:
    return any(last_name(decorator) in names for decorator in getattr(owner, "decorator_list", []))


def is_static(owner: FunctionNode) -> bool:
    """Whether a method gets no `self`."""
    return _decorated(owner, frozenset({"staticmethod"}))


def is_property(owner: FunctionNode) -> bool:
    """Whether reading the attribute calls the function."""
    return _decorated(owner, frozenset({"property", "cached_property", "computed_field"}))


def _decorator_name(decorator: ast.expr) -> str:
    return last_name(decorator.func if isinstance(decorator, ast.Call) else decorator)


def takes_input(bases: Values, node: ast.ClassDef) -> bool:
    """Whether a class's annotated fields are given from outside when an object is made."""
    models = {"pydantic.BaseModel", "sqlmodel.SQLModel", "typing.NamedTuple", "msgspec.Struct"}
    decorators = {_decorator_name(decorator) for decorator in node.decorator_list}
    return bool(decorators & {"dataclass", "define"}) or any(
        isinstance(base, Class) or (isinstance(base, Ref) and base.name in models) for base in bases
    )
