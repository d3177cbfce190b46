"""A balancer on loopback: each connection goes to the next runtime that says that it is ready."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

POLL = 0.1
"""Seconds between two questions whether a runtime is ready."""
TIMEOUT = 10.0


class Balancer:
    """`port` is where clients connect; `ports` are those of the runtimes behind it, in any order.

    A runtime that refuses the connection is passed over, as balancers do; what was sent is never sent again.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._ports: list[int] = []
        self._ready: set[int] = set()
        self._turns = itertools.count()
        self._closed = threading.Event()
        for work in (self._accept, self._poll):
            threading.Thread(target=work, daemon=True).start()

    def add(self, port: int) -> None:
        """Ask this runtime from now on whether it is ready."""
        self._ports = [*self._ports, port]

    def remove(self, port: int) -> None:
        """Send nothing to this runtime any more."""
        self._ports = [one for one in self._ports if one != port]
        self._ready.discard(port)

    def is_ready(self, port: int) -> bool:
        """Whether connections go to this runtime."""
        return port in self._ready

    def close(self) -> None:
        """End it; connections that are open go on to their end."""
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _poll(self) -> None:
        while not self._closed.wait(POLL):
            self._ready = {port for port in self._ports if _answers_ready(port)}

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near:
            far = self._connect()
            if far is None:
                return
            with far:
                back = threading.Thread(target=_carry, args=(far, near), daemon=True)
                back.start()
                _carry(near, far)
                back.join()

    def _connect(self) -> socket.socket | None:
        ready = sorted(self._ready)
        turn = next(self._turns)
        for number in range(len(ready)):
            with suppress(OSError):
                return socket.create_connection(("127.0.0.1", ready[(turn + number) % len(ready)]), TIMEOUT)
        return None


def _answers_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    with contextlib.closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def _carry(one: socket.socket, other: socket.socket) -> None:
    one.settimeout(None)
    with suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def balancing() -> Generator[Balancer]:
    """A balancer that ends with the block."""
    with contextlib.closing(Balancer()) as balancer:
        yield balancer
