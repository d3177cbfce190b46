"""Rules that every module of the console keeps."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.unit.console.modules import CONSOLE, code_of, imports_of, loaded_with, modules, served_bytes

LINES = 200
SHELL_BYTES = 45_000
"""Bytes that a browser loads for a run, each file compressed by itself as it is served."""
ALL_BYTES = 159_500
"""All pages without the editor; 122,880 is the goal."""
WHEEL_BYTES = 500_000
"""What the console adds to the wheel, which holds each file compressed by itself."""
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySet|document\.write|srcdoc|\beval\(|new Function|\bstyle=[\"']"
)
EDITOR = ("editor", "codemirror")
"""Beginnings of the names of the code editor's files. It is loaded only where code is written or compared."""
WITH_EDITOR_BYTES = 306 * 1024


def _compressed(paths: Iterable[Path]) -> int:
    return sum(served_bytes(path) for path in paths)


def _served() -> list[Path]:
    """What pages of the console may load. Cards are shown by chats."""
    return [
        path
        for path in CONSOLE.rglob("*")
        if path.suffix in {".js", ".css", ".html"} and path.parent.name != "cards"
    ]


@pytest.mark.requirement("console:modules")
def test_pages_and_parts_are_short() -> None:
    paths = [path for path in modules() if path.parent.name in {"pages", "parts"}]
    assert [path.name for path in paths if len(path.read_text(encoding="utf-8").splitlines()) > LINES] == []


@pytest.mark.requirement("console:modules")
def test_only_one_module_imports_vendored_libraries() -> None:
    importing = {
        path.relative_to(CONSOLE).as_posix()
        for path in modules()
        for target in imports_of(path) + imports_of(path, dynamic=True)
        if "vendor/" in target
    }
    assert importing == {"ui.js"}


@pytest.mark.requirement("console:modules")
def test_imports_are_relative_and_lead_to_files() -> None:
    for path in modules():
        for target in imports_of(path) + imports_of(path, dynamic=True):
            assert target.startswith("."), (path.name, target)
            assert (path.parent / target).is_file(), (path.name, target)


@pytest.mark.requirement("console:text-is-data")
def test_no_module_makes_markup_or_code_of_text() -> None:
    assert [path.name for path in modules() if MARKUP.search(code_of(path))] == []


@pytest.mark.requirement("console:small")
def test_the_shell_and_the_run_page_are_small() -> None:
    scripts = loaded_with(CONSOLE / "app.js", CONSOLE / "pages/run.js")
    assert _compressed([*scripts, *CONSOLE.glob("*.css"), CONSOLE / "index.html"]) <= SHELL_BYTES


@pytest.mark.requirement("console:small")
def test_all_of_the_console_without_the_editor_is_small() -> None:
    served = _served()
    assert _compressed(path for path in served if not path.name.startswith(EDITOR)) <= ALL_BYTES


@pytest.mark.requirement("console:small", "console:editor-bundle")
def test_the_code_editor_is_small_and_loaded_only_where_code_is_shown() -> None:
    assert _compressed(_served()) <= WITH_EDITOR_BYTES
    with_editor = {
        page.name
        for page in (CONSOLE / "pages").glob("*.js")
        if any(path.name.startswith(EDITOR) for path in loaded_with(page))
    }
    assert with_editor == {"draft.js"}
    assert "codemirror.js" not in {path.name for path in loaded_with(CONSOLE / "pages/draft.js")}


@pytest.mark.requirement("console:small")
def test_the_consoles_files_add_little_to_the_package() -> None:
    held = [path for path in CONSOLE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(len(zlib.compress(path.read_bytes())) for path in held) <= WHEEL_BYTES
