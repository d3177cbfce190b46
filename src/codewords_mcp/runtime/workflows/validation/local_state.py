"""Use of the disk as storage in a script. A sandbox's disk is gone after the run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from codewords_mcp.runtime.model.validation import Check

_MAX_WARNINGS = 3
_SCRATCH = "/tmp/"  # noqa: S108  # of a sandbox, and what stands there is meant for one run
_DATABASES = frozenset(
    {
        "sqlite3.connect",
        "aiosqlite.connect",
        "shelve.open",
        "dbm.open",
        "duckdb.connect",
        "TinyDB",
        "tinydb.TinyDB",
        "diskcache.Cache",
    }
)
_ENGINES = frozenset({"create_engine", "create_async_engine"})
_FIX = (
    'Keep values with the service redis_coordinator (read_practice("state") shows how), and files with '
    "client.upload_file_content."
)


def check_state(tree: ast.Module | None) -> list[Check]:
    """A warning for each database or appended file that the code seems to reopen in later runs."""
    places = [] if tree is None else list(_stored_state(tree))
    return [
        Check(
            id="state",
            status="warning",
            line=line,
            message=f"{subject} stands on the disk of one run, and is gone after it: the next run finds nothing.",
            fix=_FIX,
        )
        for line, subject in places[:_MAX_WARNINGS]
    ]


def _stored_state(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue

        name = _name(node.func)
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            text = first.value
        else:
            text = ""

        # A plain write may be meant for this run only; an appended file and a database are
        # meant to be read again.
        if _is_database(name, text):
            yield node.lineno, "This database"
        elif name == "open" and text and not text.startswith(_SCRATCH) and _mode(node).startswith("a"):
            yield node.lineno, "What is appended to this file"


def _is_database(name: str, text: str) -> bool:
    """Whether the call opens a database in a file."""
    if name in _DATABASES:
        return ":memory:" not in text and not text.startswith(_SCRATCH)
    engine = name.rpartition(".")[2] in _ENGINES and text.startswith("sqlite")
    return engine and text.partition("://")[2].strip("/") not in {"", ":memory:"}


def _name(func: ast.expr) -> str:
    if isinstance(func, ast.Name):
        return func.id
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name):
        return f"{func.value.id}.{func.attr}"
    if isinstance(func, ast.Attribute):
        return func.attr
    return ""


def _mode(call: ast.Call) -> str:
    if len(call.args) > 1:
        mode = call.args[1]
    else:
        mode = next((keyword.value for keyword in call.keywords if keyword.arg == "mode"), None)
    if isinstance(mode, ast.Constant) and isinstance(mode.value, str):
        return mode.value
    return ""
