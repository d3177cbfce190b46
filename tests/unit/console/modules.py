"""The modules of the console, and what imports what."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import codewords_mcp
from codewords_mcp.console.assets import asset_of, chunk_of, linker_of
from codewords_mcp.console.linker import Linker

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
    """All modules that are loaded for these."""
    found: set[Path] = set()
    waiting = list(entries)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [(path.parent / target).resolve() for target in imports_of(path)]
    return found


@cache
def linker() -> Linker:
    """What makes a few scripts of all modules of pages."""
    return linker_of({_name(path): path.read_bytes() for path in CONSOLE.rglob("*.js")})


def served() -> set[str]:
    """The files that pages of the console may load. Cards are shown by chats."""
    found = [
        path
        for path in CONSOLE.rglob("*")
        if path.suffix in {".js", ".css", ".html"} and path.parent.name != "cards"
    ]
    return {linker().address_of(_name(path)) for path in found}


def served_with(*entries: Path) -> set[str]:
    """The files that a browser loads for some modules: the scripts that hold them, and those that these import."""
    found: set[str] = set()
    waiting = [linker().address_of(_name(entry)) for entry in entries]
    while waiting:
        address = waiting.pop()
        if address not in found:
            found.add(address)
            waiting += [f"{chunk}.js" for chunk in linker().imports_of(address.removesuffix(".js"))]
    return found


@cache
def served_bytes(address: str) -> int:
    """The size of a file as a browser gets it: compressed, as the runtime sends it."""
    chunk = address.removesuffix(".js")
    if chunk in linker().chunks:
        return len(chunk_of(linker(), chunk).compressed)
    return len(asset_of(address, (CONSOLE / address).read_bytes()).compressed)


def _name(path: Path) -> str:
    return path.relative_to(CONSOLE).as_posix()
