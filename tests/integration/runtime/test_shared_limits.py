"""Limits among runtimes that share a PostgreSQL: exact, also where they start runs at the same moment."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from email.message import Message
from typing import Any

import pytest
from tests.support.background_runs import WORK, with_options
from tests.support.postgres import Postgres
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

pytestmark = [pytest.mark.slow, pytest.mark.requirement("runs:limits", "store:postgres")]
SETTINGS = {
    "CODEWORDS_API_KEY": "cwk-replicas-share-their-admin-key",
    "CODEWORDS_MASTER_KEY": "a1" * 32,
    "CODEWORDS_CONCURRENCY": "3",
}


@pytest.fixture(scope="module")
def replicas(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServedRuntime]]:
    folder = tmp_path_factory.mktemp("replicas")
    shared = SETTINGS | {
        "CODEWORDS_DATABASE_URL": postgres.migrated_url(),
        "CODEWORDS_FILES": str(folder / "files"),
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(start_runtime(make_home(folder / f"home {n}"), **shared)) for n in range(2)
        ]


def ask(runtime: ServedRuntime, door: str, service: str, seconds: float) -> tuple[int, Message, Any]:
    """(status, headers, body) of a run."""
    asked = urllib.request.Request(
        f"{runtime.url}/{door}/{service}/",
        data=json.dumps({"name": "x", "seconds": seconds}).encode(),
        headers={"Authorization": runtime.key, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return answer.status, answer.headers, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.loads(error.read())


def most_at_once(runs: list[Any]) -> int:
    """By the records: how many were active at the same time."""
    changes = sorted(change for run in runs for change in ((run["startedAt"], 1), (run["completedAt"], -1)))
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


@pytest.mark.parametrize(
    ("options", "limit"), [((), 3), (("concurrency = 1",), 1)], ids=["caller", "workflow"]
)
def test_the_limit_is_exact_where_replicas_start_runs_at_the_same_moment(
    replicas: list[ServedRuntime], options: tuple[str, ...], limit: int
) -> None:
    service = replicas[0].deploy(with_options(WORK, *options), f"at most {limit}")
    together = threading.Barrier(8)

    def one(number: int) -> str:
        door = "run" if number % 4 == 3 else "run_async"  # waited for, and in the background
        together.wait()
        status, headers, body = ask(replicas[number % 2], door, service, 0.2)
        assert status in {200, 202}, body
        return str(headers["X-Request-Id"])

    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(one, range(8)))
    ended = [replicas[0].call("GET", f"/result/{run_id}?timeout=120") for run_id in ids]
    assert [run["status"] for run in ended] == ["succeeded"] * 8
    assert [len(run["attempts"]) for run in ended] == [1] * 8
    assert most_at_once(ended) == limit


def test_a_full_line_is_full_for_all_replicas_and_the_answer_says_which(
    replicas: list[ServedRuntime],
) -> None:
    one, other = replicas
    service = one.deploy(with_options(WORK, "concurrency = 1", "queue_limit = 1"), "line of one")
    first, second = (ask(one, "run_async", service, 600)[1] for _ in range(2))
    status, headers, body = ask(other, "run_async", service, 0)
    assert (status, body["error"]["limit"], headers["Retry-After"]) == (429, "workflow", "5")
    assert ask(other, "run", service, 0)[0] == 429
    waiting = other.call("GET", f"/request/{second['X-Request-Id']}")
    assert (waiting["status"], waiting["waitsFor"]) == ("queued", "workflow")
    for headers in (second, first):
        assert other.call("POST", f"/runs/{headers['X-Request-Id']}/cancel")["status"] == "cancelled"
    assert ask(other, "run", service, 0)[0] == 200
