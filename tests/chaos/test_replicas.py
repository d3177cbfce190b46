"""Several runtimes on one PostgreSQL: any of them answers for any run, and what one leaves the others go on with."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.helpers import (
    Replicas,
    fired,
    lines,
    outcomes,
    record,
    result,
    running,
    start,
    starting,
)
from tests.support.background_runs import WORK, with_options
from tests.support.postgres import Postgres
from tests.support.s3 import serving_s3
from tests.support.served_runtime import ServedRuntime
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def replicas(postgres: Postgres, tmp_path: Path) -> Iterator[Replicas]:
    """On a new database."""
    with starting(postgres.url(), tmp_path) as replicas:
        yield replicas


@pytest.fixture(scope="module")
def three(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServedRuntime]]:
    """Three that nothing happens to, and that share no folder."""
    folder = tmp_path_factory.mktemp("three")
    with serving_s3() as s3, starting(postgres.url(), folder) as replicas:
        yield replicas(3, CODEWORDS_FILES=f"s3://{s3.bucket()}/uploads", **s3.environment)
    assert not (folder / "files").exists()


@contextlib.contextmanager
def log_of(runtime: ServedRuntime, run_id: str) -> Generator[Iterator[str]]:
    request = urllib.request.Request(f"{runtime.url}/logs/{run_id}", headers={"Authorization": runtime.key})
    with urllib.request.urlopen(request, timeout=60) as answer:
        yield (json.loads(line)["message"] for line in answer if line.strip())


@pytest.mark.requirement("replicas:any-answers")
def test_any_replica_answers_for_a_run_of_another_and_cancels_it(three: list[ServedRuntime]) -> None:
    one, other, _ = three
    service = one.deploy(WORK, "any")
    done = start(other, service, "x")
    assert result(one, done)["responseJson"] == {"name": "x"}
    long = start(one, service, "long", seconds=600)
    with log_of(other, long) as lines:
        assert "began long" in lines, "the log is followed from the other replica while it grows"
        cancelled = other.call("POST", f"/runs/{long}/cancel")
        assert cancelled["status"] == "cancelled"
        list(lines)  # it ends there too
    assert record(one, long)["status"] == "cancelled"


@pytest.mark.requirement("replicas:deployments")
def test_what_one_replica_deploys_revokes_or_stores_holds_for_all_at_once(
    three: list[ServedRuntime],
) -> None:
    one, other, _ = three
    service = one.deploy(WORK, "deployed again")
    assert result(other, start(other, service, "x"))["version"] == 1
    other.call("POST", "/deploy", {"code": WORK + "\n# another\n", "service_id": service}, timeout=300)
    assert result(one, start(one, service, "x"))["version"] == 2
    made = one.call("POST", "/keys", {"owner": "grace"})
    as_user = replace(other, key=made["key"])
    assert as_user.call("GET", "/workflows")["items"] == []
    one.call("DELETE", f"/keys/{made['id']}")
    with pytest.raises(AssertionError, match="401"):
        as_user.call("GET", "/workflows")


@pytest.mark.requirement("replicas:files", "http:files")
def test_a_file_uploaded_at_one_replica_is_read_at_another_though_they_share_no_folder(
    three: list[ServedRuntime],
) -> None:
    one, other, third = three
    data = bytes(range(256)) * 40_000  # more than one part
    links = one.call("POST", "/file?filename=a.bin")

    def at(runtime: ServedRuntime, link: str, **more: Any) -> Any:
        request = urllib.request.Request(f"{runtime.url}/{link.split('/', 3)[3]}", **more)
        return urllib.request.urlopen(request, timeout=60)

    at(other, links["upload_uri"], data=data, method="PUT", headers=links["upload_headers"]).close()
    for runtime in (one, third):
        with at(runtime, links["download_uri"]) as whole:
            assert whole.read() == data
        with at(runtime, links["download_uri"], headers={"Range": "bytes=9000000-9000009"}) as part:
            assert (part.status, part.read()) == (206, data[9_000_000:9_000_010])
    with pytest.raises(urllib.error.HTTPError, match="409"):
        at(third, links["upload_uri"], data=b"again", method="PUT")


@pytest.mark.requirement("replicas:take-over", "runs:crash-truth", "runs:once")
def test_the_runs_of_a_replica_that_dies_are_gone_on_with_by_the_others(replicas: Replicas) -> None:
    doomed, other = replicas(2, CODEWORDS_CONCURRENCY="4")
    plain = doomed.deploy(WORK, "plain")
    again = doomed.deploy(with_options(WORK, "retries = 2"), "again")
    begun = start(doomed, plain, "begun", seconds=600)
    retried = [start(doomed, again, f"r{n}", seconds=3) for n in range(3)]
    waiting = [start(doomed, plain, f"w{n}") for n in range(4)]
    running(doomed, begun, *retried)
    doomed.kill()
    ended = [result(other, run_id) for run_id in (begun, *retried, *waiting)]
    assert [run["status"] for run in ended] == ["interrupted"] + ["succeeded"] * 7
    assert [outcomes(run) for run in ended[1:4]] == [["interrupted", "succeeded"]] * 3
    assert [outcomes(run) for run in ended[4:]] == [["succeeded"]] * 4


def _begins(runtime: ServedRuntime, run_id: str) -> int:
    """The number of attempts of a run that have said that they begin."""
    return [line["message"] for line in lines(runtime, run_id, follow=False)].count("began x")


@pytest.mark.requirement("replicas:stands-still", "runs:once")
def test_a_replica_that_stood_still_for_longer_than_the_others_wait_changes_nothing_that_is_theirs_now(
    replicas: Replicas,
) -> None:
    still, other = replicas(2)
    plain = still.deploy(WORK, "plain")
    again = still.deploy(with_options(WORK, "retries = 1"), "again")
    once, twice = start(still, plain, "x", seconds=600), start(still, again, "x", seconds=6)
    running(still, once, twice)
    # What it has not stored when it stands still, it must not store later.
    until(lambda: _begins(other, twice) == 1, "the first attempt's line")
    os.kill(still.pid, signal.SIGSTOP)
    try:
        until(lambda: len(record(other, twice)["attempts"]) == 2, "the other to go on with it")
        ended = record(other, once)
        assert ended["status"] == "interrupted"
    finally:
        os.kill(still.pid, signal.SIGCONT)
    assert outcomes(result(still, twice)) == ["interrupted", "succeeded"]
    after = result(still, start(still, plain, "after"))
    assert (after["status"], outcomes(after)) == ("succeeded", ["succeeded"])
    assert record(still, once) == record(other, once) == ended
    assert _begins(other, twice) == 2


@pytest.mark.requirement("replicas:rolling")
def test_an_orderly_stop_hands_over_what_it_does_not_finish(replicas: Replicas) -> None:
    first, second = replicas(2, CODEWORDS_CONCURRENCY="1")
    service = first.deploy(with_options(WORK, "retries = 1"), "work")
    long = start(first, service, "long", seconds=600)
    running(first, long)
    waiting = [start(first, service, f"w{n}") for n in range(3)]
    os.kill(first.pid, signal.SIGTERM)
    first.wait()
    until(lambda: len(record(second, long)["attempts"]) == 2, "its second attempt")
    second.call("POST", f"/runs/{long}/cancel")
    ended = [result(second, run_id) for run_id in (long, *waiting)]
    assert [run["status"] for run in ended] == ["cancelled"] + ["succeeded"] * 3
    assert [len(run["attempts"]) for run in ended] == [2, 1, 1, 1]


@pytest.mark.requirement("schedules:exactly-once", "replicas:any-answers")
def test_a_time_fires_once_among_replicas(three: list[ServedRuntime]) -> None:
    from datetime import UTC, datetime, timedelta

    several = three
    service = several[0].deploy(WORK, "timed")
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    body = {"service_id": service, "at": soon, "input": {"name": "n"}}
    made = [several[n % 3].call("POST", "/schedules", body)["id"] for n in range(12)]
    until(lambda: len(fired(several[1], service)) >= len(made), "every schedule to fire")
    ended = [result(several[2], run["id"]) for run in fired(several[1], service)]
    assert sorted(run["scheduledRequestId"] for run in ended) == sorted(made)
    assert [outcomes(run) for run in ended] == [["succeeded"]] * len(made)


@pytest.mark.requirement("replicas:database-away", "runs:durable")
def test_a_database_that_crashes_and_comes_back_loses_no_run(replicas: Replicas, postgres: Postgres) -> None:
    one, other = replicas(2)
    service = one.deploy(with_options(WORK, "retries = 5"), "work")
    accepted = [start(runtime, service, "x", seconds=6) for runtime in (one, other) for _ in range(4)]
    begun = {"running", "succeeded"}
    until(lambda: all(record(one, run_id)["status"] in begun for run_id in accepted), "all runs to begin")
    postgres.end(signal.SIGQUIT)
    postgres.start()
    ended = [result(other, run_id) for run_id in accepted]
    assert [run["status"] for run in ended] == ["succeeded"] * len(accepted)
    assert result(one, start(one, service, "after"))["status"] == "succeeded"
