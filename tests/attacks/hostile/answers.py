"""A server that answers the runtime as no server should: the path says how."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator

_BLOCK = 64 << 10
_OK = b"HTTP/1.1 200 OK\r\n"
_KEPT_OPEN = (
    "", "/second-answer", "/well", "/body-without-leave", "/unmodified-body", "/head-with-body", "/two-codings",
)  # fmt: skip
Answer = Callable[[], Iterator[bytes]]
ANSWERS: dict[str, Answer] = {}
_MOST = 96 << 20
"""Bytes after which an endless answer ends after all."""


def answer(act: Answer) -> Answer:
    ANSWERS["/" + act.__name__.replace("_", "-")] = act
    return act


def _repeated(block: bytes) -> Iterator[bytes]:
    for _ in range(_MOST // len(block)):
        yield block


@answer
def long_header() -> Iterator[bytes]:
    yield _OK + b"X-Long: " + b"x" * (1 << 20) + b"\r\nContent-Length: 2\r\n\r\nok"


@answer
def many_headers() -> Iterator[bytes]:
    yield _OK + b"".join(b"X-%d: y\r\n" % number for number in range(60_000)) + b"Content-Length: 2\r\n\r\nok"


@answer
def endless_headers() -> Iterator[bytes]:
    yield _OK
    yield from _repeated(b"X-More: y\r\n" * 5000)


@answer
def endless_header() -> Iterator[bytes]:
    yield _OK + b"X-More: "
    yield from _repeated(b"y" * _BLOCK)


@answer
def endless_status() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 "
    yield from _repeated(b"y" * _BLOCK)


@answer
def endless_interim() -> Iterator[bytes]:
    yield from _repeated(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1000)


@answer
def endless_trailers() -> Iterator[bytes]:
    yield _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    yield from _repeated(b"X-Trailer: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 1000)


@answer
def endless_trailer() -> Iterator[bytes]:
    yield _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: "
    yield from _repeated(b"y" * _BLOCK)


@answer
def endless_extension() -> Iterator[bytes]:
    yield _OK + b"Transfer-Encoding: chunked\r\n\r\n2;x="
    yield from _repeated(b"y" * _BLOCK)


@answer
def tiny_chunks() -> Iterator[bytes]:
    yield _OK + b"Transfer-Encoding: chunked\r\n\r\n"
    for _ in range(20):
        yield b"1\r\nx\r\n" * 10_000
    yield b"0\r\n\r\n"


@answer
def endless_body() -> Iterator[bytes]:
    yield _OK + b"\r\n"
    yield from _repeated(b"y" * _BLOCK)


@answer
def two_lengths() -> Iterator[bytes]:
    yield _OK + b"Content-Length: 2\r\nContent-Length: 50\r\n\r\nok"


@answer
def length_and_chunks() -> Iterator[bytes]:
    yield _OK + b"Content-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


@answer
def negative_length() -> Iterator[bytes]:
    yield _OK + b"Content-Length: -5\r\n\r\nok"


@answer
def huge_length() -> Iterator[bytes]:
    yield _OK + b"Content-Length: 99999999999999999999999\r\n\r\nok"


@answer
def huge_chunk() -> Iterator[bytes]:
    yield _OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\nok"


@answer
def short_body() -> Iterator[bytes]:
    yield _OK + b"Content-Length: 50\r\n\r\nok"


@answer
def second_answer() -> Iterator[bytes]:
    yield _OK + b"Content-Length: 2\r\n\r\nok" + _OK + b"Content-Length: 6\r\n\r\nforged"


@answer
def switched() -> Iterator[bytes]:
    yield b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nanything"


@answer
def not_http() -> Iterator[bytes]:
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)


@answer
def status_zero() -> Iterator[bytes]:
    yield b"HTTP/1.1 000 Nothing\r\nContent-Length: 2\r\n\r\nok"


@answer
def status_999() -> Iterator[bytes]:
    yield b"HTTP/1.1 99999 Much\r\nContent-Length: 2\r\n\r\nok"


@answer
def injected() -> Iterator[bytes]:
    yield _OK + b"X-One: a\rX-Forged: b\nX-Forged: c\r\nX-Nul: \0\r\nContent-Length: 2\r\n\r\nok"


@answer
def body_without_leave() -> Iterator[bytes]:
    yield b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n" + _OK + b"Content-Length: 6\r\n\r\nforged"


@answer
def unmodified_body() -> Iterator[bytes]:
    yield (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n" + _OK + b"Content-Length: 6\r\n\r\nforged"
    )


@answer
def head_with_body() -> Iterator[bytes]:
    yield _OK + b"Content-Length: 44\r\n\r\n" + _OK + b"Content-Length: 6\r\n\r\nforged"


@answer
def spaced_name() -> Iterator[bytes]:
    yield _OK + b"Content-Length : 2\r\nContent-Length: 50\r\n\r\nok"


@answer
def two_codings() -> Iterator[bytes]:
    yield (
        _OK
        + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        + _OK
        + b"Content-Length: 6\r\n\r\nforged"
    )


@answer
def silent() -> Iterator[bytes]:
    threading.Event().wait()
    yield b""


@answer
def dripping() -> Iterator[bytes]:
    yield _OK + b"X-Slow: "
    while True:
        threading.Event().wait(0.02)
        yield b"y"


@answer
def well() -> Iterator[bytes]:
    yield _OK + b"Content-Length: 2\r\n\r\nok"


def _serve(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        target = ""
        while target in _KEPT_OPEN:
            request = connection.recv(65536)
            target = request.split()[1].decode() if request else "hung up"
            for block in ANSWERS.get(target, well)():
                connection.sendall(block)


def main() -> None:
    with socket.create_server(("0.0.0.0", int(os.environ["PORT"])), backlog=64) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
