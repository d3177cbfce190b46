"""A smoke test against E2B itself, for whoever has a key: what the loopback E2B claims of it, tried there.

    E2B_API_KEY=… python -m codewords_testing.e2b.live

It costs a few cents: it needs the template of `codewords e2b build-template`, builds an environment in it, starts three
sandboxes, and ends all of them. Prints one line a step and exits with 1 where one failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, OutputChunk, SandboxSpec
from codewords_mcp.runtime.sandboxes.e2b.driver import E2BDriver
from codewords_mcp.runtime.sandboxes.e2b.sandbox import E2BSandbox
from codewords_mcp.settings import Settings
from codewords_mcp.testing.sandboxes import build_environment

_PROGRAM = """
import uvicorn, fastapi, os
app, count = fastapi.FastAPI(), 0
@app.get("/")
def ask():
    global count
    count += 1
    return count
uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""


# Seconds that a machine which was killed may still be listed.
_CAUGHT_UP = 30.0


class Live:
    """The steps, in their order, over one driver."""

    def __init__(self, driver: E2BDriver, environment: EnvironmentRef) -> None:
        self._driver = driver
        self._environment = environment
        self._number = 0

    @property
    def steps(self) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
        """Name and work of each; a step returns what it saw."""
        return [
            ("an environment is built and a program in it answers", self.first),
            ("a cold start from the environment's snapshot answers", self.cold),
            ("a sandbox is paused, and resumed by a request with its memory", self.pause),
            ("no sandbox of this test is left", self.nothing_left),
        ]

    async def first(self) -> str:
        """Raises what starting does."""
        return await self.cold()

    async def cold(self) -> str:
        """The time from nothing to an answer."""
        began = time.monotonic()
        sandbox = await self._start()
        answer = await _ask(sandbox)
        seconds = time.monotonic() - began
        await sandbox.kill()
        _expect(answer, "1")
        usage = await sandbox.usage()
        return f"{seconds:.2f} s, ${usage.cost or 0:.6f}, {self._driver.tier.facts[-1]}"

    async def pause(self) -> str:
        """Memory survives, and the bill stops."""
        sandbox = await self._start()
        _expect(await _ask(sandbox), "1")
        await sandbox.pause()
        began = time.monotonic()
        _expect(await _ask(sandbox), "2")
        seconds = time.monotonic() - began
        await sandbox.kill()
        return f"resumed and answered in {seconds:.2f} s"

    async def nothing_left(self) -> str:
        """E2B's own list says so, once it has caught up with the last kill."""
        end = time.monotonic() + _CAUGHT_UP
        while orphans := await self._driver.leases.orphans(everything=True):
            if time.monotonic() > end:
                await self._driver.leases.sweep(everything=True)
                break
            await asyncio.sleep(0.5)
        _expect(str(len(orphans)), "0")
        return ""

    async def _start(self) -> E2BSandbox:
        self._number += 1
        spec = SandboxSpec(
            f"live-{self._number}", self._environment, _PROGRAM, {"PORT": "8000"}, network=False
        )
        sandbox = await self._driver.start(spec)
        self._reading = asyncio.create_task(_read(sandbox.output()))
        await sandbox.wait_ready()
        return sandbox


async def _read(chunks: AsyncIterator[OutputChunk]) -> None:
    async for _ in chunks:
        pass


async def _ask(sandbox: E2BSandbox) -> str:
    reader, writer = await asyncio.open_unix_connection(sandbox.socket_path)
    # HTTP/1.0, so that the answer ends with the connection.
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return answer.rpartition(b"\r\n\r\n")[2].decode()


def _expect(seen: str, expected: str) -> None:
    if seen != expected:
        raise AssertionError(f"expected {expected}, saw {seen!r}")


async def main() -> int:
    """The exit code."""
    settings = Settings(sandbox="e2b")  # pyright: ignore[reportCallIssue]  # every field has a default
    environment = await build_environment(settings.home)

    with TemporaryDirectory(prefix="codewords-live-") as folder:
        try:
            driver = await E2BDriver.open(settings, None, Path(folder))
        except CodewordsError as error:
            sys.stdout.write(f"FAILED  the driver opens\n        {error}\n")
            return 1

        try:
            return await _run(Live(driver, environment))
        finally:
            await driver.close()


async def _run(live: Live) -> int:
    for name, work in live.steps:
        try:
            seen = await work()
        except (CodewordsError, OSError, AssertionError) as error:
            sys.stdout.write(f"FAILED  {name}\n        {error}\n")
            return 1
        sys.stdout.write(f"ok      {name}" + (f": {seen}\n" if seen else "\n"))
    return 0


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    sys.exit(asyncio.run(main()))
