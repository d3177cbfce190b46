"""Programs that take too much are stopped, and told what they took."""

from __future__ import annotations

import asyncio
import resource
from typing import cast

import pytest
from tests.support.sandbox_programs import report, running, specification

from codewords_mcp.errors import ProgramFailed
from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef, Exit, Limits, OutputChunk
from codewords_mcp.runtime.sandboxes.host import measure
from codewords_mcp.runtime.sandboxes.host.watchdog import Watchdog, WatchedSandbox

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:limits")]

HOARD = """
    import mmap, os
    {prepare}
    taken = []
    while True:
        {take}
"""
MEMORY = {
    "heap": ("", "taken.append(b'x' * (1 << 20))"),
    "shared memory": ("", "m = mmap.mmap(-1, 1 << 20); m.write(b'x' * (1 << 20)); taken.append(m)"),
    "memory files": ("", "fd = os.memfd_create('m'); os.write(fd, b'x' * (1 << 20)); taken.append(fd)"),
    "children": ("[os.fork() for _ in range(3)]", "taken.append(b'x' * (1 << 20))"),
}


@pytest.mark.parametrize("kind", MEMORY)
async def test_memory_over_the_limit_stops_the_program(
    driver: Driver, environment: EnvironmentRef, kind: str
) -> None:
    prepare, take = MEMORY[kind]
    code = HOARD.format(prepare=prepare, take=take)
    async with running(driver, specification(environment, code, limits=Limits(memory=96 << 20))) as program:
        exit_ = await program.ended()
        failure = program.sandbox.failure()
    if exit_ == Exit("exited", code=1):  # without cgroups a heap meets its resource limit first
        assert driver.tier.id == "B"
        assert "MemoryError" in program.stderr
        return
    assert exit_ == Exit("out_of_memory")
    assert isinstance(failure, ProgramFailed)
    assert failure.code == "program_out_of_memory"
    assert failure.message == "The workflow used more than its 96 MiB of memory and was stopped."


DISK = {
    "one file": "f = open('/tmp/f', 'wb')\nwhile True: f.write(b'x' * (1 << 20)); f.flush()",
    "many files in both folders": """
import itertools, time
for n in itertools.count():
    open(f"/{('app', 'tmp')[n % 2]}/{n}", "wb").write(b"x" * (1 << 20))
    time.sleep(0.001)
""",
    "files without a name": """
import os, time
held = []
while True:
    f = open("/tmp/f", "wb"); f.write(b"x" * (1 << 20)); f.flush(); os.unlink("/tmp/f"); held.append(f); time.sleep(0.001)
""",
    "files out of sight": """
import os, time
for n in range(10 ** 6):
    os.mkdir("/tmp/d"); os.chdir("/tmp/d"); open("f", "wb").write(b"x" * (1 << 20)); os.rename("/tmp/d", f"/tmp/{n}")
    time.sleep(0.001)
""",
}


@pytest.mark.parametrize("kind", DISK)
async def test_disk_over_the_limit_stops_the_program(
    driver: Driver, environment: EnvironmentRef, kind: str
) -> None:
    async with running(
        driver, specification(environment, DISK[kind], limits=Limits(disk=20 << 20))
    ) as program:
        exit_ = await program.ended()
        failure = program.sandbox.failure()
    if kind == "one file" and exit_ == Exit("exited", code=1):
        assert "File too large" in program.stderr
        return
    assert exit_ == Exit("disk_full"), program.stderr
    assert isinstance(failure, ProgramFailed)
    assert failure.code == "program_disk_full"


async def test_files_without_end_stop_the_program(
    driver: Driver, environment: EnvironmentRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "MAX_FILES", 3000)  # the real bound would keep a slow disk busy for minutes
    code = "import os\nfor n in range(10 ** 7):\n    os.mkdir(f'/tmp/{n}')\n    os.chdir('/tmp')"
    async with running(driver, specification(environment, code)) as program:
        assert await program.ended() == Exit("disk_full")


async def test_files_made_after_a_slow_count_are_counted_at_once_and_a_neighbour_goes_on(
    driver: Driver, environment: EnvironmentRef
) -> None:
    """Many files take long to count, and the next count is due a multiple of that later: in years, here."""
    watchdog = Watchdog(asyncio.get_running_loop(), max_files=3000, cost_factor=1e12)
    begin = "import os, time\nos.mkdir('/tmp/first')\nprint('begun', flush=True)\n"
    quiet = specification(environment, begin + "time.sleep(600)")
    flood = begin + "time.sleep(2)\nfor n in range(10 ** 7):\n    os.mkdir(f'/tmp/{n}')"
    async with running(driver, quiet) as other, running(driver, specification(environment, flood)) as program:
        await other.until_printed("begun")
        for one in (other, program):
            watchdog.watch(cast("WatchedSandbox", one.sandbox))
        assert await program.ended() == Exit("disk_full")
        failure = program.sandbox.failure()
        assert isinstance(failure, ProgramFailed)
        assert failure.code == "program_disk_full"
        assert other.sandbox.failure() is None
    watchdog.close()


@pytest.mark.slow
async def test_folders_nested_without_end_stop_the_program_and_are_removed(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = "import os\nfor n in range(5000):\n    os.mkdir('d', 0o700); os.chdir('d')\nos.chmod('.', 0)\nimport time; time.sleep(60)"
    async with running(driver, specification(environment, code)) as program:
        assert await program.ended() == Exit("disk_full")


async def test_a_program_takes_no_more_of_the_processors_than_it_may(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = "import os, time\nos.fork()\nend = time.monotonic() + 3\nwhile time.monotonic() < end:\n    pass"
    async with running(driver, specification(environment, code, limits=Limits(processors=0.25))) as program:
        await program.ended()
        usage = await program.sandbox.usage()
    if driver.tier.id == "B":  # a cgroup holds it, and a check of the workflow warns where there is none
        return
    assert usage.cpu_seconds is not None
    # Two loops would take up to two processors. A period of the kernel may be over its part by a little.
    assert usage.cpu_seconds <= 0.25 * usage.wall_seconds + 0.2


async def test_a_fork_bomb_stays_in_its_sandbox(driver: Driver, environment: EnvironmentRef) -> None:
    code = """
    import json, os, signal
    children, refused = [], None
    for _ in range(200):
        try:
            pid = os.fork()
        except OSError as error:
            refused = error.errno
            break
        if pid == 0:
            signal.pause()
        children.append(pid)
    print(json.dumps([len(children), refused]))
    """
    made, refused = await report(driver, specification(environment, code, limits=Limits(processes=20)))
    assert refused == 11
    assert 10 <= made <= 20


async def test_threads_count_as_processes(driver: Driver, environment: EnvironmentRef) -> None:
    code = """
    import json, threading
    go = threading.Event()
    made = 0
    try:
        for _ in range(200):
            threading.Thread(target=go.wait, daemon=True).start()
            made += 1
    except RuntimeError:
        pass
    print(json.dumps(made), flush=True)
    go.set()
    """
    assert await report(driver, specification(environment, code, limits=Limits(processes=20))) <= 20


async def test_open_files_are_limited_and_none_is_inherited(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = """
    import json, os
    first = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
    held = []
    try:
        while True: held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        print(json.dumps([first, len(held), error.errno]))
    """
    first, held, refused = await report(driver, specification(environment, code, limits=Limits(files=64)))
    assert set(first) <= {0, 1, 2, 3, 4, 5}  # 3 and 4: its server's socket, process 1; 5: the listing itself
    assert held <= 64
    assert refused == 24


@pytest.mark.requirement("sandbox:output")
async def test_output_of_100_mb_streams_without_growing_the_runtime(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = "import os\nfor _ in range(1600): os.write(1, b'0123456789abcdef' * 4096)"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sandbox = await driver.start(specification(environment, code))
    total = 0
    async for chunk in sandbox.output():
        total += len(chunk.data)
    assert await sandbox.wait() == Exit("exited", code=0)
    assert total == 1600 * 65536
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 30 << 10  # KiB


@pytest.mark.requirement("sandbox:output")
async def test_unread_output_stops_the_program_and_nothing_is_lost(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = """
    import os
    for n in range(3000): os.write(1 + n % 2, b"%04d" % n * 256)
    """
    sandbox = await driver.start(specification(environment, code))
    chunks = sandbox.output()
    first: OutputChunk = await anext(chunks)
    rest = [first] + [chunk async for chunk in chunks]
    for stream, parity in (("stdout", 0), ("stderr", 1)):
        data = b"".join(chunk.data for chunk in rest if chunk.stream == stream)
        assert data == b"".join(b"%04d" % n * 256 for n in range(3000) if n % 2 == parity)
    assert await sandbox.wait() == Exit("exited", code=0)


@pytest.mark.requirement("sandbox:usage")
async def test_usage_tells_time_cpu_and_memory(driver: Driver, environment: EnvironmentRef) -> None:
    code = "x = b'x' * (50 << 20)\nimport time\nwhile time.process_time() < 0.2: pass"
    async with running(driver, specification(environment, code)) as program:
        await program.ended()
        usage = await program.sandbox.usage()
    assert usage.wall_seconds >= 0.2
    assert usage.cpu_seconds is not None
    assert usage.cpu_seconds >= 0.2
    assert usage.peak_memory is not None
    assert usage.peak_memory >= 50 << 20
