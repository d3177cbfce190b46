"""Environments of servers' packages: from PyPI as those of workflows, from npm with a folder node_modules beside Python.

Nothing of a package runs on this machine while it is installed: wheels only, and npm without scripts and without git.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.integrations.mcp.package_names import LATEST, ServerPackage
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.workflows.environments import folders
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.environments.uv import UvResult, run_command
from codewords_mcp.runtime.workflows.script import Script, parse_script

INSTALL_TIMEOUT_S: Final = 300.0
_HEADER = '# /// script\n# requires-python = ">=3.11"\n# dependencies = [{}]\n# ///\n'
_FACTS = "package.json"
"""Description of an installed package of npm. Its folder is none of an environment of workflows, whose files are compared."""
T = TypeVar("T")
_SHOWN = (Path("/usr"), Path("/bin"), Path("/lib"), Path("/lib64"))
"""Folders of this machine that every sandbox sees."""
_NPM_VARIABLES: Final = frozenset(
    {
        "HOME", "LANG", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
        "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE",
    }
)  # fmt: skip
_NPM_OPTIONS: Final = (
    # Scripts of packages, and git with its settings, would run code of strangers outside of any sandbox.
    "--ignore-scripts", "--allow-git=none", "--git=/bin/false", "--omit=dev", "--no-audit", "--no-fund",
    "--no-update-notifier", "--loglevel=error",
)  # fmt: skip
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BuiltPackage:
    """An installed package. Its version is known."""

    package: ServerPackage
    environment: EnvironmentRef

    @property
    def there(self) -> bool:
        """Whether its environment is the one that was built: not collected, and not built again."""
        try:
            return self.environment.path.stat().st_ino == self.environment.identity
        except OSError:
            return False


class PackageEnvironments:
    """Environments of packages. For one event loop; `close` it. A build goes on when those who wait for it leave."""

    def __init__(self, home: Path, environments: Environments) -> None:
        self._root = home / "environments"
        self._cache = home / "cache" / "npm"
        self._environments = environments
        self._builds: dict[ServerPackage, asyncio.Task[BuiltPackage]] = {}
        self._built: dict[ServerPackage, BuiltPackage] = {}

    async def close(self) -> None:
        """Give up the builds that go on."""
        builds = list(self._builds.values())
        for build in builds:
            build.cancel()
        await asyncio.gather(*builds, return_exceptions=True)

    async def ensure(self, package: ServerPackage, seconds: float) -> BuiltPackage | None:
        """Install a package, or find it installed. None where that takes longer: it goes on.

        Raises EnvironmentFailed, StorageFailed.
        """
        # Looking for damage in an environment takes longer than a call of its server.
        built = self._built.get(package)
        if built is not None and built.there:
            return built
        build = self._builds.get(package)
        if build is None:
            build = self._builds[package] = asyncio.create_task(self._build(package), name=package.url)
            build.add_done_callback(partial(self._ended, package))
        done, _ = await asyncio.wait({build}, timeout=seconds)
        return build.result() if done else None

    def _ended(self, package: ServerPackage, build: asyncio.Task[BuiltPackage]) -> None:
        if self._builds.get(package) is build:
            del self._builds[package]
        # The exception is read, since nobody may wait for it any more.
        if not build.cancelled() and build.exception() is None:
            built = build.result()
            self._built[built.package] = built

    async def _build(self, package: ServerPackage) -> BuiltPackage:
        if package.registry == "npm":
            return await self._npm(package)
        if package.version in {"", LATEST}:
            version = await self._environments.newest_version(_script(package.name))
            package = replace(package, version=version)
        environment = await self._environments.ensure(_script(f"{package.name}=={package.version}"))
        return BuiltPackage(package, environment.ref)

    async def _npm(self, package: ServerPackage) -> BuiltPackage:
        node, npm = _find("node"), _find("npm")
        if package.version in {"", LATEST}:
            package = replace(package, version=await self._newest_npm(npm, package))
        empty = await self._environments.ensure(_script())
        identity = (package.url, package.version, str(node), platform.machine(), empty.hash)
        folder = self._root / f"npm-{hashlib.sha256(repr(identity).encode()).hexdigest()[:24]}"
        if not (folder / _FACTS).is_file():
            await folders.writable(self._install_npm(package, npm, node, empty.path, folder))
        # The time of the last use, by which unused ones are removed.
        os.utime(folder)

        reference = replace(empty.ref, path=folder / "venv", identity=(folder / "venv").stat().st_ino)
        return BuiltPackage(package, reference)

    async def _newest_npm(self, npm: Path, package: ServerPackage) -> str:
        done = await self._run_npm(npm, "view", f"{package.name}@latest", "version", "--json", cwd=None)
        if done.code:
            raise _npm_failure(package, done)
        version: Any = json.loads(done.stdout or "null")
        if not isinstance(version, str):
            raise EnvironmentFailed(
                f"npm does not tell the version of {package.name}.", hint="Name one after an @."
            )
        return version

    async def _install_npm(
        self, package: ServerPackage, npm: Path, node: Path, empty: Path, folder: Path
    ) -> None:
        """Install beside a copy of an empty environment, so that /env has Python, which starts it, and the package."""
        async with folders.unfinished(self._root) as work:
            venv = work / "venv"
            await asyncio.to_thread(shutil.copytree, empty, venv, symlinks=True)
            if not any(node.is_relative_to(shown) for shown in _SHOWN):
                await asyncio.to_thread(_link_or_copy, node, venv / "bin" / "node")
            (venv / "package.json").write_text('{"private": true}', encoding="utf-8")

            done = await self._run_npm(npm, "install", f"{package.name}@{package.version}", cwd=venv)
            if done.code:
                raise _npm_failure(package, done)
            facts = json.dumps({"package": package.url, "version": package.version})
            await asyncio.to_thread(folders.write, work / _FACTS, facts)
            # Moved when it is whole: a process that dies before leaves nothing that counts as
            # installed.
            folders.publish(work, folder, _FACTS)
        log.info("package installed", package=package.url, version=package.version)

    async def _run_npm(self, npm: Path, *arguments: str, cwd: Path | None) -> UvResult:
        passed_on = {
            name: value
            for name, value in os.environ.items()
            if name in _NPM_VARIABLES or name.lower().startswith("npm_config_")
        }
        # npm finds node by it.
        path = f"{npm.parent}:{os.environ.get('PATH', '')}"
        self._cache.mkdir(parents=True, exist_ok=True)
        return await run_command(
            (str(npm), *arguments, *_NPM_OPTIONS, f"--cache={self._cache}"),
            env=passed_on | {"PATH": path, "NO_COLOR": "1"},
            timeout_s=INSTALL_TIMEOUT_S,
            doing="installing a package from npm",
            cwd=cwd or self._cache,
        )


def _script(*requirements: str) -> Script:
    return parse_script(_HEADER.format(", ".join(json.dumps(requirement) for requirement in requirements)))


def _find(program: str) -> Path:
    found = shutil.which(program)
    if found is None:
        raise EnvironmentFailed(
            f"There is no `{program}` on this machine, which servers from npm need.",
            hint="Install Node.js 20 or newer with npm, then connect it again. Servers from PyPI need neither.",
        )
    # npm is a link to a script that finds its own files by its path.
    if program == "npm":
        return Path(found)
    return Path(found).resolve()


def _npm_failure(package: ServerPackage, done: UvResult) -> EnvironmentFailed:
    text = done.stderr
    if "E404" in text or "ETARGET" in text:
        return EnvironmentFailed(
            f"npm has no {package.name}{f' of version {package.version}' if package.version else ''}.",
            hint="Check the name and the version.",
        )
    if any(sign in text for sign in ("EALLOWGIT", "git dep", "/bin/false")):
        return EnvironmentFailed(
            f"{package.name} needs a package from git, which is not installed: that would run code outside of a sandbox.",
            hint="Take another version, or another server.",
        )
    if any(sign in text for sign in ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN")):
        return EnvironmentFailed(
            "The registry of npm cannot be reached from this machine.",
            hint="Check the network, then try again.",
        )
    return EnvironmentFailed(
        f"npm could not install {package.name}.", hint="`npm install` of it on a terminal says more."
    )


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
