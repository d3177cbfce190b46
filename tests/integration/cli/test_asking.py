"""What a person at a terminal is asked before a command does it, and that they hear where nobody is asked."""

from __future__ import annotations

import json

import httpx
import pytest
from tests.integration.cli.terminal import FEW, Shell, Terminal
from tests.support.runtime import make_home

MAIL = {"to": "friend@example.org", "subject": "Hello", "text": "From a\nterminal"}
RUN = ("codewords", "run", "send_email", "--input", json.dumps(MAIL))
INPUT = '{"name": "Ada"}'


def unsent(shell: Shell) -> int:
    return shell("codewords", "run", "send_email", "--path", "/outbox").out.count("friend@example.org")


@pytest.mark.requirement("services:terminal")
def test_a_service_that_writes_is_called_from_a_terminal_once_the_person_said_so(shell: Shell) -> None:
    before = unsent(shell)
    for answer, code, sent in (("n", 3, 0), ("", 3, 0), ("y", 0, 1)):
        terminal = Terminal(shell, *RUN)
        terminal.expect("Do it?")
        assert "+ service: send_email" in terminal.plain
        assert "+ to: “friend@example.org”" in terminal.plain
        assert "+ text: “From a terminal”" in terminal.plain, "on one line"
        terminal.type(f"{answer}\n")
        assert terminal.end() == code, terminal.plain
        assert unsent(shell) == before + sent


@pytest.mark.requirement("services:terminal")
@pytest.mark.parametrize("path", ["send", "/send_message/", "//send", "/%73end"])
def test_every_spelling_of_a_path_is_asked_about(shell: Shell, path: str) -> None:
    data = json.dumps({"channel": "C1", "text": "hi"})
    terminal = Terminal(shell, "codewords", "run", "slack_trigger", "--path", path, "--input", data)
    terminal.expect("Do it?")
    terminal.type("n\n")
    assert terminal.end() == 3, terminal.plain


@pytest.mark.requirement("services:terminal")
def test_nobody_is_asked_in_a_script_with_yes_or_about_what_reads(shell: Shell) -> None:
    before = unsent(shell)
    assert shell(*RUN).code == 0, "a script is its owner's"
    said = Terminal(shell, *RUN, "--yes")
    assert said.end() == 0, said.plain
    reads = Terminal(shell, "codewords", "run", "send_email", "--path", "/outbox")
    assert reads.end() == 0, reads.plain
    for shown in (said.plain, reads.plain):
        assert "Do it?" not in shown
    assert unsent(shell) == before + 2


@pytest.mark.requirement("services:terminal")
def test_a_workflow_of_ones_own_is_run_from_a_terminal_without_a_question(
    shell: Shell, greeting: str
) -> None:
    terminal = Terminal(shell, "codewords", "run", greeting, "--input", '{"name": "Ada"}')
    assert terminal.end() == 0, terminal.plain
    assert "Do it?" not in terminal.plain


@pytest.mark.requirement("pages:unattended")
def test_that_nobody_is_asked_is_said_by_doctor_and_open(
    shell: Shell, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = make_home(tmp_path_factory.mktemp("unattended") / "home", FEW)
    alone = Shell(home, {"CODEWORDS_PORT": "0", "CODEWORDS_CONSENT": "token"})
    alone.serve()
    try:
        found = alone("codewords", "doctor", "--json").json["checks"]
        [warning] = [one for one in found if one["id"] == "consent"]
        assert warning["status"] == "warning"
        assert "CODEWORDS_CONSENT=token" in warning["detail"]
        assert "CODEWORDS_CONSENT=token" in alone("codewords", "open").err
    finally:
        alone("codewords", "stop")
    checks = shell("codewords", "doctor", "--json").json["checks"]
    assert "consent" not in {one["id"] for one in checks}
    assert "CODEWORDS_CONSENT" not in shell("codewords", "open").err


def of_another(shell: Shell, greeting: str, name: str) -> str:
    """The id of a public workflow of the owner `theirs`, which reaches a host."""
    code = shell("codewords", "show", greeting, "--code").out
    more = 'import urllib.request\ndef more():\n    urllib.request.urlopen("https://api.example.com/x")\n'
    url = shell("codewords", "doctor", "--json").json["status"]["base_url"]
    key = shell("codewords", "keys", "create", "--owner", "theirs", "--json").json["key"]
    body = {
        "code": code.replace("\n# ///\n", f"\n# ///\n{more}", 1),
        "name": name,
        "public": True,
        "allow": True,
    }
    done = httpx.post(f"{url}/deploy", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=120)
    assert done.is_success, done.text
    return str(done.json()["service_id"])


@pytest.mark.requirement("authority:runner-asked")
def test_what_anothers_workflow_would_do_is_shown_before_it_is_run(shell: Shell, greeting: str) -> None:
    made = of_another(shell, greeting, "theirs")
    refused = shell("codewords", "run", made, "--input", '{"name": "Ada"}')
    assert refused.code == 3
    assert "api.example.com" in refused.err
    assert "/consents/" in refused.err
    scheduled = shell(
        "codewords", "schedules", "create", made, "@yearly", "-z", "UTC", "-i", '{"name": "Ada"}'
    )
    assert scheduled.code == 3
    assert "api.example.com" in scheduled.err
    as_json = shell("codewords", "run", made, "--input", '{"name": "Ada"}', "--json")
    assert "api.example.com" in " ".join(as_json.json["error"]["asks"])


@pytest.mark.requirement("authority:runner-asked", "authority:runner-withdraws")
def test_a_person_agrees_to_anothers_workflow_on_a_terminal_and_withdraws_it_by_a_command(
    shell: Shell, greeting: str
) -> None:
    made = of_another(shell, greeting, "agreed on a terminal")
    run = ("codewords", "run", made, "--input", INPUT)

    def answered(answer: str, *words: str) -> tuple[int, str]:
        terminal = Terminal(shell, *words)
        terminal.expect("Do you agree?")
        assert "theirs published it" in " ".join(terminal.plain.split())
        assert "api.example.com" in terminal.plain
        terminal.type(f"{answer}\n")
        return terminal.end(), terminal.plain

    for no in ("n", ""):
        code, shown = answered(no, *run)
        assert code == 3, shown
    code, shown = answered("y", *run)
    assert code == 0, shown
    assert "Ada" in shown
    unasked = Terminal(shell, *run)
    assert unasked.end() == 0, unasked.plain
    assert "Do you agree?" not in unasked.plain

    assert made in shell("codewords", "agreements", "list").out
    [one] = [a for a in shell("codewords", "agreements", "list", "--json").json if a["service_id"] == made]
    assert one["published_by"] == "theirs"
    assert shell("codewords", "agreements", "withdraw", made).code == 0
    assert made not in shell("codewords", "agreements", "list").out
    assert shell("codewords", "agreements", "withdraw", made).code == 2
    assert shell(*run).code == 3, "it is asked about again"

    code, shown = answered(
        "y", "codewords", "schedules", "create", made, "@yearly", "-z", "UTC", "--input", INPUT
    )
    assert code == 0, shown
