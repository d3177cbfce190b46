"""A person's own Chrome from a terminal."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from tests.integration.cli.terminal import Shell

from codewords_mcp.http.paths import CHROME_ORIGIN

pytestmark = pytest.mark.requirement("chrome:cli")


def test_pairing_says_each_step_and_leaves_the_extension_where_it_stays(shell: Shell, tmp_path: Path) -> None:
    done = shell("codewords", "browser", "pair", "--no-open", "--wait", "0")
    assert done.code == 1, "nobody has paired it"
    folder = shell.home / "extension"
    assert f"Load unpacked: {folder}" in done.out.replace("\n", "").replace("  ", " ") + done.out
    assert "/browser/pair/" in done.out
    assert "No Chrome of yours is paired" in done.out
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256(base64.b64decode(manifest["key"])).hexdigest()[:32]
    letters = "".join(chr(ord("a") + int(digit, 16)) for digit in digest)
    assert f"chrome-extension://{letters}" == CHROME_ORIGIN, (
        "what the runtime lets in is what Chrome makes of the key"
    )
    elsewhere = shell("codewords", "browser", "pair", "--folder", str(tmp_path / "seen"), "--json").json
    assert elsewhere["extension"] == str(tmp_path / "seen")
    assert (tmp_path / "seen" / "worker.js").is_file()
    taken = tmp_path / "taken"
    taken.write_text("", encoding="utf-8")
    refused = shell("codewords", "browser", "pair", "--folder", str(taken / "below"), "--json")
    assert (refused.code, "--folder" in refused.err) == (3, True)


def test_how_it_stands_is_told_by_status_and_doctor_and_forgetting_what_is_not_there_is_no_fault(
    shell: Shell,
) -> None:
    status = shell("codewords", "browser", "status")
    assert status.code == 1
    assert "`codewords browser pair` pairs one." in status.out.replace("\n", " ")
    found = shell("codewords", "browser", "status", "--json")
    assert found.json["paired"] is False
    assert shell("codewords", "browser", "forget", "--json").json == {"forgotten": False}
    [said] = [one for one in shell("codewords", "doctor", "--json").json["checks"] if one["id"] == "chrome"]
    assert (said["status"], "codewords browser pair" in said["fix"]) == ("note", True)
