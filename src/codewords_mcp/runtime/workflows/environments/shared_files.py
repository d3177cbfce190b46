"""Files that the installer writes for each environment, and that equal ones of others: one file with many links.

uv links what is in wheels from its cache, and writes lists of files and scripts anew: some four small files a package, each a
block of the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path


def share(venv: Path, site_packages: Path, store: Path) -> None:
    """Replace what is in the metadata, among the scripts and in shared modules by links to equal files of `store`.

    `store` is on the same disk, or nothing is shared. Raises OSError where the disk is full.
    """
    store.mkdir(parents=True, exist_ok=True)
    for folder in (venv / "bin", *site_packages.glob("*.dist-info")):
        for file in folder.iterdir():
            if file.is_file() and not file.is_symlink() and (found := file.stat()).st_nlink == 1:
                _share(file, found.st_mode & 0o777, store)


def collect(store: Path) -> None:
    """Remove files that no environment has any more."""
    for file in store.iterdir() if store.is_dir() else ():
        # Another process may have been first.
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_nlink == 1:
                file.unlink()


def _share(file: Path, mode: int, store: Path) -> None:
    content = file.read_bytes()
    stored = store / f"{hashlib.sha256(content).hexdigest()}-{mode:o}"
    try:
        # A power failure may have left another content, or none.
        if stored.read_bytes() != content:
            stored.unlink()
    except FileNotFoundError:
        pass

    # Nobody uses the environment yet. A link that is renamed over the file would be as good, and ext4 waits for the disk at it.
    beside = file.with_name(f".{file.name}.own")
    file.rename(beside)
    try:
        os.link(stored, file)
        beside.unlink()
    except OSError:
        beside.rename(file)
        # Not there yet, another disk, or as many links as a file can have.
        with contextlib.suppress(OSError):
            os.link(file, stored)
