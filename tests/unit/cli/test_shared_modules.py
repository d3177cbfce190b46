"""Modules beside a workflow's file are found as Python finds them, and put into its code."""

from __future__ import annotations

from pathlib import Path

import pytest

from codewords_mcp.cli._shared_modules import MAX_MODULE_BYTES, ModuleLinks
from codewords_mcp.errors import CodewordsError, ValidationFailed
from codewords_mcp.runtime.model.modules import split_modules

pytestmark = pytest.mark.requirement("projects:modules")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with modules, packages with and without `__init__.py`, and one that is named like a standard one."""
    files = {
        "helpers.py": "from shared.texts import greet\n",
        "string.py": "",
        "shared/__init__.py": "from . import names\n",
        "shared/texts.py": "from .names import NAME\r\nimport requests",
        "shared/names.py": "from shared import texts\nNAME = 'Ada'\n",
        "shared/unused.py": "",
        "plain/one.py": "",
        "data/rows.csv": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


SHARED = ["shared/__init__.py", "shared/names.py", "shared/texts.py"]


@pytest.mark.parametrize(
    ("code", "paths"),
    [
        ("import json\nimport helpers\n", ["helpers.py", *SHARED]),
        ("from helpers import greet\n", ["helpers.py", *SHARED]),
        ("def f():\n    from shared.texts import greet\n", SHARED),
        ("from shared import texts\n", SHARED),
        ("import importlib\nimportlib.import_module('plain.one')\n", ["plain/one.py"]),
        ("import plain.one as one\n", ["plain/one.py"]),
        ("import requests, data\nfrom fastapi import FastAPI\n", []),
        ("import string\n", []),
        ("import helpers +\n", []),
    ],
)
def test_what_is_imported_is_taken_along_and_nothing_else(folder: Path, code: str, paths: list[str]) -> None:
    linked = ModuleLinks(folder / "hello.py").link(code)
    program, modules = split_modules(linked)
    assert (program, [module.path for module in modules]) == (code, paths)
    # The same code on each machine, whatever its newlines.
    assert "\r" not in linked


def test_a_file_wins_over_a_module_that_the_code_came_with(folder: Path) -> None:
    code = "import plain.one\n# /// module plain/one.py\n#| OLD = 1\n# /// module other.py\n#| KEPT = 1\n"
    _, modules = split_modules(ModuleLinks(folder / "hello.py").link(code))
    assert {module.path: module.text for module in modules} == {"plain/one.py": "", "other.py": "KEPT = 1\n"}


@pytest.mark.parametrize(
    ("name", "data", "code", "words"),
    [
        ("fast.cpython-311-x86_64-linux-gnu.so", b"", "import fast", "compiled modules are not taken along"),
        ("shared/fast.pyd", b"", "import shared.fast", "compiled modules are not taken along"),
        ("large.py", b"#" * (MAX_MODULE_BYTES + 1), "import large", "a shared module has at most 1,048,576"),
        ("latin.py", b"# \xe9", "import latin", "is not UTF-8 text"),
        ("binary.py", b"\0", "import binary", "binary.py is no text"),
        ("main.py", b"", "import main", "has the name of a module that every program has already"),
        (
            "other.py",
            b"",
            "import other, shared.texts, shared.missing",
            "imports shared.missing, which is not in",
        ),
    ],
)
def test_what_cannot_be_taken_along_is_said_in_words(
    folder: Path, name: str, data: bytes, code: str, words: str
) -> None:
    (folder / name).write_bytes(data)
    with pytest.raises(CodewordsError, match=words) as raised:
        ModuleLinks(folder / "hello.py").link(code + "\n")
    if isinstance(raised.value, ValidationFailed):
        assert raised.value.report["checks"][0]["id"] == "modules"


def test_a_file_that_is_not_there_yet_is_among_those_to_watch(folder: Path) -> None:
    links = ModuleLinks(folder / "hello.py")
    links.link("import coming\nimport shared.texts\n")
    assert {folder / "hello.py", folder / "coming.py", folder / "shared" / "texts.py"} <= set(links.files)
