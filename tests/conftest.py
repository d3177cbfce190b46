"""Fixtures for every test."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from codewords_mcp.common.frozen_imports import loading
from tests.support.paths import SHARED
from tests.support.postgres import Postgres, serving_postgres

pytest_plugins = [
    "tests.support.scheduling",
    "tests.support.depth",
    "tests.support.not_tried",
    "tests.support.costs",
    "tests.support.driver_session",
    "codewords_testing.fidelity.plugin",
    "tests.fidelity.provided",
]

os.environ.setdefault("CODEWORDS_OPEN_BROWSER", "never")
"""No test opens the browser of whoever runs it."""

os.environ.setdefault("PYTHONWARNDEFAULTENCODING", "1")
"""pytest's workers and the programs of tests warn as under scripts/test; pytest makes the warning an error."""

os.environ["PATH"] = os.pathsep.join(
    str(Path(sys.base_prefix, "bin")) if folder.endswith("pyenv/shims") else folder
    for folder in os.environ["PATH"].split(os.pathsep)
)
"""pyenv's shims start a shell for each answer, and uv asks all of them whenever it looks for Pythons."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a shell's background job: every program that a test starts would ignore Ctrl-C too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A property is tested, not the machine's speed.
settings.register_profile("codewords", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("codewords")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests stay until the end."""
    with loading():
        return (yield)


@pytest.fixture(autouse=True)
def unchanged_logging() -> Generator[None]:
    """Undo each test's set-up of structlog and of the root logger: a program that runs in pytest's process sets up both."""
    root = logging.getLogger()
    handlers, level, settings = root.handlers[:], root.level, structlog.get_config()
    configured = structlog.is_configured()
    yield
    if configured:
        structlog.configure(**settings)
    elif structlog.is_configured():
        structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The runtime runs on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def seed_examples() -> Path:
    """The seed's four programs; tests that need them skip where the folder is absent."""
    path = SHARED / "seed" / "examples"
    if not path.is_dir():
        pytest.skip("the seed's example programs are not beside this checkout (../shared/seed/examples)")
    return path


@pytest.fixture(scope="session")
def deployable_seed_examples(seed_examples: Path) -> Path:
    """The seed's programs, for tests that deploy them: they keep their pin, so those tests skip without Python 3.11."""
    if sys.version_info[:2] != (3, 11) and shutil.which("python3.11") is None:
        pytest.skip(
            "the seed's programs ask for Python 3.11, which is not installed (uv python install 3.11)"
        )
    return seed_examples


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI is true everything a test needs is there: a test that skips has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skipped where nothing may be missing: {report.longrepr}"
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--whole-e2b",
        action="store_true",
        help="also check in E2B's machines what does not depend on the transport",
    )
    parser.addoption(
        "--live",
        action="store_true",
        help="also call the services themselves, whose keys are in the environment",
    )
    parser.addoption(
        "--code-server", action="store_true", help="also try the extension for VS Code in a real editor"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Leave tests that ask PostgreSQL out of the quick suite: the server alone takes a sixth of its time."""
    if not isinstance(item, pytest.Function):
        return
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    if "postgres" in item.fixturenames or "postgres" in parameters:
        item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that lets a CancelledError out fails alone: it would end the task in which anyio runs every later test."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _contained(item.obj)


def _contained(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def contained(**arguments: Any) -> None:
        try:
            await test(**arguments)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise AssertionError("a CancelledError that nobody asked for came out of the test") from error

    return contained


@pytest.fixture(scope="session")
def postgres() -> Generator[Postgres]:
    """A PostgreSQL server for this session's tests."""
    with serving_postgres() as server:
        yield server
