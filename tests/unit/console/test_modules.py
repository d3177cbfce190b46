"""Rules that every module of the console keeps."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.unit.console.modules import (
    CONSOLE,
    code_of,
    imports_of,
    linker,
    loaded_with,
    modules,
    served,
    served_bytes,
    served_with,
)

LINES = 200
SHELL_BYTES = 43_000
"""Bytes that a browser loads for a run, each file compressed by itself as it is served."""
EVERYDAY_BYTES = 120 * 1024
"""All pages without the editor and without those that are opened rarely (design note 062)."""
RARE = {"audit.js", "members.js"}
"""Pages that are opened rarely, each a file of its own that no other page loads."""
RARE_BYTES = 9_000
"""What such a page adds."""
WHEEL_BYTES = 500_000
"""What the console adds to the wheel, which holds each file compressed by itself."""
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySet|document\.write|srcdoc|\beval\(|new Function|\bstyle=[\"']"
)
PAGE_BYTES = 65_000
"""The same for any page."""
PAGE_SCRIPTS = 5
EDITOR = ("editor", "codemirror")
"""Beginnings of the names of the code editor's files. It is loaded only where code is written or compared."""
WITH_EDITOR_BYTES = 300 * 1024
_SHELL = [CONSOLE / "app.js"]
_STYLES = {"index.html", "app.css"}


def _is_of_editor(address: str) -> bool:
    return Path(address).name.startswith(EDITOR)


def _compressed(addresses: Iterable[str]) -> int:
    return sum(map(served_bytes, addresses))


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
    assert _compressed(served_with(*_SHELL, CONSOLE / "pages/run.js") | _STYLES) <= SHELL_BYTES


@pytest.mark.requirement("console:small")
def test_each_page_is_small_and_a_few_files() -> None:
    pages = {path.name: served_with(*_SHELL, path) for path in (CONSOLE / "pages").glob("*.js")}
    assert {name: found for name, found in pages.items() if len(found) > PAGE_SCRIPTS} == {}
    sizes = {name: _compressed(found | _STYLES) for name, found in pages.items()}
    assert {name: size for name, size in sizes.items() if size > PAGE_BYTES} == {}


@pytest.mark.requirement("console:small")
def test_all_everyday_pages_are_small_and_those_opened_rarely_add_little() -> None:
    rare = {name: served_bytes(name) for name in RARE}
    assert {name: size for name, size in rare.items() if size > RARE_BYTES} == {}
    everyday = {name for name in served() if not _is_of_editor(name)} - RARE
    assert _compressed(everyday) <= EVERYDAY_BYTES
    pages = (path for path in (CONSOLE / "pages").glob("*.js") if path.name not in RARE)
    assert not RARE & served_with(*_SHELL, *pages)


@pytest.mark.requirement("console:small", "console:editor-bundle")
def test_the_code_editor_is_small_and_loaded_only_where_code_is_shown() -> None:
    assert _compressed(served()) <= WITH_EDITOR_BYTES
    assert all(Path(name).name.startswith(EDITOR) for name in linker().chunks["editor"])
    with_files = {
        page.name
        for page in (CONSOLE / "pages").glob("*.js")
        if any(map(_is_of_editor, served_with(*_SHELL, page)))
    }
    assert with_files == {"draft.js"}
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
