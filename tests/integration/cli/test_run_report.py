"""A person at a terminal gets what a model gets: why a run failed, what it was asked, its log as text, times of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.terminal import FEW, Shell, Terminal
from tests.support.runtime import make_home
from tests.support.waiting import until

BAD = """\
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn==0.34.2"]
# [tool.env-checker]
# env_vars = ["PORT=8000"]
# ///
import json
import os

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Asked(BaseModel):
    fail_at: int = 3


@app.post("/")
def count(asked: Asked) -> dict[str, int]:
    print("STEPLOG START count")
    print(json.dumps({"event": "counting", "level": "warning", "timestamp": "t", "number": asked.fail_at}))
    if asked.fail_at < 3:
        raise ValueError(f"cannot count {asked.fail_at}")
    return {"counted": 3}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""


@pytest.fixture(scope="module")
def kolkata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell of somebody in Kolkata, with a home of their own."""
    extra = {"CODEWORDS_PORT": "0", "TZ": "Asia/Kolkata"}
    shell = Shell(make_home(tmp_path_factory.mktemp("report") / "home", FEW), extra)
    shell.serve()
    yield shell
    assert shell("codewords", "stop").code == 0


@pytest.fixture(scope="module")
def bad(kolkata: Shell, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A workflow that failed last and succeeded before."""
    file = tmp_path_factory.mktemp("workflows") / "bad.py"
    file.write_text(BAD, encoding="utf-8")
    done = kolkata("codewords", "deploy", str(file), "--json", "--allow")
    assert done.code == 0, done.err
    assert kolkata("codewords", "run", "bad").code == 0
    return str(done.json["service_id"])


@pytest.mark.slow
@pytest.mark.requirement("cli:run-report")
def test_a_failed_run_tells_where_why_with_what_input_and_what_to_type_next(kolkata: Shell, bad: str) -> None:
    failed = kolkata("codewords", "run", "bad", "-i", '{"fail_at": 1}')
    assert failed.code == 1
    assert "hint: Where and why: codewords runs " in failed.err
    shown = kolkata("codewords", "runs", "last").out
    for part in (
        "failed, HTTP 500", 'asked     POST / {"fail_at": 1}', "step      count", "error     ValueError: cannot count 1",
        "line 26 in count: raise ValueError", ">  26         raise ValueError", "of the same code succeeded at",
    ):  # fmt: skip
        assert part in shown
    assert "+00:00" not in shown
    assert shown.count(" IST") >= 2
    terminal = Terminal(kolkata, "codewords", "runs", "last")
    assert terminal.end() == 0
    assert "The same again: codewords run" in terminal.plain
    assert f"codewords show {bad} --code" in terminal.plain
    record = kolkata("codewords", "runs", "last", "--json").json
    assert record["requestContent"] == '{"fail_at": 1}'
    assert record["createdAt"].endswith("Z")


@pytest.mark.slow
@pytest.mark.requirement("cli:run-report")
def test_a_run_that_succeeded_tells_input_and_answer(kolkata: Shell, bad: str) -> None:
    assert kolkata("codewords", "run", bad, "-i", '{"fail_at": 7}').code == 0
    shown = kolkata("codewords", "runs", "last").out
    assert 'asked     POST / {"fail_at": 7}' in shown
    assert 'answer    {"counted": 3}' in shown
    assert "error" not in shown


@pytest.mark.slow
@pytest.mark.requirement("trace:terminal")
def test_a_runs_timeline_is_drawn_in_a_pipe_and_on_a_terminal(kolkata: Shell, bad: str) -> None:
    assert kolkata("codewords", "run", bad, "-i", '{"fail_at": 7}').code == 0
    drawn = kolkata("codewords", "runs", "last", "--trace").out
    assert f"{bad} version " in drawn
    for part in ("queue ", "sandbox ", "program ", "▸ count ", "counting"):
        assert part in drawn
    assert "\x1b" not in drawn
    terminal = Terminal(kolkata, "codewords", "runs", "last", "--trace")
    assert terminal.end() == 0
    assert "▸ count" in terminal.plain
    spans = kolkata("codewords", "runs", "last", "--trace", "--json").json["spans"]
    assert [span["kind"] for span in spans][:2] == ["run", "queue"]
    assert kolkata("codewords", "runs", "--trace").code == 2


@pytest.mark.slow
@pytest.mark.requirement("cli:logs-readable")
def test_a_log_is_text_in_local_time_and_errors_come_with_their_whole_traceback(
    kolkata: Shell, bad: str
) -> None:
    assert kolkata("codewords", "run", bad, "-i", '{"fail_at": 2}').code == 1
    shown = kolkata("codewords", "logs", "last").out
    assert "[warning] counting number=2" in shown
    assert "+05:30  " in shown
    assert "Started server process" not in shown
    assert "Started server process" in kolkata("codewords", "logs", "last", "--all").out
    errors = kolkata("codewords", "logs", "last", "--level", "error").out
    assert "Traceback (most recent call last):" in errors
    assert 'File "/app/main.py", line 26, in count' in errors
    assert errors.rstrip().endswith("ValueError: cannot count 2")
    assert "counting" not in errors
    entries = kolkata("codewords", "logs", "last", "--level", "error", "--json").json
    assert entries[-1]["message"] == "ValueError: cannot count 2"
    assert {entry["level"] for entry in entries} == {"error"}
    assert entries[-1]["createdAt"].endswith("Z")


@pytest.mark.slow
@pytest.mark.requirement("schedules:input-fits")
def test_a_schedule_whose_input_does_not_fit_is_refused_and_a_twin_is_told(kolkata: Shell, bad: str) -> None:
    refused = kolkata("codewords", "schedules", "create", bad, "@daily", "-i", '{"fail_at": "x"}')
    assert refused.code == 2
    assert "The input does not fit the workflow: `fail_at` is no integer." in refused.err
    assert "an input is needed" in kolkata("codewords", "schedules", "create", bad, "@daily").err
    first = kolkata(
        "codewords", "schedules", "create", bad, "@daily", "-z", "Europe/Berlin", "-i", "{}", "--json"
    ).json
    assert first["availability"]["ends_when_idle"] is False
    second = kolkata("codewords", "schedules", "create", bad, "@daily", "-z", "Europe/Berlin", "-i", "{}")
    assert f"The schedule {first['id']} runs the same at the same times." in second.err
    listed = kolkata("codewords", "schedules", "list").out
    assert " 00:00 CE" in listed
    assert kolkata("codewords", "schedules", "delete", second.out.strip()).code == 0
    assert kolkata("codewords", "schedules", "delete", first["id"]).code == 0


@pytest.mark.slow
@pytest.mark.requirement("schedules:outcome")
def test_a_schedule_says_how_its_last_run_ended_and_a_deploy_what_it_breaks(
    kolkata: Shell, bad: str, tmp_path: Path
) -> None:
    file = tmp_path / "other.py"
    file.write_text(BAD, encoding="utf-8")
    other = kolkata("codewords", "deploy", str(file), "--json", "--allow").json["service_id"]
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    once = ("schedules", "create", other, "--at", soon, "-i", '{"fail_at": 0}', "--json")
    made = kolkata("codewords", *once).json
    daily = kolkata("codewords", "schedules", "create", other, "@daily", "-i", "{}", "--json").json

    def ended() -> dict[str, Any] | None:
        shown: dict[str, Any] = kolkata("codewords", "schedules", "show", made["id"], "--json").json
        assert shown["last_status"] in {None, "queued", "starting", "running", "failed"}
        return shown if shown["last_status"] == "failed" else None

    shown = until(ended, "the schedule's run to fail")
    assert shown is not None
    told = kolkata("codewords", "schedules", "show", made["id"]).out
    assert f"last run  {shown['last_run_id']}  failed" in told
    assert "The workflow answered 500." in told
    checks = [
        one for one in kolkata("codewords", "doctor", "--json").json["checks"] if one["id"] == "schedules"
    ]
    assert checks[0]["status"] == "warning"
    assert f"codewords runs {shown['last_run_id']}" in checks[-1]["fix"]
    file.write_text(BAD.replace("fail_at: int = 3", "fail_at: int = 3\n    name: str"), encoding="utf-8")
    changed = kolkata("codewords", "deploy", str(file), "--id", other, "--json", "--allow").json
    (warning,) = [one for one in changed["notes"] if one["id"] == "schedules"]
    assert (
        warning["message"]
        == f"The input of the schedule {daily['id']} does not fit any more: `name` is missing."
    )
    for schedule in (made, daily):
        assert kolkata("codewords", "schedules", "delete", schedule["id"]).code == 0


@pytest.mark.slow
@pytest.mark.requirement("cli:narrow")
def test_a_narrow_terminal_loses_no_column_and_breaks_no_id(kolkata: Shell, bad: str) -> None:
    made = kolkata("codewords", "schedules", "create", bad, "@daily", "-z", "UTC", "-i", "{}", "--json").json
    for words, wanted in (
        (("schedules", "list"), (made["id"], bad, "next ", " 00:00 UTC", "last run")),
        (("usage",), (bad, "runs ", "out 0 bytes")),
        (("runs",), (bad, "failed", "succeeded")),
    ):
        terminal = Terminal(kolkata, "codewords", *words)
        assert terminal.end() == 0
        for part in wanted:
            assert part in terminal.plain.lower() or part in terminal.plain
        assert "…" not in terminal.plain
    kolkata("codewords", "schedules", "delete", made["id"])


@pytest.mark.slow
@pytest.mark.requirement("cli:names")
def test_a_name_is_found_in_any_letters_and_an_empty_one_is_refused(
    kolkata: Shell, bad: str, tmp_path: Path
) -> None:
    file = tmp_path / "hello.py"
    file.write_text(BAD.replace("STEPLOG START count", "hello"), encoding="utf-8")
    for name in ("Über", "ÉCOLE", "İ", "ẞ"):
        assert kolkata("codewords", "deploy", str(file), "--name", name, "--allow").code == 0
        assert kolkata("codewords", "run", name).code == 0
        assert name in kolkata("codewords", "list", "--query", name).out
    refused = kolkata("codewords", "deploy", str(file), "--name", " ", "--allow")
    assert (refused.code, "The name is empty." in refused.err) == (2, True)
    assert kolkata("codewords", "budgets", "set", "workflow", "20", "--of", "nope_12345678").code == 2
    assert kolkata("codewords", "budgets", "set", "workflow", "20", "--of", bad).code == 0


@pytest.mark.slow
@pytest.mark.requirement("author:compare")
def test_a_diff_after_a_rollback_is_that_of_the_last_two_versions(kolkata: Shell, tmp_path: Path) -> None:
    file = tmp_path / "two.py"
    file.write_text(BAD.replace("cannot count", "one"), encoding="utf-8")
    made = kolkata("codewords", "deploy", str(file), "--json", "--allow").json["service_id"]
    file.write_text(BAD.replace("cannot count", "two"), encoding="utf-8")
    assert kolkata("codewords", "deploy", str(file), "--id", made, "--allow").code == 0
    before = kolkata("codewords", "diff", made).out
    assert kolkata("codewords", "rollback", made, "1").code == 0
    assert kolkata("codewords", "diff", made).out == before
    assert '+        raise ValueError(f"two' in before


@pytest.mark.requirement("cli:suggestions")
def test_a_command_of_the_other_program_is_named(empty: Shell) -> None:
    assert "codewords-mcp serve" in empty("codewords", "serve").err
    assert "codewords deploy" in empty("codewords-mcp", "deploy").err
    assert json.loads(empty("codewords-mcp", "install", "--print", "--json").out)
