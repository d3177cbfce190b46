"""What the commands say when nothing can be done: no runtime is needed, and none is started."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.integration.cli.terminal import Shell, Terminal


def _started(shell: Shell) -> bool:
    return (shell.home / "runtime.json").exists()


@pytest.mark.requirement("cli:exit-codes", "cli:errors-on-stderr")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["codewords", "nope"], "No such command 'nope'"),
        (["codewords", "list", "--nope"], "No such option"),
        (["codewords", "validate"], "Missing argument"),
        (
            ["codewords", "budgets", "set"],
            "Missing argument 'SCOPE'. Choose from: call, run, workflow, key, owner, day, home.",
        ),
        (
            ["codewords", "budget", "set", "run", "x"],
            "Invalid value for 'USD': Input should be a valid number.\n",
        ),
        (["codewords", "validate", "/no/such/file.py"], "/no/such/file.py cannot be read"),
        (["codewords", "deploy"], "Give a file, --template ID or --draft ID"),
        (
            ["codewords", "deploy", "x.py", "--template", "greeting"],
            "Give a file, --template ID or --draft ID",
        ),
        (["codewords", "run", "x", "--input", "{"], "--input is not JSON (line 1, column 2"),
        (["codewords", "run", "x", "--input", "@/no/such.json"], "/no/such.json cannot be read"),
        (["codewords", "runs", "--limit", "0"], "--limit"),
        (["codewords-mcp", "nope"], "No such command 'nope'"),
        (["codewords-mcp", "serve", "--port", "70000"], "--port"),
    ],
)
def test_what_cannot_be_done_as_typed_ends_with_2_and_a_sentence_on_stderr(
    empty: Shell, words: list[str], sentence: str
) -> None:
    result = empty(*words)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert sentence in result.err
    assert not _started(empty)


@pytest.mark.requirement("cli:json-only-stdout")
def test_a_failure_with_json_is_one_object_on_stdout(empty: Shell) -> None:
    result = empty("codewords", "validate", "/no/such/file.py", "--json")
    assert result.code == 2
    assert result.json["error"]["code"] == "invalid_input"
    assert "cannot be read" in result.json["error"]["message"]


@pytest.mark.requirement("cli:secret-never-argument")
@pytest.mark.parametrize(
    "words",
    [
        ["TOKEN=hunter2"],
        ["TOKEN", "hunter2"],
        ["TOKEN", "--json", "hunter2"],
        ["hunter2-", "x"],
        ["xoxb-hunter2"],
    ],
)
def test_a_secret_given_as_an_argument_is_refused_and_not_repeated(empty: Shell, words: list[str]) -> None:
    result = empty("codewords", "secrets", "set", *words)
    assert result.code == 2
    assert "hunter2" not in result.out + result.err
    assert not _started(empty)


@pytest.mark.requirement("cli:exit-codes", "cli:remote")
def test_a_remote_runtime_that_does_not_answer_ends_with_3_and_starts_nothing(empty: Shell) -> None:
    empty.extra["CODEWORDS_RUNTIME_URL"] = "http://127.0.0.1:9"
    result = empty("codewords", "list")
    assert result.code == 3
    assert "No runtime answers at http://127.0.0.1:9" in result.err
    assert not _started(empty)


@pytest.mark.requirement("cli:exit-codes")
def test_a_setting_that_cannot_be_used_is_named(empty: Shell) -> None:
    empty.extra["CODEWORDS_PORT"] = "many"
    result = empty("codewords", "list")
    assert result.code == 2
    assert "CODEWORDS_PORT cannot be used" in result.err


@pytest.mark.requirement("cli:stop")
def test_stop_says_that_no_runtime_was_running(empty: Shell) -> None:
    assert empty("codewords", "stop").out == "No runtime was running.\n"
    assert empty("codewords-mcp", "stop", "--json").json == {"stopped": False, "url": None, "pid": None}


@pytest.mark.requirement("cli:plain-when-piped")
def test_colour_is_for_terminals_and_not_with_no_color(empty: Shell) -> None:
    shown = Terminal(empty, "codewords", "nope")
    assert shown.end() == 2
    assert "\x1b[" in shown.shown
    empty.extra["NO_COLOR"] = "1"
    plain = Terminal(empty, "codewords", "nope")
    assert plain.end() == 2
    assert "\x1b[3" not in plain.shown


@pytest.mark.requirement("cli:quick-start")
def test_the_command_tree_loads_without_what_only_some_commands_need() -> None:
    heavy = ("httpx", "rich", "pydantic", "mcp", "starlette", "asyncio", "structlog")
    code = f"import sys; import codewords_mcp.cli.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.requirement("cli:quick-start")
def test_both_programs_say_their_version(empty: Shell) -> None:
    from codewords_mcp import __version__

    assert empty("codewords", "--version").out.split()[-1] == __version__
    assert empty("codewords-mcp", "--version").out.split()[-1] == __version__
