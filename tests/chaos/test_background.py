"""kill -9 of a runtime that has background runs: none is lost, none is doubled, and the record tells what happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.chaos.helpers import fired, lines, outcomes, record, result, running, start
from tests.support.background_runs import WORK, with_options
from tests.support.runtime import make_home
from tests.support.served_runtime import start_runtime
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.requirement("runs:durable", "runs:crash-truth", "runs:retries", "runs:line")
def test_after_a_kill_each_accepted_run_ends_once_and_its_record_tells_what_happened(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    with start_runtime(home, CODEWORDS_CONCURRENCY="2") as runtime:
        plain = runtime.deploy(WORK, "plain")
        again = runtime.deploy(with_options(WORK, "retries = 1"), "again")
        begun = start(runtime, plain, "x", seconds=600)
        retried = start(
            runtime, again, "x", seconds=8
        )  # on a busy machine it must be running at the kill, too
        waiting = [start(runtime, plain, f"waiting {n}") for n in range(3)]
        delayed = start(runtime, plain, "delayed", delay=0.5)
        running(runtime, begun, retried)
        runtime.kill()
    with start_runtime(home, CODEWORDS_CONCURRENCY="2") as runtime:
        assert record(runtime, begun)["status"] == "interrupted"
        ended = [result(runtime, one) for one in (begun, retried, *waiting, delayed)]
        assert [run["status"] for run in ended] == ["interrupted"] + ["succeeded"] * 5
        assert outcomes(ended[0]) == ["interrupted"]
        assert outcomes(ended[1]) == ["interrupted", "succeeded"]
        assert [outcomes(run) for run in ended[2:]] == [["succeeded"]] * 4
        log = [line["message"] for line in lines(runtime, retried)]
        assert log.count("began x") == 2
        assert "attempt 2 of 2: attempt 1 interrupted" in log


@pytest.mark.requirement("runs:durable", "runs:once", "runs:crash-truth")
def test_killed_again_and_again_under_load_nothing_is_lost_and_nothing_done_twice(tmp_path: Path) -> None:
    home, accepted = make_home(tmp_path / "home"), list[str]()
    for _ in range(2):
        with start_runtime(home, CODEWORDS_CONCURRENCY="4") as runtime:
            service = runtime.deploy(with_options(WORK, "retries = 10"), "again")
            accepted += [start(runtime, service, str(n), seconds=0.3) for n in range(12)]
            latest = accepted[-12:]
            until(lambda of=latest: any(record(runtime, one)["attempts"] for one in of), "an attempt")
            runtime.kill()
    with start_runtime(home, CODEWORDS_CONCURRENCY="4") as runtime:
        ended = [result(runtime, one) for one in accepted]
    assert [run["status"] for run in ended] == ["succeeded"] * len(accepted)
    for run in ended:
        assert outcomes(run) == ["interrupted"] * (len(run["attempts"]) - 1) + ["succeeded"]
        assert [attempt["number"] for attempt in run["attempts"]] == [*range(1, len(run["attempts"]) + 1)]


@pytest.mark.requirement("schedules:survive", "schedules:exactly-once", "schedules:missed")
def test_times_that_came_while_the_runtime_was_dead_are_made_up_for_once(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    with start_runtime(home) as runtime:
        service = runtime.deploy(WORK, "work")
        soon = datetime.now(UTC) + timedelta(seconds=8)
        body = {"service_id": service, "at": soon.isoformat(), "input": {"name": "by itself"}}
        made = [runtime.call("POST", "/schedules", body)["id"] for _ in range(5)]
        yearly = runtime.call("POST", "/schedules", {"service_id": service, "cron": "@yearly"})
        runtime.kill()
    until(lambda: datetime.now(UTC) > soon, "the time to come while nobody is there")
    for _ in range(2):
        with start_runtime(home) as runtime:
            until(lambda: len(fired(runtime, service)) >= len(made), "the runs to be started")
            assert sorted(run["scheduledRequestId"] for run in fired(runtime, service)) == sorted(made)
            ended = [result(runtime, run["id"]) for run in fired(runtime, service)]
            assert [run["status"] for run in ended] == ["succeeded"] * len(made)
            told_once = {"availability": None}  # only the answer that made it says what starts the runtime
            assert runtime.call("GET", f"/schedules/{yearly['id']}") == yearly | told_once
            runtime.kill()
