"""Secrets in a file: exported to a passphrase or a key, imported elsewhere, and the master key changed meanwhile."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pyrage  # pyright: ignore[reportMissingTypeStubs]
import pytest
from tests.integration.cli.terminal import Shell

pytestmark = pytest.mark.slow
VALUE = "exported-v4lue-0123456789"
AGE: Any = pyrage


@pytest.mark.requirement("secrets:export", "secrets:rotation", "cli:secrets")
def test_secrets_are_exported_with_their_rules_and_imported_without_overwriting(
    shell: Shell, tmp_path: Path
) -> None:
    set_ = ("codewords", "secrets", "set")
    said = shell(*set_, "RULED_KEY", "--host", "api.example.com:8443", "--in", "query", stdin=VALUE)
    assert "cannot read it: it goes to api.example.com:8443 only (query)" in said.out
    assert shell(*set_, "PLAIN_KEY", "--plain", stdin=VALUE).code == 0
    assert shell(*set_, "BAD_KEY", "--host", "a.com", "--plain", stdin=VALUE).code == 2
    rotated = shell("codewords", "secrets", "rotate-key")
    assert (rotated.code, "the old key is kept in" in rotated.out) == (0, True)

    by_phrase, by_key = tmp_path / "phrase.age", tmp_path / "key.age"
    export, phrase = ("codewords", "secrets", "export"), "a long passphrase\n"
    assert shell(*export, str(by_phrase), stdin=phrase).code == 0
    assert shell(*export, str(by_phrase), stdin=phrase).code == 2, "an existing file is not overwritten"
    identity = AGE.x25519.Identity.generate()
    (tmp_path / "identity").write_text(f"# a key\n{identity}\n", encoding="utf-8")
    assert shell(*export, str(by_key), "--recipient", str(identity.to_public())).code == 0
    assert stat.S_IMODE(by_phrase.stat().st_mode) == 0o600
    assert VALUE.encode() not in by_phrase.read_bytes() + by_key.read_bytes()

    elsewhere = Shell(tmp_path / "elsewhere", {"CODEWORDS_PORT": "0"})
    into = ("codewords", "secrets", "import")
    try:
        assert elsewhere(*set_, "PLAIN_KEY", stdin="own-v4lue").code == 0
        assert elsewhere(*into, str(by_phrase), stdin="another phrase\n").code == 2
        imported = elsewhere(*into, str(by_phrase), "--json", stdin=phrase).json
        assert imported["kept"] == ["PLAIN_KEY"]
        assert "RULED_KEY" in imported["stored"]
        again = elsewhere(*into, str(by_key), "--identity", str(tmp_path / "identity"), "--replace")
        assert again.code == 0
        found = {one["name"]: one for one in elsewhere("codewords", "secrets", "list", "--json").json}
        assert (found["RULED_KEY"]["hosts"], found["RULED_KEY"]["places"]) == (
            ["api.example.com:8443"],
            ["query"],
        )
        assert found["PLAIN_KEY"]["held"] == "plain"
    finally:
        elsewhere("codewords", "stop")


@pytest.mark.requirement("secrets:export", "elsewhere:run")
def test_a_secret_that_is_kept_elsewhere_is_exported_as_its_reference(tmp_path: Path) -> None:
    kept, exported, phrase = tmp_path / "kept", tmp_path / "secrets.age", "a long passphrase\n"
    kept.write_text(VALUE, encoding="utf-8")
    settings = {"CODEWORDS_PORT": "0", "CODEWORDS_SECRET_SOURCES": f"file://{tmp_path}/*"}
    here, there = Shell(tmp_path / "here", settings), Shell(tmp_path / "there", settings)
    try:
        said = here("codewords", "secrets", "set", "KEY_ELSEWHERE", "--from", f"file://{kept}")
        assert f"KEY_ELSEWHERE is kept in file://{kept}." in said.out
        assert here("codewords", "secrets", "set", "OTHER_KEY", "--from", "file:///etc/passwd").code == 2
        assert here("codewords", "secrets", "export", str(exported), stdin=phrase).code == 0
        assert there("codewords", "secrets", "import", str(exported), stdin=phrase).code == 0
        assert f"file://{kept}" in there("codewords", "secrets", "list").out
    finally:
        for shell in (here, there):
            shell("codewords", "stop")
