"""Three replicas behind a balancer are replaced one by one under load, by ones that have migrated the database."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from tests.chaos.helpers import outcomes, result, starting
from tests.chaos.upgrade_load import UpgradeLoad
from tests.support.background_runs import WORK
from tests.support.balancer import Balancer, balancing
from tests.support.newer_release import add_to_tables
from tests.support.postgres import Postgres
from tests.support.served_runtime import ServedRuntime
from tests.support.waiting import until

from codewords_mcp.runtime.store.database_address import database_url

pytestmark = pytest.mark.slow
IN_BETWEEN = 25
"""Requests that are answered between two replacements."""


@pytest.mark.requirement("replicas:upgrade", "replicas:rolling", "store:compatible", "runs:once")
def test_replicas_that_are_replaced_under_load_lose_and_double_no_run_and_refuse_nothing_twice(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.url()
    settings = {
        "CODEWORDS_DRAIN_TIMEOUT": "80",
        "CODEWORDS_SHUTDOWN_DELAY": "0.5",
        "CODEWORDS_REPLICA_TTL": "30",
    }
    with starting(url, tmp_path) as replicas, balancing() as balancer:
        serving = replicas(3, **settings)
        service = serving[0].deploy(WORK, "work")
        for replica in serving:
            _join(balancer, replica)

        load = UpgradeLoad(balancer.port, serving[0].key, service)
        with load.running(callers=4, submitters=2):
            _answered(load, IN_BETWEEN)
            for number, old in enumerate(list(serving)):
                [new] = replicas(1, **settings)
                serving.append(new)
                if number == 0:
                    # As the first replica of a new release does, while those of the old one go on.
                    _migrate(url)
                _join(balancer, new)
                _leave(balancer, old)
                _answered(load, IN_BETWEEN)

        _check(load, serving[-1])


def _join(balancer: Balancer, replica: ServedRuntime) -> None:
    balancer.add(_port(replica))
    until(lambda: balancer.is_ready(_port(replica)), "the balancer to find the replica ready")


def _leave(balancer: Balancer, replica: ServedRuntime) -> None:
    """End a replica in order. It says that it is not ready before it takes no more connections."""
    os.kill(replica.pid, signal.SIGTERM)
    until(lambda: not balancer.is_ready(_port(replica)), "the balancer to find the replica not ready")
    replica.wait()
    assert replica.process is not None
    assert replica.process.returncode == 0
    balancer.remove(_port(replica))


def _port(replica: ServedRuntime) -> int:
    return int(replica.url.rpartition(":")[2])


def _migrate(url: str) -> None:
    engine = create_engine(database_url(url))
    with engine.begin() as connection:
        add_to_tables(connection)
    engine.dispose()


def _answered(load: UpgradeLoad, count: int) -> None:
    """Wait until so many more requests are answered."""
    wanted = len(load.replies) + count
    until(lambda: len(load.replies) >= wanted or load.refused, "more requests to be answered")


def _check(load: UpgradeLoad, replica: ServedRuntime) -> None:
    assert load.refused == []
    for name, reply in load.replies.items():
        if name.startswith("run-"):
            assert reply == {"name": name}
            continue
        run = result(replica, reply["request_id"])
        assert (run["status"], outcomes(run), run["responseJson"]) == (
            "succeeded",
            ["succeeded"],
            {"name": name},
        )

    recorded = _all_runs(replica)
    assert len(recorded) == len(load.replies), "each request is one run"
    assert {run["status"] for run in recorded} == {"succeeded"}


def _all_runs(replica: ServedRuntime) -> list[Any]:
    items: list[Any] = []
    cursor = ""
    while True:
        page = replica.call("GET", f"/runs?limit=100{cursor}")
        items += page["items"]
        if not page.get("next_cursor"):
            return items
        cursor = f"&cursor={page['next_cursor']}"
