"""`codewords dev`."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from codewords_mcp.errors import InvalidInput

PORT: Final = 8790
DEBUG_PORT: Final = 5678
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
    debug: Annotated[
        bool, typer.Option("--debug", help="Run it with debugpy, to which an editor attaches.")
    ] = False,
    debug_port: Annotated[
        int,
        typer.Option(
            "--debug-port",
            min=0,
            max=65535,
            help="The port for the editor, on this machine only; 0 for a free one.",
        ),
    ] = DEBUG_PORT,
    allow: Annotated[bool, typer.Option("--allow", help="Agree to whatever its code may reach.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each event as one JSON object a line.")
    ] = False,
) -> int:
    """Serve a workflow while you edit it: each save is checked, and answers from the next request on.

    It runs in the sandbox that it would have when deployed, with your secrets and services, and is not deployed. Its routes
    are at http://127.0.0.1:8790/, without a key; those of a folder below the name of each file.

    With `--debug` an editor attaches to the program in its sandbox: breakpoints are those of the file. After a save it attaches
    again.

    Enter calls its example again. Ctrl-C ends it and leaves nothing.
    """
    # Imported here, so that other commands start without asyncio.
    from codewords_mcp.cli._call import read_input
    from codewords_mcp.cli.dev.serving import develop
    from codewords_mcp.cli.dev.session import DevOptions

    path = target.absolute()
    if not path.exists():
        raise InvalidInput(
            f"There is no {target}.", hint="`codewords new greeting` makes a workflow to begin with."
        )
    options = DevOptions(path, None if call is None else read_input(call).decode(), dry_run, allow, debug)
    if options.input is not None and not options.single:
        raise InvalidInput("--call is for one file.", hint="Name the file.")
    if debug and not options.single:
        raise InvalidInput("--debug is for one file.", hint="Name the file.")
    if debug and dry_run:
        raise InvalidInput("--debug and --dry-run are not for the same program.", hint="Give one of them.")
    # Ports are bound before anything is served: one that is taken ends the command at once.
    with ExitStack() as stack:
        listeners = [stack.enter_context(_listen(port))]
        if debug:
            listeners.append(stack.enter_context(_listen(debug_port)))
        return develop(options, listeners, as_json=as_json)


def _listen(port: int | None) -> socket.socket:
    """A socket of the port, or of the first free one from the usual one on. Raises InvalidInput."""
    ports = [port] if port is not None else range(PORT, PORT + _PORTS)
    for number in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Without it a port stays taken for a minute after the command before has ended.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            listener.bind(("127.0.0.1", number))
            listener.listen(128)
            return listener
        listener.close()
    if port is not None:
        taken = f"Port {port} is"
    else:
        taken = f"The ports {PORT} to {PORT + _PORTS - 1} are"
    raise InvalidInput(f"{taken} in use.", hint="Name another one: --port.")
