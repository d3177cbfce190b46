"""Commands for shells: programs on PATH that hand what they are to the command server, which forks it.

A start of the real one is 0.7 s of processors, of this one 0.05 s. Arguments, environment, folder and descriptors are the
caller's; it ends with the command's exit code, and the command with it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.command_server import CommandServer, ForkedCommand

_MOST = 1 << 20
_PROGRAM = """#!{python} -IS
import _socket, array, json, os, sys
link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
link.connect({address!r})
order = json.dumps([["{name}", *sys.argv[1:]], dict(os.environ), os.getcwd()]).encode()
link.sendmsg([order], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
sys.exit(int(link.recv(64) or b"1"))
"""
NAMES = ("codewords", "codewords-mcp")


@contextmanager
def forked_commands(folder: Path, server: CommandServer) -> Generator[Path]:
    """A folder with the commands, for the front of a PATH."""
    programs = folder / "bin"
    programs.mkdir()
    address = folder / "commands"
    for name in NAMES:
        text = _PROGRAM.format(python=sys.executable, address=str(address), name=name)
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(address))
        listener.listen(64)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    link, _ = listener.accept()
                    threading.Thread(target=_serve, args=[link, server], daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield programs
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(link: socket.socket, server: CommandServer) -> None:
    """Run one command for whoever has connected."""
    with link:
        order, descriptors, _, _ = socket.recv_fds(link, _MOST, 3)
        if len(descriptors) != 3:
            return
        words, environment, folder = json.loads(order)
        try:
            stdin, stdout, stderr = descriptors
            command = server.start(words, environment, (stdin, stdout, stderr), folder)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        code = _wait(command, link)
        with suppress(OSError):
            link.send(str(code).encode())


def _wait(command: ForkedCommand, link: socket.socket) -> int:
    """The exit code. Whoever asked may be killed meanwhile: then the command is asked to end."""
    while command.poll() is None:
        if select.select([link, command.fileno()], [], [])[0] == [link]:
            command.send_signal(signal.SIGTERM)
            return command.wait()
    return command.wait()
