"""Bindings of each name of a script and of its shared modules, in every scope, independent of order."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from codewords_mcp.runtime.model.modules import SharedModule

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_ADDS = frozenset({"append", "add", "insert", "appendleft", "setdefault"})
_GROWS = _ADDS | {"extend", "update"}
Kind = Literal["value", "element", "added", "import", "function", "class", "parameter", "unknown"]


@dataclass(frozen=True, slots=True)
class Binding:
    """One way in which a name gets its value.

    value: it is `node`, or the item at `path` of it. element: an item of the iterable `node`. added: `node` is appended
    to what it was. import: the module or name `module`. parameter: `node` is the `ast.arg`, `owner` its function.
    """

    kind: Kind
    node: ast.AST | None = None
    path: tuple[int, ...] = ()
    module: str = ""
    owner: FunctionNode | None = None


@dataclass(slots=True, eq=False)
class NameScope:
    """The names of a module, class, function or comprehension."""

    parent: NameScope | None
    node: ast.AST
    names: dict[str, list[Binding]] = field(default_factory=dict[str, list[Binding]])
    outer: set[str] = field(default_factory=set[str])
    """Names declared `global` or `nonlocal`."""

    def bind(self, name: str, binding: Binding) -> None:
        """Add a way in which a name of this scope, or the one it is declared to belong to, gets its value."""
        scope = self
        if name in self.outer:
            # `nonlocal` is treated as `global`: the module's binding is then one more possible
            # value.
            while scope.parent is not None:
                scope = scope.parent
        scope.names.setdefault(name, []).append(binding)

    def find(self, name: str) -> tuple[NameScope, list[Binding]] | None:
        """The nearest scope that binds the name. Names of a class are not seen from its methods."""
        scope: NameScope | None = self
        while scope is not None:
            seen = scope is self or not isinstance(scope.node, ast.ClassDef)
            if seen and name in scope.names and name not in scope.outer:
                return scope, scope.names[name]
            scope = scope.parent
        return None


@dataclass(slots=True)
class ScriptIndex:
    """The whole script: its scopes, its calls, its fields, and the modules that it imports."""

    module: NameScope
    calls: list[tuple[ast.Call, NameScope]] = field(default_factory=list[tuple[ast.Call, NameScope]])
    fields: dict[str, list[tuple[Binding, NameScope]]] = field(
        default_factory=dict[str, list[tuple[Binding, NameScope]]]
    )
    """Attributes that are assigned somewhere, as `self.url = …`, by name."""
    imports: dict[str, int] = field(default_factory=dict[str, int])
    """Packages, with the line of their import."""
    wildcards: list[str] = field(default_factory=list[str])
    scope_of: dict[ast.AST, NameScope] = field(default_factory=dict[ast.AST, NameScope])
    named: dict[str, list[tuple[ast.Call, NameScope]]] = field(
        default_factory=dict[str, list[tuple[ast.Call, NameScope]]]
    )
    """Calls by the last name of what is called."""
    loaded: dict[str, int] = field(default_factory=dict[str, int])
    """Number of times that a name or attribute is read."""
    returns: dict[ast.AST, list[tuple[ast.expr, NameScope]]] = field(
        default_factory=dict[ast.AST, list[tuple[ast.expr, NameScope]]]
    )
    grown: dict[str, list[tuple[ast.expr | None, NameScope]]] = field(
        default_factory=dict[str, list[tuple[ast.expr | None, NameScope]]]
    )
    """Values put into the lists and dicts of a name, as by `urls.append(url)` or `urls[key] = url`.

    None where they can't be determined.
    """
    shared: dict[str, NameScope] = field(default_factory=dict[str, NameScope])
    """The scopes of shared modules by the names under which they are imported."""
    packages: dict[NameScope, str] = field(default_factory=dict[NameScope, str])
    """The package of each shared module's scope, from which its relative imports begin."""
    shared_stars: list[tuple[str, NameScope]] = field(default_factory=list[tuple[str, NameScope]])
    """Wildcard imports of shared modules, each with the scope that gets the names."""

    @property
    def shared_tops(self) -> set[str]:
        """The first parts of the names of shared modules."""
        return {name.partition(".")[0] for name in self.shared}


def index(tree: ast.Module, shared: Mapping[SharedModule, ast.Module] | None = None) -> ScriptIndex:
    """Read every binding of a tree, and of the trees of its shared modules. Their depth does not matter."""
    found = ScriptIndex(NameScope(None, tree))
    found.scope_of[tree] = found.module
    # All scopes before the first import is looked at: modules may import each other in any order.
    for module, module_tree in (shared or {}).items():
        scope = found.shared[module.name] = found.scope_of[module_tree] = NameScope(None, module_tree)
        found.packages[scope] = module.package

    for scope in (found.module, *found.shared.values()):
        _read(scope, found)
    _bind_stars(found)
    return found


def _read(module: NameScope, found: ScriptIndex) -> None:
    # A list of open nodes instead of recursion: generated code may nest deeper than the stack.
    todo: list[tuple[ast.AST, NameScope]] = [
        (node, module) for node in reversed(list(ast.iter_child_nodes(module.node)))
    ]
    while todo:
        node, scope = todo.pop()
        todo += reversed(list(_step(node, scope, found)))


def _bind_stars(found: ScriptIndex) -> None:
    """Bind what wildcard imports of shared modules give, also through several of them."""
    for _ in found.shared_stars:
        for module, scope in found.shared_stars:
            for name in list(found.shared[module].names):
                binding = Binding("import", module=f"{module}.{name}")
                if not name.startswith("__") and binding not in scope.names.get(name, []):
                    scope.bind(name, binding)


def _step(node: ast.AST, scope: NameScope, found: ScriptIndex) -> Iterable[tuple[ast.AST, NameScope]]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            return _function(node, scope, found)
        case ast.ClassDef():
            scope.bind(node.name, Binding("class", node))
            inner = found.scope_of[node] = NameScope(scope, node)
            # These are evaluated outside of the class, where its own names don't exist yet.
            outside = [*node.decorator_list, *node.bases, *node.keywords]
            return [*((part, scope) for part in outside), *((part, inner) for part in node.body)]
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            inner = found.scope_of[node] = NameScope(scope, node)
            for clause in node.generators:
                _bind_target(clause.target, Binding("element", clause.iter), inner, found)
            return [(part, inner) for part in ast.iter_child_nodes(node)]
        case ast.comprehension(iter=iterable):
            inside = [iterable, *node.ifs]
            return [(part, scope) for part in inside]
        case _:
            _simple(node, scope, found)
            return [(part, scope) for part in ast.iter_child_nodes(node)]


def _function(node: FunctionNode, scope: NameScope, found: ScriptIndex) -> list[tuple[ast.AST, NameScope]]:
    inner = found.scope_of[node] = NameScope(scope, node)
    # Defaults and decorators are evaluated where the function is defined, not in it.
    outside: list[ast.AST] = [*node.args.defaults, *(default for default in node.args.kw_defaults if default)]
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        inner.bind(argument.arg, Binding("parameter", argument, owner=node))
    for rest in (node.args.vararg, node.args.kwarg):
        if rest is not None:
            inner.bind(rest.arg, Binding("unknown"))

    if isinstance(node, ast.Lambda):
        found.returns[node] = [(node.body, inner)]
        return [*((part, scope) for part in outside), (node.body, inner)]

    scope.bind(node.name, Binding("function", node))
    outside += node.decorator_list
    return [*((part, scope) for part in outside), *((part, inner) for part in node.body)]


def _simple(node: ast.AST, scope: NameScope, found: ScriptIndex) -> None:
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                _bind_target(target, Binding("value", value), scope, found)
        case ast.AnnAssign(target=target, value=value):
            if value is not None:
                _bind_target(target, Binding("value", value), scope, found)
            elif isinstance(target, ast.Name) and isinstance(scope.node, ast.ClassDef):
                # `url: str` in a model: a field whose value somebody passes.
                scope.bind(target.id, Binding("unknown"))
        case ast.AugAssign(target=target, value=value):
            _bind_target(target, Binding("added", value), scope, found)
        case ast.NamedExpr(target=target, value=value):
            inner = scope
            # PEP 572: `:=` in a comprehension binds in the scope around it.
            while isinstance(inner.node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
                inner = inner.parent or inner
            _bind_target(target, Binding("value", value), inner, found)
        case ast.For(target=target, iter=iterable) | ast.AsyncFor(target=target, iter=iterable):
            _bind_target(target, Binding("element", iterable), scope, found)
        case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
            _bind_target(target, Binding("value", value), scope, found)
        case ast.Import(names=names):
            for name in names:
                whole = name.asname is not None
                scope.bind(
                    name.asname or name.name.partition(".")[0],
                    # `import a.b` binds `a`; `import a.b as c` binds the submodule.
                    Binding("import", module=name.name if whole else name.name.partition(".")[0]),
                )
                found.imports.setdefault(name.name, node.lineno)
        case ast.ImportFrom() if module := _absolute(node, scope, found):
            found.imports.setdefault(module, node.lineno)
            for name in node.names:
                if name.name == "*" and module in found.shared:
                    found.shared_stars.append((module, scope))
                elif name.name == "*":
                    found.wildcards.append(module)
                else:
                    scope.bind(name.asname or name.name, Binding("import", module=f"{module}.{name.name}"))
                    if name.asname not in {None, name.name} and module in found.shared:
                        # Calls by another name are not found by that of the function: a use as a value.
                        found.loaded[name.name] = found.loaded.get(name.name, 0) + 1
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            scope.outer.update(names)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            scope.bind(name, Binding("unknown"))
        case ast.MatchMapping(rest=str(name)):
            scope.bind(name, Binding("unknown"))
        case ast.Return(value=ast.expr() as value) | ast.Yield(value=ast.expr() as value):
            owner = _owner(scope)
            if owner is not None:
                found.returns.setdefault(owner.node, []).append((value, scope))
        case ast.Call(func=func, args=args):
            if isinstance(func, ast.Attribute) and func.attr in _GROWS and isinstance(func.value, ast.Name):
                if args and func.attr in _ADDS:
                    # The last one: `insert` and `setdefault` have an index or a key before it.
                    item = args[-1]
                else:
                    item = None

                found.grown.setdefault(func.value.id, []).append((item, scope))

            found.calls.append((node, scope))
            if isinstance(func, ast.Name):
                last = func.id
            else:
                last = getattr(func, "attr", "")

            found.named.setdefault(last, []).append((node, scope))
        case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
            found.loaded[name] = found.loaded.get(name, 0) + 1
        case _:
            pass


def _absolute(node: ast.ImportFrom, scope: NameScope, found: ScriptIndex) -> str:
    """The whole name of the module that is imported from; "" for a relative import that no module can make."""
    if not node.level:
        return node.module or ""

    root = scope
    while root.parent is not None:
        root = root.parent
    parts = found.packages.get(root, "").split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join(part for part in (*base, node.module) if part)


def _owner(scope: NameScope) -> NameScope | None:
    """The function that a scope is part of."""
    inner: NameScope | None = scope
    while inner is not None and not isinstance(
        inner.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    ):
        inner = inner.parent
    return inner


def _bind_target(target: ast.expr, binding: Binding, scope: NameScope, found: ScriptIndex) -> None:
    todo = [(target, binding.path)]
    while todo:
        one, path = todo.pop()
        bound = Binding(binding.kind, binding.node, path)
        match one:
            case ast.Name(id=name):
                scope.bind(name, bound)
            case ast.Attribute(attr=name):
                found.fields.setdefault(name, []).append((bound, scope))
            case ast.Tuple(elts=items) | ast.List(elts=items):
                todo += [(item, (*path, position)) for position, item in enumerate(items)]
            case ast.Starred(value=inner) if isinstance(inner, ast.Name):
                scope.bind(inner.id, Binding("unknown"))
            case ast.Subscript(value=ast.Name(id=name)):
                if binding.kind == "value" and not path:
                    item = binding.node
                else:
                    item = None

                found.grown.setdefault(name, []).append((item if isinstance(item, ast.expr) else None, scope))
            case _:
                pass
