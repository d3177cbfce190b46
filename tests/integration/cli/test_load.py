"""A load test of a real runtime: it measures, and leaves nothing behind."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from tests.integration.cli.terminal import Shell
from tests.support.waiting import until

from codewords_mcp.cli.load.command import NAME

pytestmark = [pytest.mark.slow, pytest.mark.requirement("cli:load")]
SHORT = ("--seconds", "0.3", "--callers", "2", "--batch", "10")


def load_workflows(shell: Shell) -> list[Any]:
    return [one for one in shell("codewords", "list", "--json").json if one["name"].startswith(NAME)]


def test_a_load_test_measures_runs_of_both_kinds_and_deletes_its_workflow(shell: Shell) -> None:
    done = shell("codewords", "load", *SHORT, "--json")
    assert done.code == 0, done.err
    synchronous, background = done.json["synchronous"], done.json["background"]
    assert [step["size"] for step in synchronous["steps"]] == [1, 2]
    assert [(step["size"], step["runs"]) for step in background["steps"]] == [(10, 10)]
    for step in (*synchronous["steps"], *background["steps"]):
        assert step["failures"] == {}
        assert 0 < step["p50_ms"] <= step["p95_ms"] <= step["p99_ms"]
        assert step["runs_per_second"] > 0
        assert step["phases_ms"]["total"] > 0
    assert {synchronous["limit"]["kind"], background["limit"]["kind"]} <= {
        "slots", "processors", "sandboxes", "workflow", "runtime", "nothing",
    }  # fmt: skip
    assert load_workflows(shell) == []
    deployed = done.json["workflow"]
    assert {run["serviceId"] for run in shell("codewords", "runs", "--json").json} >= {deployed}


def test_ones_own_workflow_is_loaded_with_an_input_and_stays(shell: Shell, greeting: str) -> None:
    done = shell("codewords", "load", greeting, "--input", '{"name": "Ada"}', *SHORT)
    assert done.code == 0, done.err
    assert "Synchronous runs" in done.out
    assert "Background runs" in done.out
    assert greeting in [one["service_id"] for one in shell("codewords", "list", "--json").json]


def test_failures_are_counted_and_named(shell: Shell, greeting: str) -> None:
    done = shell("codewords", "load", greeting, *SHORT, "--json")
    assert done.code == 0, done.err
    for kind in ("synchronous", "background"):
        found = done.json[kind]
        assert sum(found["steps"][-1]["failures"].values()) > 0
        assert found["limit"]["kind"] == "refusals"


def test_an_input_without_a_workflow_is_refused(shell: Shell) -> None:
    assert shell("codewords", "load", "--input", "{}").code == 2


@pytest.mark.parametrize(
    ("options", "at_least"),
    [
        (("--seconds", "600", "--batch", "0"), 2),
        # More runs than one caller makes in the short step before them.
        (("--callers", "1", "--seconds", "0.1", "--batch", "40000"), 60),
    ],
    ids=["synchronous", "background"],
)
def test_ctrl_c_leaves_no_run_and_no_workflow(shell: Shell, options: tuple[str, ...], at_least: int) -> None:
    command = shell.start("codewords", "load", *options)
    try:
        until(lambda: load_workflows(shell), "the workflow of the test")
        [deployed] = load_workflows(shell)
        until(lambda: len(_runs(shell, deployed["service_id"])) >= at_least, "runs of the test")
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=120)
    finally:
        command.kill()
    assert command.returncode == 130, out + err
    assert load_workflows(shell) == []
    assert {run["status"] for run in _runs(shell, deployed["service_id"])} <= {"succeeded", "cancelled"}


def _runs(shell: Shell, service_id: str) -> list[Any]:
    runs = shell("codewords", "runs", "--limit", "100", "--json").json
    return [run for run in runs if run["serviceId"] == service_id]
