"""A line to a PostgreSQL that counts round trips: how often a client speaks after the server has answered."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress


class RoundTrips:
    """`port` is its near end; `count` grows with each round trip of any connection.

    What a client sends in several pieces before an answer counts once, as it waits once.
    """

    def __init__(self, far: int) -> None:
        self._far = far
        self._near = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._near.getsockname()[1]
        self.count = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End it; connections end with their clients."""
        with suppress(OSError):
            self._near.shutdown(socket.SHUT_RDWR)
        self._near.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._near.accept()
                far = socket.create_connection(("127.0.0.1", self._far))
                line = _Line(self, near, far)
                threading.Thread(target=line.carry, daemon=True).start()

    def add(self) -> None:
        """Count one more."""
        with self._lock:
            self.count += 1


class _Line:
    def __init__(self, counter: RoundTrips, near: socket.socket, far: socket.socket) -> None:
        self._counter = counter
        self._near, self._far = near, far
        self._answered = True

    def carry(self) -> None:
        back = threading.Thread(target=self._carry_back, daemon=True)
        with self._near, self._far:
            back.start()
            with suppress(OSError):
                while data := self._near.recv(1 << 16):
                    if self._answered:
                        self._answered = False
                        self._counter.add()
                    self._far.sendall(data)
            with suppress(OSError):
                self._far.shutdown(socket.SHUT_WR)
            back.join()

    def _carry_back(self) -> None:
        with suppress(OSError):
            while data := self._far.recv(1 << 16):
                self._answered = True
                self._near.sendall(data)
        with suppress(OSError):
            self._near.shutdown(socket.SHUT_RDWR)


@contextmanager
def counting_round_trips(port: int) -> Generator[RoundTrips]:
    """A line to the server at this port that ends with the block."""
    with contextlib.closing(RoundTrips(port)) as line:
        yield line
