"""kill -9 while a trigger is deployed, while it emits, and while it is taken down: one trigger, each event once, then none."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.integration.triggers.helpers import KEEPS
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

from codewords_testing.pipedream import LoopbackConnect, loopback_connect

pytestmark = pytest.mark.slow
ISSUE = {"app": "github", "event": "github-new-issue", "props": {"repoFullname": "ann/tools"}}


@pytest.fixture
def connect() -> Iterator[LoopbackConnect]:
    with loopback_connect() as running:
        running.connect_account("codewords-local", "github")
        yield running


def prepare(runtime: ServedRuntime, connect: LoopbackConnect) -> str:
    """A workflow, in a home that has the credentials of the broker; its id."""
    for name, value in connect.credentials.items():
        runtime.call("PUT", f"/secrets/{name}", {"value": value})
    return runtime.deploy(KEEPS, "Keeps")


def add(runtime: ServedRuntime, service: str) -> str:
    body = {"kind": "pipedream", "service_id": service, "options": ISSUE}
    return str(runtime.call("POST", "/triggers", body)["trigger"]["id"])


def looked_at(runtime: ServedRuntime, trigger: str) -> bool:
    return runtime.call("GET", f"/triggers/{trigger}")["polled_at"] is not None


def make_due(home: Path, *, looks: bool = False) -> None:
    """Whatever is to be tried later, or to be looked at, is due when the runtime starts."""
    with closing(sqlite3.connect(home / "codewords.db", timeout=30)) as database, database:
        database.execute("UPDATE trigger_deployments SET sent_at = 0 WHERE sent_at IS NOT NULL")
        database.execute("UPDATE trigger_deployments SET due_at = 0 WHERE due_at IS NOT NULL")
        if looks:
            database.execute("UPDATE triggers SET next_at = 0 WHERE next_at IS NOT NULL")


@pytest.mark.requirement("triggers:deployed-once", "triggers:deployed-gone")
def test_a_kill_in_the_middle_leaves_one_trigger_each_event_once_and_then_none(
    tmp_path: Path, connect: LoopbackConnect
) -> None:
    home, killed = make_home(tmp_path / "home"), threading.Event()
    env = {"CODEWORDS_PIPEDREAM_BASE_URL": connect.url}

    def kill() -> None:
        connect.deployed.after_deploy = connect.deployed.before_delete = None
        runtime.kill()
        killed.set()

    # It is deployed, and the runtime is killed before it hears so.
    with start_runtime(home, **env) as runtime:
        service = prepare(runtime, connect)
        connect.deployed.after_deploy = kill
        trigger = add(runtime, service)
        assert killed.wait(60)
    assert len(connect.deployed.all) == 1

    # It emits; the runtime is killed again and again while it looks and starts runs.
    emitted: list[str] = []
    for turn in range(4):
        make_due(home, looks=True)
        with start_runtime(home, **env) as runtime:
            until(lambda: looked_at(runtime, trigger), "a look")
            (there,) = connect.deployed.all
            emitted += connect.deployed.emit(there, *({"turn": turn, "number": n} for n in range(20)))
            runtime.call("POST", f"/triggers/{trigger}/pause")
            runtime.call("POST", f"/triggers/{trigger}/resume", {})
            runtime.kill()

    make_due(home, looks=True)
    with start_runtime(home, **env) as runtime:

        def events() -> list[dict[str, Any]]:
            return runtime.call("GET", f"/triggers/{trigger}/events?limit=100")["items"]

        def all_started() -> bool:
            return sum(event["status"] == "started" for event in events()) >= len(emitted)

        until(all_started, "runs of all events")
        assert sorted(event["key"] for event in events()) == sorted(emitted)
        with closing(sqlite3.connect(home / "codewords.db", timeout=30)) as database:
            query = "SELECT event_key FROM runs WHERE trigger_id = ?"
            runs = Counter(row[0] for row in database.execute(query, [trigger]))
        assert runs == Counter(emitted)
        assert len(connect.deployed.all) == 1

        # Its end is asked for, and the runtime is killed before it is done.
        killed.clear()
        connect.deployed.before_delete = kill
        runtime.call("DELETE", f"/triggers/{trigger}")
        assert killed.wait(60)

    make_due(home)
    with start_runtime(home, **env) as runtime:
        until(lambda: not connect.deployed.all, "the end of the deployed trigger")
