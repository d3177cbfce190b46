"""The fixture of a check: a driver, and programs started in its sandboxes, whose output is collected as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import tempfile
import textwrap
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.common.http1 import Headers
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes import http1
from codewords_mcp.runtime.sandboxes.base import (
    Capability,
    Driver,
    EnvironmentRef,
    Exit,
    Limits,
    Network,
    Sandbox,
    SandboxSpec,
    Stream,
    Usage,
)
from codewords_mcp.testing.sandboxes import programs
from codewords_mcp.testing.sandboxes.expecting import WAIT_TIMEOUT, Broken, same, show, until, within
from codewords_mcp.testing.sandboxes.network import URI, Side, SuiteNetwork

MakeDriver = Callable[[Network | None, Path], Awaitable[Driver]]
"""Opens a driver. `network` serves its sandboxes' way out. The folder exists and is the driver's alone; a driver that
needs none may ignore it. Called again with a folder whose driver was killed with its process, it must clean up.
"""

_numbers = itertools.count(1)
# Small, so that many checks fit on one machine.
_LIMITS: Final = Limits(memory=512 << 20, disk=256 << 20, processes=64, files=512, start_timeout=20)


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    """A request's body."""
    for chunk in chunks:
        yield chunk


@dataclass(slots=True)
class Program:
    """A program in a sandbox."""

    sandbox: Sandbox
    spec: SandboxSpec
    network: SuiteNetwork
    printed: dict[Stream, bytearray] = field(default_factory=dict[Stream, bytearray])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _collecting: asyncio.Task[None] | None = None

    @property
    def stdout(self) -> bytes:
        """The program's output so far."""
        return bytes(self.printed.get("stdout", b""))

    @property
    def stderr(self) -> str:
        """For messages: how a failed program explains itself."""
        return self.printed.get("stderr", b"").decode(errors="replace")

    @property
    def side(self) -> Side:
        """The host's side of its network."""
        side = self.network.sides.get(self.spec.id)
        if side is None:
            raise Broken("The driver did not attach the sandbox's sockets to its network.")
        return side

    def collect(self) -> None:
        """Begin reading its output. For checks that read it themselves: never."""
        self._collecting = asyncio.create_task(self._collect())

    async def until_printed(self, text: bytes) -> None:
        """Wait for text on stdout."""

        async def wait() -> None:
            while text not in self.stdout:
                self._changed.clear()
                # Nothing more can come: better an error now than after the whole timeout.
                if self._collecting is None or self._collecting.done():
                    raise Broken(f"The output ended without {text!r}; stderr: {self.stderr}")
                await self._changed.wait()

        await within(wait(), f"{text!r} on stdout")

    async def ready(self) -> None:
        """`wait_ready`, bounded."""
        await within(self.sandbox.wait_ready(), "Getting ready")

    async def request(
        self,
        method: str,
        target: bytes,
        headers: Headers | None = None,
        body: AsyncIterator[bytes] | None = None,
    ) -> http1.SandboxResponse:
        """A request on a connection of its own; the head of the answer, whose body is still to come."""
        asking = http1.request(self.sandbox.socket_path, method, target, headers or [], body)
        return await within(asking, f"The head of the answer to {method} {target.decode()}")

    async def ask(
        self, target: bytes = b"/", data: bytes | None = None, method: str = "GET"
    ) -> tuple[int, bytes]:
        """One request on a connection of its own: status and body."""
        body = None if data is None else pieces(data)
        # Later releases of FastAPI read no JSON that is not called so (`strict_content_type`).
        headers = None if data is None else [(b"content-type", b"application/json")]

        # One bound for head and body together.
        async def exchange() -> tuple[int, bytes]:
            reply = await self.request(method, target, headers, body)
            return reply.status, b"".join([chunk async for chunk in reply.body])

        return await within(exchange(), f"The answer to {method} {target.decode()}")

    async def ask_json(self, target: bytes, data: bytes | None = None) -> JsonValue:
        """The JSON that is answered with 200."""
        status, body = await self.ask(target, data, "GET" if data is None else "POST")
        same(status, 200, f"The status of {target.decode()}")
        return _parsed(body)

    async def ended(self, seconds: float = WAIT_TIMEOUT) -> Exit:
        """The exit, with all of the output collected."""
        exit_ = await within(self.sandbox.wait(), "The end of the program", seconds)
        await self.drained()
        return exit_

    async def drained(self) -> None:
        """Wait for the end of the output."""
        if self._collecting is not None:
            await within(asyncio.shield(self._collecting), "The end of the output")

    async def usage(self) -> Usage:
        """`Sandbox.usage`, bounded."""
        return await within(self.sandbox.usage(), "Telling the usage")

    async def destroy(self) -> None:
        """Kill the sandbox in any state."""
        await within(self.sandbox.kill(), "Killing the sandbox")
        if self._collecting is not None:
            await self.drained()

    async def _collect(self) -> None:
        async for chunk in self.sandbox.output():
            self.printed.setdefault(chunk.stream, bytearray()).extend(chunk.data)
            self._changed.set()
        self._changed.set()


@dataclass(slots=True)
class Context:
    """Make it with `open_context`. One check at a time uses it."""

    driver: Driver
    network: SuiteNetwork
    environment: EnvironmentRef
    make_driver: MakeDriver
    folder: Path
    """The driver's folder."""
    _server: Program | None = None

    def claims(self, capability: Capability) -> bool:
        """Whether the driver claims it: a limit is then exact, else best effort."""
        return capability in self.driver.capabilities

    def name(self) -> bytes:
        """A name that no check used before, for the shared server's gates and counts."""
        return b"name-%d" % next(_numbers)

    def spec(
        self,
        *code: str,
        env: Mapping[str, str] | None = None,
        limits: Limits = _LIMITS,
        port: int = 8000,
        network: bool = True,
        environment: EnvironmentRef | None = None,
    ) -> SandboxSpec:
        """A specification; `code` in parts, each dedented."""
        return SandboxSpec(
            id=f"conformance-{os.getpid()}-{next(_numbers)}",
            environment=environment or self.environment,
            code="\n".join(textwrap.dedent(part) for part in code),
            env={"CODEWORDS_RUNTIME_URI": URI} if env is None else env,
            limits=limits,
            port=port,
            network=network,
        )

    async def start(
        self, spec: SandboxSpec, *, driver: Driver | None = None, collect: bool = True
    ) -> Program:
        """Start a program. The caller destroys it."""
        sandbox = await within((driver or self.driver).start(spec), "Starting a sandbox")
        program = Program(sandbox, spec, self.network)
        if collect:
            program.collect()
        return program

    @contextlib.asynccontextmanager
    async def running(self, *code: str, collect: bool = True, **spec: Any) -> AsyncGenerator[Program]:
        """A program, destroyed at the end. Keywords as those of `spec`."""
        program = await self.start(self.spec(*code, **spec), collect=collect)
        try:
            yield program
        finally:
            await program.destroy()

    async def finished(self, *code: str, **spec: Any) -> tuple[Program, Exit]:
        """A program run to its end."""
        async with self.running(*code, **spec) as program:
            exit_ = await program.ended()
        return program, exit_

    async def report(self, *code: str, **spec: Any) -> Any:
        """The output, read as JSON, of a program that ends well."""
        program, exit_ = await self.finished(*code, **spec)
        same(exit_, Exit("exited", code=0), f"The end of the program, with stderr {program.stderr!r}")
        return _parsed(program.stdout)

    async def server(self) -> Program:
        """The sandbox that checks share which only ask it something (`programs.SERVER`). Started again if it is gone."""
        if self._server is not None:
            # A check may have broken it: the next one gets another.
            with contextlib.suppress(Broken, CodewordsError):
                if (await self._server.ask(b"/"))[0] == 200:
                    return self._server
            await self._server.destroy()
        self._server = await self.start(self.spec(programs.SERVER))
        await self._server.ready()
        return self._server

    @contextlib.asynccontextmanager
    async def another_driver(
        self, network: SuiteNetwork | None = None
    ) -> AsyncGenerator[tuple[Driver, Path]]:
        """A driver of a check's own with its folder, closed at the end."""
        with temporary_folder() as folder:
            making = self.make_driver(network or self.network, Path(folder))
            driver = await within(making, "Opening a driver")
            try:
                yield driver, Path(folder)
            finally:
                await within(driver.close(), "Closing the driver")

    async def leaves_nothing(self, mark: str, folder: Path | None = None) -> None:
        """Wait until the driver's folder holds no file with `mark` in it."""

        def is_removed() -> bool:
            return not files_with(mark.encode(), folder or self.folder)

        await until(is_removed, "The removal of the sandbox's files")

    async def close(self) -> None:
        """End the driver."""
        # The driver first: the shared server's output ends with it.
        await within(self.driver.close(), "Closing the driver")
        if self._server is not None:
            await self._server.drained()
        self.network.close()


def _parsed(data: bytes) -> JsonValue:
    try:
        return json.loads(data)
    except ValueError:
        raise Broken(f"Expected JSON of the program, saw {show(data)}.") from None


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for a driver; its path is short, since sockets are made in it."""
    return tempfile.TemporaryDirectory(prefix="cw-", ignore_cleanup_errors=True)


def files_with(mark: bytes, folder: Path) -> list[Path]:
    """Files below a folder that hold `mark`; those that go meanwhile are none."""
    return [path for path in _files(folder) if mark in _read(path)]


def _files(folder: Path) -> Iterable[Path]:
    for top, _, names in os.walk(folder):
        yield from (Path(top, name) for name in names)


def _read(path: Path) -> bytes:
    try:
        if path.is_file():
            return path.read_bytes()
        return b""
    except OSError:
        # Removed, or not ours to read.
        return b""


@contextlib.asynccontextmanager
async def open_context(make_driver: MakeDriver, environment: EnvironmentRef) -> AsyncGenerator[Context]:
    """A driver in a temporary folder, and what checks need to use it. Raises what `make_driver` does."""
    network = SuiteNetwork()
    with temporary_folder() as folder:
        driver = await make_driver(network, Path(folder))
        context = Context(driver, network, environment, make_driver, Path(folder))
        try:
            yield context
        finally:
            await context.close()
