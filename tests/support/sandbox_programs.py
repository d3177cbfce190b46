"""Starting programs in real sandboxes, and talking to them."""

from __future__ import annotations

import asyncio
import fcntl
import getpass
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uv
from tests.support.waiting import PATIENT_TIMEOUT, until_async

from codewords_mcp.runtime.sandboxes import http1
from codewords_mcp.runtime.sandboxes.base import (
    Driver,
    EnvironmentRef,
    Exit,
    Limits,
    Sandbox,
    SandboxSpec,
    Stream,
)
from codewords_mcp.runtime.sandboxes.namespaces import preloadable
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.sandboxes.namespaces.sandbox import LocalSandbox
from codewords_mcp.runtime.workflows.environments import bytecode, bytecode_links

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = ("fastapi", "uvicorn[standard]", "hypercorn")
_numbers = itertools.count(1)

HELLO = """
    import os
    from fastapi import FastAPI
    from pydantic import BaseModel

    app = FastAPI()

    class Person(BaseModel):
        name: "str"

    @app.post("/")
    async def greet(person: Person) -> dict[str, str]:
        return {"greeting": f"Hello, {person.name}!"}

    if __name__ == "__main__":
        import uvicorn
        uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""


def build_environment() -> EnvironmentRef:
    """A finalised environment, kept between test runs: inside a sandbox its Python is at a neutral path."""
    given = os.environ.get("SANDBOX_TEST_ENVIRONMENT")
    prefix = Path(sys.base_prefix).resolve()
    if given:
        return EnvironmentRef(Path(given), prefix, VERSION)
    return build_environment_of(VERSION, prefix)


def build_environment_of(
    version: str, prefix: Path, requirements: Sequence[str] = PACKAGES, name: str = "environment"
) -> EnvironmentRef:
    """The same for a Python that is installed in `prefix`; `version` is "3.13". With other packages it has another name."""
    folder = (
        Path(tempfile.gettempdir()) / f"codewords-tests-{getpass.getuser()}" / f"sandbox-{name}-2-{version}"
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "finished").exists():
            _build(folder, prefix, version, requirements)
    return EnvironmentRef(folder, prefix, version)


def _build(folder: Path, prefix: Path, version: str, requirements: Sequence[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    python = prefix / "bin" / f"python{version}"
    subprocess.run([uv.find_uv_bin(), "venv", "-q", "-p", python, folder], check=True, env=variables)
    install(folder / "lib" / f"python{version}" / "site-packages", *requirements, python=python)
    inside = Path("/usr" if prefix == Path("/usr") else "/python") / "bin"
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to(inside / f"python{version}")
    configuration = (folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    lines = [f"home = {inside}" if line.startswith("home") else line for line in configuration]
    (folder / "pyvenv.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "finished").touch()


def install(packages: Path, *requirements: str, python: Path, wheels: Path | None = None) -> None:
    """Install into the packages of an environment as a deploy does, and store what its fork server may import.

    `wheels`: a folder of them in place of the index.
    """
    home = Path(tempfile.gettempdir()) / f"codewords-tests-{getpass.getuser()}"
    archives = home / "cache-of-wheels" / "archive-v0"
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    variables["UV_CACHE_DIR"] = str(archives.parent)
    command = [
        shutil.which("uv") or uv.find_uv_bin(),
        "pip",
        "install",
        "-q",
        "-p",
        python,
        "--target",
        packages,
        *requirements,
    ]
    source = ["--no-index", "--find-links", wheels] if wheels is not None else []
    subprocess.run([*command, "--link-mode", "hardlink", *source], check=True, env=variables)
    marks = archives.parent / "compiled" / python.name
    marks.mkdir(parents=True, exist_ok=True)
    installed = {path.name for path in packages.glob("*.dist-info")}
    known = [path.parent for path in archives.glob("*/*.dist-info") if path.name in installed]
    fresh = [archive for archive in known if not (marks / archive.name).exists()]
    compiling = [python, "-I", "-S", bytecode.__file__, "-qq", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*compiling, *fresh], check=False, env=variables)
    for archive in fresh:
        (marks / archive.name).touch()
    bytecode_links.add(fresh, packages, python.name.replace("python", "cpython-").replace(".", ""))
    store(packages)


def copy(environment: EnvironmentRef, target: Path) -> tuple[EnvironmentRef, Path]:
    """An environment like another, and the folder of its packages: to be spoilt, and stored anew (`store`)."""
    shutil.copytree(environment.path, target, symlinks=True, copy_function=_link_or_copy)
    own = replace(environment, path=target)
    return own, target / "lib" / f"python{environment.python_version}" / "site-packages"


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another user's, or on another disk
        shutil.copy2(source, target)


def store(packages: Path) -> None:
    """Store what a fork server may import of these packages, as they are by now."""
    home = Path(tempfile.gettempdir()) / f"codewords-tests-{getpass.getuser()}"
    preloadable.store(packages.parents[2], packages, home / "cache-of-wheels" / "archive-v0")


async def fork_server(driver: LocalDriver, environment: EnvironmentRef) -> None:
    """Return when the environment's programs are forked."""

    async def forks() -> bool:
        # Again and again: a server that comes up too slowly on a busy machine is given up.
        await driver.prepare(environment)
        return any(
            state["starts"] == "forks" and state["environment"] == str(environment.path)
            for state in driver.forks.describe()
        )

    await until_async(forks, "a fork server", PATIENT_TIMEOUT)


@dataclass
class Program:
    """A program in a sandbox, whose output is collected as it comes."""

    sandbox: Sandbox
    printed: dict[Stream, bytes] = field(default_factory=dict[Stream, bytes])
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def local(self) -> LocalSandbox:
        """With what only the local driver has."""
        assert isinstance(self.sandbox, LocalSandbox)
        return self.sandbox

    @property
    def init(self) -> int:
        """Host pid of process 1."""
        return self.local.roots[0]

    @property
    def stdout(self) -> str:
        return self.printed.get("stdout", b"").decode()

    @property
    def stderr(self) -> str:
        return self.printed.get("stderr", b"").decode()

    @property
    def platform(self) -> str:
        return self.printed.get("platform", b"").decode()

    async def collect(self) -> None:
        async for chunk in self.sandbox.output():
            self.printed[chunk.stream] = self.printed.get(chunk.stream, b"") + chunk.data
            self.changed.set()

    async def until_printed(self, text: str) -> None:
        async with asyncio.timeout(120):
            while text not in self.stdout:
                self.changed.clear()
                await self.changed.wait()

    async def ask(self, method: str = "POST", target: bytes = b"/", data: Any = None) -> tuple[int, bytes]:
        """One request; (status, body)."""
        headers = [(b"content-type", b"application/json")]
        body = None if data is None else once(json.dumps(data).encode())
        async with asyncio.timeout(120):
            reply = await http1.request(self.sandbox.socket_path, method, target, headers, body)
            return reply.status, b"".join([chunk async for chunk in reply.body])

    async def ended(self) -> Exit:
        async with asyncio.timeout(120):
            return await self.sandbox.wait()


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def specification(
    environment: EnvironmentRef,
    code: str,
    *,
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    port: int = 8000,
    network: bool = True,
) -> SandboxSpec:
    return SandboxSpec(
        id=f"run-{next(_numbers)}", environment=environment, code=textwrap.dedent(code), env=env or {},
        limits=limits or Limits(start_timeout=90), port=port, network=network,
    )  # fmt: skip


@asynccontextmanager
async def running(driver: Driver, spec: SandboxSpec) -> AsyncGenerator[Program]:
    """The program of `spec`, destroyed at the end."""
    program = Program(await driver.start(spec))
    collecting = asyncio.create_task(program.collect())
    try:
        yield program
    finally:
        await program.sandbox.kill()
        async with asyncio.timeout(120):
            await collecting


async def report(driver: Driver, spec: SandboxSpec) -> Any:
    """Run a program to its end; what it printed, read as JSON."""
    async with running(driver, spec) as program:
        exit_ = await program.ended()
        await asyncio.sleep(0)
    assert exit_ == Exit("exited", code=0), (exit_, program.stderr)
    return json.loads(program.stdout)
