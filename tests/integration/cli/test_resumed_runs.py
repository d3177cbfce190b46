"""`codewords runs resume`: a person reads what a run asks, and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.terminal import FEW, Shell
from tests.support.counting_host import CountingHost, counting_host
from tests.support.resumable_runs import resumable
from tests.support.runtime import make_home

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def host() -> Iterator[CountingHost]:
    with counting_host() as opened:
        yield opened


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, host: CountingHost) -> Iterator[Shell]:
    """A shell whose runtime's workflows reach the host."""
    home = make_home(tmp_path_factory.mktemp("resume") / "home", FEW)
    allowed = json.dumps([f"127.0.0.1:{host.port}"])
    shell = Shell(home, {"CODEWORDS_PORT": "0", "CODEWORDS_EGRESS_ALLOW_PRIVATE": allowed})
    shell.serve()
    yield shell
    assert shell("codewords", "stop").code == 0


@pytest.mark.requirement("runs:resume-asks")
def test_a_person_reads_the_writes_that_a_run_asks_about_and_answers_for_each(
    asking: Shell, host: CountingHost, tmp_path: Path
) -> None:
    file = tmp_path / "resumable.py"
    file.write_text(resumable("{count = 1, resume = true}"), encoding="utf-8")
    service = asking("codewords", "deploy", str(file), "--json", "--allow").json["service_id"]
    left = {"first", "second"}

    def fate(key: str) -> int:
        return 0 if key in left else 200

    host.fate = fate
    writes = [["POST", f"{host.url}/write", {"key": key}] for key in sorted(left)]
    data = json.dumps({"steps": [writes], "strict": True})
    started = asking("codewords", "run", service, "--async", "--json", "--input", data)
    run = str(started.json["request_id"])
    asking("codewords", "logs", run, "-f")
    shown = asking("codewords", "runs", run)
    assert "2 writes may have been carried out" in shown.out
    assert f"codewords runs resume {run}" in shown.out

    asked = asking("codewords", "runs", "resume", run)
    assert asked.code == 2
    assert "Which of these 2 writes were carried out?" in asked.err
    assert "1. POST" in asked.err
    assert '{"key":"first"}' in asked.err
    assert "--write 1=sent --write 2=sent" in asked.err
    assert asking("codewords", "runs", "resume", run, "--sent").code == 2
    assert "--write is a number" in asking("codewords", "runs", "resume", run, "--write", "1").err

    # They were sent side by side, so either may be the first.
    keys = sorted(left, key=lambda key: asked.err.index(f'{{"key":"{key}"}}'))
    numbers = {key: number for number, key in enumerate(keys, 1)}
    left.clear()
    answers = ["--write", f"{numbers['first']}=sent", "--write", f"{numbers['second']}=not-sent"]
    done = asking("codewords", "runs", "resume", run, *answers)
    assert done.code == 0, done.err
    resumed = done.out.split()[0]
    asking("codewords", "logs", resumed, "-f")
    assert asking("codewords", "runs", resumed, "--json").json["status"] == "succeeded"
    assert (host.writes["first"], host.writes["second"]) == (1, 2)
    again = asking("codewords", "runs", "resume", run)
    assert resumed in again.err
