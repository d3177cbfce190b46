"""Imports of files beside a workflow are found before anything is asked of an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from codewords_mcp.cli.project.local_modules import check_local_modules

pytestmark = pytest.mark.requirement("projects:modules")


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import json\nimport helpers\n", ["helpers"]),
        ("from helpers import total\n", ["helpers"]),
        ("from . import helpers\n", ["helpers"]),
        ("def f():\n    from shared.texts import greet\n", ["shared"]),
        ("import helpers.more, shared\n", ["helpers", "shared"]),
        ("import requests\nfrom fastapi import FastAPI\n", []),
        ("import string\n", []),
        ("import helpers +\n", []),
    ],
)
def test_an_import_of_a_file_beside_is_told(tmp_path: Path, code: str, names: list[str]) -> None:
    for name in ("helpers.py", "string.py", "shared/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    found = check_local_modules(tmp_path / "hello.py", code)
    assert [check["message"].split()[2].rstrip(",") for check in found] == names
    assert all(check["line"] and check["status"] == "failed" for check in found)
