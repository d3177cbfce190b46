"""Everything that a person can type, set, call or meet is in the reference, and the reference is what the code says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from tests.docs.pages import PAGES, ROOT, blocks, prose
from tests.docs.proofs import ALL_PAGES, link_leads_somewhere

REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.requirement("docs:reference-current")
def test_the_generated_parts_are_what_the_code_says() -> None:
    command = [sys.executable, str(REFERENCE / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _commands(command: Any, path: str) -> list[str]:
    children: dict[str, Any] = getattr(command, "commands", {})
    shown = [(key, child) for key, child in children.items() if not child.hidden]
    return [path, *(name for key, child in shown for name in _commands(child, f"{path} {key}"))]


@pytest.mark.requirement("docs:reference-complete")
def test_every_command_has_a_heading_and_every_option_a_line() -> None:
    import typer

    from codewords_mcp.cli import app

    headings = re.findall(r"^## `(.+)`$", (REFERENCE / "cli.md").read_text(encoding="utf-8"), re.MULTILINE)
    wanted = [
        *_commands(typer.main.get_command(app.codewords), "codewords"),
        *_commands(typer.main.get_command(app.codewords_mcp), "codewords-mcp"),
    ]
    missing = [
        path
        for path in wanted
        if not any(heading == path or heading.startswith(f"{path} ") for heading in headings)
    ]
    assert missing == []


@pytest.mark.requirement("docs:reference-complete")
def test_every_setting_says_what_it_is_and_is_in_the_reference() -> None:
    from codewords_mcp.settings import Settings

    text = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    assert [name for name in Settings.model_fields if f"`CODEWORDS_{name.upper()}`" not in text] == []


@pytest.mark.requirement("docs:reference-complete")
def test_every_error_code_that_the_source_names_is_in_the_reference() -> None:
    text = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    named: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        named |= set(re.findall(r'^    code(?:: ClassVar\[str\])? = "(\w+)"', source, re.MULTILINE))
        named |= set(re.findall(r'ProgramFailed\(\s*"(\w+)"', source))
    assert len(named) > 20
    assert sorted(code for code in named if f"`{code}`" not in text) == []


@pytest.mark.requirement("docs:reference-complete")
def test_every_tool_and_every_route_is_in_the_reference() -> None:
    from codewords_mcp.http.app import operations
    from codewords_mcp.tools import all_tools

    tools = (REFERENCE / "tools.md").read_text(encoding="utf-8")
    assert [tool.name for tool in all_tools() if f"## `{tool.name}`" not in tools] == []
    http = (REFERENCE / "http-api.md").read_text(encoding="utf-8")
    assert [operation.path for operation in operations() if f"{operation.path}`" not in http] == []


@pytest.mark.requirement("docs:reference-complete")
def test_no_page_names_a_setting_or_an_error_that_does_not_exist() -> None:
    settings = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    # What a sandboxed workflow finds in its environment, by the wire contract.
    workflow = {"CODEWORDS_RUNTIME_URI", "CODEWORDS_SERVICE_ROOT"}
    setting = r"\bCODEWORDS_[A-Z_]*[A-Z]\b"
    installer = set(re.findall(setting, (ROOT / "packaging" / "install.sh").read_text(encoding="utf-8")))
    for page in PAGES:
        named = set(re.findall(setting, page.read_text(encoding="utf-8"))) - workflow - installer
        assert sorted(name for name in named if f"`{name}`" not in settings) == [], page
    errors = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    guide = prose(ROOT / "docs" / "guides" / "troubleshooting.md")
    codes = re.findall(r"^\| `([a-z]+(?:_[a-z]+)+)` \|", guide, re.MULTILINE)
    assert codes
    assert [code for code in codes if f"`{code}`" not in errors] == []


@pytest.mark.requirement("docs:links")
def test_every_link_between_pages_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in ALL_PAGES
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page))
        if not link_leads_somewhere(page, target)
    ]
    assert broken == []


@pytest.mark.requirement("docs:links")
def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [
        str(page.relative_to(ROOT / "docs"))
        for folder in ("guides", "reference")
        for page in (ROOT / "docs" / folder).glob("*.md")
    ]
    assert [page for page in pages if f"({page})" not in index] == []


@pytest.mark.requirement("docs:example-config")
def test_the_example_configuration_starts_the_server_and_is_the_one_in_the_guide() -> None:
    example = (ROOT / "examples" / "claude_desktop_config.json").read_text(encoding="utf-8")
    server = json.loads(example)["mcpServers"]["codewords"]
    scripts = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'{server["command"]} = "codewords_mcp.__main__:main"' in scripts
    same = [
        block
        for block in blocks(ROOT / "docs" / "guides" / "claude-desktop.md")
        if block.mark and block.mark[0] == "same as"
    ]
    assert [block.text for block in same] == [example]


@pytest.mark.requirement("docs:attacks")
def test_every_probe_was_seen_as_both_users_and_none_got_through() -> None:
    from tests.attacks.catalog import ONE_DRIVER, PROBES, RUNTIME
    from tests.attacks.landlock import LANDLOCK

    observed: dict[str, dict[str, dict[str, str]]] = json.loads(
        (REFERENCE / "attacks.json").read_text(encoding="utf-8")
    )["probes"]
    assert sorted(observed) == sorted(probe.id for probe in PROBES)
    alone = [name for name, users in observed.items() if set(users) != {"root", "user"}]
    assert {name.partition(".")[0] for name in alone} == RUNTIME
    without = [
        name for name, users in observed.items() if any(LANDLOCK not in ways for ways in users.values())
    ]
    assert {name.partition(".")[0] for name in without} == ONE_DRIVER
    seen = [text for users in observed.values() for ways in users.values() for text in ways.values()]
    assert [text for text in seen if text.startswith("NOT HELD")] == []
