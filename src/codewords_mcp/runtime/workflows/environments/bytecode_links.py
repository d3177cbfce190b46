"""Bytecode of packages in uv's cache, linked into an environment that was installed before it was compiled.

Installing a second time would do the same, and takes a fifth of the first build of a home.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

_FOLDER = "__pycache__"
_DATA = re.compile(r"[^/]+\.data/(?:purelib|platlib)/")
"""The folder of a wheel whose contents are installed beside its other packages."""


def add(archives: Iterable[Path], site_packages: Path, tag: str) -> None:
    """Link one Python's bytecode of unpacked wheels to the installed sources of the same contents.

    `tag`: as `sys.implementation.cache_tag`, "cpython-313". The cache may hold other versions of an installed package, so each
    source is compared. It may hold a package's wheels for other Pythons too: with their bytecode the files would not be those
    of one wheel (`preloadable`), and no fork server could import it. Raises OSError.
    """
    for archive in archives:
        for folder in archive.rglob(_FOLDER):
            relative = _DATA.sub("", f"{folder.relative_to(archive)}")
            _link(folder, site_packages / relative, tag)


def _link(compiled: Path, target: Path, tag: str) -> None:
    """Link the files of a folder of bytecode, as far as their sources are beside the target."""
    for file in sorted(compiled.glob(f"*.{tag}.pyc")):
        source = f"{file.name.partition('.')[0]}.py"
        if not _is_same(compiled.parent / source, target.parent / source):
            continue

        target.mkdir(exist_ok=True)
        try:
            os.link(file, target / file.name)
        except FileExistsError:
            # From another archive with the same source.
            continue
        except OSError:
            # The cache is on another disk, as for the sources, which uv copies then.
            shutil.copyfile(file, target / file.name)


def _is_same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second) or filecmp.cmp(first, second, shallow=False)
    except FileNotFoundError:
        return False
