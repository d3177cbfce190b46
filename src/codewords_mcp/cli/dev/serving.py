"""The course of `codewords dev`: its parts are started, joined, and ended together."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import suppress

from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import endpoint
from codewords_mcp.cli.dev.connection import RuntimeConnection
from codewords_mcp.cli.dev.debugger import DebugPort
from codewords_mcp.cli.dev.events import Events
from codewords_mcp.cli.dev.proxy import LocalProxy
from codewords_mcp.cli.dev.server import LocalServer
from codewords_mcp.cli.dev.session import DevOptions, DevSession
from codewords_mcp.cli.dev.typed_lines import TypedLines


def develop(options: DevOptions, listeners: list[socket.socket], *, as_json: bool) -> int:
    """Serve until a signal or an error ends it; the exit code. `listeners`: of the routes, and of a debugger."""
    return asyncio.run(_develop(options, listeners, as_json=as_json))


async def _develop(options: DevOptions, listeners: list[socket.socket], *, as_json: bool) -> int:
    stop = asyncio.Event()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        # Windows has no SIGHUP, and its event loops take no signal handlers.
        with suppress(AttributeError, NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(getattr(signal, name), stop.set)

    events, lines = Events(as_json=as_json), TypedLines()
    runtime = RuntimeConnection(await asyncio.to_thread(endpoint))
    session = DevSession(options, runtime, events, lines)
    proxy = LocalProxy(
        lambda: session.files,
        runtime,
        events,
        session.watch_run,
        single=options.single,
        dry_run=options.dry_run,
    )
    lines.open()
    work = asyncio.create_task(_serve(session, proxy, listeners, events, runtime, options))
    try:
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
    finally:
        work.cancel()
        (result,) = await asyncio.gather(work, return_exceptions=True)
        lines.close()
        # The session deletes its drafts by the connection to the runtime, which closes last.
        await session.close()
        await runtime.close()
    if isinstance(result, Exception):
        raise result
    return OK


async def _serve(
    session: DevSession,
    proxy: LocalProxy,
    listeners: list[socket.socket],
    events: Events,
    runtime: RuntimeConnection,
    options: DevOptions,
) -> None:
    """Serve the files for the first time, say where, and go on until cancelled."""
    await session.open()
    server, debugging = LocalServer(proxy), None
    serving = asyncio.create_task(server.serve(sockets=listeners[:1]))
    try:
        session.address = f"http://127.0.0.1:{listeners[0].getsockname()[1]}"
        _print_addresses(session, events, runtime.endpoint.url, options)
        if options.debug:
            debugging = asyncio.create_task(_debug(session, listeners[1], runtime, events))
        await session.call_first()
        await session.run()
    finally:
        if debugging is not None:
            debugging.cancel()
            await asyncio.gather(debugging, return_exceptions=True)
        # Asked to end and not cancelled, so that answers under way are sent whole.
        server.should_exit = True
        await serving


async def _debug(
    session: DevSession, listener: socket.socket, runtime: RuntimeConnection, events: Events
) -> None:
    port = listener.getsockname()[1]
    file = session.files[0]
    events.say("debug", f"An editor attaches to {file.name} at 127.0.0.1:{port}", "bold", port=port)
    await DebugPort(file, runtime, events).serve(listener)


def _print_addresses(session: DevSession, events: Events, runtime: str, options: DevOptions) -> None:
    if options.single:
        names = [""]
    else:
        names = [f"{file.path.stem}/" for file in session.files]
    urls = [f"{session.address}/{name}" for name in names]
    console = f"{runtime}/console/runs"
    events.say("ready", f"Serving {', '.join(urls)}", "bold", urls=urls, console=console)
    if options.dry_run:
        held = ". What its runs would write is held"
    else:
        held = ""
    events.detail(f"Its runs: {console}{held}. Enter calls the example, Ctrl-C ends.", "dim")
