"""The commands against the real runtime, sandbox and environments."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from tests.integration.cli.terminal import BIN, Shell, Terminal
from tests.support.runtime import ECHO, MAIN

pytestmark = pytest.mark.slow

ADA = '{"name": "Ada"}'


@pytest.mark.requirement("cli:run", "cli:plain-when-piped")
def test_run_passes_the_answer_on_as_it_came(shell: Shell, greeting: str) -> None:
    result = shell("codewords", "run", greeting, "--input", ADA)
    assert (result.code, json.loads(result.out)) == (0, {"message": "Hello Ada!"})
    assert result.err == ""


@pytest.mark.requirement("cli:run")
def test_the_input_comes_from_a_file_or_stdin_too(shell: Shell, greeting: str, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text(ADA, encoding="utf-8")
    assert "Hello Ada!" in shell("codewords", "run", greeting, "--input", f"@{file}").out
    assert "Hello Ada!" in shell("codewords", "run", greeting, "--input", "-", stdin=ADA).out


@pytest.mark.requirement("cli:run", "cli:json-only-stdout")
def test_run_with_json_prints_the_record_of_the_run(shell: Shell, greeting: str) -> None:
    record = shell("codewords", "run", "greeting", "--input", ADA, "--json").json
    assert record["serviceId"] == greeting
    assert (record["status"], record["responseStatus"], record["responseJson"]) == (
        "succeeded",
        200,
        {"message": "Hello Ada!"},
    )


@pytest.mark.requirement("cli:run", "cli:exit-codes")
def test_a_workflow_that_answers_an_error_ends_with_1_and_its_answer_is_printed(
    shell: Shell, greeting: str, slow: str
) -> None:
    refused = shell("codewords", "run", greeting, "--input", "{}")
    assert (refused.code, "detail" in json.loads(refused.out)) == (1, True)
    assert "error: " in refused.err
    teapot = shell("codewords", "run", slow, "--path", "/teapot")
    assert (teapot.code, teapot.out) == (1, "short and stout\n")
    assert "418" in teapot.err


@pytest.mark.requirement("cli:exit-codes")
@pytest.mark.parametrize(
    "words",
    [
        ["run", "no-such_00000000"],
        ["show", "no-such"],
        ["logs", "no-such"],
        ["cancel", "no-such"],
        ["rollback", "no-such", "1"],
    ],
)
def test_an_unknown_id_ends_with_2(shell: Shell, words: list[str]) -> None:
    result = shell("codewords", *words)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")


@pytest.mark.requirement("cli:suggestions")
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(shell: Shell, greeting: str) -> None:
    for words, meant in (
        (["deply"], "Did you mean 'deploy'"),
        (["run", "greting"], "Did you mean greeting?"),
    ):
        result = shell("codewords", *words)
        assert (result.code, result.out) == (2, "")
        assert meant in result.err
    service = shell("codewords", "run", "gemini")
    assert "Did you mean" not in service.err, "a library service is no misspelt workflow"


@pytest.mark.requirement("cli:suggestions", "cli:show")
def test_input_that_does_not_fit_leads_to_what_the_route_takes(shell: Shell, greeting: str) -> None:
    refused = shell("codewords", "run", greeting, "--input", "{}")
    assert f"codewords show {greeting}" in refused.err
    assert "takes   name (string)" in shell("codewords", "show", greeting).out


@pytest.mark.requirement("cli:closed-streams")
def test_streams_that_are_closed_are_empty_ones(shell: Shell) -> None:
    code = BIN / "codewords"
    for command, exit_code, said in (
        (f"{code} secrets set CLOSED <&-", 2, "value is empty"),
        (f"{code} deploy - <&-", 1, "The script is empty."),
        (f"{code} list >&-", 0, ""),
    ):
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env=shell.env,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert (done.returncode, said in done.stdout + done.stderr) == (exit_code, True), done


@pytest.mark.requirement("cli:run-timeout", "cli:exit-codes")
def test_a_run_that_passes_its_timeout_is_cancelled(shell: Shell, slow: str) -> None:
    result = shell("codewords", "run", slow, "--path", "/wait", "--timeout", "2")
    assert result.code == 1
    assert "was cancelled" in result.err
    newest = shell("codewords", "runs", "--workflow", slow, "--limit", "1", "--json").json[0]
    assert newest["status"] == "cancelled"


@pytest.mark.requirement("cli:run-cancel")
def test_ctrl_c_cancels_the_run(shell: Shell, slow: str) -> None:
    terminal = Terminal(shell, "codewords", "run", slow, "--path", "/wait")
    terminal.expect("Running")
    run_id = _wait_for_running(shell, slow)
    terminal.interrupt()
    assert terminal.end() == 130
    assert f"Cancelled {run_id}" in terminal.plain
    assert (
        shell("codewords", "runs", "--workflow", slow, "--limit", "1", "--json").json[0]["status"]
        == "cancelled"
    )


def _wait_for_running(shell: Shell, workflow: str) -> str:
    """The id of the newest run, once it has written its first line."""
    newest = shell("codewords", "runs", "--workflow", workflow, "--limit", "1", "--json").json[0]
    following = shell.start("codewords", "logs", "-f", newest["id"])
    assert following.stdout is not None
    try:
        assert any("waiting" in line for line in following.stdout)
    finally:
        following.kill()
        following.communicate(timeout=120)
    return str(newest["id"])


@pytest.mark.requirement("cli:run-async", "cli:cancel")
def test_a_run_in_the_background_gives_its_id_and_can_be_cancelled(shell: Shell, slow: str) -> None:
    run_id = shell("codewords", "run", slow, "--path", "/wait", "--async").out.strip()
    cancelled = shell("codewords", "cancel", run_id, "--json").json
    assert (cancelled["id"], cancelled["status"]) == (run_id, "cancelled")
    again = shell("codewords", "cancel", run_id)
    assert again.code == 2


@pytest.mark.requirement("cli:run-async")
def test_a_run_in_the_background_can_wait_come_first_and_be_started_once(shell: Shell, greeting: str) -> None:
    words = ("codewords", "run", greeting, "--async", "--delay", "600", "--priority", "7")
    once = (*words, "--idempotency-key", f"once-{greeting}")
    first, second = shell(*once).out, shell(*once).out
    assert first == second
    waiting = next(run for run in shell("codewords", "runs", "--json").json if run["id"] == first.strip())
    assert (waiting["status"], waiting["waitsFor"]) == ("queued", "time")
    assert shell("codewords", "cancel", first.strip()).code == 0
    refused = shell("codewords", "run", greeting, "--delay", "600")
    assert (refused.code, "Add --async" in refused.err) == (2, True)


@pytest.mark.requirement("cli:logs", "cli:no-control-chars")
def test_logs_follow_a_run_as_it_writes_and_ctrl_c_only_stops_the_printing(shell: Shell, slow: str) -> None:
    run_id = shell("codewords", "run", slow, "--path", "/wait", "--async").out.strip()
    following = shell.start("codewords", "logs", "-f", run_id)
    assert following.stdout is not None
    line = next(line for line in following.stdout if "waiting" in line)
    assert line.endswith("waiting now\n"), "what clears a screen, or turns its order, is taken out"
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=120)
    assert following.returncode == 0
    assert shell("codewords", "cancel", run_id).code == 0


@pytest.mark.requirement("cli:logs", "cli:json-only-stdout")
def test_logs_of_a_run_that_has_ended_are_an_array_with_json(shell: Shell, greeting: str) -> None:
    run_id = shell("codewords", "run", greeting, "--input", ADA, "--json").json["id"]
    # The log goes on for a moment after the answer: this follows it to its end.
    lines = shell("codewords", "logs", "-f", run_id, "--json").out.splitlines()
    entries = shell("codewords", "logs", run_id, "--json").json
    assert {"createdAt", "stream", "message"} <= set(entries[0])
    assert [json.loads(line) for line in lines] == entries
    assert len(shell("codewords", "logs", "last", "--all").out.splitlines()) == len(entries)


@pytest.mark.requirement("cli:runs")
def test_runs_list_id_service_status_and_time_newest_first(shell: Shell, greeting: str) -> None:
    shell("codewords", "run", greeting, "--input", ADA)
    items = shell("codewords", "runs", "--json").json
    assert {"id", "serviceId", "status", "createdAt"} <= set(items[0])
    assert [item["createdAt"] for item in items] == sorted(
        (item["createdAt"] for item in items), reverse=True
    )
    only = shell("codewords", "runs", "--workflow", "greeting", "--status", "succeeded", "--json").json
    assert {(item["serviceId"], item["status"]) for item in only} == {(greeting, "succeeded")}
    first = shell("codewords", "runs", "--limit", "1").out.split("\t")
    assert len(first) == 5


@pytest.mark.requirement("cli:runs-sql")
def test_runs_are_filtered_by_time_and_text_and_asked_by_sql(shell: Shell, greeting: str) -> None:
    shell("codewords", "run", greeting, "-i", '{"name": "Zoltan the 9th"}')
    found = shell(
        "codewords", "runs", "--since", "1h", "--text", "zoltan the 9th", "--trigger", "caller", "--json"
    ).json
    assert [run["inputPreview"] for run in found] == ["name: Zoltan the 9th"]
    assert shell("codewords", "runs", "--until", "30d", "--json").json == []
    told = shell("codewords", "runs", "--sql", "SELECT id, status FROM runs ORDER BY created_at DESC LIMIT 1")
    assert found[0]["id"] in told.out
    assert "calls: run_id" in shell("codewords", "runs", "--sql", "").out
    refused = shell("codewords", "runs", "--sql", "DELETE FROM runs")
    assert refused.code != 0
    assert "Only one SELECT" in refused.err


@pytest.mark.requirement("cli:runs", "runs:egress-recorded")
def test_one_run_is_shown_with_what_it_reached_and_was_refused(shell: Shell, slow: str) -> None:
    assert shell("codewords", "run", slow, "--path", "/reach").code == 1
    shown = shell("codewords", "runs", "last").out
    assert f"{slow} version 1" in shown
    assert "refused   10.0.0.1:80" in shown
    assert "reached" not in shown
    record = shell("codewords", "runs", "last", "--json").json
    [refused] = record["usage"]["egress"]["reached"]
    assert "CODEWORDS_EGRESS_ALLOW_PRIVATE" in refused.pop("why")
    assert refused == {"host": "10.0.0.1", "port": 80, "allowed": False, "count": 1}
    assert shell("codewords", "runs", "no-such").code == 2


@pytest.mark.requirement("cli:list", "cli:plain-when-piped")
def test_a_list_in_a_pipe_is_tab_separated_and_on_a_terminal_a_table(shell: Shell, greeting: str) -> None:
    rows = [line.split("\t") for line in shell("codewords", "list").out.splitlines()]
    assert (greeting, "greeting") in {(row[0], row[2]) for row in rows}
    table = Terminal(shell, "codewords", "list", "--query", "greeting")
    assert table.end() == 0
    assert "ID" in table.plain.splitlines()[0]
    assert greeting in table.plain
    assert all(len(line) <= 80 for line in table.plain.splitlines())


@pytest.mark.requirement("cli:show")
def test_show_tells_address_routes_and_versions_and_prints_the_code_alone(
    shell: Shell, greeting: str
) -> None:
    detail = shell("codewords", "show", "greeting", "--json").json
    assert detail["service_id"] == greeting
    shown = shell("codewords", "show", greeting).out
    assert detail["url"] in shown
    assert shell("codewords", "show", greeting, "--code").out.startswith("# /// script")


@pytest.mark.requirement("cli:deploy")
def test_what_a_deploy_only_notes_is_explained_at_the_first_version(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "noted.py"
    for version in range(2):
        file.write_text(f"{ECHO.removesuffix(MAIN)}\n# Version {version}\n", encoding="utf-8")
        printed = shell("codewords", "deploy", str(file)).out
        assert "No line serves `app`" in printed
        assert ("End the script with:" in printed) is (version == 0)


@pytest.mark.requirement("cli:deploy", "cli:rollback")
def test_a_deploy_of_the_same_file_is_a_new_version_and_rollback_brings_the_old_one_back(
    shell: Shell, slow: str, tmp_path: Path
) -> None:
    code = shell("codewords", "show", slow, "--code").out
    file = tmp_path / "slow.py"
    file.write_text(code.replace("short and stout", "tall and thin"), encoding="utf-8")
    refused = shell("codewords", "deploy", str(file))
    assert refused.code == 2, "a file of that name in another folder is not meant by the name"
    assert f"--id {slow}" in refused.err
    assert "version 2 is live" in shell("codewords", "deploy", str(file), "--id", slow).out
    assert "nothing changed" in shell("codewords", "deploy", str(file)).out
    assert shell("codewords", "run", slow, "--path", "/teapot").out == "tall and thin\n"
    assert shell("codewords", "rollback", "slow", "1").out == f"{slow} now serves version 1.\n"
    assert shell("codewords", "run", slow, "--path", "/teapot").out == "short and stout\n"


@pytest.mark.requirement("cli:deploy")
def test_two_files_of_one_name_from_two_folders_are_never_versions_of_one_workflow(
    shell: Shell, slow: str, tmp_path: Path
) -> None:
    code = shell("codewords", "show", slow, "--code").out
    first, second = tmp_path / "a" / "twins.py", tmp_path / "b" / "twins.py"
    for file in (first, second):
        file.parent.mkdir()
        file.write_text(code + f"# {file.parent.name}\n", encoding="utf-8")
    made = shell("codewords", "deploy", str(first), "--allow", "--json").json
    refused = shell("codewords", "deploy", str(second), "--allow", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (2, "conflict")
    assert refused.json["error"]["service_id"] == made["service_id"]
    own = shell("codewords", "deploy", str(second), "--name", "second twin", "--allow", "--json").json
    assert own["service_id"] != made["service_id"]
    for file, deployed in ((first, made), (second, own)):
        file.write_text(file.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        named = ("--name", "second twin") if file is second else ()
        again = shell("codewords", "deploy", str(file), *named, "--allow", "--json").json
        assert (again["service_id"], again["version"]) == (deployed["service_id"], 2), "each file is its own"
    shell("codewords", "delete", made["service_id"], "--yes")
    anew = shell("codewords", "deploy", str(first), "--allow", "--json").json
    assert anew["version"] == 1, "a file whose workflow is gone makes one anew"


@pytest.mark.requirement("cli:validate", "cli:deploy", "cli:exit-codes")
def test_code_that_does_not_pass_ends_with_1_and_says_where(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("# /// script\n# dependencies = []\n# ///\ndef f(:\n", encoding="utf-8")
    checked = shell("codewords", "validate", str(file))
    assert checked.code == 1
    assert f"{file}:4:" in checked.out
    assert shell("codewords", "validate", str(file), "--json").json["all_passed"] is False
    deployed = shell("codewords", "deploy", str(file))
    assert deployed.code == 1
    assert f"{file}:4:" in deployed.out
    assert deployed.out.count("Not looked at") == 1, "what was not reached is one line"
    assert deployed.err == "error: The workflow was not deployed: a check failed.\n", (
        "and nothing is said twice"
    )
    refused = shell("codewords", "deploy", str(file), "--json")
    assert (refused.code, refused.json["error"]["code"]) == (1, "validation_failed")
    assert "broken" not in shell("codewords", "list").out


@pytest.mark.requirement("cli:validate")
def test_code_from_stdin_is_validated_and_passes(shell: Shell, greeting: str) -> None:
    code = shell("codewords", "show", greeting, "--code").out
    result = shell("codewords", "validate", "-", stdin=code)
    assert result.code == 0
    assert "stdin: All checks passed." in result.out


@pytest.mark.requirement("cli:run")
def test_bytes_reach_a_pipe_whole_and_a_terminal_not_at_all(shell: Shell, slow: str, tmp_path: Path) -> None:
    words = [str(BIN / "codewords"), "run", slow, "--path", "/binary", "--method", "GET"]
    assert subprocess.run(words, capture_output=True, timeout=60, env=shell.env, check=True).stdout == bytes(
        range(256)
    )
    terminal = Terminal(shell, "codewords", *words[1:])
    assert terminal.end() == 0
    assert "256 bytes of application/octet-stream" in terminal.plain


@pytest.mark.requirement("cli:templates")
def test_templates_are_listed(shell: Shell) -> None:
    assert "greeting" in [line.split("\t")[0] for line in shell("codewords", "templates").out.splitlines()]
    assert "greeting" in [item["id"] for item in shell("codewords", "templates", "--json").json]
    assert shell("codewords", "templates", "greeting").out.startswith("# /// script\n")
    assert "There is no template nope" in shell("codewords", "templates", "nope").err


@pytest.mark.requirement("manifest:cli")
def test_a_deploy_that_asks_for_something_fails_with_it_and_the_command_that_agrees(
    shell: Shell, slow: str, tmp_path: Path
) -> None:
    code = shell("codewords", "show", slow, "--code").out
    file = tmp_path / "reaching.py"
    reach = 'import urllib.request\ndef more():\n    urllib.request.urlopen("https://api.example.com/x")\n'
    file.write_text(code.replace("\n# ///\n", f"\n# ///\n{reach}", 1), encoding="utf-8")
    assert "api.example.com" in shell("codewords", "validate", str(file)).out
    refused = shell("codewords", "deploy", str(file))
    assert refused.code == 3
    assert "+ hosts        10.0.0.1, api.example.com" in refused.err
    assert f"codewords deploy {file} --allow" in refused.err
    as_json = shell("codewords", "deploy", str(file), "--json")
    assert as_json.json["error"]["asks"] == ["hosts        10.0.0.1, api.example.com"]
    assert "reaching" not in shell("codewords", "list").out
    for answer, code in (("n", 3), ("y", 0)):
        terminal = Terminal(shell, "codewords", "deploy", str(file))
        terminal.expect("Do you agree?", timeout=120)
        terminal.type(f"{answer}\n")
        assert terminal.end(timeout=120) == code, terminal.plain
    assert "hosts 10.0.0.1, api.example.com" in shell("codewords", "show", "reaching").out
    file.write_text(
        file.read_text(encoding="utf-8").replace("api.example.com", "b.example.com"), encoding="utf-8"
    )
    assert "hosts 10.0.0.1, b.example.com" in shell("codewords", "deploy", str(file), "--allow").out
