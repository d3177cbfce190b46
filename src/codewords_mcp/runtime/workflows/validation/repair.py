"""The one repair that the runtime makes: a standard module that only the main block uses and nobody imports.

Programs of the platform's own guide forget `import os` above `os.environ` in their last line. The stored code stays
letter for letter; the code that a sandbox runs gets the import on the main block's first line, so that every line keeps
its number. The validation report says so.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterator

from codewords_mcp.runtime.workflows.script import Script

_NEWLINE = re.compile(r"\r\n|\r|\n")
_SIMPLE = (
    ast.Import,
    ast.ImportFrom,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.Expr,
    ast.Assert,
    ast.Delete,
    ast.Pass,
)


def runnable_code(script: Script) -> str:
    """The code that the sandbox runs: the script's own, but for imports that `missing_imports` names."""
    missing = missing_imports(script.tree)
    place = _place(script.tree) if missing else None
    if place is None:
        return script.code
    offset = _offset(script.code, place)
    return f"{script.code[:offset]}import {', '.join(missing)}; {script.code[offset:]}"


def watched_code(script: Script, seconds: float) -> str:
    """`runnable_code`, and every so many seconds it writes to stderr where it is; each line keeps its number.

    Code without a line that can take this is as it was.
    """
    code = runnable_code(script)
    if script.tree:
        first = next((node for node in script.tree.body if not _opens(node)), None)
    else:
        first = None

    if first is None or not isinstance(first, _SIMPLE):
        return code

    offset = _offset(script.code, first)
    watch = (
        f"import faulthandler as _watch; _watch.dump_traceback_later({seconds:g}, repeat=True); del _watch; "
    )
    return f"{code[:offset]}{watch}{code[offset:]}"


def _opens(node: ast.stmt) -> bool:
    """Whether this has to stand before all other statements: the docstring, imports of the future."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.ImportFrom(module="__future__"):
            return True
        case _:
            return False


def missing_imports(tree: ast.Module | None) -> tuple[str, ...]:
    """Standard modules that the main block uses and nothing binds, sorted; empty where no line can take the import."""
    main = _main_block(tree)
    if tree is None or main is None or _place(tree) is None:
        return ()

    bound = _bound(tree)
    if "*" in bound:
        return ()

    inside = set(_read(main))
    outside = {name for node in tree.body if node is not main for name in _read(node)}
    unknown = inside - outside - bound - set(dir(builtins))

    return tuple(sorted(unknown & sys.stdlib_module_names))


def _main_block(tree: ast.Module | None) -> ast.If | None:
    for node in tree.body if tree else ():
        match node:
            case ast.If(
                test=ast.Compare(
                    left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]
                )
            ):
                return node
            case _:
                pass

    return None


def _place(tree: ast.Module | None) -> ast.stmt | None:
    """The first statement of the main block, where an import can stand before it on its line."""
    main = _main_block(tree)
    first = main.body[0] if main else None
    if isinstance(first, _SIMPLE):
        return first
    return None


def _offset(code: str, statement: ast.stmt) -> int:
    """Where a statement starts in the text; `col_offset` counts UTF-8 bytes, and only spaces stand before it."""
    start = 0
    for _ in range(statement.lineno - 1):
        newline = _NEWLINE.search(code, start)
        if newline is None:
            break
        start = newline.end()
    return start + statement.col_offset


def _read(node: ast.AST) -> Iterator[str]:
    return (one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load))


def _bound(tree: ast.Module) -> set[str]:
    """Every name that anything in the file binds, wherever; `*` for a star import."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                names.add(name)
            case ast.alias(name=name, asname=other):
                names.add(other or name.split(".")[0])
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
                | ast.arg(arg=name)
            ):
                names.add(name)
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
            ):
                names.add(name)
            case ast.Global(names=several) | ast.Nonlocal(names=several):
                names.update(several)
            case _:
                pass

    return names
