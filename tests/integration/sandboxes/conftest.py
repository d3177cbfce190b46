"""This machine's sandboxes."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.sandboxes.helpers import Opened
from tests.support.sandbox_programs import build_environment, copy, fork_server, install
from tests.support.wheels import build_wheel

from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef
from codewords_mcp.runtime.sandboxes.host.files import remove_tree
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver


@pytest.fixture(scope="session")
def environment() -> EnvironmentRef:
    """FastAPI, uvicorn, hypercorn."""
    return build_environment()


@pytest.fixture
def spoilt(environment: EnvironmentRef, tmp_path: Path, request: pytest.FixtureRequest) -> EnvironmentRef:
    """The tests' environment, with a tenacity, which fork servers import, of this source."""
    own, packages = copy(environment, tmp_path / "environment")
    # A digest in its version: the cache of wheels is shared by all tests.
    version = f"9.0.{zlib.crc32(request.param.encode())}"
    build_wheel(tmp_path, "tenacity", version, {"tenacity.py": request.param})
    python = environment.base_prefix / "bin" / f"python{environment.python_version}"
    install(packages, f"tenacity=={version}", python=python, wheels=tmp_path)
    return own


@pytest.fixture(scope="session")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the self-test's finding is kept for the session."""
    return tmp_path_factory.mktemp("tier") / "tier.json"


@pytest.fixture(scope="session")
def opened(proved: Path, environment: EnvironmentRef) -> Opened:
    """Opens the local driver with no network behind it, where every program is forked or none is."""

    @asynccontextmanager
    async def open_(run_dir: Path, forking: bool) -> AsyncGenerator[LocalDriver]:
        run_dir.mkdir()
        if proved.exists():
            (run_dir / "tier.json").write_bytes(proved.read_bytes())
        driver = await LocalDriver.open(None, run_dir, forking=forking, max_warm=0)
        try:
            if driver.tier.id == "D":
                pytest.skip(f"no isolation here: {' '.join(driver.tier.facts)}")
            proved.write_bytes((run_dir / "tier.json").read_bytes())
            if forking:
                await fork_server(driver, environment)
            yield driver
        finally:
            await driver.close()
            remove_tree(
                run_dir
            )  # what a closing driver leaves to the next one may be deeper than pytest can remove

    return open_


@pytest.fixture(scope="session")
async def forking(
    opened: Opened, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Callable[[], Awaitable[LocalDriver]]]:
    """Gives the one driver with a fork server for all tests that leave it as it is, opened at first use."""
    drivers: list[LocalDriver] = []
    async with AsyncExitStack() as stack:

        async def give() -> LocalDriver:
            if not drivers:
                run_dir = tmp_path_factory.mktemp("forking") / "run"
                drivers.append(await stack.enter_async_context(opened(run_dir, True)))
            return drivers[0]

        yield give


@pytest.fixture(params=["exec", "fork"])
async def driver(
    request: pytest.FixtureRequest,
    opened: Opened,
    forking: Callable[[], Awaitable[LocalDriver]],
    tmp_path: Path,
) -> AsyncIterator[Driver]:
    """The local driver, once for each way to start a program. A test that asks for tmp_path has its own, in `run`."""
    if request.param == "fork" and "tmp_path" not in inspect.signature(request.function).parameters:
        yield await forking()
        return
    async with opened(tmp_path / "run", request.param == "fork") as driver:
        yield driver
