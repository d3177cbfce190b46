"""A program with a debugger in it: debugpy, and a bridge that carries an editor's connection to it.

A sandbox takes no connections but to its HTTP server, whose loop stands still at a breakpoint. So a process of its own beside
the program connects to the runtime, and from there on carries bytes between the runtime and debugpy's port.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from codewords_mcp.errors import InvalidScript
from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.runtime.workflows.validation.repair import with_first_statement

PACKAGE: Final = "debugpy>=1.8.14,<2"
PATH: Final = "/debugger"
"""The path of the runtime to which a bridge connects, with the program's own path in the query."""
_PORT: Final = 5678
"""Debugpy's, inside of the sandbox."""

# Its own process: at a breakpoint the program's threads stand still. Standard library only, since the environment is the
# program's. One connection at a time; the next one waits at the runtime for the next editor.
_BRIDGE: Final = """
import base64, os, socket, struct, sys, threading, time
from urllib.parse import quote, urlsplit

def connect():
    runtime = urlsplit(os.environ["CODEWORDS_RUNTIME_URI"])
    tunnel = socket.create_connection((runtime.hostname, runtime.port or 80), 10)
    lines = ["GET {path}?program=" + quote(sys.argv[1]) + " HTTP/1.1", "Host: " + runtime.netloc, "Connection: Upgrade",
        "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Authorization: Bearer " + os.environ["CODEWORDS_API_KEY"],
        "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode(), "", ""]
    tunnel.sendall("\\r\\n".join(lines).encode())
    head = b""
    while not head.endswith(b"\\r\\n\\r\\n"):
        piece = tunnel.recv(1)
        if not piece:
            raise OSError("refused")
        head += piece
    if b" 101 " not in head.split(b"\\r\\n")[0]:
        raise OSError("refused")
    tunnel.settimeout(None)
    return tunnel

def send(tunnel, kind, data, lock):
    mask, size = os.urandom(4), len(data)
    if size < 126:
        head = struct.pack("!BB", 128 | kind, 128 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 128 | kind, 254, size)
    else:
        head = struct.pack("!BBQ", 128 | kind, 255, size)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
    with lock:
        tunnel.sendall(head + mask + masked)

def exactly(stream, size):
    data = stream.read(size)
    if len(data) < size:
        raise OSError("ended")
    return data

def receive(stream):
    first, size = exactly(stream, 2)
    if size == 126:
        (size,) = struct.unpack("!H", exactly(stream, 2))
    elif size == 127:
        (size,) = struct.unpack("!Q", exactly(stream, 8))
    return first & 15, exactly(stream, size)

def outward(program, tunnel, lock):
    try:
        while True:
            data = program.recv(65536)
            if not data:
                break
            send(tunnel, 2, data, lock)
    except OSError:
        pass
    finally:
        hang_up(program, tunnel)

def hang_up(*ends):
    # Closing alone would not end what another thread reads.
    for end in ends:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

def session():
    tunnel, lock, program = connect(), threading.Lock(), None
    stream = tunnel.makefile("rb")
    try:
        while True:
            kind, data = receive(stream)
            if kind == 8:
                return
            if kind == 9:
                send(tunnel, 10, data, lock)
            elif kind < 3 and data:
                if program is None:
                    program = socket.create_connection(("127.0.0.1", {port}), 10)
                    program.settimeout(None)
                    threading.Thread(target=outward, args=(program, tunnel, lock), daemon=True).start()
                program.sendall(data)
    finally:
        ends = [end for end in (program, tunnel) if end is not None]
        hang_up(*ends)
        for end in ends:
            end.close()

while True:
    try:
        session()
    except (OSError, ValueError):
        time.sleep(0.1)
""".replace("{path}", PATH).replace("{port}", str(_PORT))

# The bridge first: debugpy changes how the program starts processes. Its port is open before the program goes on.
_START: Final = f"""
import os, subprocess, sys
subprocess.Popen(
    [sys.executable, "-c", {_BRIDGE!r}, PROGRAM],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
import debugpy
debugpy.listen(("127.0.0.1", {_PORT}))
"""


def debugged_script(script: Script) -> Script:
    """The script with debugpy among its packages, for an environment of its own."""
    return replace(script, dependencies=(*script.dependencies, PACKAGE))


def debugged_code(script: Script) -> str:
    """The code that starts debugpy first. Each line keeps its number. Raises InvalidScript where no line allows that."""
    code = with_first_statement(
        script, f'exec({_START!r}, {{"PROGRAM": globals().get("__file__") or "/app/main.py"}}); '
    )
    if code is None:
        raise InvalidScript(
            "The debugger cannot be started before this code: its first statement is a block.",
            hint="Begin it with an import.",
        )
    return code
