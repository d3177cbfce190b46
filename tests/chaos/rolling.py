"""Replacing replicas behind a balancer under load, one by one, and finding what that lost, doubled or refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.chaos.helpers import Replicas, outcomes, result
from tests.chaos.upgrade_load import UpgradeLoad
from tests.support.balancer import Balancer
from tests.support.served_runtime import ServedRuntime
from tests.support.waiting import until

IN_BETWEEN = 25
"""Requests that are answered between two replacements."""
SETTINGS = {
    "CODEWORDS_DRAIN_TIMEOUT": "80",
    "CODEWORDS_SHUTDOWN_DELAY": "0.5",
    "CODEWORDS_REPLICA_TTL": "30",
}


@dataclass(frozen=True)
class UpgradeFaults:
    """Requests by their names: of runs that are gone or did not succeed, that ran twice, and that a retry did not mend."""

    lost: list[str]
    doubled: list[str]
    refused: list[str]


def join(balancer: Balancer, replica: ServedRuntime) -> None:
    """Send requests to a replica from now on."""
    balancer.add(_port(replica))
    until(lambda: balancer.is_ready(_port(replica)), "the balancer to find the replica ready")


def leave(balancer: Balancer, replica: ServedRuntime) -> None:
    """End a replica in order. It says that it is not ready before it takes no more connections."""
    os.kill(replica.pid, signal.SIGTERM)
    until(lambda: not balancer.is_ready(_port(replica)), "the balancer to find the replica not ready")
    replica.wait()
    assert replica.process is not None
    assert replica.process.returncode == 0
    balancer.remove(_port(replica))


def replace_all(
    replicas: Replicas,
    serving: list[ServedRuntime],
    balancer: Balancer,
    load: UpgradeLoad,
    on_started: Callable[[int], None] = lambda _number: None,
) -> list[ServedRuntime]:
    """Replace each replica by a new one; those that serve then. `on_started(number)` follows the start of each."""
    new: list[ServedRuntime] = []
    for number, old in enumerate(serving):
        new += replicas(1, **SETTINGS)
        on_started(number)
        join(balancer, new[-1])
        leave(balancer, old)
        answered(load, IN_BETWEEN)
    return new


def answered(load: UpgradeLoad, count: int) -> None:
    """Wait until so many more requests are answered."""
    wanted = len(load.replies) + count
    until(lambda: len(load.replies) >= wanted or load.refused, "more requests to be answered")


def faults_of(load: UpgradeLoad, replica: ServedRuntime) -> UpgradeFaults:
    """Compare every reply with its run, and all runs with the requests."""
    lost: list[str] = []
    doubled: list[str] = []
    for name, reply in load.replies.items():
        if name.startswith("run-"):
            run = {"status": "succeeded", "responseJson": reply}
        else:
            run = result(replica, reply["request_id"])
            if outcomes(run) != ["succeeded"]:
                doubled.append(name)
        if (run["status"], run["responseJson"]) != ("succeeded", {"name": name}):
            lost.append(name)

    recorded = _all_runs(replica)
    lost += [run["id"] for run in recorded if run["status"] != "succeeded"]
    doubled += ["one more run than requests"] * max(0, len(recorded) - len(load.replies))
    lost += ["one run fewer than requests"] * max(0, len(load.replies) - len(recorded))
    return UpgradeFaults(lost, doubled, load.refused)


def _port(replica: ServedRuntime) -> int:
    return int(replica.url.rpartition(":")[2])


def _all_runs(replica: ServedRuntime) -> list[Any]:
    items: list[Any] = []
    cursor = ""
    while True:
        page = replica.call("GET", f"/runs?limit=100{cursor}")
        items += page["items"]
        if not page.get("next_cursor"):
            return items
        cursor = f"&cursor={page['next_cursor']}"
