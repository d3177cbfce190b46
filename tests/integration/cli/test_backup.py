"""A home in a file: taken while the runtime serves, and everything is there after it was restored elsewhere."""

from __future__ import annotations

import csv
import io
import stat
from pathlib import Path

import pytest
from tests.integration.cli.terminal import Shell

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
    import tarfile

    evil = tmp_path / "evil.tar.gz"
    with tarfile.open(evil, "w:gz") as archive:
        for name in ("codewords-backup", "codewords.db", "../outside"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"not an archive")
    for file in (evil, nothing, tmp_path / "missing"):
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
