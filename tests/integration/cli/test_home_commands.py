"""Secrets, keys, doctor and stop against the real runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.cli.terminal import Shell, Terminal
from tests.support.runtime import make_home, workflow
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow


@pytest.mark.requirement("cli:secrets")
def test_a_secret_comes_from_stdin_is_listed_by_name_and_deleted(shell: Shell) -> None:
    assert shell("codewords", "secrets", "set", "PIPED_TOKEN", stdin="s3cr3t-v4lue\n").code == 0
    listed = shell("codewords", "secrets", "list", "--json")
    assert "PIPED_TOKEN" in [item["name"] for item in listed.json]
    assert "s3cr3t-v4lue" not in listed.out
    assert shell("codewords", "secrets", "delete", "PIPED_TOKEN").code == 0
    assert shell("codewords", "secrets", "rm", "PIPED_TOKEN").code == 2  # as it was once called


@pytest.mark.requirement("cli:secret-prompt-hidden", "cli:secrets")
def test_a_secret_typed_at_the_prompt_is_not_shown(shell: Shell) -> None:
    terminal = Terminal(shell, "codewords", "secrets", "set", "TYPED_TOKEN")
    terminal.expect("Value of TYPED_TOKEN")
    terminal.type("s3cr3t-v4lue\n")
    assert terminal.end() == 0
    assert "is stored" in terminal.plain
    assert "s3cr3t" not in terminal.shown


@pytest.mark.requirement("cli:secrets", "cli:exit-codes")
def test_an_empty_value_is_refused(shell: Shell) -> None:
    assert shell("codewords", "secrets", "set", "EMPTY_TOKEN", stdin="").code == 2


@pytest.mark.requirement("cli:keys", "cli:remote")
def test_a_key_made_here_opens_the_runtime_from_elsewhere_until_it_is_revoked(
    shell: Shell, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = shell("codewords", "keys", "create", "--owner", "grace", "--json").json
    url = shell("codewords", "doctor", "--json").json["status"]["base_url"]
    elsewhere = Shell(
        tmp_path_factory.mktemp("elsewhere"), {"CODEWORDS_RUNTIME_URL": url, "CODEWORDS_API_KEY": made["key"]}
    )
    assert elsewhere("codewords", "list", "--json").json == [], "another owner's workflows are not shown"
    assert elsewhere("codewords", "keys", "list").code == 3, "a user's key administers nothing"
    listed = shell("codewords", "keys", "list")
    assert made["id"] in listed.out
    assert made["key"] not in listed.out
    assert shell("codewords", "keys", "revoke", made["id"]).code == 0
    refused = elsewhere("codewords", "list")
    assert refused.code == 3
    assert made["key"] not in refused.err


@pytest.mark.requirement("cli:keys", "access:scopes")
def test_a_key_has_the_scopes_and_toolsets_that_were_asked_for(shell: Shell) -> None:
    made = shell("codewords", "keys", "create", "--scope", "read,run", "--toolsets", "runs", "--json").json
    assert (made["kind"], made["scopes"], made["toolsets"]) == ("user", ["read", "run"], ["runs"])
    listed = shell("codewords", "keys", "list").out
    assert "read, run of runs" in listed
    for wrong in ("everything", "read,admin", "", "Read"):
        refused = shell("codewords", "keys", "create", "--scope", wrong)
        assert (refused.code, refused.out) == (2, "")
    assert shell("codewords", "keys", "create", "--toolsets", "No Name").code == 2


@pytest.mark.requirement("manifest:consent-gallery")
def test_a_template_that_reaches_out_is_asked_about_before_it_is_live(shell: Shell) -> None:
    command = ["codewords", "deploy", "--template", "web_page_facts", "--name", "page facts"]
    refused = shell(*command)
    assert refused.code != 0
    assert "any host of the internet" in refused.err
    assert "page facts" not in shell("codewords", "list").out
    assert shell(*command, "--allow").code == 0


@pytest.mark.requirement("cli:publish")
def test_a_workflow_is_published_listed_and_taken_back(shell: Shell) -> None:
    deployed = shell("codewords", "deploy", "--template", "greeting", "--name", "Says Hello", "--json")
    assert deployed.code == 0, deployed.err
    made = shell("codewords", "publish", "Says Hello", "--toolset", "hello")
    assert made.code == 0, made.err
    assert made.out == "says_hello is a tool of the toolset hello.\n"
    assert "/mcp/hello" in made.err
    assert "says_hello" in shell("codewords", "published").out
    assert shell("codewords", "unpublish", "says_hello").code == 0
    assert "says_hello" not in {one["tool"] for one in shell("codewords", "published", "--json").json}
    missing = shell("codewords", "unpublish", "says_hello")
    assert missing.code == 2
    assert "No tool of that name is published" in missing.err
    assert shell("codewords", "publish", "nothing_00000000").code == 2


@pytest.mark.requirement("cli:keys")
def test_a_key_is_printed_alone_so_that_it_can_be_piped(shell: Shell) -> None:
    made = shell("codewords", "keys", "create", "--one-time")
    assert made.out.startswith("cwotk-")
    assert made.out.count("\n") == 1
    assert "only time" in made.err


@pytest.mark.requirement("cli:doctor")
@pytest.mark.parametrize("program", ["codewords", "codewords-mcp"])
def test_doctor_says_whether_workflows_can_run_and_why(shell: Shell, program: str) -> None:
    found = shell(program, "doctor", "--json")
    tiers = {check["id"]: check for check in found.json["checks"]}
    assert {"version", "runtime", "sandbox", "home", "disk", "uv", "store"} <= set(tiers)
    assert found.json["ok"] is (found.code == 0)
    pins = next(check["detail"] for check in found.json["checks"] if check["id"] == "python")
    assert f"3.{sys.version_info[1]} (the runtime's own)" in pins
    told = shell(program, "doctor")
    assert told.code == found.code
    assert str(shell.home) in told.out
    assert "Workflows can" in told.out.splitlines()[-1]


@pytest.mark.requirement("cli:doctor-plain")
def test_doctor_names_the_workflows_that_can_read_a_secret(shell: Shell) -> None:
    code = workflow('@app.get("/")\ndef f():\n    return 1\n', env=("READ_ME", "HELD_KEY"), title="Reader")
    (shell.home / "reader.py").write_text(code, encoding="utf-8")
    for name, *more in (("READ_ME", "--plain"), ("HELD_KEY", "--host", "api.example.com")):
        assert shell("codewords", "secrets", "set", name, *more, stdin="some-value\n").code == 0
    deployed = shell("codewords", "deploy", str(shell.home / "reader.py"), "--allow")
    assert deployed.code == 0, deployed.err
    assert "READ_ME (plain: the code can read it)" in deployed.out + deployed.err
    notes = [one for one in shell("codewords", "doctor", "--json").json["checks"] if one["id"] == "secrets"]
    [note] = [one for one in notes if "reader can read" in one["detail"]]
    assert note["detail"] == "reader can read READ_ME: set without a host rule."
    assert "--host" in note["fix"]


@pytest.mark.requirement("cli:doctor", "cli:exit-codes")
def test_doctor_ends_with_1_where_no_runtime_can_be_reached(empty: Shell) -> None:
    empty.extra["CODEWORDS_RUNTIME_URL"] = "http://127.0.0.1:9"
    found = empty("codewords", "doctor", "--json")
    assert (found.code, found.json["ok"]) == (1, False)
    assert next(check for check in found.json["checks"] if check["id"] == "runtime")["status"] == "failed"


@pytest.mark.requirement("cli:starts-runtime", "cli:stop")
def test_a_command_starts_the_runtime_and_stop_ends_it(empty: Shell) -> None:
    empty.extra["CODEWORDS_PORT"] = "0"
    assert empty("codewords", "list", "--json").json == []
    assert (empty.home / "runtime.json").exists()
    stopped = empty("codewords", "stop", "--json").json
    assert stopped["stopped"] is True
    assert not (empty.home / "runtime.json").exists()


@pytest.mark.requirement("cli:schedules")
def test_a_schedule_is_made_listed_paused_resumed_and_deleted(shell: Shell, greeting: str) -> None:
    when = ("0 9 * * MON-FRI", "-z", "Europe/Berlin", "-i", '{"name": "Ada"}')
    made = shell("codewords", "schedules", "create", "greeting", *when)
    assert made.code == 0, made.err
    schedule = made.out.strip()
    listed = shell("codewords", "schedules", "list", "--json").json
    assert (schedule, greeting, 3) in [(one["id"], one["service_id"], len(one["next"])) for one in listed]
    assert "0 9 * * MON-FRI Europe/Berlin" in shell("codewords", "schedules", "show", schedule).out
    assert shell("codewords", "schedules", "pause", schedule, "--json").json["paused"] is True
    assert "paused" in shell("codewords", "schedules", "list").out
    assert shell("codewords", "schedules", "resume", schedule, "--json").json["paused"] is False
    assert shell("codewords", "schedules", "delete", schedule).code == 0
    assert shell("codewords", "schedules", "delete", schedule).code == 2


def _webhooks_of(shell: Shell, made: dict[str, Any]) -> list[dict[str, Any]]:
    # The home is shared with other tests of this folder.
    found = shell("codewords", "webhooks", "list", "--json").json
    return [webhook for webhook in found if webhook["service_id"] == made["service_id"]]


@pytest.mark.requirement("cli:webhooks")
def test_webhooks_are_made_and_what_came_is_shown_and_delivered_again(shell: Shell, greeting: str) -> None:
    made = shell("codewords", "webhooks", "create", "greeting", "--name", "shop", "--json").json
    listed = shell("codewords", "webhooks", "list").out
    assert greeting in listed
    assert made["id"] in listed
    sent = httpx.post(made["url"], json={"name": "Ada"}, trust_env=False).json()["delivery"]
    assert sent in {one["id"] for one in shell("codewords", "webhooks", "deliveries", "--json").json}
    assert "repeats   0" in shell("codewords", "webhooks", "show", sent).out
    assert '{"name":"Ada"}' in shell("codewords", "webhooks", "show", sent).out
    until(
        lambda: shell("codewords", "webhooks", "show", sent, "--json").json["status"] != "received",
        "the delivery to be passed on",
    )
    assert "delivered again" in shell("codewords", "webhooks", "redeliver", sent).out
    assert "is paused." in shell("codewords", "webhooks", "pause", made["id"]).out
    assert _webhooks_of(shell, made) == [made | {"paused": True}]
    assert "paused" in shell("codewords", "webhooks", "list").out
    again = shell("codewords", "webhooks", "create", "greeting", "--name", "shop")
    assert f"codewords webhooks resume {made['id']}" in again.err
    assert "is active." in shell("codewords", "webhooks", "resume", made["id"]).out
    assert shell("codewords", "webhooks", "create", "greeting", "--kind", "hub").code == 2
    assert shell("codewords", "webhooks", "delete", made["id"]).code == 0
    assert _webhooks_of(shell, made) == []


@pytest.mark.requirement("cli:schedules", "cli:errors-on-stderr")
def test_a_cron_expression_that_is_none_is_shown_with_a_caret_under_what_is_wrong(
    shell: Shell, greeting: str
) -> None:
    refused = shell("codewords", "schedules", "create", greeting, "0 25 * * *")
    assert refused.code == 2
    lines = refused.err.splitlines()
    at = lines.index("0 25 * * *")
    assert lines[at + 1].rstrip() == "  ^^"
    assert shell("codewords", "schedules", "create", greeting).code == 2


@pytest.mark.requirement("cli:doctor")
def test_doctor_names_runtimes_of_other_homes(shell: Shell, tmp_path: Path) -> None:
    other = Shell(make_home(tmp_path / "other"))
    other.serve()
    try:
        [note] = [
            one
            for one in shell("codewords", "doctor", "--json").json["checks"]
            if str(other.home) in one["detail"]
        ]
        assert note["id"] == "homes"
        assert f"CODEWORDS_HOME={other.home} codewords status" in note["fix"]
    finally:
        other("codewords", "stop")


@pytest.mark.requirement("cli:readme-terminal")
def test_the_terminal_block_of_the_readme_works_as_it_is_pasted(tmp_path: Path) -> None:
    pasted = Shell(make_home(tmp_path / "pasted"))
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Use it from a terminal")[2]
    block = text.partition("```sh\n")[2].partition("```")[0]
    assert block.count("\ncodewords ") == 4
    done = subprocess.run(
        ["sh", "-ec", block],
        cwd=ROOT,
        env=pasted.env,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Hello" in done.stdout
    finally:
        pasted("codewords", "stop")
