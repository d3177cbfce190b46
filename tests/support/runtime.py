"""What tests of the whole runtime share: a warm cache of environments, and little workflows to run."""

from __future__ import annotations

import asyncio
import functools
import getpass
import json
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.waiting import until_async

from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import Run, RunRequest
from codewords_mcp.runtime.model.workflow import Consent

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

HEADER = """# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn[standard]==0.34.2", "httpx==0.28.1"]
# [tool.env-checker]
# env_vars = ["PORT=8000"{more}]
# ///
"""
MAIN = """
if __name__ == "__main__":
    import os, uvicorn
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", 8000)))
"""
ADMIN = Caller("local", "admin")
ALLOWED = Consent(allow=True)
DRAIN_SECONDS = 1.0
"""How long a runtime under test lets runs go on at its end: a test that leaves one behind need not wait for it."""
SHARED = ("environments", "cache")
SEED_TOKENS = {"SLACK_BOT_TOKEN": "token-of-the-tests", "HUBSPOT_ACCESS_TOKEN": "token-of-the-tests"}
"""With these the apps that the seed's programs declare count as connected."""


def workflow(body: str, *, env: tuple[str, ...] = (), title: str = "Test workflow") -> str:
    """A whole script around routes on `app`."""
    more = "".join(f', "{name}"' for name in env)
    head = f"from fastapi import FastAPI, Request\napp = FastAPI(title={title!r})\n"
    return HEADER.format(more=more) + head + body + MAIN


ECHO = workflow(
    '@app.post("/")\nasync def echo(request: Request):\n    return {"got": await request.json()}\n',
    title="Echo",
)


def warm_folder() -> Path:
    """Environments and wheels that outlive one test run, so that only the first one builds them."""
    folder = Path(tempfile.gettempdir()) / f"codewords-tests-{getpass.getuser()}"
    for name in SHARED:
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


def make_home(path: Path, environments: str = "environments") -> Path:
    """A fresh home that shares the warm folder's environments. What every start in a new home does over is done: its
    database has its tables, and the sandboxes' self-test its finding.

    `doctor` reads every file of every environment: tests that ask it share a folder of few, by another name.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    share_environments(path, environments)
    for name, content in _first_start().items():
        (path / name).parent.mkdir(mode=0o700, exist_ok=True)
        (path / name).write_bytes(content)
        (path / name).chmod(0o600)
    return path


def share_environments(home: Path, environments: str = "environments") -> None:
    """Let a home use a folder of environments of the warm folder, and its cache of packages."""
    for name, shared in (("environments", environments), ("cache", "cache")):
        (warm_folder() / shared).mkdir(exist_ok=True)
        (home / name).symlink_to(warm_folder() / shared)


@functools.cache
def _first_start() -> dict[str, bytes]:
    """Files that a first start leaves in any home, by their names in it."""
    from tests.support.databases import migrated_file

    from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
    from codewords_mcp.runtime.store import local_file

    async def prove(run_dir: Path) -> None:
        driver = await LocalDriver.open(None, run_dir)
        await driver.close()

    with tempfile.TemporaryDirectory(prefix="codewords-first-start-") as folder:
        home = Path(folder)
        with ThreadPoolExecutor(1) as thread:  # callers may be in a loop
            thread.submit(asyncio.run, prove(home / "run")).result()
        finding = home / "run" / "tier.json"
        found = {str(finding.relative_to(home)): finding.read_bytes()} if finding.exists() else {}
    return {local_file.NAME: migrated_file()} | found


@asynccontextmanager
async def open_runtime(home: Path, **settings: Any) -> AsyncGenerator[Runtime]:
    """A runtime over this home, without any front door. With `shares_driver` its sandbox driver is the session's, not its own."""
    # Here, since much that only serves or attacks a runtime of another process has its homes and workflows from this module.
    from tests.support.driver_session import open_shared_driver

    from codewords_mcp.runtime.api.runtime import Runtime
    from codewords_mcp.runtime.sandboxes.drivers import open_driver
    from codewords_mcp.settings import Settings

    driver = open_shared_driver if settings.pop("shares_driver", False) else open_driver
    settings.setdefault("drain_timeout", DRAIN_SECONDS)
    async with Runtime.open(Settings(home=home, port=0, **settings), open_driver=driver) as runtime:
        yield runtime


def request(
    service_id: str, data: Any = None, *, path: str = "/", method: str = "POST", **more: Any
) -> RunRequest:
    """A request with a JSON body, as a route would make it."""
    body = b"" if data is None else json.dumps(data).encode()

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return RunRequest(
        service_id,
        method,
        path,
        b"",
        headers + more.pop("headers", []),
        chunks(),
        more.pop("caller", ADMIN),
        **more,
    )


async def fetch(runtime: Runtime, service_id: str, data: Any = None, **more: Any) -> tuple[int, bytes, str]:
    """(status, whole body, run id) of a run."""
    response = await runtime.runs.execute(request(service_id, data, **more))
    return response.status, b"".join([chunk async for chunk in response.body]), response.run_id


async def deploy(runtime: Runtime, code: str, **more: Any) -> str:
    """Deploy as the home's owner, who agrees to whatever it asks for; the service id."""
    return (await runtime.workflows.deploy(ADMIN, code=code, consent=ALLOWED, **more)).service_id


async def finished(runtime: Runtime, run_id: str, *, caller: Caller = ADMIN) -> Run:
    """The record once it is final."""
    return await runtime.runs.get(caller, run_id, wait=60)


async def until_run(runtime: Runtime, run_id: str, condition: Callable[[Run], object]) -> Run:
    """The record, as soon as it meets a condition."""

    async def read() -> Run | None:
        run = await runtime.runs.get(ADMIN, run_id)
        return run if condition(run) else None

    run = await until_async(read, f"a change of run {run_id}")
    assert run is not None
    return run


async def log_text(runtime: Runtime, run_id: str) -> str:
    """The whole log, once the run and its sandbox have ended."""
    return "\n".join([line.message async for line in runtime.logs.lines(ADMIN, run_id) if line is not None])
