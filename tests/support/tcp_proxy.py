"""A TCP line that can be cut: connections through it to a server on loopback are broken, or carry nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Literal

Cut = Literal["broken", "silent"]


class TcpProxy:
    """`port` is its near end. Whatever was on its way when it fell silent arrives when it is whole again."""

    def __init__(self, far: int) -> None:
        self._far = far
        self._near = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._near.getsockname()[1]
        self._carries = threading.Event()
        self._carries.set()
        self._broken = False
        self._ends: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def cut(self, how: Cut) -> Generator[None]:
        """Nothing passes; `broken`: connections end and new ones do so at once."""
        if how == "silent":
            self._carries.clear()
        else:
            self._broken = True
            self._end_all()
        try:
            yield
        finally:
            self._broken = False
            self._carries.set()

    def close(self) -> None:
        """End it and all connections."""
        self._carries.set()
        with suppress(OSError):
            self._near.shutdown(socket.SHUT_RDWR)
        self._near.close()
        self._end_all()

    def _end_all(self) -> None:
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._near.accept()
                if self._broken:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._far))
                self._ends |= {near, far}
                threading.Thread(target=self._connect, args=(near, far), daemon=True).start()

    def _connect(self, near: socket.socket, far: socket.socket) -> None:
        back = threading.Thread(target=self._carry, args=(far, near), daemon=True)
        with near, far:
            back.start()
            self._carry(near, far)
            back.join()
        self._ends -= {near, far}

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                self._carries.wait()
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def tcp_proxy_to(port: int) -> Generator[TcpProxy]:
    """A line that ends with the block."""
    with contextlib.closing(TcpProxy(port)) as line:
        yield line
