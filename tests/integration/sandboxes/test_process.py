"""The development driver: the same protocol, without isolation, and it says so."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.sandbox_programs import HELLO, running, specification
from tests.support.waiting import until_async

from codewords_mcp.errors import ProgramFailed
from codewords_mcp.runtime.sandboxes.base import (
    Driver,
    EnvironmentRef,
    Exit,
    Limits,
    NetworkHandle,
    SandboxSockets,
)
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.runtime.sandboxes.host.listeners import is_another_users_port
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:process")]


class Handle:
    def __init__(self, sockets: SandboxSockets) -> None:
        self.sockets = sockets

    async def close(self) -> None:
        self.sockets.runtime.close()


class Network:
    """Remembers the listener that stands for the runtime."""

    runtime: socket.socket

    async def attach(self, sandbox_id: str, sockets: SandboxSockets) -> NetworkHandle:
        self.runtime = sockets.runtime
        return Handle(sockets)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
async def process(tmp_path: Path, network: Network) -> AsyncIterator[Driver]:
    opened = await open_driver(Settings(home=tmp_path, sandbox="process"), network, tmp_path / "run")
    yield opened
    await opened.close()
    assert list((tmp_path / "run").iterdir()) == []


async def test_it_is_named_for_what_it_is(process: Driver) -> None:
    assert process.tier.id == "P"
    assert process.capabilities == frozenset()


async def test_a_workflow_answers(process: Driver, environment: EnvironmentRef) -> None:
    async with running(process, specification(environment, HELLO)) as program:
        await program.sandbox.wait_ready()
        assert (await program.ask(data={"name": "Ada"}))[0] == 200
        assert await program.sandbox.stop(grace=10) == Exit("signaled", signal=15)
        assert program.sandbox.failure() is None


async def test_a_server_that_binds_its_port_itself_is_reached(
    process: Driver, environment: EnvironmentRef
) -> None:
    code = "import os, http.server as h\nh.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), h.SimpleHTTPRequestHandler).serve_forever()"
    async with running(process, specification(environment, code)) as program:
        await program.sandbox.wait_ready()
        status, body = await program.ask("GET")
    assert status == 200
    assert b"main.py" in body


async def test_the_program_finds_the_runtime(
    process: Driver, network: Network, environment: EnvironmentRef
) -> None:
    code = "import os\nprint(os.environ['CODEWORDS_RUNTIME_URI'], os.environ['RUNTIME_URI'])"
    async with running(
        process, specification(environment, code, env={"CODEWORDS_RUNTIME_URI": "http://127.0.0.1:8765"})
    ) as program:
        uri = f"http://127.0.0.1:{network.runtime.getsockname()[1]}"
        await program.ended()
    assert program.stdout == f"{uri} {uri}\n"


@pytest.mark.parametrize(
    ("code", "kind"),
    [("import sys; sys.exit(3)", "program_exited"), ("import time; time.sleep(60)", "program_no_port")],
)
async def test_failing_programs_are_told_as_in_a_sandbox(
    process: Driver, environment: EnvironmentRef, code: str, kind: str
) -> None:
    async with running(process, specification(environment, code, limits=Limits(start_timeout=1))) as program:
        with pytest.raises(ProgramFailed) as caught:
            await program.sandbox.wait_ready()
    assert caught.value.code == kind


async def test_killing_takes_the_program_s_children_along(
    process: Driver, environment: EnvironmentRef
) -> None:
    code = "import os, time\npid = os.fork()\nif pid: print(pid, flush=True)\ntime.sleep(60)"
    async with running(process, specification(environment, code)) as program:
        await program.until_printed("\n")
        assert await program.sandbox.kill("timed_out") == Exit("timed_out")
        child = int(program.stdout)
        await until_async(
            lambda: (
                not (os.path.exists(f"/proc/{child}/cmdline") and Path(f"/proc/{child}/cmdline").read_bytes())
            )
        )


_LISTEN = """
import os, socket, sys
os.setuid(65534)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    print("listening", flush=True)
    while True:
        connection = server.accept()[0]
        if received := connection.recv(65536):
            print(received, flush=True)
        connection.close()
"""


@pytest.mark.needs("root")
async def test_another_user_who_takes_a_programs_port_is_sent_nothing(
    process: Driver, environment: EnvironmentRef
) -> None:
    """The port stands in the process list before the program listens there."""
    code = (
        "import os, subprocess, sys, http.server as h\n"
        f"thief = subprocess.Popen([sys.executable, '-c', {_LISTEN!r}, os.environ['PORT']], stdout=subprocess.PIPE)\n"
        "print(thief.stdout.readline().decode(), flush=True)\n"
        "print(thief.stdout.readline().decode(), flush=True)\n"
    )
    limits = Limits(start_timeout=3)
    async with running(process, specification(environment, code, limits=limits)) as program:
        with pytest.raises(ProgramFailed):
            await program.sandbox.wait_ready()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a port is")
async def test_the_kernel_tells_whose_a_port_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        assert not is_another_users_port(port)
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        assert is_another_users_port(port)
    assert not is_another_users_port(port), "nobody listens there"
