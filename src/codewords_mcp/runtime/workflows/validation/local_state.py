"""Use of the disk as storage in a script. A sandbox's disk is gone after the run."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from typing import Final

from codewords_mcp.runtime.model.validation import Check

_MAX_WARNINGS: Final = 3
_SCRATCH: Final = "/tmp/"  # noqa: S108  # of a sandbox, and what stands there is meant for one run
_DATABASES: Final = frozenset(
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
_ENGINES: Final = frozenset({"create_engine", "create_async_engine"})
_WRITERS: Final = frozenset(
    {"to_csv", "to_json", "to_parquet", "to_pickle", "to_excel", "to_feather", "savefig", "save"}
)
"""Methods of data frames, plots and arrays that write the file of their first argument."""
_PATH_WRITES: Final = frozenset({"write_text", "write_bytes"})
_PATH_READS: Final = frozenset({"read_text", "read_bytes"})
_LOOKS: Final = frozenset({"exists", "is_file", "isfile", "getsize", "stat"})
_MISSING: Final = frozenset({"FileNotFoundError", "OSError", "IOError"})
_FIX: Final = (
    "Keep rows with the service database and values with redis_coordinator "
    '(read_practice("state") shows both), and files with client.upload_file_content.'
)


def check_state(tree: ast.Module | None) -> list[Check]:
    """A warning for each database or file that the code seems to reopen in later runs, or writes for nobody."""
    if tree is None:
        places = []
    else:
        places = sorted(set(_FileUse(tree).findings()))
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


class _FileUse:
    """Files that a script writes, reads and looks for, by the paths that stand in it as text."""

    def __init__(self, tree: ast.Module) -> None:
        self._names: dict[str, str] = {}
        self._mentions = Counter[str]()
        self._written: list[tuple[int, str]] = []
        self._read = set[str]()
        self._looked_for = set[str]()
        self._found: list[tuple[int, str]] = []
        nodes = list(ast.walk(tree))
        texts = [
            node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        self._keeps_tables = any("if not exists" in text.lower() for text in texts)
        self._expects_missing = any(isinstance(node, ast.ExceptHandler) and _catches(node) for node in nodes)

        for node in nodes:
            if (
                isinstance(node, ast.Assign)
                and len(node.targets) == 1
                and isinstance(node.targets[0], ast.Name)
            ):
                path = self._path(node.value)
                if path is not None:
                    self._names[node.targets[0].id] = path
                    # The text of the assignment is no use of the file.
                    self._mentions[path] -= 1
        for text in texts:
            self._mentions[text] += 1
        for node in nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in self._names:
                self._mentions[self._names[node.id]] += 1
        self._texts = texts
        for node in nodes:
            if isinstance(node, ast.Call):
                self._add(node)

    def findings(self) -> Iterator[tuple[int, str]]:
        """(line, subject) of each database and file."""
        yield from self._found
        for line, path in self._written:
            if path in self._looked_for or (path in self._read and self._expects_missing):
                yield line, "This file, which the code looks for before it reads it,"
            # Named once: nobody reads it, sends it or hands it on.
            elif not path.startswith("/") and path.endswith(_DATA_ENDINGS) and self._is_named_once(path):
                yield line, "This file, which nothing else in the code names,"

    def _is_named_once(self, path: str) -> bool:
        return self._mentions[path] <= 1 and not any(path in text and text != path for text in self._texts)

    def _add(self, call: ast.Call) -> None:
        name = _name(call.func)
        first = call.args[0] if call.args else None
        path = None if first is None else self._path(first)
        if isinstance(call.func, ast.Attribute):
            own = self._path(call.func.value)
        else:
            own = None
        method = name.rpartition(".")[2]

        if self._is_database(name, first, path):
            self._found.append((call.lineno, "This database"))
        elif isinstance(call.func, ast.Name) and name == "open" and path is not None:
            self._open(call, path, _mode(call, 1))
        elif method == "open" and own is not None:
            self._open(call, own, _mode(call, 0))
        elif method in _PATH_WRITES and own is not None:
            self._written.append((call.lineno, own))
        elif method in _WRITERS and path is not None:
            self._written.append((call.lineno, path))
        elif method in _PATH_READS and own is not None:
            self._read.add(own)
        elif method in _LOOKS:
            self._looked_for.update(found for found in (own, path) if found is not None)

    def _open(self, call: ast.Call, path: str, mode: str) -> None:
        if mode.startswith("a"):
            # An appended file is meant to be read again.
            if not path.startswith(_SCRATCH):
                self._found.append((call.lineno, "What is appended to this file"))
        elif mode.startswith(("w", "x")):
            self._written.append((call.lineno, path))
        else:
            self._read.add(path)

    def _is_database(self, name: str, first: ast.expr | None, path: str | None) -> bool:
        """Whether the call opens a database in a file that later runs are meant to find."""
        text = path or (
            first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
        )
        if name in _DATABASES:
            in_scratch = text.startswith(_SCRATCH) and not self._keeps_tables
            return ":memory:" not in text and not in_scratch
        engine = name.rpartition(".")[2] in _ENGINES and text.startswith("sqlite")
        return engine and text.partition("://")[2].strip("/") not in {"", ":memory:"}

    def _path(self, node: ast.expr) -> str | None:
        """The path that an expression stands for, as far as it is text. A folder of the program is left out."""
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id=name):
                return self._names.get(name)
            case ast.Call(args=[only]) if _name(node.func) in {"Path", "pathlib.Path", "str"}:
                return self._path(only)
            case ast.BinOp(op=ast.Div(), left=left, right=ast.Constant(value=str(text))):
                folder = self._path(left)
                if folder is not None:
                    return f"{folder.rstrip('/')}/{text}"
                if "__file__" in ast.unparse(left) or "cwd()" in ast.unparse(left):
                    return text
                return None
            case _:
                return None


_DATA_ENDINGS: Final = (
    ".json", ".jsonl", ".csv", ".tsv", ".txt", ".pkl", ".pickle", ".parquet", ".xlsx", ".db", ".sqlite", ".md", ".log", ".npy",
)  # fmt: skip


def _catches(handler: ast.ExceptHandler) -> bool:
    return handler.type is not None and any(
        isinstance(node, ast.Name) and node.id in _MISSING for node in ast.walk(handler.type)
    )


def _name(func: ast.expr) -> str:
    if isinstance(func, ast.Name):
        return func.id
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name):
        return f"{func.value.id}.{func.attr}"
    if isinstance(func, ast.Attribute):
        return func.attr
    return ""


def _mode(call: ast.Call, place: int) -> str:
    if len(call.args) > place:
        mode = call.args[place]
    else:
        mode = next((keyword.value for keyword in call.keywords if keyword.arg == "mode"), None)
    if isinstance(mode, ast.Constant) and isinstance(mode.value, str):
        return mode.value
    return ""
