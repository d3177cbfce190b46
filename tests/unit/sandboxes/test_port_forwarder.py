"""Connections from a sandbox's Unix socket to a program's port end with the program's end of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

import pytest

from codewords_mcp.runtime.sandboxes.host.port_forwarder import PortForwarder

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.requirement("sandbox:process"),
    pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets"),
]


@pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"use_uvloop": fast}), id="uvloop" if fast else "asyncio")
        for fast in (False, True)
    ],
)
@pytest.mark.parametrize("size", range(0, 512 << 10, 32 << 10))
async def test_a_program_that_has_answered_is_hung_up_on_however_slowly_its_caller_reads(
    tmp_path: Path, size: int
) -> None:
    answered, hung_up = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(size))
        writer.write_eof()
        answered.set()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        hung_up.set()
        writer.close()

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    forwarder = PortForwarder(listener)
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        forwarder.start(*server.sockets[0].getsockname())
        with socket.socket(socket.AF_UNIX) as caller:
            caller.setblocking(False)
            caller.connect(str(tmp_path / "s"))
            # Until the caller reads: of some sizes the forwarder keeps bytes when it has heard the last.
            await answered.wait()
            for _ in range(200):
                await asyncio.sleep(0)
            received = 0
            while data := await asyncio.get_running_loop().sock_recv(caller, 65536):
                received += len(data)
            assert received == size
            async with asyncio.timeout(20):
                await hung_up.wait()
        await forwarder.finish(20)
        forwarder.close()
