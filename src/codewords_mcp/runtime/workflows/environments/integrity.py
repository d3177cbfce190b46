"""Integrity of installed packages and of those unpacked in uv's cache, compared with their wheels.

Each wheel lists its files with sizes and hashes (`RECORD`). Sizes are compared when an environment
is loaded, which takes milliseconds; hashes after a build, and after a failed one, since the cache
that it is linked from may be damaged.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import shutil
import stat
from pathlib import Path

SUFFIX = ".dist-info"
_OURS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
"""Files that installers write or change themselves."""

_CODE = (".py", ".so", ".pyd", ".dylib")
"""Suffixes of compared files, beside package metadata. Data may be changed on purpose: a company's
certificates.
"""


def damaged_packages(site_packages: Path, expected: int = 0, *, hashes: bool = False) -> list[str]:
    """Packages with a missing or changed file; names as in `name-version`.

    `expected` is the required number of packages. Packages that are missing altogether are reported
    too.
    """
    complete = [folder for folder in _folders(site_packages) if (folder / "RECORD").is_file()]
    damaged = [
        folder.name.removesuffix(SUFFIX)
        for folder in _folders(site_packages)
        if not _is_whole(folder, hashes=hashes)
    ]
    # Whole packages leave no metadata behind, so only the number shows that they are gone.
    if not damaged and len(complete) < expected:
        damaged = [f"{expected - len(complete)} packages that are missing"]
    return sorted(damaged)


def clean_cache(cache: Path, *, marks: str) -> list[str]:
    """Remove damaged packages from uv's cache, so that they are fetched again. Returns their names.

    `marks` is the cache's folder with a file for each package whose bytecode was compiled.
    """
    removed: list[str] = []
    for archive in (cache / "archive-v0").glob("*"):
        if not archive.is_dir():
            continue
        damaged = damaged_packages(archive, hashes=True)
        # An archive without metadata is a broken download: uv would link it without a question.
        if damaged or not _folders(archive):
            removed += damaged or [archive.name]
            shutil.rmtree(archive, ignore_errors=True)
            for mark in (cache / marks).glob(f"*/{archive.name}"):
                mark.unlink(missing_ok=True)

    return sorted(removed)


def _folders(folder: Path) -> list[Path]:
    if folder.is_dir():
        return [entry for entry in folder.glob(f"*{SUFFIX}") if entry.is_dir()]
    return []


def _is_whole(info: Path, *, hashes: bool) -> bool:
    try:
        with (info / "RECORD").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        folder = str(info.parent)
        return bool(rows) and all(_is_same(folder, row, hashes=hashes) for row in rows)
    except (OSError, ValueError, csv.Error):
        return False


def _is_same(folder: str, row: list[str], *, hashes: bool) -> bool:
    """Whether the file of one line of RECORD is there, with its size and hash. Raises OSError where it cannot be read."""
    if len(row) != 3:
        return False

    name, digest, size = row
    if name.rpartition("/")[2] in _OURS or ".data/" in name or not (name.endswith(_CODE) or SUFFIX in name):
        return True
    # Text and one stat: an environment has thousands of files, and a Path costs more than looking at one.
    path = f"{folder}/{name}"
    if name.startswith("../"):  # a script, which the installer has written for this environment
        return not hashes or os.path.lexists(path)
    # The size first: it costs a stat, a hash reads the file.
    found = os.stat(path)  # noqa: PTH116
    if not stat.S_ISREG(found.st_mode) or (size and found.st_size != int(size)):
        return False

    kind, _, expected = digest.partition("=")
    # RECORD has no hash for itself, and may name an algorithm that this Python lacks.
    if not hashes or not expected or kind not in hashlib.algorithms_guaranteed:
        return True

    actual = base64.urlsafe_b64encode(hashlib.new(kind, Path(path).read_bytes()).digest()).rstrip(b"=")
    return actual.decode() == expected.rstrip("=")
