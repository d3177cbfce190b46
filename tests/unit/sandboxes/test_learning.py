"""A fork that learns which pages are written to ends with the server that it learns for."""

from __future__ import annotations

import os
import signal
import time

import pytest
from tests.support.processes import alive
from tests.support.waiting import PATIENT_TIMEOUT

from codewords_mcp.runtime.sandboxes.namespaces.inside import ahead

_PAGE = os.sysconf("SC_PAGESIZE")
_PAGES = 10_000  # their addresses are more than a pipe holds

pytestmark = pytest.mark.requirement("sandbox:fork-memory")


def test_a_fork_that_learns_ends_without_its_server() -> None:
    told, tell = os.pipe()
    go, let = os.pipe()
    memory = bytearray(_PAGES * _PAGE)
    memory[::_PAGE] = b"x" * _PAGES

    def work() -> None:
        memory[::_PAGE] = b"y" * _PAGES
        os.write(tell, os.getpid().to_bytes(8, "little"))
        os.read(go, 1)

    server = os.fork()
    if server == 0:
        ahead.learn(work)
        os._exit(0)
    learner = int.from_bytes(os.read(told, 8), "little")
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
    os.write(let, b"x")
    end = time.monotonic() + PATIENT_TIMEOUT
    try:
        while alive(learner):
            assert time.monotonic() < end, "it still lives"
            time.sleep(0.01)
    finally:
        if alive(learner):
            os.kill(learner, signal.SIGKILL)
        for fd in (told, tell, go, let):
            os.close(fd)
