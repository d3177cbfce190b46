"""What the sandbox benchmarks share: the greeting workflow, its environment, drivers, and `uv run` of the same file."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import structlog
import uv
from _bench import clean_environment
from tests.support.runtime import warm_folder

from codewords_mcp.runtime.authoring.templates import templates
from codewords_mcp.runtime.sandboxes import http1
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Sandbox, SandboxSpec
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.settings import Settings

# On the Python that runs the benchmark, and not on 3.11 only.
CODE = next(template.code for template in templates() if template.id == "greeting").replace(
    "==3.11.*", ">=3.11"
)
BODY = b'{"name": "Ada"}'
ANSWER = {"message": "Hello Ada!"}
PEER_NAME = "`uv run --script` of the same file, its environment and wheels warm, offline"
_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
_PORTS = iter(range(23_000, 32_000))


def quiet() -> None:
    """Only what went wrong, and not on stdout."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(30),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def greeting_environment() -> EnvironmentRef:
    """The environment that a deploy of the greeting workflow would get; built the first time."""
    environments = Environments(warm_folder(), Settings(home=warm_folder()), Path(uv.find_uv_bin()))
    try:
        return (await environments.ensure(parse_script(CODE))).ref
    finally:
        await environments.close()


@asynccontextmanager
async def open_driver(
    environment: EnvironmentRef, *, forking: bool = True, max_warm: int = 0
) -> AsyncGenerator[LocalDriver]:
    """The local driver, with the environment's fork server up."""
    with tempfile.TemporaryDirectory(prefix="codewords-bench-") as folder:
        driver = await LocalDriver.open(None, Path(folder) / "run", forking=forking, max_warm=max_warm)
        try:
            if driver.tier.id == "D":
                raise SystemExit(f"No sandboxes here: {' '.join(driver.tier.facts)}")
            if forking:
                await driver.prepare(environment)
                await until(lambda: any(one["starts"] == "forks" for one in driver.forks.describe()))
                # A fork server that is used makes itself cheaper (`inside/immortal.py`); one that was just made has not yet.
                await execute(driver, environment)
                await asyncio.sleep(2)
            yield driver
        finally:
            await driver.close()


async def until(true: object, seconds: float = 30) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not true():  # type: ignore[operator]
            await asyncio.sleep(0.002)


_numbers = iter(range(1, 1_000_000))


def spec(environment: EnvironmentRef) -> SandboxSpec:
    """Another execution, with the variables that a run has."""
    env = {
        "LOGLEVEL": "INFO",
        "CODEWORDS_API_KEY": "k",
        "CODEWORDS_RUNTIME_URI": "http://127.0.0.1:8765",
        "PYTHONHASHSEED": "0",
    }
    return SandboxSpec(f"bench-{next(_numbers)}", environment, CODE, env)


async def ask(path: str) -> None:
    """One request to the greeting workflow, answer checked."""

    async def body() -> AsyncIterator[bytes]:
        yield BODY

    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    reply = await http1.request(path, "POST", b"/", headers, body())
    answer = b"".join([chunk async for chunk in reply.body])
    if reply.status != 200 or json.loads(answer) != ANSWER:
        raise AssertionError(f"{reply.status} {answer!r}")


async def drain(sandbox: Sandbox) -> bytes:
    """Read its output to the end."""
    return b"".join([chunk.data async for chunk in sandbox.output()])


async def execute(driver: LocalDriver, environment: EnvironmentRef) -> float:
    """Milliseconds from asking for a sandbox to the whole answer of its program. The sandbox is gone afterwards."""
    began = time.perf_counter()
    sandbox = await driver.start(spec(environment))
    reading = asyncio.create_task(drain(sandbox))
    try:
        async with asyncio.timeout(60):
            await ask(sandbox.socket_path)
        took = (time.perf_counter() - began) * 1000
    finally:
        await sandbox.kill()
        await reading
    return took


class Program:
    """The greeting workflow, served by a command that ends with its file."""

    def __init__(self, folder: Path, command: Sequence[str | Path], env: dict[str, str]) -> None:
        self.script = folder / "greeting.py"
        self.script.write_text(CODE, encoding="utf-8")
        self.command = [*command, self.script]
        self.env = env

    @contextmanager
    def running(self) -> Iterator[tuple[int, int]]:
        """The process; its port and pid."""
        port = next(_PORTS)
        process = subprocess.Popen(
            self.command,
            env=self.env | {"PORT": str(port)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield port, process.pid
        finally:
            os.killpg(process.pid, 9)
            process.wait()

    def milliseconds(self) -> float:
        """From starting the process to the whole answer."""
        began = time.perf_counter()
        with self.running() as (port, _):
            ask_port(port)
            return (time.perf_counter() - began) * 1000


class UvRun(Program):
    """`uv run --script`, as quick as it can be: everything cached, the interpreter named, no network."""

    def __init__(self, folder: Path, environment: EnvironmentRef) -> None:
        python = environment.base_prefix / "bin" / f"python{environment.python_version}"
        env = clean_environment(
            UV_CACHE_DIR=str(warm_folder() / "bench-uv-cache"), UV_PYTHON=str(python), UV_NO_PROGRESS="1", LOGLEVEL="INFO",
        )  # fmt: skip
        super().__init__(folder, [uv.find_uv_bin(), "run", "-q", "--script"], env)
        self.milliseconds()  # fetches and builds what is missing
        self.env["UV_OFFLINE"] = "1"


def confined(folder: Path, environment: EnvironmentRef) -> dict[str, Program]:
    """The environment's Python in the sandboxes of others that are installed here, by name. All keep the machine's network."""
    commands = {
        "bubblewrap": [
            "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-user", "--unshare-pid",
            "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL", "--die-with-parent", "--new-session",
        ],
        "firejail": ["firejail", "--quiet", "--noprofile", "--private-dev", "--caps.drop=all", "--nonewprivs", "--seccomp"],
    }  # fmt: skip
    version = f"python{environment.python_version}"
    python = environment.base_prefix / "bin" / version
    packages = environment.path / "lib" / version / "site-packages"
    env = clean_environment(LOGLEVEL="INFO", PYTHONPATH=str(packages))
    return {
        name: Program(folder, [*command, python], env)
        for name, command in commands.items()
        if shutil.which(command[0])
    }


def ask_port(port: int, seconds: float = 120) -> None:
    """One request to a port that may not be open yet."""
    end = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
                connection.sendall(_HEAD % len(BODY) + BODY)
                answer = b""
                while data := connection.recv(65536):
                    answer += data
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.001)
            continue
        if b" 200 " not in answer[:20]:
            raise AssertionError(answer[:200])
        return
