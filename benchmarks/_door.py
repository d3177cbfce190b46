"""What the benchmarks of the HTTP door share: the greeting workflow served, called directly, and clients on raw sockets."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from _bench import clean_environment
from _sandboxes import ANSWER, BODY, CODE, greeting_environment
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

PROJECT = Path(__file__).resolve().parent.parent
WARM = CODE.replace(
    "# [tool.env-checker]",
    '# [tool.codewords]\n# isolation = "instance"\n# concurrency = 64\n# [tool.env-checker]',
)
DIRECT_NAME = "the same app called directly, kept alive"


@contextmanager
def served(folder: Path, **env: str) -> Iterator[ServedRuntime]:
    """A runtime over a new home whose environments are warm; bytecode is used, as on a person's machine."""
    home = make_home(folder / "home")
    with start_runtime(home, python=sys.executable, CODEWORDS_LOG_LEVEL="ERROR", **env) as runtime:
        yield runtime


@contextmanager
def direct(folder: Path, port: int) -> Iterator[int]:
    """The app in its own environment, outside any sandbox; its port. `folder` gets its script."""
    script = folder / "direct.py"
    script.write_text(CODE, encoding="utf-8")
    environment = asyncio.run(greeting_environment())
    version = environment.python_version
    packages = environment.path / "lib" / f"python{version}" / "site-packages"
    env = clean_environment(PORT=str(port), PYTHONPATH=str(packages), LOGLEVEL="INFO")
    process = subprocess.Popen(
        [environment.base_prefix / "bin" / f"python{version}", script], env=env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        asyncio.run(_up(port))
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def hopping(port: int) -> Iterator[int]:
    """`_hop.py`; its port."""
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("_hop.py"), str(port)], env=clean_environment()
    )
    try:
        asyncio.run(_up(port))
        yield port
    finally:
        process.terminate()
        process.wait()


async def _up(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            async with Client("127.0.0.1", port, "/") as client:
                await client.ask()
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


class Client:
    """One kept-alive connection on which requests are written as bytes, so that its own weight is small."""

    def __init__(self, host: str, port: int, path: str, key: str = "") -> None:
        self._host = host
        self._port = port
        head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(BODY)}\r\n" + (f"Authorization: {key}\r\n" if key else "")
        self._request = head.encode() + b"\r\n" + BODY

    @classmethod
    def of(cls, runtime: ServedRuntime, service: str) -> Client:
        """A client of a deployed workflow."""
        parts = urllib.parse.urlsplit(runtime.url)
        return cls(parts.hostname or "", parts.port or 80, f"/run/{service}/", runtime.key)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self) -> float:
        """Milliseconds of one request, its answer checked."""
        began = time.perf_counter()
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        if b"content-length:" in lower:
            length = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            body = await self._reader.readexactly(length)
        else:
            body = b""
            while size := int(await self._reader.readline(), 16):
                body += await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readexactly(2)
        took = (time.perf_counter() - began) * 1000
        if b" 200 " not in head[:20] or json.loads(body) != ANSWER:
            raise AssertionError(f"{head!r} {body!r}")
        return took
