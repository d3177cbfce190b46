"""Uploaded files by commands, and words that a shell completes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx2
import pytest
from tests.integration.cli.terminal import BIN, Shell

from codewords_mcp.stdio import home as homes

pytestmark = [pytest.mark.slow]


@pytest.mark.requirement("cli:files")
def test_files_are_uploaded_listed_downloaded_and_deleted(shell: Shell, tmp_path: Path) -> None:
    source = tmp_path / "Größe.bin"
    content = os.urandom(3 << 20)
    source.write_bytes(content)
    made = shell("codewords", "files", "upload", str(source), "--json")
    assert made.code == 0, made.err
    link = made.json["download_uri"]
    assert httpx2.get(link, trust_env=False).content == content

    (file,) = [f for f in shell("codewords", "files", "list", "--json").json if f["filename"] == "Größe.bin"]
    assert file["size"] == len(content)
    target = tmp_path / "copy.bin"
    got = shell("codewords", "files", "download", file["file_id"], "--output", str(target))
    assert got.code == 0, got.err
    assert target.read_bytes() == content
    again = shell("codewords", "files", "download", file["file_id"], "--output", str(target))
    assert again.code == 2
    assert "is there already" in again.err

    gone = shell("codewords", "files", "delete", file["file_id"], "--json")
    assert gone.json == {"file_id": file["file_id"], "deleted": True}
    assert shell("codewords", "files", "download", file["file_id"]).code == 2
    assert httpx2.get(link, trust_env=False).status_code == 404
    assert shell("codewords", "files", "upload", str(tmp_path / "none")).code == 2


def completed(shell: Shell, words: str) -> list[str]:
    """The completions that bash would offer for the last of these words."""
    count = len(words.split(" ")) - 1
    asked = {"_CODEWORDS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    done = subprocess.run(
        [str(BIN / "codewords")], env=shell.env | asked, capture_output=True, encoding="utf-8", timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.requirement("cli:completion")
def test_a_shell_completes_workflows_and_templates(shell: Shell, greeting: str, empty: Shell) -> None:
    assert completed(shell, "codewords run greet") == sorted(["greeting", greeting])
    assert completed(shell, "codewords new gre") == ["greeting"]
    assert completed(shell, "codewords deplo") == ["deploy"]
    # Without a runtime nothing is started, and templates are known all the same.
    assert completed(empty, "codewords run greet") == []
    assert completed(empty, "codewords deploy --template gre") == ["greeting"]
    assert homes.find(str(empty.home)) is None
