"""Programs under Landlock are processes of one user: what the kernel counts by user, one of them cannot take from the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.sandbox_programs import report, running, specification

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Limits
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
