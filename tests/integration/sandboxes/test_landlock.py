"""Programs under Landlock are processes of one user: what the kernel counts by user, one of them cannot take from the others."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest
from tests.support.sandbox_programs import report, running, specification

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Exit, Limits
from codewords_mcp.runtime.sandboxes.host.watchdog import Watchdog, WatchedSandbox
from codewords_mcp.runtime.sandboxes.landlock.confinement import Landlock
from codewords_mcp.testing.sandboxes import drivers

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.requirement("sandbox:landlock"),
    pytest.mark.skipif(bool(Landlock().missing()), reason=Landlock().missing()),
]

FLOODS = """
    import socket, time
    one, two = socket.socketpair()
    try:
        while True:
            socket.send_fds(one, [b"x"], [0] * 50)
    except OSError as error:
        print("sent until", error.strerror, flush=True)
    time.sleep(600)
"""


async def test_a_program_starts_while_another_has_sent_all_the_descriptors_that_it_may(
    environment: EnvironmentRef, tmp_path: Path
) -> None:
    driver = await drivers.landlock(None, tmp_path)
    limits = Limits(files=64, start_timeout=90)
    try:
        async with running(driver, specification(environment, FLOODS, limits=limits)) as flood:
            await flood.until_printed("sent until Too many references")
            assert await report(driver, specification(environment, "print(1)", limits=limits)) == 1
    finally:
        await driver.close()


FILES = """
    import os, tempfile, time
    os.chdir(tempfile.gettempdir())
    os.mkdir("first")
    time.sleep(2)
    for n in range(10 ** 7):
        os.mkdir(str(n))
"""


async def test_files_made_after_a_slow_count_are_counted_at_once(
    environment: EnvironmentRef, tmp_path: Path
) -> None:
    watchdog = Watchdog(asyncio.get_running_loop(), max_files=3000, cost_factor=1e12)
    driver = await drivers.landlock(None, tmp_path)
    try:
        async with running(driver, specification(environment, FILES)) as program:
            watchdog.watch(cast("WatchedSandbox", program.sandbox))
            assert await program.ended() == Exit("disk_full")
    finally:
        watchdog.close()
        await driver.close()
