"""Becomes a sandbox's network, hands its listeners out, then does what it is told. Run as a program by the tests.

Arguments: a Unix socket's number, and the user to become first ("-" for none). Then one JSON command a line on
stdin, one JSON answer a line on stdout.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from codewords_mcp.runtime.model.addresses import not_public, parse_address
from codewords_mcp.runtime.sandboxes.namespaces.inside import netns

NEW_USER, NEW_MOUNTS, NEW_NETWORK = 0x10000000, 0x00020000, 0x40000000
PRIVATE_RECURSIVE, BIND = 0x40000 | 0x4000, 0x1000
SET_DUMPABLE = 4
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> None:
    if getattr(LIBC, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def become(user: str) -> None:
    socket.getaddrinfo("localhost", 1)  # loads what it needs while its files are in reach
    if user != "-":
        os.setgroups([])
        os.setresgid(int(user), int(user), int(user))
        os.setresuid(int(user), int(user), int(user))
        call("prctl", SET_DUMPABLE, 1, 0, 0, 0)  # else the maps below belong to root
    uid, gid = os.getuid(), os.getgid()
    if uid:
        call("unshare", NEW_USER)
        for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            Path(f"/proc/self/{file}").write_text(text, encoding="utf-8")


def enter() -> dict[str, socket.socket]:
    call("unshare", NEW_NETWORK | NEW_MOUNTS)
    call("mount", b"none", b"/", None, PRIVATE_RECURSIVE, None)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as resolver:
        resolver.write("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
        resolver.flush()
        call("mount", resolver.name.encode(), b"/etc/resolv.conf", None, BIND, None)
    netns.loopback_up()
    return netns.open_listeners()


def resolve(name: str) -> list[str]:
    return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})


def exchange(host: str, port: int, data: str) -> str:
    """Connect, send, half close, and read to the end."""
    with socket.create_connection((host, port), timeout=10) as sock:
        sock.sendall(data.encode())
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            # Already reset: what is read next tells it.
            if error.errno != errno.ENOTCONN:
                raise
        received = b""
        while more := sock.recv(65536):
            received += more
    return received.decode()


def udp(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.3)
        sock.sendto(b"x", (host, port))
        sock.recv(10)


def judge(address: str) -> str | None:
    parsed = parse_address(address)
    return not_public(parsed) if parsed else "no address"


COMMANDS = {"resolve": resolve, "exchange": exchange, "udp": udp, "judge": judge}


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    try:
        become(sys.argv[2])
        listeners = enter()
    except OSError as error:
        channel.send(json.dumps({"skip": str(error)}).encode())
        return
    numbers = [listener.fileno() for listener in listeners.values()]
    socket.send_fds(channel, [json.dumps({"listeners": list(listeners)}).encode()], numbers)
    for listener in listeners.values():
        listener.close()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer: Any = COMMANDS[name](*arguments)
        except OSError as error:
            answer = {"error": type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
