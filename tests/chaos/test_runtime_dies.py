"""kill -9 of the runtime, between calls and during them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.chaos.helpers import SLOW_WORKFLOW
from tests.support.runtime import make_home
from tests.support.stdio_client import ENVELOPE, Json, Peer, Standin, texts, tool_result
from tests.support.waiting import until

from codewords_mcp.stdio import home as homes

Front = Callable[..., Peer]
ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])


def kill_runtime(home: Path) -> int:
    pid = homes.holder(str(home))
    assert pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: homes.holder(str(home)) is None, "the kernel to let go of the lock")
    return pid


def opened(front: Front, era: str, **env: str) -> Peer:
    peer = front(**env)
    if era == "legacy":
        peer.initialize()
    return peer


@pytest.mark.slow
@pytest.mark.requirement("stdio:crash-restart", "stdio:crash-note")
@ERAS
def test_the_call_after_a_crash_is_carried_out_by_another_runtime_and_says_so_once(
    front: Front, home: Path, era: str
) -> None:
    peer = opened(front, era)
    before = texts(peer.call(era, "list_templates"))
    dead = kill_runtime(home)
    after = texts(peer.call(era, "list_templates"))
    assert after[0].startswith("Note: the runtime had stopped and was started again")
    assert after[1:] == before
    assert texts(peer.call(era, "list_templates")) == before
    assert "the runtime had stopped and was started again" in peer.errors
    assert homes.holder(str(home)) not in {None, dead}
    assert peer.end() == 0


@pytest.mark.slow
@pytest.mark.requirement("stdio:crash-restart")
def test_a_restart_adds_no_message_that_the_host_did_not_ask_for(front: Front, home: Path) -> None:
    peer = opened(front, "legacy")
    peer.request("logging/setLevel", {"level": "info"})
    kill_runtime(home)
    peer.request("tools/list")
    peer.request("ping")
    assert peer.end() == 0
    assert len(peer.lines) == 4


@pytest.mark.requirement("stdio:crash-in-flight")
@ERAS
def test_a_call_in_flight_gets_an_error_that_says_what_happened_and_how_to_go_on(
    standin: Callable[..., Standin], front: Front, home: Path, tmp_path: Path, era: str
) -> None:
    runtime = standin(STANDIN_MARKS=str(tmp_path))
    peer = opened(front, era)
    params: Json = {"name": "hang", "arguments": {"name": "x"}} | (
        {"_meta": ENVELOPE} if era == "modern" else {}
    )
    request = peer.ask("tools/call", params)
    until((tmp_path / "x-started").exists, "the call to start")
    runtime.kill()
    error = peer.answer(request)["error"]
    assert error["code"] == -32000
    assert "while this call was in flight" in error["message"]
    assert "interrupted" in error["message"]
    assert "get_run" in error["message"]
    again = standin()
    assert again.process.poll() is None
    assert texts(peer.call(era, "add", {"a": 1, "b": 2}))[-1] == "3"


@pytest.mark.requirement("stdio:session-again")
def test_the_log_level_that_the_host_chose_is_said_again_to_the_next_runtime(
    standin: Callable[..., Standin], front: Front, tmp_path: Path
) -> None:
    marks = [tmp_path / "first", tmp_path / "second"]
    for folder in marks:
        folder.mkdir()
    runtime = standin(STANDIN_MARKS=str(marks[0]))
    peer = opened(front, "legacy")
    assert peer.request("logging/setLevel", {"level": "warning"})["result"] == {}
    runtime.kill()
    standin(STANDIN_MARKS=str(marks[1]))
    assert texts(peer.call("legacy", "add", {"a": 1, "b": 2}))[-1] == "3"
    assert (marks[1] / "level-warning").exists()
    answered = [one["id"] for one in map(json.loads, peer.lines) if "id" in one]
    assert answered == [1, 2, 3], peer.lines


@pytest.mark.slow
@pytest.mark.requirement("runs:interrupted-by-crash", "home:survives-crash")
def test_a_run_in_flight_is_interrupted_and_what_is_deployed_and_logged_is_still_there(
    front: Front, home: Path
) -> None:
    make_home(home)
    peer = opened(front, "modern")
    deployed = tool_result(peer, "deploy_workflow", code=SLOW_WORKFLOW, name="slow")
    workflow = deployed["workflow_id"]
    finished = tool_result(peer, "run_workflow", workflow_id=workflow, input={"seconds": 0})
    assert finished["status"] == "succeeded"
    running = tool_result(peer, "run_workflow", workflow_id=workflow, input={"seconds": 600}, wait_seconds=0)[
        "run_id"
    ]
    until(lambda: "working" in str(tool_result(peer, "get_run", run_id=running)), "the workflow to print")
    waiting = peer.ask(
        "tools/call",
        {"name": "get_run", "arguments": {"run_id": running, "wait_seconds": 40}, "_meta": ENVELOPE},
    )
    tool_result(peer, "get_run", run_id=running)  # answered: the call before it has reached the runtime too
    kill_runtime(home)
    assert "interrupted" in peer.answer(waiting)["error"]["message"]

    after = tool_result(peer, "get_run", run_id=running)
    assert after["status"] == "interrupted"
    assert "working" in str(after)
    kept = tool_result(peer, "get_workflow", workflow_id=workflow)
    assert [(run["run_id"], run["status"]) for run in kept["last_runs"]] == [
        (running, "interrupted"),
        (finished["run_id"], "succeeded"),
    ]
    assert [version["version"] for version in kept["versions"]] == [deployed["version"]]
    again = tool_result(peer, "run_workflow", workflow_id=workflow, input={"seconds": 0})
    assert again["status"] == "succeeded"
