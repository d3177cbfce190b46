"""A real network namespace whose only way out is the egress, as root and as an ordinary user."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.egress import echo, relayed_to, served_connections, serving

from codewords_mcp.runtime.egress import HOST_ALIAS, Egress, EgressPolicy, SandboxNetwork
from codewords_mcp.runtime.sandboxes.base import SandboxSockets

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's"),
]
PROGRAM = Path(__file__).with_name("namespace_program.py")
NOBODY = "65534"
USERS = [pytest.param("-", id="as-is")]
if hasattr(os, "geteuid") and os.geteuid() == 0:
    USERS.append(pytest.param(NOBODY, id="ordinary-user"))


class Inside:
    """The program in the namespace."""

    def __init__(self, process: asyncio.subprocess.Process, handle: SandboxNetwork) -> None:
        self._process = process
        self.handle = handle

    async def __call__(self, *command: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        async with asyncio.timeout(120):
            return json.loads(await self._process.stdout.readline())


def stand_in(host: str, _: int) -> Sequence[str]:
    """The host's resolver: one public-looking name that is really inside, and one that is there for us."""
    addresses = {"echo.test": "127.0.0.1", "intranet.test": "10.0.0.5"}
    if host not in addresses:
        raise OSError(host)
    return [addresses[host]]


@asynccontextmanager
async def namespace(egress: Egress, user: str) -> AsyncGenerator[Inside]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), str(theirs.fileno()), user,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, pass_fds=[theirs.fileno()],
    )  # fmt: skip
    theirs.close()
    try:
        ours.settimeout(30)
        message, numbers, _, _ = await asyncio.to_thread(socket.recv_fds, ours, 4096, 8)
        assert message, "the program in the namespace ended before it began; its error is on stderr"
        answer = json.loads(message)
        if "skip" in answer:
            pytest.skip(f"no network namespace can be made here: {answer['skip']}")
        sockets = [socket.socket(fileno=number) for number in numbers]
        named = SandboxSockets(**dict(zip(answer["listeners"], sockets, strict=True)))
        if named.transparent is None:
            await (await egress.attach("no-redirect", named)).close()
            pytest.skip("this kernel cannot redirect connections in a namespace (nf_tables)")
        yield Inside(process, await egress.attach("inside", named))
    finally:
        ours.close()
        assert process.stdin
        process.stdin.close()
        await process.wait()


@pytest.mark.requirement(
    "egress:transparent", "egress:dns-fake", "egress:private-refused", "egress:runtime-reachable"
)
@pytest.mark.parametrize("user", USERS)
async def test_a_program_that_knows_no_proxy_gets_out_by_name_and_only_where_it_may(user: str) -> None:
    async with serving(echo) as port:
        policy = EgressPolicy("internet", frozenset({f"echo.test:{port}", f"{HOST_ALIAS}:{port}"}))
        egress = Egress(policy, relayed_to("127.0.0.1", port), resolve=stand_in)
        async with namespace(egress, user) as inside:
            (address,) = await inside("resolve", "echo.test")
            assert address.startswith("198.18.")
            assert await inside("resolve", "echo.test") == [address]
            assert await inside("resolve", "localhost") in (["127.0.0.1"], ["127.0.0.1", "::1"])

            assert await inside("exchange", "echo.test", port, "by name") == "by name"
            assert await inside("exchange", address, port, "by its address") == "by its address"
            assert await inside("exchange", HOST_ALIAS, port, "the machine") == "the machine"
            assert await inside("exchange", "127.0.0.1", 8765, "the runtime") == "the runtime"

            reset = {"error": "ConnectionResetError"}
            assert await inside("exchange", "intranet.test", 80, "x") == reset
            assert await inside("exchange", "unknown.test", 80, "x") == reset
            assert await inside("exchange", "169.254.169.254", 80, "x") == reset
            assert await inside("exchange", "10.0.0.1", 22, "x") == reset
            assert await inside("exchange", "198.19.200.1", 80, "x") == reset
            assert await inside("exchange", "127.0.0.1", port, "x") == {"error": "ConnectionRefusedError"}
            assert await inside("udp", "8.8.8.8", 53) == {"error": "TimeoutError"}

            told = [
                (event.host, event.address, event.allowed, event.reason.partition(";")[0])
                for event in inside.handle.events
            ]
            assert told == [
                ("echo.test", "127.0.0.1", True, ""),
                ("echo.test", "127.0.0.1", True, ""),
                (HOST_ALIAS, "127.0.0.1", True, ""),
                ("intranet.test", "10.0.0.5", False, "10.0.0.5 is a private address"),
                ("unknown.test", None, True, "the name was not found"),
                ("169.254.169.254", "169.254.169.254", False, "169.254.169.254 is a cloud metadata address"),
                ("10.0.0.1", "10.0.0.1", False, "10.0.0.1 is a private address"),
                (
                    "198.19.200.1",
                    "198.19.200.1",
                    False,
                    "198.19.200.1 stands for no name that was looked up here",
                ),
            ]
            await inside.handle.close()
            assert await inside("exchange", address, port, "x") == {"error": "ConnectionRefusedError"}
            assert served_connections() == 0
        await egress.close()


@pytest.mark.requirement("egress:own-addresses")
async def test_an_address_that_the_machine_itself_has_is_refused_though_it_is_public() -> None:
    egress = Egress(EgressPolicy(), relayed_to("127.0.0.1", 1))
    async with namespace(egress, "-") as inside:
        assert (
            await inside("judge", "8.8.8.8") == "an address of this machine"
        )  # there, every address is its own
    await egress.close()
