"""Messages between the runtime, the launcher and the sandbox's init: one JSON object a packet, file descriptors beside.

launcher → runtime   {"forked": pid} + pidfd of init · {"error": text, "step": name}
init → runtime       {"standing": true, "listeners": [names]} + sockets · {"running": true}
                     {"serving": "socket"|"tcp", "asked": port|null} · {"listening": [ports]}
                     {"exited": status|null, "cpu": seconds, "peak": bytes} · {"error": text, "step": name}
runtime → init       {"go": true} · {"signal": number}
program → init       {"imported": true} · {"serving": port|null}

With a fork server:
runtime → supervisor     {"name": folder, "uid": number, "network": bool, "exact_memory": bool, "high_pids": bool}
                         + files of a prepared isolation
prepared isolation → runtime      as init, from {"forked": true} on · {"empty": true}
runtime → server     {"name": folder, "early": bool, "exact_memory": bool, "waiting": number of others}
                     + the socket with the prepared isolation's key
server → runtime     {"server": pid} + its pidfd · {"ready": true, "modules": number, "seconds": number} · {"refused": text}
                     {"born": folder, "pid": number} · {"failed": folder, "error": text, "errno": number}
server, supervisor → runtime   {"ended": pid, "exited": status, "cpu": seconds, "peak": bytes}
program → prepared isolation      {"standing": true} · and passed on to the runtime: {"waiting": true}
                     {"error": text, "step": name} · {"compiled": bool}, if the claim had a file for the code
runtime → prepared isolation      {"port": number, "limits": {…}}, and in the next packet the claim, which is passed on to the
                     program: a line of JSON, and the compiled code after it; or an empty object + file with both;
                     + a snapshot's file where there is one, and an empty one for compiled code where there is none
prepared isolation → runtime      {"running": true} + the program's pidfd
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any, cast

MAX_MESSAGE = 64 << 10
IN_FILE = b"{}"
"""Says that a claim is in the file that comes along."""
MAX_FDS = 24
"""The most that come along: a prepared isolation's namespaces, control groups and files."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends. Datagrams where packets with an end of file are not to be had (macOS)."""
    if sys.platform == "linux":
        kind = socket.SOCK_SEQPACKET
    else:
        kind = socket.SOCK_DGRAM
    return socket.socketpair(socket.AF_UNIX, kind)


def send(channel: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """Send one message. Raises OSError when the other end is gone."""
    socket.send_fds(channel, [json.dumps(message).encode()], fds or [])


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """One message with its file descriptors; None when the other end is closed.

    The other end may be a hostile program's: what is no message is an empty one, and its descriptors are closed.
    """
    data, fds, _, _ = socket.recv_fds(channel, MAX_MESSAGE, MAX_FDS)
    if not data:
        return None

    message = _parsed(data)
    if message is None:
        for fd in fds:
            os.close(fd)
        return {}, []

    return message, fds


def rehearse() -> None:
    """Send and receive a message with a file descriptor."""
    ours, theirs = pair()
    with ours, theirs:
        send(ours, {"rehearsed": True}, [ours.fileno()])
        received = receive(theirs)
        if received is not None:
            for fd in received[1]:
                os.close(fd)


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        # Decoded here: json would guess at the encoding, and import a codec that a sandbox's process 1 cannot reach.
        message: Any = json.loads(data.decode())
    except (ValueError, RecursionError):
        return None
    if isinstance(message, dict):
        return cast("dict[str, Any]", message)
    return None
