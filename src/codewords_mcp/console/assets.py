"""The console's files in memory, each also compressed, under one digest of them all.

The digest stands in every address, so that browsers may keep the files for ever: a new version has new addresses. It is of
all files together, so that they name each other by relative paths. A browser gets our scripts and styles without their
comments and indentation (`compact`), and the modules in a few scripts (`linker`); what is vendored stays as its manifest says.
Below `AS_WRITTEN` are the same files, each module by itself, for who looks for a fault with the browser's tools.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from codewords_mcp.console import compact, es_modules, linker, script_text
from codewords_mcp.console.linker import ALONE, CHUNKS, Linker

FOLDER = Path(__file__).parent
SHELL = "index.html"
_FIRST = ("app.css", "app.js")
_MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_VENDORED = "vendor/"
_CARDS = "cards/"
AS_WRITTEN = "as-written"
"""The folder with each module by itself."""
_PLACE = "{{assets}}"
"""The mark in the shell that stands for the folder's address."""


_MAKERS = b"".join(
    Path(str(module.__file__)).read_bytes() for module in (compact, linker, es_modules, script_text)
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its bytes, the same compressed by gzip, and its media type."""

    body: bytes
    compressed: bytes
    media: str


def asset_of(name: str, body: bytes) -> Asset:
    """A file as browsers get it by itself. `name` is its path below the folder."""
    suffix = Path(name).suffix
    if not name.startswith(_VENDORED):
        if suffix == ".js":
            body = compact.script(body.decode()).encode()
        elif suffix == ".css":
            body = compact.style(body.decode()).encode()
    return _packed(body, _MEDIA[suffix])


def linker_of(bodies: Mapping[str, bytes]) -> Linker:
    """The linker of what pages load, of all files by their paths."""
    return Linker(
        {
            name: body.decode()
            for name, body in bodies.items()
            if name.endswith(".js") and not name.startswith(_CARDS)
        }
    )


def chunk_of(linker: Linker, chunk: str) -> Asset:
    """Several modules as browsers get them. Raises NotLinked."""
    return _packed(linker.script(chunk).encode(), _MEDIA[".js"])


def _packed(body: bytes, media: str) -> Asset:
    # No time in the compressed form: the same file is the same bytes.
    return Asset(body, gzip.compress(body, mtime=0), media)


class Assets:
    """All files of the console as they were at one moment.

    They are made by a thread, one after the other: the runtime goes on meanwhile.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._stamp: tuple[tuple[str, int, int], ...] = ()
        self._files = _Files({})
        self._maker = ThreadPoolExecutor(1, "console")
        self._made: dict[str, Future[Asset | None]] = {}
        self.digest = ""

    def refresh(self) -> None:
        """Read the files again if one was changed, so that a developer only reloads the page."""
        found = [path for path in sorted(self._folder.rglob("*")) if path.suffix in _MEDIA]
        stamp = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in found)
        if stamp == self._stamp:
            return

        bodies = {path.relative_to(self._folder).as_posix(): path.read_bytes() for path in found}
        digest = hashlib.sha256()
        for name, body in bodies.items():
            digest.update(f"{name}\0{len(body)}\0".encode())
            digest.update(body)
        # Files of one version have one address for ever, so the address changes also with how they are made.
        digest.update(_MAKERS)
        self._files = _Files(bodies)
        self._made = {}
        self._stamp = stamp
        self.digest = digest.hexdigest()[:16]

    def get(self, digest: str, name: str) -> Future[Asset | None]:
        """A file of the current version; None where there is none, or the address is of another version.

        The future is the same for all who ask: don't cancel it. It raises NotLinked for a module that a chunk can't take.
        """
        if digest != self.digest or name not in self._files.names:
            absent = Future[Asset | None]()
            absent.set_result(None)
            return absent
        if name not in self._made:
            self._made[name] = self._maker.submit(self._files.make, name)
        return self._made[name]

    def shell(self, base: str, *, as_written: bool = False) -> str:
        """The page that loads the console. `base` is the path below which the assets are: `/console/assets`."""
        self.refresh()
        if as_written:
            return self._files.shell(f"{base}/{self.digest}/{AS_WRITTEN}")
        # The browser asks for these next, and styles are quickly made.
        for name in _FIRST:
            self.get(self.digest, name)
        return self._files.shell(f"{base}/{self.digest}")


class _Files:
    """Files by their paths, and how they are given to browsers."""

    def __init__(self, bodies: Mapping[str, bytes]) -> None:
        self._bodies = bodies
        chunks = {f"{chunk}.js" for chunk in CHUNKS} | {name.replace("/", "_") for name in bodies}
        self.names = chunks | set(bodies) | {f"{AS_WRITTEN}/{name}" for name in bodies}
        """The names that a file may have."""

    @cached_property
    def _linker(self) -> Linker:
        return linker_of(self._bodies)

    def make(self, name: str) -> Asset | None:
        """A file as browsers get it; None where there is none. Raises NotLinked."""
        inner = name.removeprefix(f"{AS_WRITTEN}/")
        if inner != name or not name.endswith(".js") or name in ALONE:
            if inner not in self._bodies:
                return None
            return asset_of(inner, self._bodies[inner])

        chunk = name.removesuffix(".js")
        if chunk not in self._linker.chunks:
            return None
        return chunk_of(self._linker, chunk)

    def shell(self, place: str) -> str:
        """The page that loads the files below a path."""
        return self._bodies[SHELL].decode().replace(_PLACE, place)
