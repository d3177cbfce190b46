"""Whose process connects to the runtime's port, as the kernel tells."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support.http_runtime import Door

from codewords_mcp.runtime.auth import peers, socket_diag


@pytest.mark.requirement("pages:sign-in")
def test_the_kernel_tells_whose_a_loopback_connection_is(door: Door) -> None:
    with door.connect() as wire:
        own = ("127.0.0.1", urlsplit(door.url).port or 0)
        uid = peers.uid_of(peers.Peer(wire.raw.getsockname(), own))
        assert uid == (os.getuid() if sys.platform == "linux" else None)
        assert peers.uid_of(peers.Peer(wire.raw.getsockname(), ("127.0.0.1", 1))) is None
    assert peers.uid_of(peers.Peer(("192.0.2.1", 80), own)) is None


@contextmanager
def _mapped(port: int) -> Generator[socket.socket]:
    """A connection to 127.0.0.1 by a socket of IPv6, which the kernel lists in its other table."""
    with socket.socket(socket.AF_INET6) as mapped:
        mapped.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        mapped.connect(("::ffff:127.0.0.1", port))
        yield mapped


@pytest.mark.requirement("pages:sign-in")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
@pytest.mark.parametrize("end_open", [True, False])
@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_no_way_of_connecting_hides_whose_process_it_is(family: str, end_open: bool) -> None:
    """A socket of IPv6 reaches 127.0.0.1 too, and one that is half closed is still read from."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        own: tuple[str, int] = server.getsockname()
        with _mapped(own[1]) if family == "IPv6" else socket.create_connection(own) as connection:
            near = ("127.0.0.1", connection.getsockname()[1])
            if not end_open:
                connection.shutdown(socket.SHUT_WR)
            mapped = peers.Peer((f"::ffff:{near[0]}", near[1]), (f"::ffff:{own[0]}", own[1]))
            assert peers.uid_of(peers.Peer(near, own)) == os.getuid()
            assert peers.uid_of(mapped) == os.getuid(), "as a server of both families names the ends"


@pytest.mark.requirement("pages:sign-in")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
def test_a_loopback_connection_of_nobody_counts_as_another_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = ("127.0.0.1", 1)
    (tmp_path / "release").write_text("6.6.87.2-microsoft-standard-WSL2\n", encoding="ascii")

    assert peers.is_another_users(peers.Peer(("127.0.0.1", 2), own))
    assert peers.is_another_users(peers.Peer(("::1", 2), ("::1", 1)))
    assert not peers.is_another_users(peers.Peer(("192.0.2.1", 2), own)), (
        "another machine's user is not asked for"
    )
    monkeypatch.setattr(peers, "_RELEASE", tmp_path / "release")
    assert not peers.is_another_users(peers.Peer(("127.0.0.1", 2), own)), "a program of Windows may be"


@pytest.mark.requirement("pages:sign-in")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
def test_a_port_that_has_just_been_used_elsewhere_does_not_count_as_roots(door: Door) -> None:
    """The kernel lists what is left of a closed connection as user 0, with the same near end."""
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        first.bind(("127.0.0.1", 0))
        first.connect(other.getsockname())
        near = first.getsockname()
        taken, _ = other.accept()
        first.close()
        taken.close()
        second.bind(near)
        second.connect(("127.0.0.1", urlsplit(door.url).port or 0))
        table = Path("/proc/net/tcp").read_text(encoding="ascii")
        near_ends = [line.split()[1] for line in table.splitlines()[1:]]
        assert sum(end.endswith(f":{near[1]:04X}") for end in near_ends) > 1, "the closed one is listed too"
        assert peers.users_in(table, peers.Peer(near, ("127.0.0.1", urlsplit(door.url).port or 0))) == [
            os.getuid()
        ]


@pytest.mark.requirement("pages:sign-in")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
def test_one_question_names_the_same_user_as_the_table_of_all_connections() -> None:
    user = pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else os.getuid()
    with socket.create_server(("127.0.0.1", 0)) as server:
        own: tuple[str, int] = server.getsockname()
        command = ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$0; read -u 3", str(own[1])]
        with subprocess.Popen(command, user=user if os.getuid() == 0 else None, cwd="/"):
            accepted, near = server.accept()
            with accepted:
                table = peers.users_in(
                    Path("/proc/net/tcp").read_text(encoding="ascii"), peers.Peer(near, own)
                )
                assert [socket_diag.user_of(4, near, own)] == table == [user]
        # The process has ended, and nobody has its end any more.
        assert socket_diag.user_of(4, near, own) is None
        assert socket_diag.user_of(4, own, ("127.0.0.1", 1)) is None, "the one that listens is no connection"
