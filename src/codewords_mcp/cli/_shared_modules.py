"""Modules beside a workflow's file: what it imports of them is put into its code, so that a version has them.

An import of a file beside the workflow is answered by that file, as Python would do here, and never by an index.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codewords_mcp.cli._code_file import read_code
from codewords_mcp.errors import CodewordsError, ValidationFailed
from codewords_mcp.runtime.model.modules import (
    InvalidModules,
    SharedModule,
    join_modules,
    module_text,
    split_modules,
)

MAX_MODULE_BYTES = 1 << 20
_COMPILED = (".so", ".pyd", ".pyc")
_IMPORTERS = frozenset({"import_module", "__import__"})


@dataclass(frozen=True, slots=True)
class _Import:
    """An import of a dotted name. `optional`: it may be a name in the module above instead of a module."""

    name: str
    node: ast.expr | ast.stmt
    optional: bool


def read_workflow(file: str) -> str:
    """The code of a workflow's file with its shared modules; that of stdin (`-`) as it is.

    Raises InvalidInput where a file cannot be read, ValidationFailed for a module that a version cannot have.
    """
    code = read_code(file)
    if file == "-":
        return code
    return ModuleLinks(Path(file)).link(code)


class ModuleLinks:
    """The modules beside a workflow's file that its code imports. `link` may be called once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = path.parent
        self._found: dict[str, SharedModule] = {}
        self._files: dict[Path, None] = {path: None}
        self._missing: list[tuple[_Import, str]] = []

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, present or not, by which the code with its modules may change: as far as `link` has come."""
        return tuple(self._files)

    def link(self, code: str) -> str:
        """The code with the modules that it imports, and that those import.

        Raises InvalidInput where one cannot be read, ValidationFailed for one that a version cannot have.
        """
        own, blocks = self._split(code)
        self._follow(own, self._path.name)
        # The code stays as it was written, without blocks and without a new end.
        if not self._found:
            return code
        # A file wins over a block that the code came with: it is what Python imports here.
        modules = {module.path: module for module in blocks} | self._found
        linked = join_modules(own, modules.values())
        # Refuses together what each alone may be, such as two files of one module.
        self._split(linked)
        return linked

    def _split(self, code: str) -> tuple[str, tuple[SharedModule, ...]]:
        try:
            return split_modules(code)
        except InvalidModules as error:
            raise _refusal(self._path.name, error.message, error.hint) from error

    def _follow(self, code: str, title: str) -> None:
        """Find what the code imports. Code that is no Python has no imports; the checks tell its fault."""
        # A list in place of recursion: modules may import each other in a long chain.
        todo = [(code, "", title)]
        while todo:
            text, inside, name = todo.pop()
            try:
                tree = ast.parse(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            for found in _imports(tree, inside):
                todo += [(module.text, module.package, module.path) for module in self._resolve(found, name)]
        for target, importer in self._missing:
            self._refuse_missing(target, importer)

    def _resolve(self, target: _Import, title: str) -> Iterator[SharedModule]:
        """Read the files that an import needs and that are not known yet. Raises ValidationFailed."""
        parts = target.name.split(".")
        if parts[0] in sys.stdlib_module_names:
            return
        files = [self._file(parts[: depth + 1]) for depth in range(len(parts))]
        if files[-1] is None and not target.optional:
            self._refuse_compiled(parts, target, title)
            # Whether the name is one of this folder shows only when all modules are found.
            self._missing.append((target, title))
        for file in files:
            if file is None:
                continue
            path = file.relative_to(self._root).as_posix()
            if path not in self._found:
                self._found[path] = _read(file, path)
                yield self._found[path]

    def _file(self, parts: list[str]) -> Path | None:
        """The file of a module beside the workflow; None without one. Its place counts as one to watch."""
        folder = self._root.joinpath(*parts[:-1])
        for file in (folder / parts[-1] / "__init__.py", folder / f"{parts[-1]}.py"):
            here = _is_here(file)
            # One that is not there yet may be made; of packages of an index only the name itself.
            if here or len(parts) == 1 or folder.is_dir():
                self._files[file] = None
            if here:
                return file
        return None

    def _refuse_compiled(self, parts: list[str], target: _Import, title: str) -> None:
        """Raise ValidationFailed where the module is beside the workflow, and is no text."""
        folder = self._root.joinpath(*parts[:-1])
        compiled = [
            file.name
            for suffix in _COMPILED
            for file in folder.glob(f"{parts[-1]}*{suffix}")
            if file.name.partition(".")[0] == parts[-1]
        ]
        if compiled:
            raise _refusal(
                title,
                f"imports {target.name}, which is {compiled[0]}: compiled modules are not taken along, only text of Python.",
                "Take a package of the index that brings it, by the header's dependencies.",
                target.node,
            )

    def _refuse_missing(self, target: _Import, title: str) -> None:
        """Raise ValidationFailed where other modules of that name are beside the workflow, and this one is not."""
        parts = target.name.split(".")
        # A folder is a package also without `__init__.py`.
        is_folder = self._root.joinpath(*parts).is_dir()
        if not is_folder and any(module.top == parts[0] for module in self._found.values()):
            raise _refusal(
                title,
                f"imports {target.name}, which is not in {parts[0]} beside it.",
                "Correct the name: a package of the index by the same name is never asked instead.",
                target.node,
            )


def _is_here(file: Path) -> bool:
    """Whether a file is there under just this name, also where the disk takes capital letters for small ones."""
    return file.is_file() and any(entry.name == file.name for entry in file.parent.iterdir())


def _read(file: Path, path: str) -> SharedModule:
    try:
        size = file.stat().st_size
    except OSError:
        size = 0
    if size > MAX_MODULE_BYTES:
        raise _refusal(
            path,
            f"has {size:,} bytes; a shared module has at most {MAX_MODULE_BYTES:,}.",
            "Move data out of it: upload it as a file, or fetch it when the workflow runs.",
        )
    text = module_text(read_code(str(file)))
    if "\0" in text:
        raise _refusal(path, "is no text: it holds a NUL byte.", "Save it as UTF-8 text.")
    return SharedModule(path, text)


def _imports(tree: ast.AST, package: str) -> Iterator[_Import]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield _Import(alias.name, node, optional=False)
            case ast.ImportFrom():
                base = _absolute(node, package)
                if base:
                    yield _Import(base, node, optional=False)
                for alias in node.names:
                    name = f"{base}.{alias.name}" if base else alias.name
                    yield _Import(name, node, optional=True)
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called),
                args=[ast.Constant(value=str(name)), *_],
            ) if called in _IMPORTERS and name.isascii() and name.replace(".", "").isidentifier():
                yield _Import(name, node, optional=True)
            case _:
                pass


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """The whole name that is imported from."""
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    base = parts[: max(len(parts) - node.level + 1, 0)]
    return ".".join(part for part in (*base, node.module) if part)


def _refusal(title: str, message: str, fix: str, node: ast.expr | ast.stmt | None = None) -> CodewordsError:
    text = f"{title} {message}" if message[:1].islower() else f"{title}: {message}"
    check = {"id": "modules", "status": "failed", "message": text, "fix": fix}
    if node is not None:
        check |= {"line": node.lineno, "column": node.col_offset + 1}
    return ValidationFailed(text, report={"all_passed": False, "checks": [check]}, hint=fix)
