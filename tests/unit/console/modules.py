"""The modules of the console, and what imports what."""

from __future__ import annotations

import re
from pathlib import Path

import codewords_mcp
from codewords_mcp.console.assets import asset_of

CONSOLE = Path(codewords_mcp.__file__).parent / "console"
_STATIC = re.compile(r"""(?:\bfrom|^import|;import)\s*["']([^"']+)["']""", re.MULTILINE)
_DYNAMIC = re.compile(r"""\bimport\(["']([^"']+)["']\)""")
_COMMENT = re.compile(r"/\*.*?\*/|^\s*//[^\n]*$", re.DOTALL | re.MULTILINE)


def modules() -> list[Path]:
    """The console's own modules, without those of vendored libraries."""
    return sorted(path for path in CONSOLE.rglob("*.js") if path.parent.name != "vendor")


def code_of(path: Path) -> str:
    """A module without its comments."""
    return _COMMENT.sub("", path.read_text(encoding="utf-8"))


def imports_of(path: Path, *, dynamic: bool = False) -> list[str]:
    """The addresses that a module imports when it is loaded, or those that it may import later."""
    if dynamic:
        pattern = _DYNAMIC
    else:
        pattern = _STATIC
    return pattern.findall(code_of(path))


def loaded_with(*entries: Path) -> set[Path]:
    """All modules that a browser loads for these."""
    found: set[Path] = set()
    waiting = list(entries)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [(path.parent / target).resolve() for target in imports_of(path)]
    return found


def served_bytes(path: Path) -> int:
    """What a browser gets for a file: compressed, as the runtime sends it."""
    return len(asset_of(path.relative_to(CONSOLE).as_posix(), path.read_bytes()).compressed)
