"""Runs that may be resumed, under kill -9: each write arrives once at the most, and a person is asked about what is unknown."""

from __future__ import annotations

import random
import tempfile
import threading
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.replicas import StormRuntimes, Target, storm_runtimes
from tests.chaos.storm import FINAL, Lost, ask
from tests.support.counting_host import CountingHost, counting_host
from tests.support.resumable_runs import resumable

AT_ONCE = 5
"""Runs that go on at the same time."""
STEPS, WRITES = 5, 4
"""Steps of a run, and writes that each makes at once."""
SLOWEST = 0.08
"""Seconds that the host takes for an answer, at the most. A kill in between leaves a write unknown."""
LONGEST = 240.0
"""Seconds after the last kill within which all runs end."""


@dataclass
class Resumption:
    """A run, with the runs that go on from it."""

    name: str
    run_id: str
    questions: int = 0
    status: str = ""

    @property
    def keys(self) -> list[str]:
        """The keys of all its writes."""
        return [f"{self.name}-{step}-{n}" for step in range(STEPS) for n in range(WRITES)]


@dataclass
class ResumeStorm:
    """Makes runs, kills processes, and answers questions by what the host has seen."""

    those: StormRuntimes
    host: CountingHost
    chance: random.Random
    service: str = ""
    kills: Counter[str] = field(default_factory=Counter[str])
    runs: list[Resumption] = field(default_factory=list[Resumption])
    statuses: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])
    _received: threading.Event = field(default_factory=threading.Event)

    def deploy(self) -> None:
        """Deploy the workflow, and slow the host down."""
        code = resumable("{count = 10, resume = true}", title="Resumed")
        self.service = self.those.live[0].deploy(code, "resumed")

        def fate(_key: str) -> int:
            self._received.set()
            time.sleep(random.uniform(0, SLOWEST))
            return 200

        self.host.fate = fate

    def blow(self, kills: int, seconds: float) -> None:
        """Kill so often, or for so long, while runs go on."""
        deadline = time.monotonic() + seconds
        while self.kills.total() < kills and time.monotonic() < deadline:
            self._look()
            while sum(not run.status for run in self.runs) < AT_ONCE:
                self._start()
            target: Target = self.chance.choice(("runtime", "runtime", "sandbox", "fork server"))
            # Half of them when a write has just arrived, whose answer is not on record.
            if self.chance.random() < 0.5:
                self._received.clear()
                self._received.wait(2)
            else:
                self._received.wait(2)
                time.sleep(self.chance.uniform(0, 0.4))
            done = self.those.strike(target, self.chance)
            if not done.startswith("nothing"):
                self.kills[target] += 1
            self.those.revive()

    def settle(self) -> None:
        """Wait until all runs have ended, and look what arrived."""
        deadline = time.monotonic() + LONGEST
        while any(not run.status for run in self.runs):
            if time.monotonic() > deadline:
                self.faults.append("runs have not ended")
                break
            self._look()
            time.sleep(0.2)

        for run in self.runs:
            counts = [self.host.writes[key] for key in run.keys]
            if run.status == "succeeded" and counts != [1] * len(counts):
                self.faults.append(f"{run.name} ({run.run_id}) succeeded with writes {counts}")

    def _ask(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """The answer of a runtime that lives. Raises Lost."""
        if not self.those.live:
            raise Lost("no runtime lives")
        status, answer = ask(self.chance.choice(self.those.live), method, path, body, Idempotency_Key=key)
        if status >= 300:
            raise Lost(f"{status} {answer}")
        return answer

    def _start(self) -> None:
        name = uuid.UUID(int=self.chance.getrandbits(128)).hex[:6] + str(len(self.runs))
        run = Resumption(name, "")
        steps: list[list[Any]] = []
        for step in range(STEPS):
            keys = run.keys[step * WRITES : (step + 1) * WRITES]
            steps.append(
                [["POST", f"{self.host.url}/write/{key}", {"key": key, "at": "NOW"}] for key in keys]
            )
            steps.append([["GET", f"{self.host.url}/read/{name}-{step}"]])

        for _ in range(100):
            with suppress(Lost):
                path = f"/run_async/{self.service}/"
                run.run_id = self._ask("POST", path, {"steps": steps}, name)["request_id"]
                self.runs.append(run)
                return
            time.sleep(0.1)
        raise AssertionError("no runtime takes runs")

    def _look(self) -> None:
        for run in self.runs:
            if run.status:
                continue
            with suppress(Lost):
                record = self._ask("GET", f"/request/{run.run_id}")
                if record["status"] in FINAL:
                    self._end(run, record)

    def _end(self, run: Resumption, record: Any) -> None:
        error: dict[str, str] = record.get("error") or {}
        if record["status"] != "failed" or error.get("code") != "write_unknown":
            run.status = record["status"]
            self.statuses[run.status] += 1
            # A sandbox that was killed too often is a failure like any other.
            if run.status == "failed" and error.get("code") != "program_exited":
                self.faults.append(f"{run.run_id} failed: {error}")
            return
        key = error["message"].split()[1].rpartition("/")[2]
        run.questions += 1
        sent = self.host.writes[key] > 0
        resumed = self._ask("POST", f"/runs/{run.run_id}/resume", {"sent": sent})
        run.run_id = resumed["id"]


def resume_under_kills(database: str, kills: int, seed: int, seconds: float = 600.0) -> ResumeStorm:
    """Blow so long, on "sqlite" or with three replicas on "postgres"."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        counting_host() as host,
        storm_runtimes(Path(folder), database, host.port) as those,
    ):
        storm = ResumeStorm(those, host, random.Random(seed))
        storm.deploy()
        storm.blow(kills, seconds)
        storm.settle()
        return storm
