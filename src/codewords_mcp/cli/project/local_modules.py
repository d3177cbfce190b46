"""Imports of files beside a workflow, which its version would not have: told before a package index is asked for the name."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from codewords_mcp.cli._client import Json


def check_local_modules(path: Path, code: str) -> list[Json]:
    """A failed check for each import of a file or folder beside the workflow's file. Code that is no Python has none."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return []

    found: dict[str, Json] = {}
    for name, node in _imported(tree):
        if name in found or name in sys.stdlib_module_names:
            continue
        # The file itself is `main.py` in a sandbox, and cannot import itself there either.
        beside = _module_beside(path.parent, name)
        if beside is None:
            continue
        found[name] = {
            "id": "modules",
            "status": "failed",
            "line": node.lineno,
            "column": node.col_offset + 1,
            "message": f"{path.name} imports {name}, which is {beside.name} beside it: a version is one file, and a package of "
            "the index by that name is somebody else's.",
            "fix": f"Move what it needs of {beside.name} into {path.name}, or make a workflow of it that is called.",
        }
    return list(found.values())


def _imported(tree: ast.AST) -> Iterator[tuple[str, ast.Import | ast.ImportFrom]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                names = [node.module]
            else:
                # In `from . import helper` the names are modules themselves.
                names = [alias.name for alias in node.names]
            for name in names:
                yield name.partition(".")[0], node


def _module_beside(folder: Path, name: str) -> Path | None:
    """The file or package of this name in a folder; None without one."""
    for candidate in (folder / f"{name}.py", folder / name / "__init__.py"):
        if candidate.is_file():
            if candidate.name == f"{name}.py":
                return candidate
            return candidate.parent
    return None
