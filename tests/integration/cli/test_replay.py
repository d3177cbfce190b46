"""`codewords replay` and the gate of `codewords deploy`, as a person uses them."""

from __future__ import annotations

import pytest
from tests.integration.cli.terminal import Shell
from tests.support.waiting import until

pytestmark = [pytest.mark.slow]


@pytest.mark.requirement("replay:command")
def test_the_command_tells_by_words_and_exit_codes_what_new_code_makes_of_recorded_runs(
    shell: Shell,
) -> None:
    # A workflow of its own: other tests run the shared one, and this one changes what is live.
    made = shell("codewords", "deploy", "--template", "greeting", "--name", "replayed", "--json")
    assert made.code == 0, made.err
    greeting = str(made.json["service_id"])
    assert shell("codewords", "run", greeting, "--input", '{"name": "Ada"}').code == 0
    until(lambda: shell("codewords", "replay", greeting).code == 0, "the recording", timeout=60)
    same = shell("codewords", "replay", greeting, "last", "--json").json
    assert (same["status"], same["of"], same["report"]["verdict"]) == ("done", "version 1", "same")

    edited = shell("codewords", "edit", greeting, "--old", "Hello", "--new", "Goodbye", "--json").json
    draft = edited["draft"]["draft_id"]
    assert f"{draft} is called Farewell." in shell("codewords", "rename", draft, "Farewell").out
    changed = shell("codewords", "replay", draft)
    assert changed.code == 1
    assert "1 changed" in changed.out
    assert "Hello Ada! → Goodbye Ada!" in changed.out
    assert "0 bytes sent" in changed.out

    assert "not on both" in shell("codewords", "replay", greeting, "--draft", draft, "--version", "1").err
    assert "no version 9" in shell("codewords", "replay", greeting, "--version", "9").err
    deployed = shell("codewords", "deploy", "--draft", draft, "--no-replay")
    assert deployed.code == 0, deployed.err
    assert "without a replay" in deployed.out + deployed.err
    assert "without a replay" in shell("codewords", "show", greeting).out


@pytest.mark.requirement("replay:gate")
def test_a_deploy_prints_four_differences_to_the_version_before(shell: Shell) -> None:
    made = shell("codewords", "deploy", "--template", "greeting", "--name", "compared", "--json")
    greeting = str(made.json["service_id"])
    assert shell("codewords", "run", greeting, "--input", '{"name": "Ada"}').code == 0
    until(lambda: shell("codewords", "replay", greeting).code == 0, "the recording", timeout=60)
    edited = shell("codewords", "edit", greeting, "--old", "Hello", "--new", "Goodbye", "--json").json
    printed = shell("codewords", "deploy", "--draft", edited["draft"]["draft_id"]).out
    assert "Beside version 1:" in printed
    assert "code         +1 -1 lines" in printed
    assert "permissions  unchanged" in printed
    assert "behaviour    1 changed" in printed
    assert "answer `message`: Hello Ada! → Goodbye Ada!" in printed
    assert "cost         Model calls: none." in printed
    shown = " ".join(shell("codewords", "show", greeting).out.split())
    assert "tried Replays: “1 changed" in shown
