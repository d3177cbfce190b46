"""A workflow's script: its code and the declarations of its header."""

from __future__ import annotations

import ast
import codecs
import hashlib
import re
import sys
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from codewords_mcp.errors import InvalidScript
from codewords_mcp.runtime.model.modules import (
    HEADING,
    InvalidModules,
    SharedModule,
    normalise,
    split_modules,
)
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.declarations import (
    EnvVar,
    dependencies,
    environment_variables,
    newest_minor,
    requires_python,
    tool,
    unknown_keys,
)
from codewords_mcp.runtime.workflows.header import read_header
from codewords_mcp.runtime.workflows.script_facts import ScriptFacts, read_facts
from codewords_mcp.runtime.workflows.validation.code_size import refuse_size, tree_size

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

DEFAULT_MAX_CODE = 1 << 20
CLIENT = "codewords-client"
_FENCE = re.compile(
    r"\A\s*(?:`{3,}|~{3,})[\w+-]*\s*\n|^[ \t]*(?:`{3,}|~{3,})[\w+-]*[ \t]*\n(?=# /// script)", re.MULTILINE
)
"""Code in Markdown, as chat models write it: the text begins with a fence, or its header stands in one."""
_COOKIE = re.compile(r"coding[:=][ \t]*([-\w.]+)", re.ASCII)
"""The encoding that a comment declares, as Python's tokenizer finds it (PEP 263)."""
_warnings_filter = threading.Lock()
"""`warnings.catch_warnings` changes global state and is not thread-safe in Python 3.11."""


class UnreadableScript(InvalidScript):
    """Code that is not Python text at all. An invalid header raises InvalidScript."""


@dataclass(frozen=True, slots=True)
class Script:
    """Declarations of a script, and facts read from it without running it.

    `code` is stored unchanged, `code_hash` is its SHA-256 in hex. `requires_python` is a PEP 440
    specifier, empty for any. `dependencies` are normalized requirements in the header's order.
    `connections` are app slugs, from `PIPEDREAM_<APP>_ACCESS`. `tool` is `[tool.codewords]`. `modules`
    are those that it shares with other workflows. `tree` is the program's, None if only a newer Python
    can parse the code. `module_trees` are those of `modules`, with lines counted in the whole code.
    """

    code: str
    code_hash: str
    requires_python: str
    dependencies: tuple[str, ...]
    env: tuple[EnvVar, ...]
    connections: tuple[str, ...]
    tool: Mapping[str, Any]
    notes: tuple[Check, ...]
    facts: ScriptFacts
    tree: ast.Module | None = field(default=None, compare=False, repr=False)
    modules: tuple[SharedModule, ...] = ()
    module_trees: tuple[ast.Module, ...] = field(default=(), compare=False, repr=False)

    @property
    def whole_tree(self) -> ast.Module | None:
        """The program's statements and those of its modules: for checks that look at code wherever it stands."""
        if self.tree is None or not self.module_trees:
            return self.tree
        trees = (self.tree, *self.module_trees)
        return ast.Module(body=[node for tree in trees for node in tree.body], type_ignores=[])

    def place(self, line: int) -> str:
        """The module's file and the line in it of a line of the code; "" for a line of the program itself."""
        for module in reversed(self.modules):
            if module.line <= line:
                return f"{module.path}:{max(line - module.line, 1)}"
        return ""

    @property
    def requirements(self) -> tuple[str, ...]:
        """Requirements of its environment: its dependencies, and the client where that serves an app that the code does not."""
        if self.facts.unserved is None or self._declares_client:
            return self.dependencies
        return (*self.dependencies, CLIENT)

    @property
    def uses_our_client(self) -> bool:
        """Whether its environment has `codewords-client` and the header does not insist on the registry's."""
        needed = self._declares_client or self.facts.unserved is not None
        return needed and self.tool.get("client", "ours") == "ours"

    @property
    def _declares_client(self) -> bool:
        from packaging.requirements import Requirement

        return any(Requirement(requirement).name == CLIENT for requirement in self.dependencies)


def parse_script(code: str, *, max_code: int = DEFAULT_MAX_CODE) -> Script:
    """Parse a script without running it; `max_code` is in bytes.

    Raises InvalidScript, with line and column if there is a position: empty, too large, not text,
    not Python, or a header that is missing, duplicated, unclosed or invalid.
    """
    text = _text(code, max_code)
    try:
        header = read_header(text)
    except InvalidScript as no_header:
        # code that is no Python at all is the more useful error than its missing header
        _parse(text)
        raise no_header from None

    # Before the tree: whether a syntax error counts depends on the Python that the script
    # wants.
    requires = requires_python(header)
    program, modules = split_modules(text)
    tree = _tree(text, requires)
    _refuse_misplaced(program, tree)
    module_trees = tuple(_module_tree(module, requires) for module in modules)
    trees = [one for one in module_trees if one is not None]
    if len(trees) < len(modules):
        # One that cannot be read may do anything, so nothing of the whole counts as read.
        tree, trees = None, []
    if tree is not None:
        _refuse_size([tree, *trees])
    env, connections, env_notes = environment_variables(header)
    options, tool_notes = tool(header)
    facts = read_facts(tree, text)

    return Script(
        code=code,
        code_hash=hashlib.sha256(code.encode()).hexdigest(),
        requires_python=str(requires),
        dependencies=dependencies(header),
        env=env,
        connections=connections,
        tool=options,
        notes=(*unknown_keys(header), *env_notes, *tool_notes, *facts.notes),
        facts=facts,
        tree=tree,
        modules=modules,
        module_trees=tuple(trees),
    )


def _refuse_misplaced(program: str, tree: ast.Module | None) -> None:
    """Raise InvalidModules for the block of a module with code after it: it would count for nothing."""
    headings = [number for number, line in enumerate(program.split("\n"), 1) if line.startswith(HEADING)]
    if not headings or tree is None:
        return
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr)]
    for line in headings:
        # Within a text it is no comment.
        if not any(node.lineno <= line <= (node.end_lineno or line) for node in texts):
            raise InvalidModules(
                "The block of a shared module has code after it.",
                hint="Blocks of modules are the last lines of the code: move the code in front of them.",
                line=line,
            )


def _module_tree(module: SharedModule, requires: SpecifierSet) -> ast.Module | None:
    """The tree of a shared module with lines of the whole code. Raises UnreadableScript that names its file."""
    try:
        _refuse_encoding(module.text)
        tree = _tree(module.text, requires)
    except UnreadableScript as error:
        line = module.line + (error.line or 1)
        raise UnreadableScript(
            f"{module.path}: {error.message}", hint=error.hint, line=line, column=error.column
        ) from None
    if tree is not None:
        ast.increment_lineno(tree, module.line)
    return tree


def _refuse_size(trees: list[ast.Module]) -> None:
    try:
        refuse_size(
            *tree_size(ast.Module(body=[node for tree in trees for node in tree.body], type_ignores=[]))
        )
    except InvalidScript as error:
        raise UnreadableScript(error.message, hint=error.hint) from None


def _text(code: str, max_code: int) -> str:
    # characters are at least as many bytes: refuse huge code before encoding or reading it
    if len(code) > max_code:
        raise _too_large(len(code), max_code)

    try:
        size = len(code.encode())
    except UnicodeEncodeError as error:
        before = normalise(code[: error.start])
        raise UnreadableScript(
            "The script holds half of a surrogate pair, which no file can store.",
            hint="Write the character itself, or its escape such as `\\U0001f6a8`.",
            line=before.count("\n") + 1,
            column=len(before) - before.rfind("\n"),
        ) from None

    if size > max_code:
        raise _too_large(size, max_code)

    text = normalise(code)
    if not text.strip():
        raise UnreadableScript(
            "The script is empty.",
            hint="Send the code of a workflow; `list_templates` has some to start from.",
        )
    if (fence := _FENCE.search(text)) is not None:
        before = text[: fence.end()].rstrip()
        raise UnreadableScript(
            "The code stands in a Markdown fence.",
            hint="Send what is between the fences, without the lines of ``` and the text around them.",
            line=before.count("\n") + 1,
            column=1,
        )
    if "\0" in text:
        before = text[: text.index("\0")]
        raise UnreadableScript(
            "The script holds a NUL byte; it is not a text file.",
            hint="Send the script as UTF-8 text.",
            line=before.count("\n") + 1,
            column=len(before) - before.rfind("\n"),
        )

    _refuse_encoding(text)
    return text


def _refuse_encoding(text: str) -> None:
    """Raise UnreadableScript for another encoding than UTF-8: from such bytes Python reads other code than the text has."""
    for number, line in enumerate(text.split("\n", 2)[:2], 1):
        if not line.lstrip(" \t\f").startswith("#"):
            continue
        for found in _COOKIE.finditer(line):
            if not _is_utf8(found[1]):
                raise UnreadableScript(
                    f"The script declares the encoding {found[1][:40]}, and is UTF-8.",
                    hint="Remove that comment, or write `# -*- coding: utf-8 -*-`.",
                    line=number,
                    column=found.start(1) + 1,
                )


def _is_utf8(encoding: str) -> bool:
    # The tokenizer's own rule, then the names that Python knows it by.
    if re.match(r"utf[-_]8(?:[-_]|$)", encoding, re.IGNORECASE):
        return True
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False


def _too_large(size: int, limit: int) -> UnreadableScript:
    return UnreadableScript(
        f"The script has {size:,} bytes; the limit is {limit:,}.",
        hint="Move data out of the code: upload it as a file, or fetch it when the workflow runs.",
    )


def _parse(text: str, minor: int = sys.version_info[1]) -> ast.Module:
    """The syntax tree, by the grammar of Python 3.`minor` as far as this Python knows it. Raises UnreadableScript."""
    try:
        with _warnings_filter, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Compiling may warn, for example about an invalid escape; the code's author gets
            # that from the linter, not the runtime's own stderr.
            return ast.parse(text, feature_version=(3, minor))
    except SyntaxError as error:
        line, column = error.lineno, error.offset
        if line:
            where = f" (line {line}, column {column})"
        else:
            where = ""

        raise UnreadableScript(
            f"The script is not valid Python{where}: {error.msg}.",
            hint="Correct that line; the code must parse before anything else is looked at.",
            line=line,
            column=column,
        ) from None
    except (RecursionError, MemoryError, ValueError):
        # CPython's parser raises any of these for deep nesting, depending on its version.
        raise UnreadableScript(
            "The script is nested too deeply to be read.", hint="Split the deepest expression into steps."
        ) from None


def _tree(text: str, requires: SpecifierSet) -> ast.Module | None:
    """The syntax tree. None if the script is invalid for our Python and accepts a newer one, whose syntax we don't
    know. A script that accepts only older ones is read by the grammar of the newest of those.
    """
    newest, ours = newest_minor(requires), sys.version_info[1]
    if newest is not None and newest < ours:
        return _parse(text, newest)

    try:
        return _parse(text)
    except UnreadableScript:
        if requires.contains(".".join(map(str, sys.version_info[:3])), prereleases=True):
            raise
        return None
