"""Locked environments, one per set of dependencies, built once and shared by hard links.

Layout under `home/environments/<hash>/`: `venv/` is mounted into sandboxes, `environment.json` beside it is ours.
Locks stay in `home/environments/locks/` after an environment is collected, so that it is rebuilt with the same versions.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog

from codewords_mcp.errors import EnvironmentFailed, StorageFailed
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.sandboxes.namespaces import preloadable
from codewords_mcp.runtime.workflows.environments import folders, shared_files
from codewords_mcp.runtime.workflows.environments.builder import Recipe, build_venv, newest, resolve
from codewords_mcp.runtime.workflows.environments.client_wheel import ClientWheel, client_wheel
from codewords_mcp.runtime.workflows.environments.installed import (
    Environment,
    describe,
    facts_of,
    site_packages_of,
)
from codewords_mcp.runtime.workflows.environments.integrity import clean_cache, damaged_packages
from codewords_mcp.runtime.workflows.environments.module_wheel import module_wheel
from codewords_mcp.runtime.workflows.environments.pythons import NoPython, Python, find_python, own_python
from codewords_mcp.runtime.workflows.environments.uv import Uv
from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.settings import Settings

log = structlog.get_logger(__name__)
T = TypeVar("T")
_SHOWN, _NAMED = 20, 3
"""Damaged packages that are named in the log, and in a sentence."""
_LAYOUT = "2"
"""Changes when environments are built otherwise; older ones are then left alone and collected."""


@dataclass(slots=True)
class _Build:
    """A build that several callers may await; the last one that gives up cancels it."""

    task: asyncio.Task[Environment]
    listeners: list[Progress]
    waiters: int = 0


class Environments:
    """The environments of one home. All methods are for one event loop; other processes may use the same home."""

    def __init__(self, home: Path, settings: Settings, uv: Path) -> None:
        self._root = home / "environments"
        self._downloads = settings.python_downloads
        self._uv = Uv(uv, home / "cache" / "uv")
        self._wheels = home / "cache" / "client"
        self._shared = home / "cache" / "files"
        self._pythons = home / "pythons"
        self._builds: dict[str, _Build] = {}
        self._known_pythons: dict[str, Python] = {}
        self._damaged_hashes: set[str] = set()
        """Damage that `damaged` found, beyond the sizes that are compared at each load."""
        self.rebuilt: dict[str, list[str]] = {}
        """Environments that were damaged and have been built again by this process: their hash, and the packages."""
        self._wheel: ClientWheel | None = None
        self._wheel_lock = asyncio.Lock()

    async def ensure(self, script: Script, progress: Progress = no_progress) -> Environment:
        """The environment for a script, built if it is not there. Calls for the same dependencies share one build.

        Raises EnvironmentFailed with the reason in a sentence, StorageFailed where the home cannot be written.
        Cancelling it, or a crash, leaves nothing that a later call would take for an environment.
        """
        started = time.perf_counter()
        recipe = await self._recipe(script)
        found_ms = _ms(started)
        environment, damage = await asyncio.to_thread(self._load, recipe)
        if environment is None or damage:
            environment = await self._join(recipe, progress, damage)
        timings = {"python": found_ms, **environment.timings_ms, "total": _ms(started)}
        return replace(environment, timings_ms=timings)

    async def newest_version(self, script: Script) -> str:
        """The newest version, from a wheel, of the only package that a script names. Raises EnvironmentFailed."""
        recipe = await self._recipe(script)
        lock = await folders.writable(self._newest(recipe))
        return lock.strip().partition("==")[2].partition(" ")[0]

    async def _newest(self, recipe: Recipe) -> str:
        async with folders.unfinished(self._root) as work:
            return await newest(self._uv, recipe, work)

    async def collect(self, in_use: set[str], older_than: float) -> int:
        """Remove environments whose hash is not in use and that nobody asked for since `older_than` seconds, and what
        crashed builds left. Returns how many environments went.
        """
        removed = await asyncio.to_thread(folders.collect, self._root, in_use | set(self._builds), older_than)
        await asyncio.to_thread(shared_files.collect, self._shared)
        return removed

    async def close(self) -> None:
        """Cancel builds that run and wait for their end."""
        tasks = [build.task for build in self._builds.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _recipe(self, script: Script) -> Recipe:
        try:
            python = await self._python(script.requires_python)
        except NoPython as error:
            raise error.explained(await self._problem_on_own_python(script)) from None

        recipe = await self._recipe_for(script, python)
        modules = module_wheel(script.modules)
        if modules is None:
            return recipe
        whole = hashlib.sha256(f"{recipe.hash}\0{modules.digest}".encode()).hexdigest()[:24]
        return replace(recipe, hash=whole, modules=modules)

    async def _recipe_for(self, script: Script, python: Python) -> Recipe:
        """The packages of a script for a Python, without its shared modules."""
        client = None
        if script.uses_our_client:
            client = await self._client()
        # Sorted, so that scripts which list the same packages share an environment.
        requirements = tuple(sorted(set(script.requirements)))
        packages = _hash(requirements, python, client)
        return Recipe(packages, requirements, python, client, lock_name=packages)

    async def _problem_on_own_python(self, script: Script) -> EnvironmentFailed | None:
        """The reason why a script's packages don't install on the runtime's own Python; None if they do."""
        recipe = await self._recipe_for(script, own_python())
        try:
            async with folders.unfinished(self._root) as work:
                await folders.writable(resolve(self._uv, recipe, work))
        except EnvironmentFailed as error:
            return error
        return None

    async def _python(self, requires: str) -> Python:
        """A Python that fits. Results are cached while the interpreter exists: finding one starts
        several processes.
        """
        known = self._known_pythons.get(requires)
        if known is None or not known.executable.exists():
            known = await find_python(self._uv, requires, downloads=self._downloads, installs=self._pythons)
            self._known_pythons[requires] = known
        return known

    async def _client(self) -> ClientWheel:
        async with self._wheel_lock:
            if self._wheel is None:
                self._wheel = await folders.writable(client_wheel(self._uv, self._wheels))
            return self._wheel

    async def _join(self, recipe: Recipe, progress: Progress, damage: list[str]) -> Environment:
        build = self._builds.get(recipe.hash)
        if build is None:
            listeners: list[Progress] = []
            task = asyncio.create_task(
                self._build(recipe, _broadcast(listeners), damage), name=f"environment {recipe.hash}"
            )
            build = self._builds[recipe.hash] = _Build(task, listeners)
            task.add_done_callback(partial(self._ended, recipe.hash, build))

        build.listeners.append(progress)
        build.waiters += 1
        try:
            # A caller that gives up must not cancel the build of the others.
            return await asyncio.shield(build.task)
        finally:
            build.waiters -= 1
            build.listeners.remove(progress)
            if not build.waiters and not build.task.done():
                # whoever comes now has a build of its own, not one that is ending
                self._forget(recipe.hash, build)
                build.task.cancel()
                await asyncio.gather(build.task, return_exceptions=True)

    def _ended(self, key: str, build: _Build, _: asyncio.Task[Environment]) -> None:
        self._forget(key, build)

    def _forget(self, key: str, build: _Build) -> None:
        if self._builds.get(key) is build:
            del self._builds[key]

    async def _build(self, recipe: Recipe, progress: Progress, damage: list[str]) -> Environment:
        if not damage:
            return await folders.writable(self._build_in_place(recipe, progress))

        log.warning("environment damaged: built again", hash=recipe.hash, packages=damage[:_SHOWN])
        try:
            environment = await folders.writable(
                self._build_in_place(recipe, progress, replace_existing=True)
            )
        except EnvironmentFailed as error:
            raise EnvironmentFailed(
                f"The environment {recipe.hash} is damaged ({_in_short(damage)}) and could not be built again:"
                f" {error.message}",
                hint=error.hint,
            ) from error

        self._damaged_hashes.discard(recipe.hash)
        self.rebuilt[recipe.hash] = damage
        return environment

    async def _build_in_place(
        self, recipe: Recipe, progress: Progress, *, replace_existing: bool = False
    ) -> Environment:
        """Build beside the environment that is there, so that a build that fails changes nothing."""
        timings: dict[str, float] = {}
        async with folders.unfinished(self._root) as work:
            lock, odd = await self._install(recipe, work, progress, timings)
            await asyncio.to_thread(self._store_lock, recipe, lock, work)
            environment = describe(recipe, self._root / recipe.hash, lock)
            facts = {**facts_of(environment), "odd": odd}
            folders.write(work / "environment.json", json.dumps(facts, indent=1))
            if replace_existing:
                # Only now: until the new one is complete, runs go on with what there is.
                await asyncio.to_thread(folders.remove, self._root / recipe.hash)
            folders.publish(work, self._root / recipe.hash)

        await progress(1, 1, "Environment ready")
        log.info("environment built", hash=recipe.hash, packages=lock.count("=="), timings_ms=timings)
        return replace(environment, built=True, timings_ms=timings)

    async def _install(
        self, recipe: Recipe, work: Path, progress: Progress, timings: dict[str, float]
    ) -> tuple[str, list[str]]:
        """Build the venv; packages whose files are not those of their wheels also with a sound package cache.

        Returns its lock, and the packages whose wheels do not describe themselves.
        """

        async def build() -> tuple[str, list[str]]:
            await asyncio.to_thread(shutil.rmtree, work / "venv", ignore_errors=True)
            stored = await asyncio.to_thread(self._stored_lock, recipe)
            lock = await build_venv(self._uv, recipe, stored, work, progress, timings)
            started = time.perf_counter()
            odd = await asyncio.to_thread(self._check, recipe, lock, work)
            timings["check"] = _ms(started)
            return lock, odd

        lock, odd = await self._cured(build)
        if odd and await self._clean_cache():
            lock, odd = await build()
        if odd:  # a wheel whose own list of files is wrong
            log.warning("packages differ from their wheels' lists of files", packages=odd[:20])
        return lock, odd

    def _check(self, recipe: Recipe, lock: str, work: Path) -> list[str]:
        """Return packages whose files are not those of their wheels. Blocks."""
        folder = site_packages_of(work / "venv", recipe.python)
        expected = lock.count("==") + (recipe.modules is not None)
        odd = damaged_packages(folder, expected, hashes=True, verified=self._uv.cache / "verified")
        preloadable.store(work / "venv", folder, self._uv.cache / "archive-v0", frozenset(odd))
        shared_files.share(work / "venv", folder, self._shared)
        return odd

    async def _clean_cache(self) -> bool:
        removed = await asyncio.to_thread(clean_cache, self._uv.cache, marks="bytecode")
        if removed:
            log.warning(
                "package cache damaged: packages are fetched again", packages=removed[:20], count=len(removed)
            )
        return bool(removed)

    async def _cured(self, step: Callable[[], Awaitable[T]]) -> T:
        """Run the step. If it fails and the package cache is damaged, remove the damaged packages
        and run it once more.
        """
        try:
            return await step()
        except EnvironmentFailed:
            if not await self._clean_cache():
                raise
        return await step()

    async def count(self) -> int:
        """The number of environments on the disk."""
        return await asyncio.to_thread(lambda: sum(1 for _ in self._root.glob("*/environment.json")))

    async def damaged(self) -> dict[str, list[str]]:
        """Environments with files that are missing or other ones: their hash, and the packages. Reads all files.

        Each is built again by the next `ensure` that needs it.
        """
        found = await asyncio.to_thread(self._damaged)
        self._damaged_hashes = set(found)
        return found

    def _damaged(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for folder in sorted(self._root.glob("*")):
            try:
                facts: dict[str, Any] = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue  # one that is being built, or is no environment

            venv = folder / "venv"
            site_packages = venv / "lib" / f"python{facts['python_version']}" / "site-packages"
            if damage := self._damage(venv, site_packages, facts, hashes=True):
                found[folder.name] = damage

        return found

    @staticmethod
    def _damage(venv: Path, site_packages: Path, facts: dict[str, Any], *, hashes: bool = False) -> list[str]:
        """Missing and changed packages of an environment, without those that were so when it was
        built.
        """
        if not (venv / "pyvenv.cfg").is_file():
            return ["the virtual environment itself"]
        expected = str(facts["lock"]).count("==") + bool(facts.get("modules"))
        damaged = damaged_packages(site_packages, expected, hashes=hashes)
        return sorted(set(damaged) - set(facts.get("odd", ())))

    def _stored_lock(self, recipe: Recipe) -> str | None:
        try:
            return self._lock_file(recipe).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def _store_lock(self, recipe: Recipe, lock: str, work: Path) -> None:
        lock_file = self._lock_file(recipe)
        if lock_file.is_file():
            return
        lock_file.parent.mkdir(exist_ok=True)
        folders.write(work / "lock.txt", lock)
        # Renamed when it is whole: another process may read the lock at any time.
        (work / "lock.txt").replace(lock_file)

    def _lock_file(self, recipe: Recipe) -> Path:
        return self._root / "locks" / f"{recipe.lock_name}.txt"

    def _load(self, recipe: Recipe) -> tuple[Environment | None, list[str]]:
        """The environment that is there, if any, and its packages that are damaged."""
        folder = self._root / recipe.hash
        try:
            facts: dict[str, Any] = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
            os.utime(folder)  # its last use, for `collect`
        except FileNotFoundError:
            return None, []
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its description is damaged"
            raise StorageFailed(
                folders.UNWRITABLE.format(reason=reason), hint=f"Remove {folder} and try again."
            ) from error

        environment = describe(recipe, folder, str(facts["lock"]))
        hashes = recipe.hash in self._damaged_hashes
        return environment, self._damage(environment.path, environment.site_packages, facts, hashes=hashes)


def _in_short(packages: list[str]) -> str:
    if len(packages) > _NAMED:
        more = f" and {len(packages) - _NAMED} more"
    else:
        more = ""
    return f"{', '.join(packages[:_NAMED])}{more}"


def _hash(requirements: tuple[str, ...], python: Python, client: ClientWheel | None) -> str:
    parts = [
        # The order and content of these parts are the identity of every environment on disk: a
        # change builds all of them again.
        _LAYOUT,
        *requirements,
        python.version,
        str(python.base_prefix),
        sys.platform,
        platform.machine(),
        # Wheels are chosen by the C library (manylinux, musllinux), so a home that moved to
        # another system must not reuse them.
        "-".join(platform.libc_ver()),
        client.digest if client else "registry",
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _broadcast(listeners: list[Progress]) -> Progress:
    async def report(done: float, total: float, message: str) -> None:
        for listener in list(listeners):
            try:
                await listener(done, total, message)
            except Exception:  # one listener that broke does not end a build that others await
                log.debug("progress was not heard", exc_info=True)

    return report


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
