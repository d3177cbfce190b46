"""A disk without room, and what else a machine has no more of, is told as that, wherever it is noticed first."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import typer
from tests.support.runtime import ECHO

from codewords_mcp.cli import _address
from codewords_mcp.cli._boundary import run_app
from codewords_mcp.errors import StorageFailed, TooBusy
from codewords_mcp.http.middleware.errors import HttpInternalError, explain
from codewords_mcp.mcp_server.errors import to_codewords_error
from codewords_mcp.runtime.model.disk_errors import full_disk
from codewords_mcp.runtime.sandboxes.forkserver.warm_pool import ForkWarmPool
from codewords_mcp.runtime.sandboxes.host.paths import Folders

NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/path")
FULL = [NO_SPACE, OSError(errno.EDQUOT, "quota"), sqlite3.OperationalError("database or disk is full")]


def _nothing(*_arguments: object) -> None:
    return None


def _fail(*_arguments: object, **_options: object) -> None:
    raise NO_SPACE


@pytest.mark.requirement("store:disk-full")
def test_a_sandbox_that_finds_no_room_says_that_the_disk_is_full(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = http.post("/deploy", json={"code": ECHO, "name": "Room", "allow": True})
    assert opened.status_code == 200, "the driver was proved before"
    monkeypatch.setattr(Folders, "make", _fail)
    # A prepared isolation has its folders already.
    monkeypatch.setattr(ForkWarmPool, "_pop_usable", _nothing)

    answer = http.post("/deploy", json={"code": ECHO, "name": "No room", "allow": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "storage_failed"), answer.text
    assert "Free some space" in answer.json()["error"]["hint"]
    monkeypatch.undo()
    assert http.post("/deploy", json={"code": ECHO, "name": "No room", "allow": True}).status_code == 200


@pytest.mark.requirement("store:disk-full")
@pytest.mark.parametrize("error", FULL, ids=["space", "quota", "database"])
def test_a_route_or_command_that_finds_no_room_is_no_fault_of_ours(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CODEWORDS_LOG_LEVEL", raising=False)
    app = typer.Typer()

    @app.command()
    def write() -> None:  # pyright: ignore[reportUnusedFunction]
        raise error

    assert run_app(app, "write", []) == 3
    told = capsys.readouterr().err
    assert "The disk is full." in told
    assert "fault of codewords-mcp" not in told
    assert "secret" not in told
    assert isinstance(explain(error, "req_1"), StorageFailed)
    assert isinstance(to_codewords_error(error, "a tool"), StorageFailed)


@pytest.mark.requirement("runs:machine-full")
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        RuntimeError("can't start new thread"),
        MemoryError(),
    ],
    ids=["files", "processes", "threads", "memory"],
)
def test_what_the_machine_has_no_more_of_is_told_at_each_door_as_that_for_now(error: Exception) -> None:
    for told in (explain(error, "req_1"), to_codewords_error(error, "a tool")):
        assert isinstance(told, TooBusy)
        assert (told.status, told.limit) == (429, "machine")
        assert "no room for another request" in told.message
    slow_reader = BlockingIOError(errno.EAGAIN, "write could not complete without blocking", 0)
    for other in (RuntimeError("another one"), slow_reader):
        assert isinstance(explain(other, "req_1"), HttpInternalError)


@pytest.mark.requirement("store:disk-full")
def test_other_errors_of_the_system_are_not_told_as_a_full_disk() -> None:
    other = [
        OSError(errno.ENOENT, "gone"),
        OSError("disk"),
        ValueError("full"),
        sqlite3.OperationalError("locked"),
    ]
    assert [full_disk(error) for error in other] == [None] * 4
    assert isinstance(explain(other[0], "req_1"), HttpInternalError)
    read_only = full_disk(OSError(errno.EROFS, "ro"))
    assert read_only is not None
    assert "read-only" in read_only.message


@contextmanager
def _umask(mask: int) -> Generator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.requirement("store:private")
def test_the_file_of_a_homes_ports_is_its_owners_under_any_umask(tmp_path: Path) -> None:
    """Whoever writes it chooses the port that the runtime takes next."""
    with _umask(0):
        _address._write_ports(tmp_path, _address.HomePorts(own=8765))  # pyright: ignore[reportPrivateUsage]
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
