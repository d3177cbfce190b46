"""The two repairs that the runtime makes: a standard module used by the main block alone and never
imported, and a line that serves the app where the script has none.

Apps of FastAPI's documentation, and those made for `uvicorn main:app` or `fastapi run`, end without serving. The code
that a sandbox runs serves them in a last line, by the client that joins their packages (`Script.requirements`).

Programs of the platform's own guide lack `import os` above `os.environ` in their last line. The
stored code stays unchanged; the code that a sandbox runs gets the import on the main block's first
line, so that every line keeps its number. The validation report says so.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterator

from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.runtime.workflows.script_facts import main_block

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
    """The code that the sandbox runs: the script's own, with the imports that `missing_imports`
    names, and served.
    """
    if app := script.facts.unserved:
        return f"{script.code}\n\nimport codewords_client as _client; _client.run_service({app})\n"
    missing = missing_imports(script.tree)
    statement = _insertion_point(script.tree) if missing else None
    if statement is None:
        return script.code
    offset = _offset(script.code, statement)
    return f"{script.code[:offset]}import {', '.join(missing)}; {script.code[offset:]}"


def watched_code(script: Script, seconds: float) -> str:
    """`runnable_code` that writes its stack to stderr every `seconds` seconds. Each line keeps its
    number.

    Code without a line that allows the insertion is returned as it is.
    """
    watch = (
        f"import faulthandler as _watch; _watch.dump_traceback_later({seconds:g}, repeat=True); del _watch; "
    )
    return with_first_statement(script, watch) or runnable_code(script)


def with_first_statement(script: Script, statement: str) -> str | None:
    """`runnable_code` with this statement, a semicolon and a space before its first one. Each line keeps its number.

    None for code without a line that allows the insertion.
    """
    code = runnable_code(script)
    if script.tree:
        # The offset is that of the original code. The repair inserts in the main block, which
        # comes later in the file.
        first = next((node for node in script.tree.body if not _comes_first(node)), None)
    else:
        first = None

    if first is None or not isinstance(first, _SIMPLE):
        return None

    offset = _offset(script.code, first)
    return f"{code[:offset]}{statement}{code[offset:]}"


def _comes_first(node: ast.stmt) -> bool:
    """Whether the statement has to precede all others: the docstring, `__future__` imports."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.ImportFrom(module="__future__"):
            return True
        case _:
            return False


def missing_imports(tree: ast.Module | None) -> tuple[str, ...]:
    """Standard modules that the main block uses and nothing binds, sorted. Empty if no line allows
    the import.
    """
    main = main_block(tree)
    if tree is None or main is None or _insertion_point(tree) is None:
        return ()

    bound = _names_bound(tree)
    # A star import may bind the name.
    if "*" in bound:
        return ()

    inside = set(_names_read(main))
    outside = {name for node in tree.body if node is not main for name in _names_read(node)}
    # Names that are used elsewhere too are a bug that the author must see: only the main
    # block's own omission is repaired.
    unknown = inside - outside - bound - set(dir(builtins))

    return tuple(sorted(unknown & sys.stdlib_module_names))


def _insertion_point(tree: ast.Module | None) -> ast.stmt | None:
    """The first statement of the main block, if an import can be put before it on its line."""
    main = main_block(tree)
    first = main.body[0] if main else None
    if isinstance(first, _SIMPLE):
        return first
    return None


def _offset(code: str, statement: ast.stmt) -> int:
    """The offset of a statement in the text. `col_offset` counts UTF-8 bytes, but only spaces
    precede a statement.
    """
    start = 0
    for _ in range(statement.lineno - 1):
        # Python's own line ends: str.splitlines also splits at form feeds and others.
        newline = _NEWLINE.search(code, start)
        if newline is None:
            break
        start = newline.end()
    return start + statement.col_offset


def _names_read(node: ast.AST) -> Iterator[str]:
    return (
        name_node.id
        for name_node in ast.walk(node)
        if isinstance(name_node, ast.Name) and isinstance(name_node.ctx, ast.Load)
    )


def _names_bound(tree: ast.Module) -> set[str]:
    """All names bound anywhere in the file; `*` for a star import."""
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
