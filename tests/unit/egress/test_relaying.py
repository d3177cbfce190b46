"""The runtime listener, and what holds for every connection."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import sys

import pytest
from structlog.testing import capture_logs
from tests.support.egress import Attach, echo, listening, relayed_to, served_connections, serving
from tests.support.waiting import until_async

from codewords_mcp.errors import SandboxFailed
from codewords_mcp.runtime.egress import Egress, EgressPolicy
from codewords_mcp.runtime.sandboxes.base import SandboxSockets

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("services:browser-confined")
async def test_a_sandbox_that_is_kept_from_the_runtime_does_not_reach_its_port() -> None:
    with listening() as runtime:
        egress = Egress(EgressPolicy(), relayed_to(*runtime.getsockname()))
        sockets = SandboxSockets(listening(), listening(), listening(), None)
        port = sockets.runtime.getsockname()[1]
        egress.expect("sandbox-1", EgressPolicy(), runtime=False)
        await egress.attach("sandbox-1", sockets)
        try:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
        finally:
            await egress.close()


@pytest.mark.requirement("egress:runtime-reachable")
async def test_a_sandbox_reaches_the_runtimes_own_port(attach: Attach) -> None:
    async with serving(echo) as port, attach(runtime=port) as stage:
        reader, writer = await stage.open(stage.runtime)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()


@pytest.mark.requirement("runs:usage")
async def test_what_goes_out_and_comes_in_is_counted_and_what_is_said_to_the_runtime_is_not(
    attach: Attach,
) -> None:
    async with (
        serving(echo) as port,
        attach(EgressPolicy("internet", frozenset({f"127.0.0.1:{port}"})), runtime=port) as stage,
    ):
        for where, head in (
            (stage.runtime, b""),
            (stage.connect, b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: a\r\n\r\n" % port),
        ):
            reader, writer = await stage.open(where)
            writer.write(head + b"x" * 100_000)
            if head:
                await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(100_000)
            writer.close()
        assert (stage.handle.traffic.sent, stage.handle.traffic.received) == (100_000, 100_000)


@pytest.mark.requirement("egress:half-close")
async def test_an_end_of_sending_is_passed_on_and_the_answer_still_comes(attach: Attach) -> None:
    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await reader.read()
        writer.write(b"got %d" % len(received))

    async with serving(answer_at_the_end) as port, attach(runtime=port) as stage:
        reader, writer = await stage.open(stage.runtime)
        writer.write(b"x" * 1_000_000)
        writer.write_eof()
        assert await reader.read() == b"got 1000000"
        writer.close()


@pytest.mark.requirement("egress:backpressure")
async def test_ten_megabytes_arrive_whole_both_ways_at_once(attach: Attach) -> None:
    sent = bytes(range(256)) * 40_000
    async with serving(echo) as port, attach(runtime=port) as stage:
        reader, writer = await stage.open(stage.runtime)
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent
        writer.close()


@pytest.mark.requirement("egress:backpressure")
async def test_a_reader_that_does_not_read_stops_the_sender(attach: Attach) -> None:
    sent = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent < 200_000_000:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with serving(pour) as port, attach(runtime=port) as stage:
        with socket.create_connection(("127.0.0.1", stage.runtime)):
            seen = -1
            while seen != sent:  # until a quarter of a second passes without progress
                seen = sent
                await asyncio.sleep(0.25)
            assert 0 < sent < 50_000_000


@pytest.mark.requirement("egress:failures-reset")
async def test_a_reset_of_the_server_reaches_the_sandbox_as_a_reset(attach: Attach) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with serving(reset) as port, attach(runtime=port) as stage:
        reader, writer = await stage.open(stage.runtime)
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@pytest.mark.requirement("egress:delivered")
async def test_what_was_sent_before_the_end_arrives_at_a_slow_reader(attach: Attach) -> None:
    ending, sent, received = asyncio.Event(), b"x" * 300_000, bytearray()
    got_all = asyncio.Event()

    async def read_late(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await ending.wait()
        with contextlib.suppress(ConnectionResetError):
            while data := await reader.read(10_000):
                received.extend(data)
        got_all.set()

    slow = listening()
    # Nearly all of it waits on the sending side, from which a reset takes it.
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server = await asyncio.start_server(read_late, sock=slow)
    port = slow.getsockname()[1]
    async with server, attach(EgressPolicy("internet", frozenset({f"127.0.0.1:{port}"}))) as stage:
        _, writer = await stage.open(stage.connect)
        writer.write(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: a\r\n\r\n" % port + sent)
        await until_async(lambda: stage.handle.traffic.sent == len(sent), "the relay to have read it")
        ending.set()
        await stage.handle.close()
        await got_all.wait()
        writer.close()
    assert bytes(received) == sent


@pytest.mark.requirement("egress:failures-reset")
async def test_a_runtime_that_does_not_answer_is_a_reset(attach: Attach) -> None:
    async with attach() as stage:
        assert await stage.is_reset(stage.runtime)


@pytest.mark.requirement("egress:close")
async def test_closing_the_handle_ends_listeners_and_connections_and_leaves_no_task(attach: Attach) -> None:
    async with serving(echo) as port, attach(runtime=port) as stage:
        reader, writer = await stage.open(stage.runtime)
        idle_reader, idle_writer = await stage.open(stage.connect)
        writer.write(b"x")
        await reader.readexactly(1)
        await stage.handle.close()
        await stage.handle.close()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert await idle_reader.read() == b""
        for listener in (stage.runtime, stage.connect, stage.transparent):
            with pytest.raises(ConnectionRefusedError):
                await stage.open(listener)
        writer.close()
        idle_writer.close()
        assert served_connections() == 0


@pytest.mark.requirement("egress:close")
async def test_peers_that_hang_up_leave_no_task(attach: Attach) -> None:
    async with serving(echo) as port, attach(runtime=port) as stage:
        for _ in range(50):
            _, writer = await stage.open(stage.runtime)
            writer.write(b"x")
            writer.transport.abort()
            _, silent = await stage.open(stage.connect)
            silent.close()
        await until_async(lambda: served_connections() == 0)


@pytest.mark.requirement("egress:bounded")
async def test_a_connection_past_the_limit_is_reset_and_noted(attach: Attach) -> None:
    async with serving(echo) as port, attach(runtime=port, max_connections=2) as stage:
        kept = [await stage.open(stage.runtime) for _ in range(2)]
        for reader, writer in kept:
            writer.write(b"x")
            await reader.readexactly(1)
        assert await stage.is_reset(stage.runtime)
        (event,) = stage.handle.events
        assert (event.allowed, event.reason) == (False, "2 connections are open already")
        kept[0][1].close()
        await until_async(lambda: served_connections() == 1)
        reader, writer = await stage.open(stage.runtime)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        for _, open_writer in (*kept, (reader, writer)):
            open_writer.close()


@pytest.mark.requirement("egress:bounded")
async def test_however_many_connections_a_sandbox_makes_256_of_a_listener_are_served_and_others_go_on(
    attach: Attach,
) -> None:
    """More are made, as far as the program can tell, since the kernel makes them before anybody looks at them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("a process here may open fewer than 4,096 files (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    most, sockets = 0, list[socket.socket]()

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        most = max(most, served_connections())
        await echo(reader, writer)

    async with serving(counting) as port, attach(runtime=port) as hostile, attach(runtime=port) as other:
        for _ in range(600):
            sockets.append(one := socket.socket())
            one.setblocking(False)
            with contextlib.suppress(ConnectionResetError):
                await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", hostile.runtime))
        await until_async(lambda: len(hostile.handle.events) == 600 - 256)
        assert (most, served_connections()) == (256, 256)
        reader, writer = await other.open(other.runtime)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()
        for one in sockets:
            one.close()
        await until_async(lambda: served_connections() == 0)


@pytest.mark.requirement("egress:close")
async def test_a_peer_that_ended_and_a_server_that_stays_silent_are_given_up(
    attach: Attach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codewords_mcp.runtime.egress.relay.HALF_CLOSED_IDLE", 0.1)
    hung_up = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        assert await reader.read() == b"x"
        hung_up.set()
        await asyncio.Event().wait()

    async with serving(silent) as port, attach(runtime=port) as stage:
        _, writer = await stage.open(stage.runtime)
        writer.write(b"x")
        writer.write_eof()
        await hung_up.wait()
        assert served_connections() == 1
        await until_async(lambda: served_connections() == 0)
        writer.close()


@pytest.mark.requirement("egress:bounded")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
async def test_without_file_descriptors_accepting_pauses_and_goes_on_later(attach: Attach) -> None:
    import resource

    async with serving(echo) as port, attach(runtime=port) as stage:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        fillers: list[int] = []
        with socket.socket() as client, capture_logs() as logs:
            client.setblocking(False)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 20, hard))
                with contextlib.suppress(OSError):
                    while True:
                        fillers.append(os.dup(client.fileno()))
                loop = asyncio.get_running_loop()
                await loop.sock_connect(client, ("127.0.0.1", stage.runtime))
                await until_async(lambda: any("file descriptors" in entry["event"] for entry in logs))
            finally:
                for filler in fillers:
                    os.close(filler)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await loop.sock_sendall(client, b"patience")
            assert await loop.sock_recv(client, 100) == b"patience"


@pytest.mark.requirement("egress:transparent")
async def test_a_connection_to_the_transparent_port_itself_is_reset(attach: Attach) -> None:
    async with attach() as stage:
        assert await stage.is_reset(stage.transparent)


@pytest.mark.requirement("egress:close")
async def test_a_closed_egress_takes_no_sandbox_and_closes_its_sockets() -> None:
    egress = Egress(EgressPolicy(), relayed_to("127.0.0.1", 1))
    await egress.close()
    sockets = SandboxSockets(listening(), listening())
    with pytest.raises(SandboxFailed, match="stopping"):
        await egress.attach("late", sockets)
    assert sockets.runtime.fileno() == -1
    assert sockets.connect is not None
    assert sockets.connect.fileno() == -1


@pytest.mark.requirement("egress:close")
async def test_a_broken_socket_is_an_error_and_the_others_are_closed() -> None:
    egress = Egress(EgressPolicy(), relayed_to("127.0.0.1", 1))
    broken, good = listening(), listening()
    broken.close()
    with pytest.raises(SandboxFailed):
        await egress.attach("broken", SandboxSockets(good, broken))
    assert good.fileno() == -1
    await egress.close()
