"""Every block in the documentation that can run is run, in the order of its page, and prints what the page says.

`console` blocks hold commands (`$ …`) and what they print, where `…` stands for anything; `bash` blocks hold commands.
A block that cannot run here says why: `<!-- not run: reason -->`. `<!-- file: name -->` makes a file of a block.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.pages import PAGES, ROOT, Block, blocks
from tests.docs.proofs import command_lines, unknown_options
from tests.integration.cli.terminal import Shell
from tests.support.command_server import command_server
from tests.support.forked_commands import forked_commands
from tests.support.runtime import make_home

from codewords_mcp.runtime.workflows.header import read_header
from codewords_testing.providers import loopback_providers

LANGUAGES = {
    "bash",
    "console",
    "json",
    "nginx",
    "python",
    "powershell",
    "sh",
    "toml",
    "text",
    "typescript",
    "yaml",
}
SHELLS = {"bash", "console", "sh", "powershell", "text"}
RUN = [
    page
    for page in PAGES
    if any(block.language in {"bash", "console"} and not block.mark for block in blocks(page))
]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """One home for all pages, so that an environment is built once; model providers are the loopback ones."""
    folder = tmp_path_factory.mktemp("docs")
    with loopback_providers() as providers, forked_commands(folder, command_server()) as commands:
        bases = {f"CODEWORDS_{name}_BASE_URL": providers.url for name in ("OPENAI", "ANTHROPIC", "GEMINI")}
        shell = Shell(make_home(folder / "home"), {"CODEWORDS_PORT": "0"} | bases)
        shell.extra["PATH"] = f"{commands}{os.pathsep}{shell.env['PATH']}"
        yield shell
        shell("codewords", "stop")


@pytest.fixture
def page_shell(shell: Shell) -> Iterator[Shell]:
    """The shell, where a page finds its names free whatever pages before it deployed."""
    yield shell
    for workflow in shell("codewords", "list", "--json").json:
        shell("codewords", "delete", workflow["service_id"], "--yes")


def _run(shell: Shell, folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
        env=shell.env,
        timeout=110,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def _expected(text: str) -> re.Pattern[str]:
    """A line that is only `…` stands for any lines; within a line it stands for anything on it."""
    lines = [
        r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
        for line in text.splitlines()
    ]
    return re.compile("".join(lines))


def _play(shell: Shell, folder: Path, block: Block) -> None:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        done = _run(shell, folder, command)
        assert done.returncode == 0, f"{block.place}: {command}\n{done.stdout}\n{done.stderr}"
        # The braces of JSON differ in blanks between servers; a page shows them without.
        said = re.sub(r'(?<=[:,]) (?=["{\[])', "", done.stdout) if output.startswith("{") else done.stdout
        said = said if said.endswith("\n") or not said else said + "\n"
        assert _expected(output).fullmatch(said), (
            f"{block.place}: {command}\nprinted:\n{done.stdout}\n{done.stderr}\nthe page says:\n{output}"
        )


@pytest.mark.slow
@pytest.mark.requirement("docs:snippets-run")
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_what_a_page_shows_is_what_happens(page: Path, page_shell: Shell, tmp_path: Path) -> None:
    shell = page_shell
    for block in blocks(page):
        if block.mark and block.mark[0] == "file":
            file = tmp_path / block.mark[1]
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.mark:
            continue
        elif block.language == "console":
            _play(shell, tmp_path, block)
        elif block.language == "bash":
            done = _run(shell, tmp_path, f"set -e\n{block.text}")
            assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"


@pytest.mark.requirement("docs:snippets-run")
def test_every_block_says_its_language_and_a_block_that_is_not_run_says_why() -> None:
    # Design notes draw; what they show is not run.
    found = [block for page in PAGES if page.parent.name != "design" for block in blocks(page)]
    assert [block.place for block in found if block.language not in LANGUAGES] == []
    marks = {block.mark[0] for block in found if block.mark}
    assert marks <= {"not run", "file", "same as", "command", "input", "answer", "shown by", "drawing"}
    assert [block.place for block in found if block.language == "powershell" and not block.mark] == []


@pytest.mark.requirement("docs:snippets-run")
def test_every_yaml_block_is_yaml() -> None:
    found = [block for page in PAGES for block in blocks(page) if block.language == "yaml"]
    assert all(isinstance(yaml.safe_load(block.text), dict) for block in found)


@pytest.mark.requirement("docs:snippets-run")
def test_every_json_block_is_json_and_every_server_in_it_is_ours() -> None:
    for block in (block for page in PAGES for block in blocks(page) if block.language == "json"):
        value: dict[str, dict[str, dict[str, Any]]] = json.loads(block.text)
        for server in (value.get("mcpServers") or value.get("servers") or {}).values():
            words: list[str] = [server.get("command", ""), *server.get("args", []), server.get("url", "")]
            assert any(word.endswith(("codewords-mcp", "/mcp")) for word in words), block.place


@pytest.mark.requirement("docs:snippets-run")
def test_every_toml_block_is_toml_and_every_header_in_it_is_one() -> None:
    for block in (block for page in PAGES for block in blocks(page) if block.language == "toml"):
        if "# [tool.codewords]" not in block.text:
            assert tomllib.loads(block.text), block.place
            continue
        header = block.text if "# /// script" in block.text else f"# /// script\n{block.text}# ///\n"
        assert read_header(header).tool("codewords"), block.place


@pytest.mark.requirement("docs:snippets-run")
def test_every_command_in_a_block_exists_with_its_options() -> None:
    wrong = [
        f"{block.place}: {line} {unknown}"
        for page in PAGES
        for block in blocks(page)
        if block.language in SHELLS
        for line in command_lines(block)
        if (unknown := unknown_options(line)) != []
    ]
    assert wrong == []


@pytest.mark.requirement("docs:snippets-run")
def test_the_pages_are_found() -> None:
    assert len(RUN) >= 3
    assert ROOT / "docs" / "guides" / "getting-started.md" in RUN
