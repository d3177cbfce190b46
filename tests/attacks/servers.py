"""Code of authors that a fork server would import if it could: planted in environments, and looked for in the server.

`python -m tests.attacks.servers` prints what became of an environment that is made ready; as an ordinary user too.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.sandbox_programs import (
    VERSION,
    build_environment,
    build_environment_of,
    copy,
    fork_server,
    install,
    running,
    specification,
    store,
)
from tests.support.wheels import build_wheel

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.forkserver.fork_isolation import ForkIsolation
from codewords_mcp.runtime.sandboxes.namespaces import inside
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.sandboxes.namespaces.inside import preload

HOSTILE = (Path(__file__).parent / "hostile" / "importing.py").read_text(encoding="utf-8")
"""Ends a process that has capabilities, as a server; says where else it was imported."""
TRACER = """
import importlib.machinery, json, sys
sys.path[:0] = sys.argv[1:3]
from inside import boot, preload, warm

class Tracer:
    failed = set()

    def find_spec(self, name, path=None, target=None):
        if all(finder.find_spec(name, path) is None for finder in FINDERS):
            self.failed.add(name)

FINDERS = [importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, importlib.machinery.PathFinder]
hook = boot.UvicornHook()
sys.meta_path[:0] = [Tracer(), hook]
imported = preload.run(sys.argv[1], preload.Absent(frozenset()))
warm.serving(hook, loop="asyncio")
print(json.dumps([imported, sorted(Tracer.failed)]))
"""
"""Imports all that a server imports, and says what it looked for in vain."""
PROGRAM = """
import importlib, json, os
found = [importlib.import_module(name) for name in NAMES]
print(json.dumps({"capable": [one.__name__ for one in found if one.CAPABLE], "imported": len(found)}))
"""
HAS_UJSON = """
import fastapi.responses, ujson, os
print(fastapi.responses.ujson is ujson, ujson.CAPABLE, os.environ.get("PYDANTIC_DISABLE_PLUGINS"))
"""


def build_whole_environment() -> EnvironmentRef:
    """Every package that a server imports, kept between test runs."""
    prefix = Path(sys.base_prefix).resolve()
    return build_environment_of(VERSION, prefix, tuple(preload.PACKAGES), "whole-environment")


def looked_for(environment: EnvironmentRef) -> tuple[list[str], list[str]]:
    """What a server imports of an environment, and the modules that these look for and do not find."""
    packages = environment.path / "lib" / f"python{environment.python_version}" / "site-packages"
    python = environment.base_prefix / "bin" / f"python{environment.python_version}"
    folder = Path(inside.__file__).parent.parent
    command = [python, "-S", "-W", "ignore", "-c", TRACER, packages, folder]
    done = subprocess.run(
        command, check=True, capture_output=True, encoding="utf-8", env={"PYTHONHASHSEED": "0"}
    )
    imported, failed = json.loads(done.stdout.splitlines()[-1])
    return imported, failed


def plant_optional(environment: EnvironmentRef, folder: Path, names: list[str]) -> EnvironmentRef:
    """With modules of an author that have the names of what packages look for, and what Python runs at its start."""
    own, packages = copy(environment, folder / "optional")
    for name in names:
        _write(packages / f"{name.replace('.', '/')}.py", HOSTILE)
    _write(packages / "evil.pth", "import evil_pth\n")
    for name in ("evil_pth", "sitecustomize", "usercustomize", "conftest"):
        _write(packages / f"{name}.py", HOSTILE)
    (packages / "opentelemetry" / "instrumentation").mkdir(parents=True)
    _write(packages / "opentelemetry" / "instrumentation" / "__init__.py", HOSTILE)
    store(packages)
    return own


def plant_plugin(environment: EnvironmentRef, folder: Path) -> EnvironmentRef:
    """With a distribution that pydantic and others would load by its entry points."""
    own, packages = copy(environment, folder / "plugin")
    _write(packages / "evil_plugin.py", HOSTILE + "\nplugin = load = object()\n")
    groups = ("pydantic", "opentelemetry_context", "opentelemetry_propagator", "pandas_plotting_backends")
    text = "\n".join(f"[{group}]\ncontextvars_context = evil_plugin:load" for group in groups)
    _write(packages / "evil_plugin-1.0.dist-info" / "entry_points.txt", text)
    _write(packages / "evil_plugin-1.0.dist-info" / "METADATA", "Name: evil-plugin\nVersion: 1.0\n")
    store(packages)
    return own


def plant_shadows(environment: EnvironmentRef, folder: Path) -> EnvironmentRef:
    """With a dependency whose files lie in, or over, those of listed distributions, and beside the interpreter."""
    own, packages = copy(environment, folder / "shadows")
    python = environment.base_prefix / "bin" / f"python{environment.python_version}"
    files = {
        "typing_extensions.py": HOSTILE,
        "click/__init__.py": HOSTILE,
        "websockets/speedups.py": HOSTILE,
        "ujson.py": HOSTILE,
        "evil-1.0.data/purelib/ujson-9.9.9.dist-info/METADATA": "Metadata-Version: 2.1\nName: ujson\nVersion: 9.9.9\n",
        "evil-1.0.data/purelib/ujson-9.9.9.dist-info/RECORD": "ujson.py,,\n",
    }
    build_wheel(folder, "evil", "1.0", files)
    install(packages, "evil==1.0", python=python, wheels=folder)
    compiled = packages / "h11" / "__pycache__" / f"__init__.cpython-{VERSION.replace('.', '')}.pyc"
    _write_bytecode(compiled)
    _write(own.path / "bin" / "python._pth", "/env/share\n")
    _write(own.path / "share" / "encodings" / "__init__.py", HOSTILE)
    store(packages)
    return own


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # It may be a link to the file of all environments.
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8")


def _write_bytecode(path: Path) -> None:
    import importlib.util
    import marshal

    code = marshal.dumps(compile(HOSTILE, "h11/__init__.py", "exec"))
    path.unlink(missing_ok=True)
    # Flags: by hash, and never compared with the source.
    path.write_bytes(importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + code)


async def attempt(environment: EnvironmentRef, code: str) -> dict[str, Any]:
    """Have a fork server for an environment, and run a program in a fork of it."""
    with tempfile.TemporaryDirectory() as folder:
        driver = await LocalDriver.open(None, Path(folder) / "run", max_warm=0)
        try:
            await fork_server(driver, environment)
            (state,) = driver.forks.describe()
            async with running(driver, specification(environment, code)) as program:
                ended = await program.ended()
                forked = isinstance(program.local.isolation, ForkIsolation)
                return {
                    "tier": driver.tier.id, "modules": state["modules"], "forked": forked, "code": ended.code,
                    "said": program.stdout, "errors": program.stderr[-2000:],
                }  # fmt: skip
        finally:
            await driver.close()


if __name__ == "__main__":
    report, code = sys.argv[1:]
    found = asyncio.run(attempt(build_environment(), code))
    Path(report).write_text(json.dumps(found), encoding="utf-8")
    os._exit(0)
