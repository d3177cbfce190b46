"""Messages between the runtime, the launcher and the sandbox's init: one JSON object a packet, file descriptors beside.

launcher → runtime   {"forked": pid} + pidfd of init · {"error": text, "step": name}
init → runtime       {"standing": true, "listeners": [names]} + sockets · {"running": true}
                     {"serving": "socket"|"tcp", "asked": port|null} · {"listening": [ports]}
                     {"exited": status, "cpu": seconds, "peak": bytes} · {"error": text, "step": name}
runtime → init       {"go": true} · {"signal": number}
program → init       {"imported": true} · {"serving": port|null}
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any, cast

MAX_MESSAGE = 64 << 10


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends. Datagrams where packets with an end of file are not to be had (macOS)."""
    kind = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
    return socket.socketpair(socket.AF_UNIX, kind)


def send(channel: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """Send one message. Raises OSError when the other end is gone."""
    socket.send_fds(channel, [json.dumps(message).encode()], fds or [])


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """One message with its file descriptors; None when the other end is closed.

    The other end may be a hostile program's: what is no message is an empty one, and its descriptors are closed.
    """
    data, fds, _, _ = socket.recv_fds(channel, MAX_MESSAGE, 8)
    if not data:
        return None
    message = _parsed(data)
    if message is None:
        for fd in fds:
            os.close(fd)
        return {}, []
    return message, fds


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        # Decoded here: json would guess at the encoding, and import a codec that a sandbox's process 1 cannot reach.
        message: Any = json.loads(data.decode())
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", message) if isinstance(message, dict) else None
