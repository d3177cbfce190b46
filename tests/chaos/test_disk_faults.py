"""Disks that fail in other ways than by being full, and a log that is on the disk that fails."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.helpers import result, start
from tests.support.mounted_disk import FILL_DISK, on_disk, require_mounts, run_inside
from tests.support.needs import require
from tests.support.runtime import ECHO, make_home
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.requirement("http:ready-for-runs")]

FILL_LOG = """
import contextlib
with open("serve.log", "ab", buffering=0) as file, contextlib.suppress(OSError):
    while True:
        file.write(b"x")
"""
"""Also the room that is left in the log's last block."""
USE_INODES = """
import contextlib, os
os.mkdir("many")
with contextlib.suppress(OSError):
    for number in range(100_000):
        os.close(os.open(f"many/{number}", os.O_CREAT | os.O_WRONLY))
"""
SHUT_DOWN = 0x8004587D
"""The ioctl FS_IOC_SHUTDOWN of ext4: every later access fails with EIO."""


def state(runtime: ServedRuntime) -> int:
    """The status of `/readyz`."""
    try:
        with urllib.request.urlopen(f"{runtime.url}/readyz", timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def problems(runtime: ServedRuntime) -> str:
    return json.dumps(runtime.call("GET", "/status")["problems"])


def refusal(runtime: ServedRuntime, path: str, body: Any = None) -> str:
    with pytest.raises(AssertionError, match="507") as caught:
        runtime.call("POST", path, body)
    return str(caught.value)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faulty") / "home"


@pytest.fixture(scope="module")
def disk(home: Path) -> Iterator[ServedRuntime]:
    """A runtime whose home, log included, is a disk of 48 MB and 3,000 inodes."""
    require_mounts()
    home.mkdir()
    under = on_disk("tmpfs", "tmpfs", f"size={48 << 20},nr_inodes=3000,mode=700", home, with_log=True)
    with start_runtime(home, under=under, CODEWORDS_GRACE_TIMEOUT="0.2") as runtime:
        yield runtime


@pytest.mark.requirement("serve:log-lost")
def test_a_log_on_the_full_disk_changes_no_answer_and_says_once_there_is_room_what_was_lost(
    disk: ServedRuntime, home: Path
) -> None:
    echo = disk.deploy(ECHO, "echo")
    log = disk.home / "serve.log"
    run_inside(disk, home, FILL_DISK + FILL_LOG)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(state, [disk] * 4)) == {503}
        said = list(pool.map(partial(refusal, disk, body={}), [f"/run/{echo}/", f"/run_async/{echo}/"] * 3))
    assert all("is full" in text for text in said), said
    assert "full" in problems(disk)
    (disk.home / "ballast").unlink()

    until(lambda: state(disk) == 200, "the runtime to be ready again")
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(partial(disk.call, "POST", f"/run/{echo}/"), range(8))
        assert list(answers) == [{"got": n} for n in range(8)]
    assert result(disk, start(disk, echo, "late"))["status"] == "succeeded"
    text = log.read_text(encoding="utf-8").replace("x" * 9, "").splitlines()
    events = [json.loads(line.lstrip("x")) for line in text]
    [lost] = [event for event in events if event["event"] == "log lines lost"]
    assert lost["lines"] > 0
    assert "space" in lost["reason"]
    assert events[-1]["event"] != "log lines lost", "the log goes on"


def test_without_inodes_the_runtime_is_not_ready_and_it_is_once_there_are_some(
    disk: ServedRuntime, home: Path
) -> None:
    assert state(disk) == 200
    run_inside(disk, home, USE_INODES)
    until(lambda: state(disk) == 503, "the runtime not to be ready")
    assert "disk" in problems(disk)
    shutil.rmtree(disk.home / "many")
    until(lambda: state(disk) == 200, "the runtime to be ready again")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """A loop device with an ext4 file system."""
    require("root")
    require("ext4")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(96 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    attached = subprocess.run(
        ["losetup", "-f", "--show", image], check=False, capture_output=True, encoding="utf-8"
    )
    if attached.returncode:
        pytest.skip(f"no loop device: {attached.stderr}")
    yield attached.stdout.strip()
    subprocess.run(["losetup", "-d", attached.stdout.strip()], check=True)


@pytest.mark.requirement("serve:ends-in-time")
def test_where_the_disk_answers_with_errors_the_runtime_is_not_ready_says_why_and_ends_at_a_signal(
    device: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with failing(home, device) as runtime:
        echo = runtime.deploy(ECHO, "echo")
        assert state(runtime) == 200
        root = os.open(runtime.home, os.O_RDONLY)
        fcntl.ioctl(root, SHUT_DOWN, struct.pack("I", 2))
        os.close(root)
        until(lambda: state(runtime) == 503, "the runtime not to be ready")
        assert "put/output error" in problems(runtime)
        assert refusal(runtime, f"/run/{echo}/", 1)
        # `start_runtime` ends it with SIGTERM, and waits for it.


@contextlib.contextmanager
def failing(home: Path, device: str) -> Generator[ServedRuntime]:
    with start_runtime(home, under=on_disk("ext4", device, "defaults", home, with_log=True)) as runtime:
        yield runtime


@pytest.mark.parametrize("table", ["runs", "workflows", "versions", "run_requests"])
def test_a_damaged_table_is_found_by_the_first_probe(table: str, tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    (home / "codewords.db").write_bytes(damaged(home, table))
    with start_runtime(home) as runtime:
        assert state(runtime) == 503
        assert "is damaged" in problems(runtime)


def damaged(home: Path, table: str) -> bytes:
    """The database with garbage in the first page of a table."""
    with contextlib.closing(sqlite3.connect(home / "codewords.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [(page,)] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
        [(size,)] = database.execute("PRAGMA page_size")
    data = bytearray((home / "codewords.db").read_bytes())
    data[(page - 1) * size : page * size] = b"\x5a" * size
    return bytes(data)


def test_a_home_or_its_folder_of_sandboxes_that_is_deleted_is_the_reason_that_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with start_runtime(make_home(home)) as runtime:
        echo = runtime.deploy(ECHO, "echo")
        assert runtime.call("POST", f"/run/{echo}/", 1) == {"got": 1}
        shutil.rmtree(home / "run")
        for _ in range(3):  # with a sandbox that stood ready, and with new ones
            said = refusal(runtime, f"/run/{echo}/", 1)
            assert f"The folder {home / 'run'}" in said
            assert "was deleted while the runtime used it" in said
        until(lambda: state(runtime) == 503, "the runtime not to be ready")
        assert f"{home / 'run'} was deleted" in problems(runtime)
        shutil.rmtree(home, ignore_errors=True)
        until(lambda: "disk" in problems(runtime), "the home to be missed")
        assert state(runtime) == 503
        assert f"{home} was deleted" in problems(runtime)
        # A log in the home is gone, too: what the end of the fixture reads.
        home.mkdir()
        (home / "serve.log").touch()
