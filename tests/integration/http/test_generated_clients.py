"""Clients that others' generators make of /openapi.json run the journey, as the guide shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.docs.pages import ROOT, blocks
from tests.support import npm
from tests.support.http_runtime import ADMIN_KEY, Door

pytestmark = [pytest.mark.slow, pytest.mark.requirement("http:generated-clients")]

PYTHON_GENERATOR = "openapi-python-client==0.29.1"
TYPESCRIPT = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@types/node@20.19.25")
_GUIDE = ROOT / "docs" / "guides" / "http-clients.md"


def _program(language: str) -> str:
    """The guide's program in a language."""
    [block] = [block for block in blocks(_GUIDE) if block.language == language]
    return block.text


@pytest.fixture
def folder(http: httpx.Client, tmp_path: Path) -> Iterator[Path]:
    """A folder with the description."""
    (tmp_path / "openapi.json").write_text(http.get("/openapi.json").text, encoding="utf-8")
    yield tmp_path
    assert http.get("/workflows?query=From+").json()["items"] == []


def _run(folder: Path, door: Door, *command: str) -> str:
    environment = os.environ | {"CODEWORDS_RUNTIME_URI": door.url, "CODEWORDS_API_KEY": ADMIN_KEY}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, encoding="utf-8", env=environment, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_guide_names_the_versions_that_are_tested() -> None:
    text = _GUIDE.read_text(encoding="utf-8")
    for package in (PYTHON_GENERATOR.replace("==", "@"), *TYPESCRIPT[:2]):
        assert package in text


def test_a_generated_python_client_runs_the_journey(door: Door, folder: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    # Its hooks format what it made, which nobody reads here.
    (folder / "config.yml").write_text("post_hooks: []\n", encoding="utf-8")
    said = _run(
        folder, door, str(uv), "tool", "run", "--from", PYTHON_GENERATOR, "openapi-python-client", "generate",
        "--path", "openapi.json", "--meta", "none", "--output-path", "codewords_api", "--config", "config.yml",
    )  # fmt: skip
    # It warns of each thing that it leaves out.
    assert "arning" not in said, said[:4000]

    (folder / "journey.py").write_text(_program("python"), encoding="utf-8")
    assert _run(folder, door, sys.executable, "journey.py").splitlines() == [
        "Hello Ada!",
        "succeeded",
        "True",
        "204",
    ]


def test_a_generated_typescript_client_runs_the_journey(door: Door, folder: Path) -> None:
    packages = npm.installed(*TYPESCRIPT)
    (folder / "node_modules").symlink_to(packages / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    _run(
        folder,
        door,
        "node",
        "node_modules/openapi-typescript/bin/cli.js",
        "openapi.json",
        "-o",
        "codewords.d.ts",
        "--default-non-nullable",
        "false",
    )

    (folder / "journey.ts").write_text(_program("typescript"), encoding="utf-8")
    options = ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", "journey.ts"]
    _run(folder, door, "node", "node_modules/typescript/bin/tsc", *options)
    assert _run(folder, door, "node", "journey.js").splitlines() == ["Hello Ada!", "succeeded", "true", "204"]
