"""Modules that workflows share, as they stand in the code of a version: blocks of comments at its end.

A version stays one text. So whatever keeps, compares, copies, moves or restores code does so with the modules in it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from codewords_mcp.errors import InvalidScript

MAX_MODULES = 200
MODULES_DISTRIBUTION = "codewords-modules"
"""The distribution as which an environment has the modules. No index is ever asked for it."""
MODULES_FILE = "modules.txt"
"""The blocks of the modules, in the metadata of that distribution."""
HEADING = "# /// module "
"""The start of a block's first line; the path follows."""
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_PART = r"[A-Za-z_][A-Za-z0-9_]{0,99}"
_PATH = re.compile(rf"(?:{_PART}/){{0,9}}{_PART}\.py")
_OWN_NAMES = frozenset({"main", "codewords_client", "sitecustomize", "usercustomize"})
"""The program itself, our client, and what an interpreter imports by itself."""


class InvalidModules(InvalidScript):
    """A block of a shared module that cannot be taken."""


@dataclass(frozen=True, slots=True)
class SharedModule:
    """A module beside the program.

    `path` is relative, as `shared/helpers.py`. `text` has Unix newlines and, unless it is empty, one at its end. `line` is
    the line of its heading in the code that it was read from, from 1.
    """

    path: str
    text: str
    line: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """The name by which it is imported: `shared.helpers`, and `shared` for `shared/__init__.py`."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def package(self) -> str:
        """The package that its relative imports begin from; "" for a module at the top."""
        return self.path.rpartition("/")[0].replace("/", ".")

    @property
    def top(self) -> str:
        """The first part of its name."""
        return self.name.partition(".")[0]


def join_modules(code: str, modules: Iterable[SharedModule]) -> str:
    """The code with blocks of these modules at its end, in the order of their paths."""
    ordered = sorted(modules, key=lambda module: module.path)
    if not ordered:
        return code
    if not code.endswith("\n"):
        code += "\n"
    return code + "".join(map(_block, ordered))


def split_modules(code: str) -> tuple[str, tuple[SharedModule, ...]]:
    """The code without the blocks at its end, and their modules. Raises InvalidModules with the line of a faulty block."""
    lines: list[str] = _LINES.findall(code)
    start = _first_block(lines)
    found: list[tuple[str, int, list[str]]] = []
    for number, line in enumerate(lines[start:], start + 1):
        if line.startswith(HEADING):
            found.append((line.removeprefix(HEADING).strip(), number, []))
        elif line.startswith("#|"):
            found[-1][2].append(line[2:].rstrip("\r\n").removeprefix(" ") + "\n")

    modules = [SharedModule(path, "".join(text), number) for path, number, text in found]
    _refuse_faults(modules)
    return "".join(lines[:start]), tuple(modules)


def _first_block(lines: list[str]) -> int:
    """The position of the first block's heading; the number of lines where there is none.

    Only blocks up to the end count. A comment there is one: inside of a text, quotes would follow.
    """
    first = len(lines)
    for position in range(len(lines) - 1, -1, -1):
        line = lines[position]
        if line.startswith(HEADING):
            first = position
        elif line.strip() and not line.startswith("#|"):
            break
    return first


def normalise(code: str) -> str:
    """The code with Unix newlines and without a byte order mark; positions in it are the file's positions."""
    return code.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def module_text(text: str) -> str:
    """The text of a module as it is kept: the same for each machine's newlines."""
    # Editors of Windows begin files with a byte order mark; in the middle of a version's code it is a fault.
    text = normalise(text)
    if text and not text.endswith("\n"):
        return text + "\n"
    return text


def _block(module: SharedModule) -> str:
    lines = [f"#| {line}" if line else "#|" for line in module.text.split("\n")[:-1]]
    return "\n".join([f"# /// module {module.path}", *lines]) + "\n"


def _refuse_faults(modules: list[SharedModule]) -> None:
    """Raise InvalidModules for modules that cannot be installed as they are named."""
    if len(modules) > MAX_MODULES:
        raise _fault(modules[MAX_MODULES], f"A version has at most {MAX_MODULES} shared modules.")

    seen: dict[str, SharedModule] = {}
    for module in modules:
        # A path that leads out of its folder would be written there by the wheel and by a pull.
        if not _PATH.fullmatch(module.path):
            raise _fault(
                module,
                "A shared module's path is names of Python with slashes between them, and ends in .py.",
            )
        if module.top in _OWN_NAMES or module.top in sys.stdlib_module_names:
            raise _fault(module, f"{module.path} has the name of a module that every program has already.")
        if module.name in seen:
            raise _fault(module, f"{module.path} and {seen[module.name].path} are one module.")
        seen[module.name] = module
    for module in modules:
        # `shared.py` hides a folder without `__init__.py`, and is hidden by one with it.
        above = seen.get(module.package)
        if above is not None and not above.path.endswith("/__init__.py"):
            raise _fault(module, f"{module.path} is not importable beside {above.path}.")


def _fault(module: SharedModule, message: str) -> InvalidModules:
    return InvalidModules(
        message, hint="`# /// module shared/helpers.py`, then its lines, each after `#| `.", line=module.line
    )
