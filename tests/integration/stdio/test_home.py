"""Where a home is, who holds it, and which of two versions is newer."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from platformdirs import user_data_path
from tests.support.stdio_client import environment

from codewords_mcp.errors import StorageFailed
from codewords_mcp.settings import Settings
from codewords_mcp.stdio import home as homes
from codewords_mcp.stdio import lifecycle
from codewords_mcp.stdio.home import RuntimeInfo
from codewords_mcp.stdio.home_lock import HomeLock, HomeLocked


@pytest.mark.requirement("home:folder")
@pytest.mark.parametrize(
    ("variables", "removed"),
    [
        ({}, ["XDG_DATA_HOME"]),
        ({"XDG_DATA_HOME": "/somewhere/data"}, []),
        ({"XDG_DATA_HOME": "relative/is/ignored"}, []),
        ({"HOME": "/home/other"}, ["XDG_DATA_HOME"]),
        ({"HOME": "/home/other/"}, ["XDG_DATA_HOME"]),
        ({"HOME": "relative"}, ["XDG_DATA_HOME"]),
        ({}, ["HOME", "XDG_DATA_HOME"]),
    ],
)
def test_the_default_home_is_the_one_that_platformdirs_names(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], removed: list[str]
) -> None:
    monkeypatch.delenv("CODEWORDS_HOME", raising=False)
    for name in removed:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Path(homes.home_folder()) == user_data_path("codewords") == Settings().home


@pytest.mark.requirement("home:folder")
def test_a_relative_home_is_the_same_for_front_and_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODEWORDS_HOME", "mine")
    assert Path(homes.home_folder()) == Settings().home.absolute() == tmp_path / "mine"


def info(pid: int) -> RuntimeInfo:
    return RuntimeInfo("http://127.0.0.1:1", pid, "0.1.0", "cwk-x", "2026-01-01T00:00:00Z")


@pytest.mark.requirement("home:runtime-json")
def test_a_held_and_published_home_is_found_and_its_file_is_for_its_owner_only(home: Path) -> None:
    hold = HomeLock(str(home))
    assert homes.find(str(home)) is None
    hold.publish(info(os.getpid()))
    found = homes.find(str(home))
    assert found is not None
    assert found.to_dict() == info(os.getpid()).to_dict()
    assert stat.S_IMODE((home / homes.INFO).stat().st_mode) == 0o600
    hold.release()
    assert homes.find(str(home)) is None
    assert homes.holder(str(home)) is None
    assert not (home / homes.INFO).exists()


@pytest.mark.requirement("home:one-runtime")
def test_a_home_is_held_once_and_the_refusal_names_who_holds_it(home: Path) -> None:
    hold = HomeLock(str(home))
    hold.publish(info(os.getpid()))
    second = "import sys; from codewords_mcp.stdio.home_lock import HomeLock; HomeLock(sys.argv[1])"
    refused = subprocess.run(
        [sys.executable, "-c", second, str(home)],
        capture_output=True,
        encoding="utf-8",
        env=environment(home),
        check=False,
    )
    hold.release()
    assert refused.returncode != 0
    assert HomeLocked.__name__ in refused.stderr
    assert f"pid {os.getpid()}" in refused.stderr
    assert "http://127.0.0.1:1" in refused.stderr


@pytest.mark.requirement("home:crash-known")
def test_a_runtime_knows_whether_the_one_before_ended_in_order(home: Path) -> None:
    first = HomeLock(str(home))
    assert not first.recovered
    first.publish(info(os.getpid()))
    first.release()
    second = HomeLock(str(home))
    assert not second.recovered
    second.publish(info(os.getpid()))
    os.close(second._fd)  # pyright: ignore[reportPrivateUsage]  # as the kernel does at a crash
    third = HomeLock(str(home))
    assert third.recovered
    third.release()


@pytest.mark.requirement("home:stale-runtime-json")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"[]",
        b"{}",
        b'"text"',
        b"\xff\xfe\x00",
        json.dumps({"url": 1, "pid": "x"}).encode(),
        b"null",
        b"7" * 5000,
    ],
)
def test_a_runtime_json_that_makes_no_sense_is_no_runtime(home: Path, content: bytes) -> None:
    home.mkdir()
    (home / homes.INFO).write_bytes(content)
    assert homes.find(str(home)) is None


@pytest.mark.requirement("home:stale-runtime-json")
@pytest.mark.parametrize("pid", [os.getpid(), 1, 2**22 + 1], ids=["alive", "init", "none"])
def test_a_pid_that_lives_or_not_proves_nothing_without_the_lock(home: Path, pid: int) -> None:
    home.mkdir()
    (home / homes.LOCK).write_text(f"{pid}\n", encoding="utf-8")
    (home / homes.INFO).write_text(json.dumps(info(pid).to_dict()), encoding="utf-8")
    assert homes.find(str(home)) is None


@pytest.mark.requirement("home:unusable")
def test_a_home_that_cannot_be_made_is_a_storage_error_that_names_it() -> None:
    with pytest.raises(StorageFailed, match=r"/dev/null/home.*CODEWORDS_HOME"):
        HomeLock("/dev/null/home")
    with pytest.raises(StorageFailed, match=r"/dev/null/home.*CODEWORDS_HOME"):
        lifecycle.ensure("/dev/null/home")


@pytest.mark.requirement("stdio:version-mismatch")
@pytest.mark.parametrize(
    ("older", "newer"),
    [("0.1.0", "0.1.1"), ("0.9.0", "0.10.0"), ("1.9", "2.0.0"), ("0.1.0", "0.1.0.1"), ("0.2.dev3", "0.2.1")],
)
def test_versions_are_ordered_by_number(older: str, newer: str) -> None:
    assert homes.version_key(older) < homes.version_key(newer)
