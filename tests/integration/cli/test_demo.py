"""`codewords-mcp demo`: the main job, checked step by step."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.cli.terminal import Shell, Terminal

STEPS = ["connect", "template", "validate", "deploy", "run", "logs", "url"]


@pytest.mark.slow
@pytest.mark.requirement("demo:steps", "demo:json", "demo:url-outlives")
@pytest.mark.parametrize("program", ["curl", "codewords"])
def test_the_demo_checks_every_step_and_its_line_works_afterwards(
    shell: Shell, program: str, tmp_path: Path
) -> None:
    if program != "curl":
        # All that is on PATH, but for curl.
        for name in ("sh", "ip", "nft"):
            if found := shutil.which(name):
                (tmp_path / name).symlink_to(found)
        shell = replace(shell, extra=shell.extra | {"PATH": str(tmp_path)})
    result = shell("codewords-mcp", "demo", "--json")
    assert result.code == 0, result.out + result.err
    told = result.json
    assert [(step["id"], step["ok"]) for step in told["steps"]] == [(step, True) for step in STEPS]
    assert told["result"] == {"message": "Hello Ada!"}
    assert told["isolation"]
    assert told["logs"]
    assert Path(shlex.split(told["command"])[0]).name == program
    again = subprocess.run(
        ["sh", "-c", told["command"]],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        env=shell.env,
        check=False,
    )
    assert "Hello Ada!" in again.stdout


@pytest.mark.slow
@pytest.mark.requirement("demo:steps")
def test_the_demo_fits_a_terminal_of_80_columns(shell: Shell) -> None:
    terminal = Terminal(shell, "codewords-mcp", "demo")
    assert terminal.end(110) == 0
    told, _, curl = terminal.plain.partition("Try it yourself:")
    assert "curl -s" in curl
    assert [line for line in told.splitlines() if len(line) > 80] == []


@pytest.mark.requirement("demo:failure")
def test_a_step_that_fails_is_named_with_what_to_do_and_ends_with_1(empty: Shell) -> None:
    empty.home.write_text("a file where the home should be", encoding="utf-8")
    result = empty("codewords-mcp", "demo")
    assert result.code == 1
    assert "✗ Connect" in result.out
    assert "hint: " in result.err
    assert (result.out + result.err).count("cannot be used") == 1
    assert "ExceptionGroup" not in result.out + result.err
    assert empty("codewords-mcp", "demo", "--json").json["steps"][0]["ok"] is False
