"""The console's files in memory, each also compressed, under one digest of them all.

The digest stands in every address, so that browsers may keep the files for ever: a new version has new addresses. It is of
all files together, so that the modules import each other by relative paths. A browser gets our scripts and styles without
their comments and indentation (`compact`); what is vendored stays byte for byte as its manifest says.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from codewords_mcp.console import compact

FOLDER = Path(__file__).parent
SHELL = "index.html"
_MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_VENDORED = "vendor/"
_PLACE = "{{assets}}"
"""The mark in the shell that stands for the folder's address."""


_COMPACT = Path(compact.__file__).read_bytes()


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its bytes, the same compressed by gzip, and its media type."""

    body: bytes
    compressed: bytes
    media: str


def asset_of(name: str, body: bytes) -> Asset:
    """A file as browsers get it. `name` is its path below the folder."""
    suffix = Path(name).suffix
    if not name.startswith(_VENDORED):
        if suffix == ".js":
            body = compact.script(body.decode()).encode()
        elif suffix == ".css":
            body = compact.style(body.decode()).encode()
    # No time in the compressed form: the same file is the same bytes.
    return Asset(body, gzip.compress(body, mtime=0), _MEDIA[suffix])


class Assets:
    """All files of the console as they were at one moment."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._stamp: tuple[tuple[str, int, int], ...] = ()
        self._bodies: dict[str, bytes] = {}
        self._assets: dict[str, Asset] = {}
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
        # Files of one version have one address for ever, so the address changes also with how they are made compact.
        digest.update(_COMPACT)
        self._bodies = bodies
        self._assets = {}
        self._stamp = stamp
        self.digest = digest.hexdigest()[:16]

    def get(self, digest: str, name: str) -> Asset | None:
        """A file of the current version; None where there is none, or the address is of another version."""
        if digest != self.digest or name not in self._bodies:
            return None
        if name not in self._assets:
            self._assets[name] = asset_of(name, self._bodies[name])
        return self._assets[name]

    def shell(self, base: str) -> str:
        """The page that loads the console. `base` is the path below which the assets are: `/console/assets`."""
        self.refresh()
        return self._bodies[SHELL].decode().replace(_PLACE, f"{base}/{self.digest}")
