"""How long does a new environment take, its wheels being here already, bytecode included?

Ours is what a deploy does when nobody has asked for these dependencies before: lock, install and compile, then the first
import. The peer is what `uv run --script` does at its first run with no environment, its cache warm, until the program has
imported the same. Both have a cache of their own and no network.

    python benchmarks/environment_build.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uv
from _bench import Question, clean_environment, options, report
from _sandboxes import CODE, greeting_environment, quiet
from tests.support.runtime import warm_folder

from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.settings import Settings

IMPORTS = "import fastapi, uvicorn, pydantic, httpx, codewords_client"
PEER_NAME = "the first `uv run --script` without an environment, wheels warm, offline"


class Ours:
    """Builds into a home of its own with the shared cache."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def milliseconds(self) -> tuple[float, float, float]:
        """From the script to its environment, and to its imports done; and the processor time of the environment."""
        self._count += 1
        home = self._folder / f"home{self._count}"
        home.mkdir()
        (home / "cache").symlink_to(warm_folder() / "cache")
        began, used = time.perf_counter(), processor()
        built = asyncio.run(self._build(home))
        there, used = (time.perf_counter() - began) * 1000, processor() - used
        python = built.base_prefix / "bin" / f"python{built.python_version}"
        env = clean_environment(
            PYTHONPATH=str(built.path / "lib" / f"python{built.python_version}" / "site-packages")
        )
        subprocess.run([python, "-c", IMPORTS], check=True, env=env)
        took = (time.perf_counter() - began) * 1000
        shutil.rmtree(home)
        return there, took, used

    async def _build(self, home: Path):
        environments = Environments(home, Settings(home=home), Path(uv.find_uv_bin()))
        try:
            return (await environments.ensure(parse_script(CODE))).ref
        finally:
            await environments.close()


class Peer:
    """uv with its cached environments thrown away each time."""

    def __init__(self, folder: Path, python: Path) -> None:
        header = CODE[CODE.index("# /// script") : CODE.index("# ///\n", 10) + len("# ///\n")]
        self._script = folder / "imports.py"
        self._script.write_text(header + IMPORTS + "\n", encoding="utf-8")
        self._cache = folder / "uv-cache"
        self._env = clean_environment(
            UV_CACHE_DIR=str(self._cache), UV_PYTHON=str(python), UV_NO_PROGRESS="1"
        )
        self._env.pop("UV_OFFLINE")
        self.milliseconds()
        self._env["UV_OFFLINE"] = "1"

    def milliseconds(self) -> tuple[float, float]:
        """One first run, and its processor time."""
        for folder in self._cache.glob("environments-*"):
            shutil.rmtree(folder)
        for folder in self._cache.rglob(
            "__pycache__"
        ):  # what the last run compiled went into the cache by hard links
            shutil.rmtree(folder)
        began, used = time.perf_counter(), processor()
        subprocess.run(
            [uv.find_uv_bin(), "run", "-q", "--script", str(self._script)], check=True, env=self._env
        )
        return (time.perf_counter() - began) * 1000, processor() - used


def processor() -> float:
    """Milliseconds of processors, of this process and of those that it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used) * 1000


def main() -> int:
    """Measure and report."""
    quiet()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    chosen = options(__doc__.splitlines()[0], runs=20, quick_runs=5)
    built = Question("a new environment, bytecode included", PEER_NAME, "ms", 0.15)
    processors = Question("processor time of the same", PEER_NAME, "ms", 0.15)
    imported = Question("the same, to the first import in it", PEER_NAME, "ms", None)
    environment = asyncio.run(greeting_environment())
    os.environ["UV_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(Path(folder))
        peer = Peer(Path(folder), environment.base_prefix / "bin" / f"python{environment.python_version}")
        for number in range(chosen.runs + 1):
            (there, done, used), (first_run, peer_used) = ours.milliseconds(), peer.milliseconds()
            if number:
                built.ours.append(there)
                processors.ours.append(used)
                imported.ours.append(done)
                built.peer.append(first_run)
                processors.peer.append(peer_used)
                imported.peer.append(first_run)
    return report([built, processors, imported], chosen)


if __name__ == "__main__":
    sys.exit(main())
