"""What waits in sockets is counted, and stays there."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from codewords_mcp.runtime.sandboxes.host import inflight, measure

pytestmark = [
    pytest.mark.requirement("sandbox:limits"),
    pytest.mark.skipif(sys.platform != "linux", reason="the local driver is for Linux"),
]
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(
    params=[socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM],
    ids=["stream", "packets", "datagrams"],
)
def pair(request: pytest.FixtureRequest) -> Generator[Pair]:
    one, two = socket.socketpair(socket.AF_UNIX, request.param)
    with one, two:
        yield one, two


def send_file(through: socket.socket, folder: Path, size: int) -> int:
    """Send a file without a name, and forget it; its inode number."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x" * size)
        file.flush()
        socket.send_fds(through, [b"one"], [file.fileno()])
        return os.fstat(file.fileno()).st_ino


def found(two: socket.socket) -> list[tuple[int, int]]:
    return [(info.st_ino, info.st_size) for info in inflight.waiting(os.getpid(), two.fileno())]


def test_files_that_wait_in_a_socket_are_found_and_left_there(pair: Pair, tmp_path: Path) -> None:
    one, two = pair
    assert found(two) == []
    sent = [(send_file(one, tmp_path, size), size) for size in (100_000, 200_000)]
    open_before = os.listdir("/proc/self/fd")
    assert found(two) == sent
    assert found(two) == sent, "nothing was taken"
    assert os.listdir("/proc/self/fd") == open_before, "nothing was kept"
    _, fds, _, _ = socket.recv_fds(two, 100, 1)
    assert os.fstat(fds[0]).st_ino == sent[0][0]
    os.close(fds[0])


def test_a_file_in_a_socket_in_a_socket_is_found(pair: Pair, tmp_path: Path) -> None:
    inner, outer = socket.socketpair()
    inode = send_file(inner, tmp_path, 100_000)
    one, two = pair
    socket.send_fds(one, [b"socket"], [outer.fileno()])
    outer.close()
    assert (inode, 100_000) in found(two)
    inner.close()


def test_files_on_their_way_count_for_the_disk(pair: Pair, tmp_path: Path) -> None:
    one, two = pair
    send_file(one, tmp_path, 1 << 20)
    assert two.fileno() > 0
    assert measure.disk_use([tmp_path], [os.getpid()], 1 << 19).over
    assert not measure.disk_use([tmp_path], [os.getpid()], 1 << 21).over


def test_bytes_that_wait_in_a_socket_are_counted_once(pair: Pair) -> None:
    one, two = pair
    one.send(b"x" * 50_000)
    both = inflight.queued({os.getpid(): [one.fileno(), two.fileno()]})
    assert 50_000 <= both < 100_000


def test_a_file_that_took_a_sockets_number_meanwhile_counts_for_nothing_and_is_not_kept(
    pair: Pair, tmp_path: Path
) -> None:
    one, _ = pair
    one.send(b"x" * 50_000)
    with (tmp_path / "in its place").open("wb") as other:
        open_before = os.listdir("/proc/self/fd")
        queued = inflight.queued({os.getpid(): [other.fileno(), one.fileno(), pair[1].fileno()]})
    assert queued >= 50_000, "the sockets beside it are still counted"
    assert len(open_before) == len(os.listdir("/proc/self/fd")) + 1
