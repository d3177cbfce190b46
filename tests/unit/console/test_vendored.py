"""The libraries that the console has as files of its own."""

from __future__ import annotations

import hashlib
import json
import re
from typing import NotRequired, TypedDict, cast

import pytest
from tests.support.paths import PROJECT
from tests.unit.console.modules import CONSOLE, imports_of

VENDOR = CONSOLE / "vendor"
PERMISSIVE = {"MIT", "Apache-2.0"}
DESCRIBING = {".json", ".LICENSE", ".ts"}


class Vendored(TypedDict):
    """`packages` with their versions, where a file is made of several."""

    file: str
    package: str
    version: str
    source: str
    licence: str
    licence_file: str
    changes: list[str]
    sha256: str
    packages: NotRequired[dict[str, str]]


def _manifest() -> list[Vendored]:
    return cast("list[Vendored]", json.loads((VENDOR / "manifest.json").read_text(encoding="utf-8")))


@pytest.mark.requirement("console:vendored")
def test_each_vendored_file_is_in_the_manifest_with_its_digest() -> None:
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.iterdir()
        if path.suffix not in DESCRIBING
    }
    assert found == {entry["file"]: entry["sha256"] for entry in _manifest()}


@pytest.mark.requirement("console:vendored")
def test_each_vendored_file_has_a_version_and_a_permissive_licence() -> None:
    for entry in _manifest():
        assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"]), entry
        assert entry["licence"] in PERMISSIVE, entry
        assert (VENDOR / entry["licence_file"]).read_text(encoding="utf-8").strip(), entry


@pytest.mark.requirement("console:vendored")
def test_vendored_files_import_each_other_only() -> None:
    for path in VENDOR.glob("*.js"):
        assert all(target.startswith("./") for target in imports_of(path)), path.name
        assert all((VENDOR / target).is_file() for target in imports_of(path)), path.name


@pytest.mark.requirement("console:editor-bundle")
def test_the_versions_in_a_bundle_are_those_that_its_recipe_pins() -> None:
    locked = json.loads((PROJECT / "scripts/editor/package-lock.json").read_text(encoding="utf-8"))[
        "packages"
    ]
    (bundle,) = [entry for entry in _manifest() if "packages" in entry]
    licences = (VENDOR / bundle["licence_file"]).read_text(encoding="utf-8")
    for name, version in bundle.get("packages", {}).items():
        pinned = locked[f"node_modules/{name}"]
        assert (pinned["version"], pinned["license"]) == (version, "MIT"), name
        assert pinned["integrity"], name
        assert name in licences
