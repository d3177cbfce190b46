"""The steps of one build: resolve and install into a folder, compile, and fit the folder for a sandbox."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.workflows.environments import bytecode, bytecode_links
from codewords_mcp.runtime.workflows.environments.client_wheel import ClientWheel
from codewords_mcp.runtime.workflows.environments.install_progress import InstallProgress
from codewords_mcp.runtime.workflows.environments.lock import lock_of
from codewords_mcp.runtime.workflows.environments.module_wheel import ModuleWheel, install_modules
from codewords_mcp.runtime.workflows.environments.pythons import Python
from codewords_mcp.runtime.workflows.environments.resolver import explain
from codewords_mcp.runtime.workflows.environments.uv import Uv, run_command

SANDBOX_PYTHON = Path("/python")
"""The path at which a sandbox sees `base_prefix`. An installation in /usr keeps its place."""
_BESIDE = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0" "$@"
' '''
"""
"""The start of a script that runs by the interpreter in its own folder."""
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


async def newest(uv: Uv, recipe: Recipe, work: Path) -> str:
    """Lock the only requirement without its dependencies, from wheels only: `name==version`.

    Raises EnvironmentFailed with the resolver's reason in one sentence.
    """
    locked = await resolve(uv, recipe, work, "--no-deps")
    return "".join(f"{line}\n" for line in locked.splitlines() if "==" in line)


async def resolve(uv: Uv, recipe: Recipe, work: Path, *options: str) -> str:
    """Lock the requirements, from wheels only, and install nothing. Raises as `newest`."""
    done = await uv.run(
        *("pip", "compile", "--quiet", "--no-header", "--no-annotate", *options),
        *_choices(recipe, work),
        "-",
        timeout_s=_RESOLVE_TIMEOUT,
        doing="resolving the dependencies",
        cwd=work,
        stdin=_lines(recipe.requirements),
    )
    if done.code:
        raise explain(done.stderr, recipe.python.short, recipe.requirements)
    return done.stdout


async def build_venv(
    uv: Uv, recipe: Recipe, lock: str | None, work: Path, progress: Progress, timings: dict[str, float]
) -> str:
    """Make `work/venv` with bytecode, ready to be mounted into a sandbox. Returns its lock, one `name==version` a line.

    Without a lock the requirements are resolved, in the same process that installs them. Raises EnvironmentFailed with
    the resolver's reason in one sentence.
    """
    venv = work / "venv"
    packages = venv / "lib" / f"python{recipe.python.short}" / "site-packages"
    started = time.perf_counter()
    await asyncio.to_thread(_make_folders, venv, packages)
    if lock is None:
        await progress(0.1, 1, "Resolving dependencies")
    if lock or recipe.requirements:
        await _install(uv, recipe, lock, work, progress)
    timings["install"] = _ms(started)
    fresh = await asyncio.to_thread(_not_compiled, uv.cache, recipe.python.tag)

    if fresh:
        await progress(0.6, 1, "Compiling packages")
        started = time.perf_counter()
        await _compile(uv, recipe.python, fresh)
        _mark_compiled(uv.cache, recipe.python.tag, fresh)
        # Bytecode is made once per package in uv's private cache, from where it is linked like the sources: compiling
        # costs more than all the rest of a build. The first environment with a package was installed before.
        await asyncio.to_thread(bytecode_links.add, fresh, packages, recipe.python.tag)
        timings["compile"] = _ms(started)

    if lock is None:
        lock = await asyncio.to_thread(lock_of, packages)
    if recipe.modules is not None:
        await _add_modules(uv, recipe.python, recipe.modules, packages)
    await asyncio.to_thread(_fit, venv, recipe.python)
    return lock


def _make_folders(venv: Path, packages: Path) -> None:
    """Make what uv installs into. It makes no virtual environment: finding out about a new one takes a start of Python."""
    packages.mkdir(parents=True)
    (venv / "bin").mkdir()


async def _add_modules(uv: Uv, python: Python, wheel: ModuleWheel, packages: Path) -> None:
    """Unpack the shared modules after the packages, without uv: its cache would keep each state of them for ever."""
    sources = await asyncio.to_thread(install_modules, wheel, packages)
    await _compile(uv, python, sources)


async def _install(uv: Uv, recipe: Recipe, lock: str | None, work: Path, progress: Progress) -> None:
    arguments = ["pip", "install", "--prefix", str(work / "venv"), "--link-mode", "hardlink"]
    if lock is None:
        requirements = _lines(recipe.requirements)
    else:
        requirements = lock
        # The lock is complete. Resolving again could install a version that was released since.
        arguments.append("--no-deps")

    done = await uv.run(
        *arguments,
        *_choices(recipe, work, overridden=lock is None),
        "--requirements",
        "-",
        timeout_s=_INSTALL_TIMEOUT,
        doing="installing the packages",
        cwd=work,
        stdin=requirements,
        on_line=InstallProgress(progress).on_line,
    )
    if done.code:
        raise explain(done.stderr, recipe.python.short, recipe.requirements)


def _choices(recipe: Recipe, work: Path, *, overridden: bool = True) -> list[str]:
    """The arguments that say for which Python, and from where."""
    # Building from source would run a package's code on the host, outside of any sandbox.
    arguments = ["--only-binary", ":all:", "--python", str(recipe.python.executable)]
    if recipe.client:
        arguments += ["--find-links", str(recipe.client.path.parent)]
        if overridden:
            overrides = work / "overrides.txt"
            overrides.write_text(recipe.client.requirement + "\n", encoding="utf-8")
            arguments += ["--overrides", str(overrides)]
    return arguments


def _lines(requirements: tuple[str, ...]) -> str:
    """The requirements as uv reads them. Raises EnvironmentFailed where one would be more than a line."""
    if not all(requirement.isprintable() for requirement in requirements):
        raise EnvironmentFailed(
            "A dependency holds a control character.", hint="Write it in plain characters."
        )
    return "".join(f"{requirement}\n" for requirement in requirements)


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
    (venv / ".lock").unlink(missing_ok=True)
    _fit_scripts(venv / "bin", str(python.executable).encode())
    home = (python.base_prefix if python.base_prefix == Path("/usr") else SANDBOX_PYTHON) / "bin"
    # Dangles on the host, on purpose: no path of this machine must be visible to a program.
    (venv / "bin" / "python").symlink_to(home / f"python{python.short}")
    for name in ("python3", f"python{python.short}"):
        (venv / "bin" / name).symlink_to("python")
    (venv / "pyvenv.cfg").write_text(
        f"home = {home}\nimplementation = CPython\nversion_info = {python.version}\ninclude-system-site-packages = false\n",
        encoding="utf-8",
    )


def _fit_scripts(folder: Path, executable: bytes) -> None:
    """Let the scripts that uv wrote for an interpreter find the one beside them."""
    # The second form is for interpreters that a `#!` line cannot name: too long, or with a space (PEP 427).
    starts = (b"#!%b\n" % executable, b"#!/bin/sh\n'''exec' '%b' \"$0\" \"$@\"\n' '''\n" % executable)
    for script in folder.iterdir():
        text = script.read_bytes()
        if (start := next((start for start in starts if text.startswith(start)), None)) is not None:
            # uv wrote it for this environment: it is no link to its cache.
            script.write_bytes(_BESIDE + text[len(start) :])


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
