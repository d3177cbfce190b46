"""Fronts that come, go and come at once; runtimes that are stale, idle, of another version, or cannot start."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.processes import alive
from tests.support.stdio_client import Peer, Standin, environment, texts
from tests.support.waiting import until

from codewords_mcp import __version__
from codewords_mcp.stdio import home as homes
from codewords_mcp.stdio.home import RuntimeInfo

Front = Callable[..., Peer]


@pytest.mark.slow
@pytest.mark.requirement("stdio:one-runtime")
def test_fronts_that_start_at_once_share_one_runtime(front: Front, home: Path) -> None:
    peers = [front() for _ in range(4)]
    asked = [peer.ask("tools/list", {"_meta": _envelope()}) for peer in peers]
    assert all(peer.answer(request)["result"]["tools"] for peer, request in zip(peers, asked, strict=True))
    log = (home / "logs" / "runtime.log").read_text(encoding="utf-8")
    assert log.count("the runtime listens") == 1


def _envelope() -> dict[str, object]:
    from tests.support.stdio_client import ENVELOPE

    return ENVELOPE


@pytest.mark.slow
@pytest.mark.requirement("stdio:runtime-outlives")
def test_a_killed_front_leaves_its_runtime_alive_and_no_zombie(front: Front, home: Path) -> None:
    peer = front()
    peer.modern("tools/list")
    pid = homes.holder(str(home))
    assert pid
    peer.process.kill()
    peer.wait()
    assert alive(pid)
    assert os.getsid(pid) == pid
    other = front()
    other.modern("tools/list")
    assert homes.holder(str(home)) == pid


@pytest.mark.slow
@pytest.mark.requirement("stdio:runtime-outlives")
def test_a_runtime_that_dies_under_its_front_leaves_no_zombie(front: Front, home: Path) -> None:
    peer = front()
    peer.modern("tools/list")
    pid = homes.holder(str(home))
    assert pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists(), "the dead runtime to be waited for")
    assert peer.end() == 0


@pytest.mark.slow
@pytest.mark.requirement("home:stale-runtime-json")
def test_a_stale_runtime_json_sends_no_key_to_whoever_has_the_port_now(front: Front, home: Path) -> None:
    home.mkdir()
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        thread = threading.Thread(target=_accept_once, args=(stranger, asked))
        thread.start()
        port = stranger.getsockname()[1]
        stale = RuntimeInfo(
            f"http://127.0.0.1:{port}", os.getpid(), __version__, "cwk-secret", "2026-01-01T00:00:00Z"
        )
        (home / homes.INFO).write_text(json.dumps(stale.to_dict()), encoding="utf-8")
        peer = front()
        assert peer.modern("tools/list")["result"]["tools"]
        assert not asked.is_set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()


def _accept_once(server: socket.socket, asked: threading.Event) -> None:
    connection, _ = server.accept()
    with connection:
        if connection.recv(1):
            asked.set()


@pytest.mark.slow
@pytest.mark.requirement("home:stale-runtime-json")
def test_garbage_in_runtime_json_and_its_lock_is_replaced(front: Front, home: Path) -> None:
    home.mkdir()
    (home / homes.INFO).write_bytes(b"\x00garbage")
    (home / homes.LOCK).write_bytes(b"not a pid")
    assert front().modern("tools/list")["result"]["tools"]
    assert homes.find(str(home)) is not None


@pytest.mark.requirement("home:unusable")
def test_a_home_that_cannot_be_used_is_said_in_the_answer(front: Front) -> None:
    peer = front(CODEWORDS_HOME="/dev/null/home")
    message = peer.modern("tools/list")["error"]["message"]
    assert "/dev/null/home" in message
    assert "CODEWORDS_HOME" in message
    assert peer.end() == 0


@pytest.mark.requirement("home:unusable")
def test_a_read_only_home_is_said_in_the_answer(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o ro none "{tmp_path}" && exec "$0" -m codewords_mcp'
    tried = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, sys.executable],
        input=b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}}\n',
        capture_output=True,
        env=environment(tmp_path / "home"),
        check=False,
    )
    if not tried.stdout and b"codewords-mcp" not in tried.stderr:
        pytest.skip(f"no read-only mount can be made here: {tried.stderr.decode().strip()}")
    message = json.loads(tried.stdout)["error"]["message"]
    assert "read-only" in message
    assert "CODEWORDS_HOME" in message


@pytest.mark.requirement("stdio:start-fails")
def test_a_runtime_that_does_not_start_is_an_error_with_its_reason_and_not_a_hang(front: Front) -> None:
    peer = front(CODEWORDS_PORT="not-a-port")
    message = peer.modern("tools/list")["error"]["message"]
    assert "CODEWORDS_PORT" in message
    assert "runtime.log" in message
    assert peer.end() == 0


@pytest.mark.slow
@pytest.mark.requirement("stdio:idle-end")
def test_a_runtime_that_idled_out_is_started_again_in_silence(front: Front, home: Path) -> None:
    peer = front(CODEWORDS_IDLE_TIMEOUT="2")  # long enough for the first call, on a loaded machine too
    peer.initialize()
    before = peer.call("legacy", "list_templates")["result"]["content"]
    until(lambda: homes.holder(str(home)) is None, "the idle end")
    assert not (home / homes.INFO).exists()
    assert peer.call("legacy", "list_templates")["result"]["content"] == before
    assert "had stopped" not in peer.errors


@pytest.mark.slow
@pytest.mark.requirement("stdio:version-mismatch")
def test_an_older_idle_runtime_is_replaced(standin: Callable[..., Standin], front: Front, home: Path) -> None:
    old = standin(STANDIN_VERSION="0.0.9")
    peer = front()
    assert peer.modern("tools/list")["result"]["tools"]
    assert old.process.wait(120) == 0
    assert homes.holder(str(home)) not in {None, old.process.pid}
    assert "replaced the home's runtime of version 0.0.9" in peer.errors


@pytest.mark.requirement("stdio:version-mismatch")
def test_an_older_runtime_with_runs_active_stays_and_it_is_said(
    standin: Callable[..., Standin], front: Front
) -> None:
    standin(STANDIN_VERSION="0.0.9", STANDIN_ACTIVE="2")
    peer = front()
    assert texts(peer.call("modern", "add", {"a": 1, "b": 2})) == ["3"]
    assert "older version 0.0.9 and stays" in peer.errors
    assert "2 runs active" in peer.errors


@pytest.mark.requirement("stdio:version-mismatch")
def test_an_older_front_goes_on_with_a_newer_runtime_and_says_so(
    standin: Callable[..., Standin], front: Front
) -> None:
    standin(STANDIN_VERSION="99.0.0")
    peer = front()
    assert texts(peer.call("modern", "add", {"a": 1, "b": 2})) == ["3"]
    assert "version 99.0.0" in peer.errors


@pytest.mark.requirement("stdio:remote")
def test_a_remote_runtime_is_used_with_its_key_and_nothing_is_started(
    standin: Callable[..., Standin], front: Front, home: Path, tmp_path: Path
) -> None:
    standin()
    found = homes.find(str(home))
    assert found is not None
    other = str(tmp_path / "other")
    peer = front(CODEWORDS_HOME=other, CODEWORDS_RUNTIME_URL=found.url, CODEWORDS_API_KEY=found.token)
    peer.initialize()
    assert texts(peer.call("legacy", "add", {"a": 1, "b": 2})) == ["3"]
    assert not Path(other).exists()


@pytest.mark.requirement("stdio:remote")
def test_a_wrong_key_for_a_remote_runtime_is_said_in_the_answer(
    standin: Callable[..., Standin], front: Front, home: Path
) -> None:
    standin()
    found = homes.find(str(home))
    assert found is not None
    peer = front(CODEWORDS_RUNTIME_URL=found.url, CODEWORDS_API_KEY="cwk-wrong")
    message = peer.modern("tools/list")["error"]["message"]
    assert "401" in message
    assert "CODEWORDS_API_KEY" in message
    assert "cwk-wrong" not in message


@pytest.mark.requirement("stdio:remote")
@pytest.mark.parametrize("url", ["127.0.0.1:8765", "ftp://host", "http://", "http://host:port", "http://a b"])
def test_an_address_that_is_none_refuses_to_start(front: Front, url: str) -> None:
    peer = front(CODEWORDS_RUNTIME_URL=url)
    assert peer.wait() == 2
    assert "CODEWORDS_RUNTIME_URL" in peer.errors


@pytest.mark.requirement("stdio:remote")
def test_a_remote_runtime_that_is_not_there_is_said_in_the_answer(front: Front) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    peer = front(CODEWORDS_RUNTIME_URL=f"http://127.0.0.1:{port}", CODEWORDS_API_KEY="x")
    assert "could not be reached" in peer.modern("tools/list")["error"]["message"]
