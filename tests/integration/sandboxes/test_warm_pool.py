"""Sandboxes that are ready before their programs: few, each for one program, and none of them when it has died."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.sandboxes.helpers import Opened
from tests.support.processes import alive, descendants, exists
from tests.support.sandbox_programs import HELLO, report, running, specification
from tests.support.sandbox_programs import fork_server as fork_server_of
from tests.support.waiting import until, until_async

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Exit
from codewords_mcp.runtime.sandboxes.forkserver import warm_pool
from codewords_mcp.runtime.sandboxes.namespaces import inside
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:shells")]

PATIENT = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("ready", flush=True)
signal.sigwait([signal.SIGTERM])
sys.exit(7)
"""

FRESH = """
import asyncio, gc, json, logging, os, signal, sys, threading
loop = asyncio.get_event_loop()
import fastapi, uvicorn
names = ["", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio"]
loggers = [logging.getLogger(name) for name in names]
print(json.dumps({
    "loop": [type(asyncio.get_event_loop_policy()).__name__, type(loop).__module__, loop.is_running()],
    "loggers": [[one.level, one.propagate, one.disabled, len(one.handlers)] for one in loggers],
    "handlers": len(logging._handlerList),
    "rehearsed": [name for name in [*sys.modules, *logging.root.manager.loggerDict] if "rehears" in name],
    "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
    "collects": [gc.isenabled(), gc.get_threshold()],
    "threads": [threading.active_count(), len(os.listdir("/proc/self/task"))],
    "output": [sys.stdout.name, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    "variables": sorted(os.environ),
}), flush=True)
"""


@pytest.fixture
async def driver(opened: Opened, tmp_path: Path) -> AsyncIterator[LocalDriver]:
    async with opened(tmp_path / "run", True) as driver:
        await until_async(lambda: prepared(driver) == warm_pool.PREPARED)
        yield driver


def prepared(driver: LocalDriver) -> int:
    (one,) = driver.forks.describe()
    return int(one["prepared"])


def numbers(pid: int | str) -> list[str]:
    """Of a process, from the host's pid namespace inwards; none of one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return status.partition("NSpid:")[2].splitlines()[0].split()


def fork_server(driver: LocalDriver) -> int:
    """Host pid of the one process that forks."""
    (one,) = driver.forks._pools.values()  # pyright: ignore[reportPrivateUsage]
    server = one._server  # pyright: ignore[reportPrivateUsage]
    assert server is not None
    assert server.pid is not None
    return server.pid


def first_processes(driver: LocalDriver) -> list[int]:
    """Host pids of every process 1 of a sandbox, which the fork server's parent has made: process 1 of their namespace."""
    status = Path(f"/proc/{fork_server(driver)}/status").read_text(encoding="utf-8")
    supervisor = int(status.partition("PPid:")[2].split()[0])
    inside = len(numbers(supervisor)) + 1

    def first(pid: int) -> bool:
        own = numbers(pid)
        return alive(pid) and len(own) == inside and own[-1] == "1"

    return [pid for pid in descendants(supervisor) if first(pid)]


async def test_each_program_has_a_shell_of_its_own_and_few_more_are_made(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    used: set[int] = set()
    for _ in range(warm_pool.PREPARED + 2):
        async with running(driver, specification(environment, HELLO)) as program:
            first = program.local.roots[0]
            assert await program.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
            assert first not in used
            used.add(first)
        assert not alive(first)
        assert prepared(driver) <= warm_pool.PREPARED
    await until_async(lambda: prepared(driver) == warm_pool.PREPARED)
    await until_async(lambda: len(first_processes(driver)) == warm_pool.PREPARED)


async def test_a_start_that_seldom_comes_has_nothing_made_for_the_next(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    for _ in range(warm_pool.PREPARED + 1):
        assert await report(driver, replace(specification(environment, "print(1)"), ahead=False)) == 1
    assert prepared(driver) == 0
    assert await report(driver, specification(environment, "print(1)")) == 1
    await until_async(lambda: prepared(driver) == warm_pool.PREPARED)


async def test_a_shell_that_has_died_is_not_handed_out(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    dead = first_processes(driver)
    for pid in dead:
        os.kill(pid, signal.SIGKILL)
    # Blocks: the event loop has no turn in which it would see that they ended.
    until(lambda: not any(map(exists, dead)), "the sandboxes' processes to be gone", 20)
    async with running(driver, specification(environment, HELLO)) as program:
        assert await program.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
        assert program.local.roots[0] not in dead
    await until_async(lambda: prepared(driver) == warm_pool.PREPARED)


async def test_a_program_goes_on_without_its_fork_server_and_how_it_ends_is_known(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    async with running(driver, specification(environment, PATIENT)) as program:
        await program.until_printed("ready\n")
        os.kill(fork_server(driver), signal.SIGKILL)
        async with running(driver, specification(environment, HELLO)) as other:
            assert await other.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
        assert await program.sandbox.stop(grace=30) == Exit("exited", code=7)


@pytest.mark.requirement("sandbox:rehearsal")
async def test_a_program_finds_nothing_of_what_was_done_before_it(
    driver: LocalDriver, opened: Opened, environment: EnvironmentRef, tmp_path: Path
) -> None:
    async with opened(tmp_path / "exec", False) as execs:
        started = await report(execs, specification(environment, FRESH))
    assert await report(driver, specification(environment, FRESH)) == started
    run_dir = tmp_path / "warm"
    run_dir.mkdir()
    (run_dir / "tier.json").write_bytes((tmp_path / "run" / "tier.json").read_bytes())
    claiming = await LocalDriver.open(None, run_dir, max_warm=1)
    try:
        await fork_server_of(claiming, environment)
        await until_async(lambda: claiming.forks.describe()[0]["warm"] == 1)
        (one,) = claiming.forks._pools.values()  # pyright: ignore[reportPrivateUsage]
        warm = one._warm[0]  # pyright: ignore[reportPrivateUsage]
        async with running(claiming, specification(environment, FRESH)) as program:
            assert await program.ended() == Exit("exited", code=0), program.stderr
        assert program.local.isolation is warm
        assert json.loads(program.stdout) == started
    finally:
        await claiming.close()


def in_its_python(environment: EnvironmentRef, code: str) -> str:
    """Run code that imports this package's `inside` in the environment's Python; what it prints."""
    python = environment.base_prefix / "bin" / f"python{environment.python_version}"
    packages = environment.path / "lib" / f"python{environment.python_version}" / "site-packages"
    path = f"{Path(inside.__file__).parent.parent}:{packages}"
    ran = subprocess.run(
        [python, "-c", code], env={"PYTHONPATH": path}, check=True, timeout=60, stdout=subprocess.PIPE, encoding="utf-8"
    )  # fmt: skip
    return ran.stdout


@pytest.mark.requirement("sandbox:rehearsal")
@pytest.mark.parametrize("loop", ["asyncio", "auto"])
def test_a_script_is_rehearsed_to_its_answers(environment: EnvironmentRef, loop: str) -> None:
    code = (
        "import sys, fastapi, uvicorn; from inside import boot, warm; hook = boot.UvicornHook(); "
        f"sys.meta_path.insert(0, hook); print(warm.serving(hook, loop={loop!r}))"
    )
    assert in_its_python(environment, code) == "True\n"


HELPED = """
import ctypes, mmap, os
from inside import ahead

page = mmap.PAGESIZE
memory = mmap.mmap(-1, 64 * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.write(b"x" * len(memory))
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
ours = {address + number * page: number for number in range(64)}
areas = ahead.learn(lambda: memory.__setitem__(slice(3 * page, 5 * page), b"y" * 2 * page))
found = [start + offset for start, length in areas for offset in range(0, length, page)]
print(sorted(ours[one] for one in found if one in ours), memory[3 * page] == ord("x"), flush=True)
waits, ends = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(waits, 1)
    print(sorted(ours[one] for one in ahead._exclusive(True) if one in ours), flush=True)
    os._exit(0)
helper = ahead.Helper(areas)
helper.help(pid, waits)
os.write(ends, b"x")
os.waitpid(pid, 0)
"""


@pytest.mark.requirement("sandbox:fork-memory")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a fork is helped on another processor")
def test_pages_that_forks_write_to_are_found_and_are_a_forks_own_before_it_does(
    environment: EnvironmentRef,
) -> None:
    assert in_its_python(environment, HELPED) == "[3, 4] True\n[3, 4]\n"


GATHERED = """
import ctypes, mmap
from inside import huge_pages, linux

size = 8 << 20
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.write(bytes(range(256)) * (size // 256))
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
possible = linux.collapse(-(-address // (2 << 20)) * (2 << 20), 2 << 20)
for _ in huge_pages.gather():
    pass
huge, inside = 0, False
for line in open("/proc/self/smaps", encoding="utf-8"):
    if "-" in (first := line.split()[0]) and not first.endswith(":"):
        start, end = (int(part, 16) for part in first.split("-"))
        inside = start <= address < end
    elif inside and first == "AnonHugePages:":
        huge = int(line.split()[1])
print(possible, huge >= 4096, memory[:] == bytes(range(256)) * (size // 256), flush=True)
"""


@pytest.mark.requirement("sandbox:fork-memory")
def test_memory_is_gathered_in_huge_pages_and_stays_what_it_was(environment: EnvironmentRef) -> None:
    said = in_its_python(environment, GATHERED).split()
    if said[0] == "False":
        pytest.skip("this kernel gathers no memory")
    assert said == ["True", "True", "True"]


CODE = """
from inside import ahead, code_pages

apart, functions = [], []
for number in range(400):
    names = {}
    exec(f"def outer(one):\\n def inner(two):\\n  return one + two\\n return inner(one) + {number}", names)
    functions.append(names["outer"])
    apart.extend(functions[-1].__code__.replace() for _ in range(20))

def kept():
    return "not run"

def work():
    return [function(index) for index, function in enumerate(functions)]

def pages():
    return len({id(function.__code__) // 4096 for function in functions})

def copied():
    return sum(length for _, length in ahead.learn(work))

for _ in range(3):
    work()
untouched, before, pages_before, copied_before = kept.__code__, work(), pages(), copied()
for _ in code_pages.gather(work, ()):
    assert work() == before
print(work() == before, kept.__code__ is untouched, kept(), flush=True)
print(pages() < pages_before / 2, copied() < copied_before, flush=True)
"""


@pytest.mark.requirement("sandbox:fork-memory")
def test_code_that_runs_is_gathered_and_runs_as_before(environment: EnvironmentRef) -> None:
    assert in_its_python(environment, CODE) == "True True not run\nTrue True\n"
