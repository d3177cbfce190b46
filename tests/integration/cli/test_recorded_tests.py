"""`codewords test` and the pytest file of a recording, as a person and a build server use them."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.integration.cli.terminal import Shell
from tests.support.waiting import until

pytestmark = [pytest.mark.slow]


@pytest.fixture
def tested(shell: Shell, greeting: str) -> str:
    """A run of the greeting, which is a test."""
    assert shell("codewords", "run", greeting, "--input", '{"name": "Ada"}').code == 0
    run = str(shell("codewords", "runs", "--workflow", greeting, "--json").json[0]["id"])
    # A recording is stored soon after its run.
    until(lambda: shell("codewords", "test", "--add", run).code == 0, "the recording", timeout=60)
    return run


@pytest.mark.requirement("testing:command")
def test_a_recorded_run_tests_its_workflow_and_other_code_and_tells_build_servers(
    shell: Shell, greeting: str, tested: str, tmp_path: Path
) -> None:
    assert tested in shell("codewords", "test", greeting, "--list").out
    passed = shell("codewords", "test", greeting)
    assert passed.code == 0, passed.err
    assert "passed" in passed.out
    assert "Hello" in passed.out, "the example runs too"

    code = shell("codewords", "show", greeting, "--code").out
    file, report = tmp_path / "main.py", tmp_path / "report.xml"
    file.write_text(code.replace("Hello", "Goodbye"), encoding="utf-8")
    unknown = shell("codewords", "test", str(file))
    assert unknown.code == 2
    assert "--workflow" in unknown.err
    failed = shell("codewords", "test", str(file), "--workflow", greeting, "--junit", str(report))
    assert failed.code == 1
    assert "Hello Ada! → Goodbye Ada!" in failed.out
    suite = ET.parse(report).getroot()  # of our own
    failures = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    assert failures[tested] is not None
    assert suite.get("failures") == "1"

    assert shell("codewords", "test", "--remove", tested).code == 0
    assert "no recorded tests" in shell("codewords", "test", greeting, "--no-example").err
    assert (
        "nothing that a test can expect" in shell("codewords", "test", "--add", tested, "--expect", "x").err
    )


@pytest.mark.requirement("testing:example", "testing:command")
def test_the_example_of_a_draft_is_kept_in_its_header_and_fails_a_test_that_it_breaks(
    shell: Shell, greeting: str, tmp_path: Path
) -> None:
    assert "draft_… --add example" in shell("codewords", "test", greeting, "--add", "example").err
    file = tmp_path / "main.py"
    code = shell("codewords", "show", greeting, "--code").out
    file.write_text(code, encoding="utf-8")
    service = str(shell("codewords", "deploy", str(file), "--name", "expecting", "--json").json["service_id"])
    file.write_text(f"{code}\n# another\n", encoding="utf-8")
    edited = shell("codewords", "edit", service, str(file))
    assert "A first test: to its example it answers $.message: string." in edited.out
    drafts = {one["workflow_id"]: one["draft_id"] for one in shell("codewords", "drafts", "--json").json}
    draft = str(drafts[service])
    assert f"codewords test {draft} --add example" in edited.out
    kept = shell("codewords", "test", draft, "--add", "example")
    assert "is a test now: $.message: string" in kept.out, kept.err
    assert "proposes no test" in shell("codewords", "test", draft, "--add", "example").err
    assert shell("codewords", "deploy", "--draft", draft).code == 0
    passed = shell("codewords", "test", service)
    assert passed.code == 0, passed.err
    assert "as its header expects: $.message: string" in passed.err

    # Live all the same: a check of an example is a warning.
    kept_code = shell("codewords", "show", service, "--code").out
    file.write_text(kept_code.replace("$.message: string", "$.total: number"), encoding="utf-8")
    deployed = shell("codewords", "deploy", str(file), "--id", service)
    assert deployed.code == 0, deployed.err
    assert "it has no `$.total`" in deployed.out + deployed.err
    failed = shell("codewords", "test", service)
    assert failed.code == 1
    assert "Not as its header expects: it has no `$.total`" in failed.err


@pytest.mark.requirement("testing:pytest")
def test_a_pytest_file_replays_the_run_on_the_authors_own_file(
    shell: Shell, greeting: str, tested: str, tmp_path: Path
) -> None:
    code = shell("codewords", "show", greeting, "--code").out
    file, test = tmp_path / "main.py", tmp_path / "tests" / "test_greeting.py"
    file.write_text(code, encoding="utf-8")
    exported = shell(
        "codewords", "recordings", "export", tested, "--pytest", "-o", str(test), "--file", str(file)
    )
    assert exported.code == 0, exported.err
    assert str(tmp_path) not in test.read_text(encoding="utf-8"), "it moves with the repository"

    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(
        words, env=shell.env, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout
    file.write_text(code.replace("Hello", "Goodbye"), encoding="utf-8")
    done = subprocess.run(
        words, env=shell.env, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 1
    assert "Hello Ada! → Goodbye Ada!" in done.stdout
    badly_named = ["-o", str(tmp_path / "greeting.py"), "--file", str(file)]
    assert "test_….py" in shell("codewords", "recordings", "export", tested, "--pytest", *badly_named).err
