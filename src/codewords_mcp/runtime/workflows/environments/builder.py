"""The steps of one build: resolve to a lock, install it into a venv, and fit the venv for a sandbox."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.workflows.environments import bytecode, bytecode_links
from codewords_mcp.runtime.workflows.environments.client_wheel import ClientWheel
from codewords_mcp.runtime.workflows.environments.module_wheel import ModuleWheel, install_modules
from codewords_mcp.runtime.workflows.environments.pythons import Python
from codewords_mcp.runtime.workflows.environments.resolver import explain
from codewords_mcp.runtime.workflows.environments.uv import Uv, run_command

SANDBOX_PYTHON = Path("/python")
"""The path at which a sandbox sees `base_prefix`. An installation in /usr keeps its place."""
_RESOLVE_TIMEOUT = 180.0
_INSTALL_TIMEOUT = 600.0
_COMPILE_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """All inputs that determine an environment's contents."""

    hash: str
    requirements: tuple[str, ...]
    python: Python
    client: ClientWheel | None
    modules: ModuleWheel | None = None
    lock_name: str = ""
    """The name of its lock: shared modules have no part in it, so that a change of them resolves nothing anew."""


async def resolve(uv: Uv, recipe: Recipe, work: Path, *, dependencies: bool = True) -> str:
    """Lock the requirements, from wheels only: one `name==version` a line; with their `dependencies`, or alone.

    Raises EnvironmentFailed with the resolver's reason in one sentence.
    """
    if not recipe.requirements:
        return ""

    arguments = [
        "pip",
        "compile",
        "--quiet",
        "--no-header",
        "--no-annotate",
        # Building from source would run a package's code on the host, outside of any sandbox.
        "--only-binary",
        ":all:",
        "--python",
        str(recipe.python.executable),
        *_client_options(recipe),
        *(() if dependencies else ("--no-deps",)),
    ]
    if recipe.client:
        overrides = work / "overrides.txt"
        overrides.write_text(recipe.client.requirement + "\n", encoding="utf-8")
        arguments += ["--overrides", str(overrides)]

    if not all(
        requirement.isprintable() for requirement in recipe.requirements
    ):  # each is one line of what uv reads
        raise EnvironmentFailed(
            "A dependency holds a control character.", hint="Write it in plain characters."
        )

    stdin = "".join(f"{requirement}\n" for requirement in recipe.requirements)
    done = await uv.run(
        *arguments, "-", timeout_s=_RESOLVE_TIMEOUT, doing="resolving the dependencies", cwd=work, stdin=stdin
    )
    if done.code:
        raise explain(done.stderr, recipe.python.short, recipe.requirements)

    return "".join(f"{line}\n" for line in done.stdout.splitlines() if "==" in line)


async def build_venv(
    uv: Uv, recipe: Recipe, lock: str, work: Path, progress: Progress, timings: dict[str, float]
) -> None:
    """Make `work/venv` from a lock, with bytecode, ready to be mounted into a sandbox."""
    await progress(0.3, 1, "Installing packages")
    started = time.perf_counter()
    await _install(uv, recipe, lock, work)
    timings["install"] = _ms(started)
    fresh = await asyncio.to_thread(_not_compiled, uv.cache, recipe.python.tag)

    if fresh:
        await progress(0.6, 1, "Compiling packages")
        started = time.perf_counter()
        await _compile(uv, recipe.python, fresh)
        _mark_compiled(uv.cache, recipe.python.tag, fresh)
        # Bytecode is made once per package in uv's private cache, from where it is linked like the sources: compiling
        # costs more than all the rest of a build. The first environment with a package was installed before.
        packages = work / "venv" / "lib" / f"python{recipe.python.short}" / "site-packages"
        await asyncio.to_thread(bytecode_links.add, fresh, packages)
        timings["compile"] = _ms(started)

    if recipe.modules is not None:
        await _add_modules(uv, recipe.python, recipe.modules, work / "venv")
    await asyncio.to_thread(_fit, work / "venv", recipe.python)


async def _add_modules(uv: Uv, python: Python, wheel: ModuleWheel, venv: Path) -> None:
    """Unpack the shared modules after the packages, without uv: its cache would keep each state of them for ever."""
    site_packages = venv / "lib" / f"python{python.short}" / "site-packages"
    sources = await asyncio.to_thread(install_modules, wheel, site_packages)
    await _compile(uv, python, sources)


async def _install(uv: Uv, recipe: Recipe, lock: str, work: Path) -> None:
    venv = work / "venv"
    made = await uv.run(
        "venv",
        "--quiet",
        "--no-project",
        # The venv is renamed into place, and a sandbox sees it at another path.
        "--relocatable",
        "--python",
        str(recipe.python.executable),
        str(venv),
        timeout_s=60,
        doing="making a virtual environment",
        cwd=work,
    )
    if made.code:
        raise EnvironmentFailed(
            f"Python {recipe.python.version} cannot make a virtual environment.",
            hint="Install that Python again, with its `venv` module.",
        )
    if not lock:
        return

    arguments = [
        "pip",
        "install",
        "--quiet",
        # The lock is complete. Resolving again could install a version that was released since.
        "--no-deps",
        "--only-binary",
        ":all:",
        "--python",
        str(venv / "bin" / "python"),
        "--link-mode",
        "hardlink",
        *_client_options(recipe),
        "--requirements",
        "-",
    ]
    done = await uv.run(
        *arguments, timeout_s=_INSTALL_TIMEOUT, doing="installing the packages", cwd=work, stdin=lock
    )
    if done.code:
        raise explain(done.stderr, recipe.python.short, recipe.requirements)


def _client_options(recipe: Recipe) -> list[str]:
    if recipe.client:
        return ["--find-links", str(recipe.client.path.parent)]
    return []


def _not_compiled(cache: Path, tag: str) -> list[Path]:
    """Unpacked packages in uv's cache without this Python's bytecode."""
    archives = cache / "archive-v0"
    marks = cache / "bytecode" / tag
    if not archives.is_dir():
        return []
    if marks.is_dir():
        done = {mark.name for mark in marks.iterdir()}
    else:
        done = set[str]()
    return [archive for archive in archives.iterdir() if archive.is_dir() and archive.name not in done]


async def _compile(uv: Uv, python: Python, sources: list[Path]) -> None:
    """Compile files and all files of folders. No code of theirs is run."""
    command = (
        str(python.executable),
        # Isolated and without `site`: no file of the package or the environment is imported.
        "-I",
        "-S",
        str(Path(bytecode.__file__)),
        "-qq",
        "-j",
        "2",
        "--invalidation-mode",
        # Environments never change, and copies where links fail keep no times to compare with.
        "unchecked-hash",
        # A wheel's scripts are files only: uv installs none with a folder of bytecode among them.
        "-x",
        r"\.data/scripts/",
        *map(str, sources),
    )
    # The exit code is ignored: some packages carry test files of bad syntax on purpose.
    await run_command(
        command, env=uv.environment(), timeout_s=_COMPILE_TIMEOUT, doing="compiling the packages"
    )


def _mark_compiled(cache: Path, tag: str, archives: list[Path]) -> None:
    marks = cache / "bytecode" / tag
    marks.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        # The archive's own folder stays untouched: it is linked into environments.
        (marks / archive.name).touch()


def _fit(venv: Path, python: Python) -> None:
    """Point the venv at the paths that a sandbox knows, so that no path of this machine is in it."""
    home = (python.base_prefix if python.base_prefix == Path("/usr") else SANDBOX_PYTHON) / "bin"
    for name in ("python", "python3", f"python{python.short}"):
        (venv / "bin" / name).unlink(missing_ok=True)
    # Dangles on the host, on purpose: no path of this machine must be visible to a program.
    (venv / "bin" / "python").symlink_to(home / f"python{python.short}")
    for name in ("python3", f"python{python.short}"):
        (venv / "bin" / name).symlink_to("python")
    (venv / "pyvenv.cfg").write_text(
        f"home = {home}\nimplementation = CPython\nversion_info = {python.version}\ninclude-system-site-packages = false\n",
        encoding="utf-8",
    )


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
