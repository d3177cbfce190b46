"""`codewords status` against the real runtime: piped, on a terminal, from elsewhere, and where none runs."""

from __future__ import annotations

import pytest
from tests.integration.cli.terminal import Shell, Terminal

from codewords_mcp.cli.costs import money

pytestmark = [pytest.mark.slow, pytest.mark.requirement("cli:status")]


def test_without_a_runtime_it_says_so_and_starts_none(empty: Shell) -> None:
    told = empty("codewords", "status")
    assert (told.code, told.out) == (3, f"No runtime runs for the home {empty.home}.\n")
    assert "codewords-mcp serve" in told.err
    assert empty("codewords", "status", "--json").json == {"running": False, "home": str(empty.home)}
    assert not empty.home.exists()


def test_a_runtime_elsewhere_that_does_not_answer_is_told(empty: Shell) -> None:
    empty.extra["CODEWORDS_RUNTIME_URL"] = "http://127.0.0.1:9"
    told = empty("codewords", "status")
    assert told.code == 3
    assert "error: " in told.err


def test_it_shows_what_the_runtime_does(shell: Shell, greeting: str) -> None:
    assert shell("codewords", "run", greeting, "--input", '{"name": "Ada"}').code == 0
    assert shell("codewords", "budgets", "set", "home", "5", "--per", "month").code == 0
    told = shell("codewords", "status")
    found = shell("codewords", "status", "--json").json
    assert told.code == 0
    lines = {line[2:11].strip(): line[12:] for line in told.out.splitlines()}
    assert lines["runtime"].startswith(f"{found['version']} at {found['base_url']}, for ")
    assert f"pid {found['pid']}, home {shell.home}" in lines["runtime"]
    assert lines["runs"].startswith("0 active, 0 waiting, ")
    assert found["runs"]["recorded"] >= 1
    assert found["environments"] >= 1
    assert lines["alerts"] == "none" if found["alerts"] == 0 else "not over" in lines["alerts"]
    assert f"home, each month: {money(0)} of {money(5)} USD spent" in told.out
    assert f"{found['environments']} environments" in lines["storage"]
    assert found["running"] is True


def test_on_a_terminal_of_80_columns_no_line_is_cut(shell: Shell) -> None:
    terminal = Terminal(shell, "codewords", "status")
    assert terminal.end() == 0
    lines = terminal.plain.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    together = " ".join(line[12:].strip() for line in lines)
    assert "free on the disk" in together
    assert str(shell.home) in together.replace(" ", "")


@pytest.mark.requirement("quotas:owners")
def test_a_key_of_another_owner_sees_its_own_quota_and_no_budgets(
    shell: Shell, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for owner in ("sales", "labs"):
        assert shell("codewords", "quotas", "set", owner, "--runs-per-day", "0").code == 0
    made = shell("codewords", "keys", "create", "--owner", "sales", "--json").json
    found = shell("codewords", "status", "--json").json
    variables = {"CODEWORDS_RUNTIME_URL": found["base_url"], "CODEWORDS_API_KEY": made["key"]}
    elsewhere = Shell(tmp_path_factory.mktemp("sales"), variables)
    own = elsewhere("codewords", "status", "--json").json
    assert [quota["owner"] for quota in own["quotas"]] == ["sales"]
    assert own["budgets"] is None
    assert {quota["owner"] for quota in found["quotas"]} >= {"sales", "labs"}
    shown = elsewhere("codewords", "status").out
    assert "sales has used up its quota: runs_per_day." in shown
    assert "pid" not in shown
    for owner in ("sales", "labs"):
        assert shell("codewords", "quotas", "delete", owner).code == 0
