"""Integrity of installed packages and of those unpacked in uv's cache, compared with their wheels.

Each wheel lists its files with sizes and hashes (`RECORD`). Sizes are compared when an environment
is loaded, which takes milliseconds; hashes after a build, and after a failed one, since the cache
that it is linked from may be damaged. Files whose hashes were right once are not read again by a build while
inode, size and time of all files of their package are the same: `doctor` reads them.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
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


def damaged_packages(
    site_packages: Path, expected: int = 0, *, hashes: bool = False, verified: Path | None = None
) -> list[str]:
    """Packages with a missing or changed file; names as in `name-version`.

    `expected` is the required number of packages. Packages that are missing altogether are reported
    too. `verified` is a folder that remembers packages whose hashes were right.
    """
    infos = _folders(site_packages)
    complete = [folder for folder in infos if (folder / "RECORD").is_file()]
    damaged = [
        folder.name.removesuffix(SUFFIX)
        for folder in infos
        if not _is_whole(folder, hashes=hashes, verified=verified)
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


def _is_whole(info: Path, *, hashes: bool, verified: Path | None = None) -> bool:
    folder = str(info.parent)
    try:
        with (info / "RECORD").open(encoding="utf-8", newline="") as file:
            record = file.read()
        rows = list(csv.reader(io.StringIO(record, newline="")))
        found = [_stat(folder, row, scripts=hashes) for row in rows]
        if not rows or not hashes:
            return bool(rows)

        mark = None if verified is None else _mark(verified, record, found)
        if mark is not None and mark.exists():
            return True
        whole = all(_has_hash(folder, row) for row, stats in zip(rows, found, strict=True) if stats)
        if whole and mark is not None:
            mark.parent.mkdir(exist_ok=True)
            mark.touch()
        return whole
    except (OSError, ValueError, csv.Error):
        return False


def _mark(verified: Path, record: str, found: list[os.stat_result | None]) -> Path | None:
    """The name under which a package is remembered. None for copies, which no other environment has."""
    compared = [stats for stats in found if stats]
    if any(stats.st_nlink < 2 for stats in compared):
        return None
    states = [(stats.st_ino, stats.st_size, stats.st_mtime_ns) for stats in compared]
    return verified / hashlib.sha256(f"{record}\0{states}".encode()).hexdigest()


def _stat(folder: str, row: list[str], *, scripts: bool) -> os.stat_result | None:
    """Look at the file of one line of RECORD. None for one that is not compared, or a script.

    Raises OSError where it is not there, ValueError where it is another kind of file or has another size.
    """
    name, _, size = row
    if name.rpartition("/")[2] in _OURS or ".data/" in name or not (name.endswith(_CODE) or SUFFIX in name):
        return None
    # Text and one stat: an environment has thousands of files, and a Path costs more than looking at one.
    path = f"{folder}/{name}"
    if name.startswith("../"):  # a script, which the installer has written for this environment
        if scripts:
            os.lstat(path)
        return None

    found = os.stat(path)  # noqa: PTH116
    if not stat.S_ISREG(found.st_mode) or (size and found.st_size != int(size)):
        raise ValueError(name)
    return found


def _has_hash(folder: str, row: list[str]) -> bool:
    """Whether the file of one line of RECORD has its hash. Raises OSError where it cannot be read."""
    kind, _, expected = row[1].partition("=")
    # RECORD has no hash for itself, and may name an algorithm that this Python lacks.
    if not expected or kind not in hashlib.algorithms_guaranteed:
        return True
    actual = base64.urlsafe_b64encode(
        hashlib.new(kind, Path(f"{folder}/{row[0]}").read_bytes()).digest()
    ).rstrip(b"=")
    return actual.decode() == expected.rstrip("=")
