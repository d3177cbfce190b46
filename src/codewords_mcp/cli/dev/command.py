"""`codewords dev`."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from codewords_mcp.cli._boundary import OK
from codewords_mcp.errors import InvalidInput

if TYPE_CHECKING:
    from codewords_mcp.cli.dev.connection import RuntimeConnection
    from codewords_mcp.cli.dev.events import Events
    from codewords_mcp.cli.dev.proxy import LocalProxy
    from codewords_mcp.cli.dev.session import DevOptions, DevSession

PORT: Final = 8790
_PORTS: Final = 20
"""Ports from the usual one on that are tried."""


def dev(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER", help="A workflow's Python file, or a folder of them.", show_default=False
        ),
    ],
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help=f"The port; {PORT} otherwise, or the next one that is free.",
            show_default=False,
        ),
    ] = None,
    call: Annotated[
        str | None,
        typer.Option(
            "--call", metavar="JSON", help="Call it with this input after each save; @FILE reads a file."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Hold what its runs would write, and list it.")
    ] = False,
    allow: Annotated[bool, typer.Option("--allow", help="Agree to whatever its code may reach.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each event as one JSON object a line.")
    ] = False,
) -> int:
    """Serve a workflow while you edit it: each save is checked, and answers from the next request on.

    It runs in the sandbox that it would have when deployed, with your secrets and services, and is not deployed. Its routes
    are at http://127.0.0.1:8790/, without a key; those of a folder below the name of each file.

    Enter calls its example again. Ctrl-C ends it and leaves nothing.
    """
    from codewords_mcp.cli._call import read_input
    from codewords_mcp.cli.dev.session import DevOptions

    path = target.absolute()
    if not path.exists():
        raise InvalidInput(
            f"There is no {target}.", hint="`codewords new greeting` makes a workflow to begin with."
        )
    options = DevOptions(path, None if call is None else read_input(call).decode(), dry_run, allow)
    if options.input is not None and not options.single:
        raise InvalidInput("--call is for one file.", hint="Name the file.")
    with _listen(port) as listener:
        return asyncio.run(_develop(options, listener, as_json=as_json))


def _listen(port: int | None) -> socket.socket:
    """A socket of the port, or of the first free one from the usual one on. Raises InvalidInput."""
    ports = [port] if port is not None else range(PORT, PORT + _PORTS)
    for number in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            listener.bind(("127.0.0.1", number))
            listener.listen(128)
            return listener
        listener.close()
    taken = f"Port {port} is" if port is not None else f"The ports {PORT} to {PORT + _PORTS - 1} are"
    raise InvalidInput(f"{taken} in use.", hint="Name another one: --port.")


async def _develop(options: DevOptions, listener: socket.socket, *, as_json: bool) -> int:
    from codewords_mcp.cli._connect import endpoint
    from codewords_mcp.cli.dev.connection import RuntimeConnection
    from codewords_mcp.cli.dev.events import Events
    from codewords_mcp.cli.dev.proxy import LocalProxy
    from codewords_mcp.cli.dev.session import DevSession
    from codewords_mcp.cli.dev.typed_lines import TypedLines

    stop = asyncio.Event()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
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
    work = asyncio.create_task(_serve(session, proxy, listener, events, runtime, options))
    try:
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
    finally:
        work.cancel()
        (result,) = await asyncio.gather(work, return_exceptions=True)
        lines.close()
        await session.close()
        await runtime.close()
    if isinstance(result, Exception):
        raise result
    return OK


async def _serve(
    session: DevSession,
    proxy: LocalProxy,
    listener: socket.socket,
    events: Events,
    runtime: RuntimeConnection,
    options: DevOptions,
) -> None:
    """Serve the files for the first time, say where, and go on until cancelled."""
    from codewords_mcp.cli.dev.server import LocalServer

    await session.open()
    server = LocalServer(proxy)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        session.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        _print_addresses(session, events, runtime.endpoint.url, options)
        await session.call_first()
        await session.run()
    finally:
        server.should_exit = True
        await serving


def _print_addresses(session: DevSession, events: Events, runtime: str, options: DevOptions) -> None:
    names = [""] if options.single else [f"{file.path.stem}/" for file in session.files]
    urls = [f"{session.address}/{name}" for name in names]
    console = f"{runtime}/console/runs"
    events.say("ready", f"Serving {', '.join(urls)}", "bold", urls=urls, console=console)
    held = ". What its runs would write is held" if options.dry_run else ""
    events.detail(f"Its runs: {console}{held}. Enter calls the example, Ctrl-C ends.", "dim")
