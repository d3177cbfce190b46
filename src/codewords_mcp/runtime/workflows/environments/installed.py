"""An installed environment: its folder, and the facts that are written into it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.workflows.environments.builder import Recipe
from codewords_mcp.runtime.workflows.environments.module_wheel import ModuleWheel
from codewords_mcp.runtime.workflows.environments.pythons import Python


@dataclass(frozen=True, slots=True)
class Environment:
    """A built environment. `python_version` is "3.11", `lock` one `name==version` a line; `built` is false where it was
    there already. `timings_ms` has the parts of this call: python, install, compile, check, total.
    """

    hash: str
    path: Path
    base_prefix: Path
    python_version: str
    site_packages: Path
    lock: str
    built: bool
    timings_ms: dict[str, float]
    modules: str = ""
    """The wheel of shared modules with its hash, "" without any."""

    @property
    def ref(self) -> EnvironmentRef:
        """The reference that a sandbox driver needs."""
        try:
            # A rebuilt environment has the same path. By the inode a driver sees that its fork
            # servers have files of the old one open.
            identity = self.path.stat().st_ino
        except FileNotFoundError:
            identity = 0
        return EnvironmentRef(self.path, self.base_prefix, self.python_version, identity)


def describe(recipe: Recipe, folder: Path, lock: str) -> Environment:
    """Describe what was installed into a folder, with its lock."""
    venv = folder / "venv"
    site_packages = site_packages_of(venv, recipe.python)
    return Environment(
        recipe.hash,
        venv,
        recipe.python.base_prefix,
        recipe.python.short,
        site_packages,
        lock,
        built=False,
        timings_ms={},
        modules=_modules_line(recipe.modules),
    )


def _modules_line(modules: ModuleWheel | None) -> str:
    if modules is None:
        return ""
    return f"{modules.name} sha256:{modules.digest}"


def site_packages_of(venv: Path, python: Python) -> Path:
    """Return the folder of the packages of a virtual environment."""
    return venv / "lib" / f"python{python.short}" / "site-packages"


def facts_of(environment: Environment) -> dict[str, Any]:
    """Return the fields of an environment as its file of facts has them."""
    return {
        key: str(value) if isinstance(value, Path) else value for key, value in asdict(environment).items()
    }
