"""A home in a file: taken while the runtime serves, and everything is there after it was restored elsewhere."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.integration.cli.terminal import FEW, Shell
from tests.support.runtime import share_environments

from codewords_mcp.cli.backup import backup
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.stdio.home_lock import HomeLock

pytestmark = pytest.mark.slow


@pytest.mark.requirement("cli:backup")
def test_a_backup_taken_while_serving_restores_runs_code_secrets_and_keys_in_another_home(
    shell: Shell, greeting: str, tmp_path: Path
) -> None:
    assert shell("codewords", "secrets", "set", "KEPT_TOKEN", stdin="s3cr3t-v4lue\n").code == 0
    ran = shell("codewords", "run", greeting, "--input", '{"name": "Ada"}', "--json").json
    file = tmp_path / "home.backup"
    assert shell("codewords", "backup", str(file)).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert shell("codewords", "backup", str(file)).code == 2, "an existing file is not overwritten"
    elsewhere = Shell(tmp_path / "elsewhere", {"CODEWORDS_PORT": "0"})
    assert elsewhere("codewords", "restore", str(file)).code == 0
    assert elsewhere("codewords", "restore", str(file)).code == 2, "a home that is one is left alone"
    share_environments(elsewhere.home, FEW)
    try:
        assert ran["id"] in [run["id"] for run in elsewhere("codewords", "runs", "--json").json]
        assert "KEPT_TOKEN" in [
            one["name"] for one in elsewhere("codewords", "secrets", "list", "--json").json
        ]
        again = elsewhere("codewords", "run", greeting, "--input", '{"name": "Ada"}', "--json")
        assert again.json["responseJson"] == ran["responseJson"], again.err
        assert (elsewhere.home / "api.key").read_bytes() == (shell.home / "api.key").read_bytes()
    finally:
        elsewhere("codewords", "stop")


@pytest.mark.requirement("cli:backup")
def test_what_is_no_backup_is_refused_and_nothing_restored(empty: Shell, tmp_path: Path) -> None:
    evil = tmp_path / "evil.tar.gz"
    with tarfile.open(evil, "w:gz") as archive:
        for name in ("codewords-backup", "codewords.db", "../outside"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"not an archive")
    leading_out = tmp_path / "leading-out.tar.gz"
    with tarfile.open(leading_out, "w:gz") as archive:
        for name in ("codewords-backup", "files/../../outside", "codewords.db"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    link = tmp_path / "link.tar.gz"
    with tarfile.open(link, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("codewords-backup"), io.BytesIO())
        member = tarfile.TarInfo("files")
        member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(member)
        archive.addfile(tarfile.TarInfo("files/outside"), io.BytesIO())
        archive.addfile(tarfile.TarInfo("codewords.db"), io.BytesIO())
    for file in (evil, leading_out, link, nothing, tmp_path / "missing"):
        assert empty("codewords", "restore", str(file)).code in {2, 3}
    assert not (empty.home / "codewords.db").exists()
    assert not (tmp_path / "outside").exists()
    assert empty("codewords", "backup", str(tmp_path / "x")).code == 2, "there is nothing to back up"


@pytest.mark.requirement("cli:usage", "runs:usage")
def test_usage_is_summed_by_workflow_key_and_day_and_given_as_csv(shell: Shell, greeting: str) -> None:
    ran = shell("codewords", "run", greeting, "--input", '{"name": "Ada"}', "--json").json
    assert shell("codewords", "logs", ran["id"], "-f").code == 0, "its sandbox is gone, its use settled"
    for by, of in (("workflow", greeting), ("day", ran["createdAt"][:10]), ("key", None)):
        sums = {one["of"]: one for one in shell("codewords", "usage", "--by", by, "--json").json}
        one = sums[of]
        assert one["runs"] >= 1
        assert one["runs"] >= one["succeeded"] + one["failed"]
        assert one["cpu_seconds"] > 0
        assert one["peak_memory"] > 1 << 20
        assert one["starting_seconds"] + one["running_seconds"] > 0
    table = shell("codewords", "usage", "--csv").out
    rows = {row["of"]: row for row in csv.DictReader(io.StringIO(table))}
    assert int(rows[greeting]["runs"]) >= 1
    assert greeting in shell("codewords", "usage").out
    assert shell("codewords", "usage", "--by", "moon").code == 2


@contextmanager
def churn(folder: Path) -> Generator[None]:
    """Uploads that begin, end, fail and expire in this folder all the while."""
    over = threading.Event()

    def upload(worker: int) -> None:
        number = 0
        while not over.is_set():
            number += 1
            name = folder / f"churn-{worker}-{number}"
            part = name.with_name(f"{name.name}.part")
            part.write_bytes(b"x" * 4096)
            if number % 3:
                part.rename(name)
                name.unlink()
            else:
                part.unlink()

    workers = [threading.Thread(target=upload, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        over.set()
        for worker in workers:
            worker.join()


@pytest.mark.requirement("cli:backup")
def test_a_backup_is_whole_while_files_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEWORDS_HOME", str(tmp_path / "home"))
    Database.open(_made(tmp_path / "home")).close()
    files = _made(tmp_path / "home" / "files")
    for number in range(50):
        (files / f"kept-{number}").write_bytes(b"kept")
    with churn(files):
        for number in range(8):
            assert backup(tmp_path / f"{number}.backup") == 0
    for number in range(8):
        with tarfile.open(tmp_path / f"{number}.backup", "r:gz") as archive:
            names = archive.getnames()
        assert {f"files/kept-{n}" for n in range(50)} <= set(names)
        assert not [name for name in names if name.endswith(".part")]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.requirement("cli:backup")
def test_of_two_restores_into_one_home_at_once_one_is_refused(tmp_path: Path) -> None:
    """They would mix the keys of one backup with the database of the other."""
    file = tmp_path / "home.backup"
    source = Shell(_made(tmp_path / "source"), {"CODEWORDS_PORT": "0"})
    Database.open(source.home).close()
    assert source("codewords", "backup", str(file)).code == 0
    empty = Shell(tmp_path / "empty", {"CODEWORDS_PORT": "0"})

    hold = HomeLock(str(empty.home))
    refused = empty("codewords", "restore", str(file))
    hold.release()
    assert refused.code == 3
    assert "holds the home" in refused.err
    assert not (empty.home / "codewords.db").exists()
    assert empty("codewords", "restore", str(file)).code == 0


@pytest.mark.requirement("cli:backup")
def test_a_backup_to_stdout_is_restored_from_stdin(tmp_path: Path) -> None:
    Database.open(_made(tmp_path / "home")).close()
    program = [
        sys.executable,
        "-c",
        "from codewords_mcp.cli import main; raise SystemExit(main())",
    ]

    def run(home: str, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        env = os.environ | {"CODEWORDS_HOME": str(tmp_path / home)}
        return subprocess.run(
            [*program, *arguments], env=env, input=data, capture_output=True, check=False, cwd=tmp_path
        )

    told = run("home", "backup", "-")
    assert told.returncode == 0, told.stderr
    assert not (tmp_path / "-").exists()
    restored = run("other", "restore", "-", data=told.stdout)
    assert restored.returncode == 0, restored.stderr
    assert b"codewords resume" in restored.stdout + restored.stderr
    with closing(sqlite3.connect(tmp_path / "other" / "codewords.db")) as database:
        assert ("paused",) in database.execute("SELECT name FROM meta").fetchall()
    assert (tmp_path / "other" / "codewords.db").stat().st_mode & 0o777 == 0o600
    assert run("home", "backup", "-", "--json").returncode == 2


@pytest.mark.requirement("cli:backup")
def test_a_backup_that_is_not_there_is_said_so_and_makes_no_home(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "none", {})
    before = sorted(shell.home.rglob("*")) if shell.home.exists() else []
    refused = shell("codewords", "restore", str(tmp_path / "missing"))
    assert refused.code == 2
    assert "cannot be read" in refused.err
    assert "damaged" not in refused.err
    assert (sorted(shell.home.rglob("*")) if shell.home.exists() else []) == before


@pytest.mark.requirement("cli:restored-paused", "cli:doctor")
def test_a_restored_home_says_that_it_is_paused_and_the_command_that_goes_on(
    shell: Shell, greeting: str, tmp_path: Path
) -> None:
    created = shell(
        "codewords", "schedules", "create", greeting, "@hourly", "-i", '{"name": "Ada"}', "--json"
    )
    assert created.code == 0, created.err
    assert shell("codewords", "backup", str(tmp_path / "a.backup")).code == 0
    elsewhere = Shell(tmp_path / "elsewhere", {"CODEWORDS_PORT": "0"})
    assert "codewords resume" in elsewhere("codewords", "restore", str(tmp_path / "a.backup")).err
    try:
        (finding,) = [
            one for one in elsewhere("codewords", "doctor", "--json").json["checks"] if one["id"] == "paused"
        ]
        assert finding["status"] == "warning"
        assert "codewords resume" in finding["fix"]
        assert elsewhere("codewords", "resume").code == 0
        assert "not paused" in elsewhere("codewords", "resume").out
        checks = elsewhere("codewords", "doctor", "--json").json["checks"]
        assert "paused" not in [one["id"] for one in checks]
    finally:
        elsewhere("codewords", "stop")
