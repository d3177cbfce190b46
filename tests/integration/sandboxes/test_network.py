"""A sandbox's own network: what it may reach, the runtime serves through sockets handed out."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.sandbox_programs import report, running, specification

from codewords_mcp.errors import SandboxFailed
from codewords_mcp.runtime.sandboxes.base import Capability, Driver, EnvironmentRef, SandboxSockets
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:network")]
SO_ORIGINAL_DST = 80


class Served:
    """Answers every connection with its listener's name and, where the kernel redirected it, where it was going."""

    def __init__(self, sockets: SandboxSockets) -> None:
        self.sockets = sockets
        self.closed = False
        self._tasks: list[asyncio.Task[None]] = []
        for name in ("runtime", "connect", "transparent"):
            listener = getattr(sockets, name)
            if listener is not None:
                listener.setblocking(False)
                self._tasks.append(asyncio.create_task(self._serve(name, listener)))

    async def _serve(self, name: str, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            target = ""
            if name == "transparent":
                port, address = struct.unpack_from(
                    ">H4s", connection.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16), 2
                )
                target = f" {socket.inet_ntoa(address)}:{port}"
            await loop.sock_sendall(connection, (name + target).encode())
            connection.close()

    async def close(self) -> None:
        self.closed = True
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for listener in (
            self.sockets.runtime,
            self.sockets.connect,
            self.sockets.transparent,
            self.sockets.dns,
        ):
            if listener is not None:
                listener.close()


class Recorder:
    """A `Network` that remembers what it served."""

    def __init__(self) -> None:
        self.served: dict[str, Served] = {}
        self.refuse = False

    async def attach(self, sandbox_id: str, sockets: SandboxSockets) -> Served:
        served = Served(sockets)
        if self.refuse:
            await served.close()
            raise SandboxFailed("No network today.")
        self.served[sandbox_id] = served
        return served


@pytest.fixture
async def network() -> Recorder:
    return Recorder()


@pytest.fixture
async def connected(driver: Driver, network: Recorder, tmp_path: Path, proved: Path) -> AsyncIterator[Driver]:
    run_dir = tmp_path / "connected"
    run_dir.mkdir()
    (run_dir / "tier.json").write_bytes(proved.read_bytes())
    opened = await open_driver(Settings(home=tmp_path), network, run_dir)
    yield opened
    await opened.close()


READ = """
    import json, os, socket
    def read(*address):
        try:
            with socket.create_connection(address, timeout=5) as client: return client.recv(100).decode()
        except OSError as error: return type(error).__name__
"""


async def test_the_runtime_and_the_proxy_are_at_their_addresses(
    connected: Driver, environment: EnvironmentRef
) -> None:
    code = READ + "    print(json.dumps([read('127.0.0.1', 8765), read('localhost', 3128)]))"
    assert await report(connected, specification(environment, code)) == ["runtime", "connect"]


async def test_every_other_connection_is_redirected_with_its_destination(
    connected: Driver, environment: EnvironmentRef
) -> None:
    if Capability.TRANSPARENT_EGRESS not in connected.capabilities:
        pytest.skip("this kernel cannot redirect")
    code = (
        READ
        + "    print(json.dumps([read('192.0.2.7', 443), read('169.254.169.254', 80), read('127.0.0.1', 9)]))"
    )
    assert await report(connected, specification(environment, code)) == [
        "transparent 192.0.2.7:443", "transparent 169.254.169.254:80", "ConnectionRefusedError",
    ]  # fmt: skip


async def test_name_lookups_come_out_at_the_dns_socket(
    connected: Driver, network: Recorder, environment: EnvironmentRef
) -> None:
    if Capability.TRANSPARENT_EGRESS not in connected.capabilities:
        pytest.skip("this kernel cannot redirect")
    code = """
    import socket
    try: socket.getaddrinfo("name.test", 443, socket.AF_INET)
    except OSError: pass
    """
    spec = specification(environment, code)
    async with running(connected, spec):
        dns = network.served[spec.id].sockets.dns
        assert dns is not None
        dns.setblocking(False)
        async with asyncio.timeout(120):
            query = await asyncio.get_running_loop().sock_recv(dns, 512)
    assert b"\x04name\x04test\x00" in query


async def test_without_a_network_there_is_no_way_out(
    connected: Driver, network: Recorder, environment: EnvironmentRef
) -> None:
    code = (
        READ
        + """
    try: socket.getaddrinfo("name.test", 443); name = "resolved"
    except OSError as error: name = type(error).__name__
    print(json.dumps([read("127.0.0.1", 8765), read("127.0.0.1", 3128), read("192.0.2.7", 443), name]))
    """
    )
    spec = specification(environment, code, network=False)
    assert await report(connected, spec) == [
        "ConnectionRefusedError",
        "ConnectionRefusedError",
        "OSError",
        "gaierror",
    ]
    assert network.served == {}


async def test_ipv6_has_no_way_out(connected: Driver, environment: EnvironmentRef) -> None:
    code = READ + "    print(json.dumps(read('2001:db8::1', 443)))"
    assert await report(connected, specification(environment, code)) == "OSError"


async def test_the_network_is_closed_with_the_sandbox(
    connected: Driver, network: Recorder, environment: EnvironmentRef
) -> None:
    spec = specification(environment, "")
    async with running(connected, spec) as program:
        await program.ended()
        assert network.served[spec.id].closed


async def test_a_network_that_cannot_attach_fails_the_start_and_leaves_nothing(
    connected: Any, network: Recorder, environment: EnvironmentRef
) -> None:
    network.refuse = True
    with pytest.raises(SandboxFailed, match="No network today"):
        await connected.start(specification(environment, "import time; time.sleep(60)"))
    assert connected._live == {}
