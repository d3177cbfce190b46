"""The extension for VS Code: its logic, its types, its colours and its package, by the tools of its own world."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from tests.integration.editor.helpers import EXTENSION, copy_extension, pack
from tests.support.npm import node

pytestmark = pytest.mark.anyio
ROOT = EXTENSION.parents[1]
MOST_BYTES = 300_000
FILES = re.compile(
    r"extension/(package\.json|readme\.md|changelog\.md|LICENSE\.txt|icon\.png"
    r"|(src|media|schemas|syntaxes)/[\w.-]+|images/(console|editor)\.png)"
)


@pytest.fixture(scope="module")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the extension with its tools."""
    return copy_extension(tmp_path_factory.mktemp("extension") / "vscode")


@pytest.mark.requirement("editor:logic")
async def test_its_logic_passes_its_own_tests(extension: Path) -> None:
    code, out, err = await node(extension, "--test", "test/")
    assert code == 0, out + err
    assert "# fail 0" in out


@pytest.mark.requirement("editor:logic")
async def test_every_script_has_the_types_that_it_says(extension: Path) -> None:
    code, out, err = await node(extension, "node_modules/typescript/bin/tsc", "-p", "jsconfig.json")
    assert code == 0, out + err


@pytest.mark.requirement("editor:colours")
async def test_a_header_has_colours_and_other_comments_have_not(extension: Path) -> None:
    program = "node_modules/vscode-tmgrammar-test/dist/unit.js"
    grammars = ("-g", "test/grammar/python.tmLanguage.json", "-g", "syntaxes/header.tmLanguage.json")
    code, out, err = await node(extension, program, *grammars, "test/grammar/header.txt")
    assert code == 0, out + err


@pytest.mark.requirement("editor:package")
async def test_its_package_is_small_and_has_what_it_needs_and_nothing_else(
    extension: Path, tmp_path: Path
) -> None:
    packed = await pack(extension, tmp_path / "codewords.vsix")
    assert packed.stat().st_size <= MOST_BYTES
    with zipfile.ZipFile(packed) as archive:
        names = [name for name in archive.namelist() if name.startswith("extension/")]
        manifest = json.loads(archive.read("extension/package.json"))
    assert [name for name in names if not FILES.fullmatch(name)] == []
    assert {f"extension/{name}" for name in ("icon.png", "LICENSE.txt", "readme.md")} <= set(names)
    # What Open VSX and the Marketplace ask for.
    assert {"publisher", "license", "repository", "icon", "categories", "engines"} <= manifest.keys()


@pytest.mark.requirement("editor:schema")
def test_its_schemas_are_the_published_ones() -> None:
    for name in ("header.schema.json", "codewords.schema.json"):
        published = (ROOT / "docs" / "reference" / name).read_bytes()
        assert (EXTENSION / "schemas" / name).read_bytes() == published


@pytest.mark.requirement("editor:package")
def test_its_license_and_version_are_those_of_the_project() -> None:
    from codewords_mcp import __version__

    manifest = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    assert manifest["version"] == __version__
    assert (EXTENSION / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
