"""The plugin's manifests agree, and name what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.paths import PROJECT

from codewords_mcp import __version__
from codewords_mcp.tools import all_tools

pytestmark = pytest.mark.requirement("install:plugin")

PLUGIN = PROJECT / "packaging" / "plugin"
MANIFESTS = (
    "plugin.json",
    ".claude-plugin/plugin.json",
    ".codex-plugin/plugin.json",
    ".cursor-plugin/plugin.json",
)
MARKETPLACES = (
    ".claude-plugin/marketplace.json",
    ".cursor-plugin/marketplace.json",
    ".agents/plugins/marketplace.json",
)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def front_matter(path: Path) -> tuple[dict[str, Any], str]:
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def test_all_manifests_say_the_same_name_version_and_description() -> None:
    said = {
        tuple(read(PLUGIN / name)[key] for key in ("name", "version", "description", "license"))
        for name in MANIFESTS
    }
    assert len(said) == 1
    assert {version for _, version, _, _ in said} == {__version__}


def test_paths_in_manifests_lead_to_what_is_there() -> None:
    for name in MANIFESTS:
        manifest = read(PLUGIN / name)
        for key in ("skills", "commands", "mcpServers"):
            if key in manifest:
                assert (PLUGIN / manifest[key]).exists(), f"{key} of {name}"


def test_the_portable_manifest_has_no_other_fields_than_the_standards() -> None:
    allowed = {
        "$schema",
        "name",
        "version",
        "description",
        "author",
        "homepage",
        "repository",
        "license",
        "keywords",
        "extensions",
    }
    assert set(read(PLUGIN / "plugin.json")) <= allowed
    assert set(read(PLUGIN / "plugin.json")["author"]) <= {"name", "email", "url"}


def test_both_files_of_servers_start_the_same_program() -> None:
    bare, portable = read(PLUGIN / ".mcp.json")["mcpServers"], read(PLUGIN / "mcp.json")["mcpServers"]
    assert {"type": "stdio", **bare["codewords"]} == portable["codewords"]
    assert portable["codewords"]["command"] == "uvx"


@pytest.mark.parametrize("name", MARKETPLACES)
def test_each_marketplace_leads_to_the_plugin(name: str) -> None:
    [entry] = read(PROJECT / name)["plugins"]
    source = entry["source"]["path"] if isinstance(entry["source"], dict) else entry["source"]
    assert (PROJECT / source).resolve() == PLUGIN
    assert entry["name"] == read(PLUGIN / "plugin.json")["name"]


def test_the_skill_and_the_commands_name_only_tools_that_there_are() -> None:
    tools = {tool.name for tool in all_tools()}
    texts = [*PLUGIN.glob("skills/*/SKILL.md"), *PLUGIN.glob("commands/*.md")]
    assert len(texts) == 3
    for path in texts:
        head, body = front_matter(path)
        assert head["description"]
        if path.name == "SKILL.md":
            assert head["name"] == path.parent.name
            assert len(head["description"]) <= 1024
        assert set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", body)) <= tools
