"""Disk space of 100 environments, beside that of their distinct files.

Each has the packages of a workflow and one small package in a version or combination of its own, as the workflows of a home
have. Ours are blocks of distinct inodes below the home's environments, the package cache's among them;
the other side is one copy of each distinct content. Folders cannot be shared and are told apart.

    python benchmarks/environment_disk.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
from itertools import islice, product
from pathlib import Path

import uv
from _bench import Question, options, report
from _sandboxes import CODE, greeting_environment, quiet
from tests.support.runtime import warm_folder

from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.settings import Settings

_MIB = 1 << 20
_MORE = (
    ("idna==3.10", "idna==3.9", "idna==3.8", "idna==3.7"),
    ("certifi>=2024", "certifi>=2023", "certifi", "certifi>2022", "certifi>2021"),
    ("anyio", "anyio>=3", "anyio>=3.1", "anyio>=3.2", "anyio>=3.3"),
)
"""Further requirements: each combination is another environment."""


async def build(home: Path, count: int) -> int:
    """Build so many environments. Returns how many there are."""
    environments = Environments(home, Settings(home=home), Path(uv.find_uv_bin()))
    try:
        hashes = {
            (await environments.ensure(parse_script(_with(more)))).hash
            for more in islice(product(*_MORE), count)
        }
    finally:
        await environments.close()
    return len(hashes)


def _with(more: tuple[str, ...]) -> str:
    listed = "".join(f'#   "{one}",\n' for one in more)
    return CODE.replace("# dependencies = [\n", f"# dependencies = [\n{listed}", 1)


def disk(root: Path) -> tuple[float, float, float]:
    """MiB of blocks below a folder: of files by inode, of files by content, and of folders."""
    inodes: dict[int, int] = {}
    contents: dict[bytes, int] = {}
    folders = 0
    for path, _, names in os.walk(root):
        folders += os.lstat(path).st_blocks * 512
        for name in names:
            file = Path(path) / name
            found = file.lstat()
            if file.is_symlink() or found.st_ino in inodes:
                continue
            inodes[found.st_ino] = found.st_blocks * 512
            contents[hashlib.sha256(file.read_bytes()).digest()] = found.st_blocks * 512
    return sum(inodes.values()) / _MIB, sum(contents.values()) / _MIB, folders / _MIB


def main() -> int:
    """Measure and report."""
    quiet()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    chosen = options(__doc__.splitlines()[0], runs=100, quick_runs=12)
    asyncio.run(greeting_environment())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "cache").symlink_to(warm_folder() / "cache")
        count = asyncio.run(build(home, chosen.runs))
        files, distinct, folders = disk(home / "environments")
    asked = Question(
        f"files of {count} environments on disk", "one copy of each distinct content", "MiB", 1.05
    )
    whole = Question("the same with their folders", "one copy of each distinct content", "MiB", None)
    asked.ours, asked.peer = [files], [distinct]
    whole.ours, whole.peer = [files + folders], [distinct]
    return report([asked, whole], chosen)


if __name__ == "__main__":
    sys.exit(main())
