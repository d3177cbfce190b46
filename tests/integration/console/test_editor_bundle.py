"""The code editor's file is made again by its recipe."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.npm import locked
from tests.support.paths import PROJECT
from tests.unit.console.modules import CONSOLE

RECIPE = PROJECT / "scripts/editor"


@pytest.mark.requirement("console:editor-bundle")
def test_the_code_editor_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    folder = locked(RECIPE)
    for name in ("entry.js", "build.js"):
        shutil.copy(RECIPE / name, folder / name)
    told = subprocess.run(
        ["node", "build.js", str(tmp_path)],
        cwd=folder,
        check=True,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    ).stdout
    for name in ("codemirror.js", "codemirror.LICENSE"):
        assert (tmp_path / name).read_bytes() == (CONSOLE / "vendor" / name).read_bytes(), name
    manifest = json.loads((CONSOLE / "vendor/manifest.json").read_text(encoding="utf-8"))
    (entry,) = [one for one in manifest if one["file"] == "codemirror.js"]
    assert json.loads(told) == entry["packages"]
