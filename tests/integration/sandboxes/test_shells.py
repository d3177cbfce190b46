"""Sandboxes that are ready before their programs: few, each for one program, and none of them when it has died."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Exit
from codewords_mcp.runtime.sandboxes.local import nursery
from codewords_mcp.runtime.sandboxes.local.driver import LocalDriver

from .conftest import Opened
from .stage import HELLO, running, specification
from .test_ending import alive, descendants, gone

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:shells")]

PATIENT = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready", flush=True)
signal.sigwait([signal.SIGTERM])
sys.exit(7)
"""


@pytest.fixture
def others() -> set[int]:
    """Processes of drivers that were open before."""
    return {*in_namespace(1), *in_namespace(2)}


@pytest.fixture
async def driver(opened: Opened, others: set[int], tmp_path: Path) -> AsyncIterator[LocalDriver]:
    async with opened(tmp_path / "run", True) as driver:
        await until(lambda: shells(driver) == nursery.SHELLS)
        yield driver


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


def shells(driver: LocalDriver) -> int:
    (one,) = driver.forks.describe()
    return int(one["shells"])


def numbers(pid: int | str) -> list[str]:
    """Of a process, from the host's pid namespace inwards; none of one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return status.partition("NSpid:")[2].splitlines()[0].split()


def in_namespace(depth: int) -> list[int]:
    """Host pids of this process's descendants so many pid namespaces below its own."""
    family = [pid for pid in descendants(os.getpid()) if alive(pid)]
    return [pid for pid in family if len(numbers(pid)) == len(numbers("self")) + depth]


def first_processes(others: set[int]) -> list[int]:
    """Host pids of every process 1 of a forked sandbox."""
    return [pid for pid in in_namespace(2) if pid not in others and numbers(pid)[-1:] == ["1"]]


async def fork_server(others: set[int]) -> int:
    """Host pid of the one process that forks: it is with its keeper, which is process 1. Who makes a shell is there for a moment."""

    def with_keeper() -> list[int]:
        return [pid for pid in in_namespace(1) if pid not in others and numbers(pid)[-1:] != ["1"]]

    await until(lambda: len(with_keeper()) == 1)
    return with_keeper()[0]


async def test_each_program_has_a_shell_of_its_own_and_few_more_are_made(
    driver: LocalDriver, environment: EnvironmentRef, others: set[int]
) -> None:
    used: set[int] = set()
    for _ in range(nursery.SHELLS + 2):
        async with running(driver, specification(environment, HELLO)) as program:
            first = program.local.roots[0]
            assert await program.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
            assert first not in used
            used.add(first)
        assert not alive(first)
        assert shells(driver) <= nursery.SHELLS
    await until(lambda: shells(driver) == nursery.SHELLS)
    assert len(first_processes(others)) == nursery.SHELLS


async def test_a_shell_that_has_died_is_not_handed_out(
    driver: LocalDriver, environment: EnvironmentRef, others: set[int]
) -> None:
    dead = first_processes(others)
    for pid in dead:
        os.kill(pid, signal.SIGKILL)
    await gone(dead)
    async with running(driver, specification(environment, HELLO)) as program:
        assert await program.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
        assert program.local.roots[0] not in dead
    await until(lambda: shells(driver) == nursery.SHELLS)


async def test_a_program_goes_on_without_its_fork_server_and_how_it_ends_is_known(
    driver: LocalDriver, environment: EnvironmentRef, others: set[int]
) -> None:
    async with running(driver, specification(environment, PATIENT)) as program:
        await program.until_printed("ready\n")
        os.kill(await fork_server(others), signal.SIGKILL)
        async with running(driver, specification(environment, HELLO)) as other:
            assert await other.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
        assert await program.sandbox.stop(grace=30) == Exit("exited", code=7)
