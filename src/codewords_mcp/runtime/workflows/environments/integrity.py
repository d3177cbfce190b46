"""Whether the installed packages of an environment, and those unpacked in uv's cache, are as their wheels were.

Each wheel lists its files with sizes and hashes (`RECORD`). Sizes are compared when an environment is loaded, which takes
milliseconds; hashes after it was built and where a build failed, since the cache that it is linked from may be damaged.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import shutil
from pathlib import Path

SUFFIX = ".dist-info"
_OURS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
"""Files that installers write or change themselves."""

_CODE = (".py", ".so", ".pyd", ".dylib")
"""What is compared, beside what describes the package. Data may be changed on purpose: certificates of a company."""


def damaged_packages(site_packages: Path, expected: int = 0, *, hashes: bool = False) -> list[str]:
    """Packages of which a file is missing or another one; names as in `name-version`.

    `expected` is how many packages there have to be; where some are missing altogether, that is said too.
    """
    found = [one for one in _folders(site_packages) if (one / "RECORD").is_file()]
    damaged = [
        one.name.removesuffix(SUFFIX) for one in _folders(site_packages) if not _is_whole(one, hashes=hashes)
    ]
    if not damaged and len(found) < expected:
        damaged = [f"{expected - len(found)} packages that are missing"]
    return sorted(damaged)


def clean_cache(cache: Path, *, marks: str) -> list[str]:
    """Remove what is damaged of uv's unpacked packages, so that they are fetched again; their names.

    `marks` is the folder in the cache that has a file for each package whose bytecode was made.
    """
    removed: list[str] = []
    for archive in (cache / "archive-v0").glob("*"):
        if not archive.is_dir():
            continue
        damaged = damaged_packages(archive, hashes=True)
        if damaged or not _folders(archive):
            removed += damaged or [archive.name]
            shutil.rmtree(archive, ignore_errors=True)
            for mark in (cache / marks).glob(f"*/{archive.name}"):
                mark.unlink(missing_ok=True)

    return sorted(removed)


def _folders(folder: Path) -> list[Path]:
    if folder.is_dir():
        return [one for one in folder.glob(f"*{SUFFIX}") if one.is_dir()]
    return []


def _is_whole(info: Path, *, hashes: bool) -> bool:
    try:
        with (info / "RECORD").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        return bool(rows) and all(_is_same(info, row, hashes=hashes) for row in rows)
    except (OSError, ValueError, csv.Error):
        return False


def _is_same(info: Path, row: list[str], *, hashes: bool) -> bool:
    """Whether the file of one line of RECORD is there, with its size and hash."""
    if len(row) != 3:
        return False

    name, digest, size = row
    path = info.parent / name
    if path.name in _OURS or ".data/" in name or not (path.suffix in _CODE or SUFFIX in name):
        return True
    if name.startswith("../"):  # a script, which the installer has written for this environment
        return path.is_symlink() or path.exists() or not hashes
    if not path.is_file() or (size and path.stat().st_size != int(size)):
        return False

    kind, _, expected = digest.partition("=")
    if not hashes or not expected or kind not in hashlib.algorithms_guaranteed:
        return True

    found = base64.urlsafe_b64encode(hashlib.new(kind, path.read_bytes()).digest()).rstrip(b"=")
    return found.decode() == expected.rstrip("=")
