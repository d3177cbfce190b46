"""Ways to get the product: the install script checks hashes, and what catalogues read fits the product."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.paths import PROJECT

from codewords_mcp import __version__
from codewords_mcp.runtime.gateway.keys import NAMES

PACKAGING = PROJECT / "packaging"
WHEEL = f"codewords_mcp-{__version__}-py3-none-any.whl"
UV = """#!/bin/sh
echo "$@" >> "$CALLS"
for last; do :; done
sha256sum < "$last" >> "$CALLS"
"""


class Release:
    """A folder as `scripts/package` fills it, and a `uv` that only notes how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "release"
        self.folder.mkdir()
        self.calls = folder / "calls"
        programs = folder / "programs"
        programs.mkdir()
        (programs / "uv").write_text(UV, encoding="utf-8")
        (programs / "uv").chmod(0o755)
        self.env = {
            **os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "CALLS": str(self.calls),
            "CODEWORDS_RELEASE": str(self.folder),
        }  # fmt: skip
        self.wheel = self.folder / WHEEL
        self.wheel.write_bytes(b"a wheel")
        self.sums(f"{hashlib.sha256(b'a wheel').hexdigest()}  {WHEEL}\n{'0' * 64}  other.tar.gz\n")

    def sums(self, text: str) -> None:
        (self.folder / "SHA256SUMS").write_text(text, encoding="utf-8")

    def install(self, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", PACKAGING / "install.sh"],
            env=self.env | more,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


@pytest.mark.requirement("packaging:script")
def test_the_script_installs_a_wheel_whose_hash_is_right(release: Release) -> None:
    done = release.install()
    assert done.returncode == 0, done.stderr
    called, found = release.calls.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(rf"tool install --force /\S+/{re.escape(WHEEL)}", called)
    assert found.split()[0] == hashlib.sha256(b"a wheel").hexdigest()


@pytest.mark.requirement("packaging:script")
@pytest.mark.parametrize(
    ("sums", "said"),
    [
        (f"{'0' * 64}  {WHEEL}\n", "is expected. Nothing was installed"),
        ("", "names no wheel"),
        (f"{'0' * 64}  ../{WHEEL}\n", "names no wheel"),
        (f"{'0' * 64}  {WHEEL}\n{'1' * 64}  codewords_mcp-9.9-py3-none-any.whl\n", "more than one wheel"),
        (f"{'0' * 64}  codewords_mcp-9.9-py3-none-any.whl\n", "could not be fetched"),
    ],
)
def test_the_script_installs_nothing_else(release: Release, sums: str, said: str) -> None:
    release.sums(sums)
    done = release.install()
    assert done.returncode == 1
    assert said in done.stderr
    assert not release.calls.exists()


@pytest.mark.requirement("packaging:script")
def test_the_script_reads_nothing_without_tls_and_does_nothing_when_it_arrives_in_part(
    release: Release,
) -> None:
    done = release.install(CODEWORDS_RELEASE="http://releases.example.com")
    assert done.returncode == 1
    assert "neither https nor on this machine" in done.stderr
    text = (PACKAGING / "install.sh").read_text(encoding="utf-8")
    for part in range(0, len(text) - len("main\n"), 97):
        cut = subprocess.run(
            ["sh", "-s"],
            input=text[:part],
            env=release.env,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert "tool install" not in cut.stdout
    assert not release.calls.exists()


@pytest.mark.requirement("packaging:catalogues")
def test_the_catalogues_name_keys_that_the_product_reads_and_files_that_there_are() -> None:
    docker: Any = yaml.safe_load((PACKAGING / "docker-mcp" / "server.yaml").read_text(encoding="utf-8"))
    assert {"name", "image", "type", "meta", "about", "source", "run", "config", "longLived"} == set(docker)
    assert (PROJECT / docker["source"]["dockerfile"]).is_file()
    assert {secret["env"] for secret in docker["config"]["secrets"]} <= set(NAMES.values())
    assert all(secret["name"].startswith(f"{docker['name']}.") for secret in docker["config"]["secrets"])
    image = (PACKAGING / "container" / "Containerfile").read_text(encoding="utf-8")
    assert f"VOLUME {docker['run']['volumes'][0].partition(':')[2]}\n" in image

    smithery: Any = yaml.safe_load((PACKAGING / "smithery.yaml").read_text(encoding="utf-8"))
    start = smithery["startCommand"]
    assert start["type"] == "stdio"
    used = set(re.findall(r"'([A-Z]+_API_KEY)'", start["commandFunction"]))
    assert used <= set(NAMES.values())
    assert set(re.findall(r"config\.(\w+)", start["commandFunction"])) == set(
        start["configSchema"]["properties"]
    )
    plan = f"console.log(JSON.stringify(({start['commandFunction']})({{openaiApiKey: 'k'}})))"
    made = subprocess.run(["node", "-e", plan], capture_output=True, encoding="utf-8", timeout=60, check=True)
    assert json.loads(made.stdout) == {
        "command": "uvx",
        "args": ["codewords-mcp"],
        "env": {"OPENAI_API_KEY": "k"},
    }


@pytest.mark.requirement("packaging:catalogues")
def test_the_formula_has_a_place_for_version_and_hash_and_its_test_asks_for_the_version() -> None:
    formula = (PACKAGING / "homebrew" / "codewords-mcp.rb").read_text(encoding="utf-8")
    assert formula.count("@SHA256@") == 1
    assert formula.count("@VERSION@") == 2
    assert "codewords-mcp --version" in formula
