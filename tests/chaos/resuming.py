"""Runs that may be resumed, under kill -9: each write arrives once at the most, and a person is asked about what is unknown."""

from __future__ import annotations

import random
import re
import tempfile
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from tests.chaos.replicas import StormRuntimes, Target, storm_runtimes
from tests.chaos.storm import FINAL, Lost, ask
from tests.support.counting_host import CountingHost, counting_host
from tests.support.resumable_runs import resumable
from tests.support.served_runtime import ServedRuntime
from tests.support.waiting import until

Moment = Literal["any", "write begun", "write arrived", "answer sent", "question"]
"""When a kill strikes: at any time; when half of a write has arrived; when one has arrived; when its answer has gone out, and is
not on record; while a person answers a question.
"""
MOMENTS: tuple[Moment, ...] = get_args(Moment)
RETRIES = 10
"""Attempts of a run beside its first."""
AT_ONCE = 5
"""Runs that go on at the same time."""
STEPS, WRITES = 5, 4
"""Steps of a run, and writes that each makes at once."""
MORE = ("LONG", "", "", "")
"""The filling of a step's writes: a long one is on its way for a while."""
SLOWEST = 0.08
"""Seconds that the host takes for an answer, at the most. A kill in between leaves a write unknown."""
PATIENCE = 20.0
"""Seconds for a write to come between two kills, at the most: else runs would be killed before they have done anything."""
KILLED_CODES = frozenset({"program_exited", "sandbox_failed"})
"""Errors of a run whose sandboxes were killed too often."""
LONGEST = 240.0
"""Seconds after the last kill within which all runs end."""
_KEY = re.compile(r'"key": ?"([^"]+)"')


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
    """By what was killed."""
    moments: Counter[Moment] = field(default_factory=Counter[Moment])
    """Kills by their moments."""
    runs: list[Resumption] = field(default_factory=list[Resumption])
    statuses: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])
    lost: int = 0
    """Writes of runs that succeeded which did not arrive."""
    asked: list[int] = field(default_factory=list[int])
    """Writes of each question."""
    _signals: dict[Moment, threading.Event] = field(default_factory=dict[Moment, threading.Event])
    _go_on: threading.Event = field(default_factory=threading.Event)
    """Not set while the host leaves half of a body unread, so that a kill strikes in the middle of a write."""
    _strikes_question: bool = False
    """The next answer to a question is struck."""

    def deploy(self) -> None:
        """Deploy the workflow, and slow the host down."""
        code = resumable(f"{{count = {RETRIES}, resume = true}}", title="Resumed")
        self.service = self.those.live[0].deploy(code, "resumed")

        signals = self._signals = {moment: threading.Event() for moment in MOMENTS}

        def fate(_key: str) -> int:
            signals["write arrived"].set()
            time.sleep(random.uniform(0, SLOWEST))
            return 200

        def on_half(_path: str) -> None:
            signals["write begun"].set()
            self._go_on.wait(PATIENCE)

        def on_answered(_path: str) -> None:
            signals["answer sent"].set()

        self._go_on.set()
        self.host.fate, self.host.on_half, self.host.on_answered = fate, on_half, on_answered

    def blow(self, kills: int, seconds: float) -> None:
        """Kill so often, or for so long, while runs go on."""
        deadline = time.monotonic() + seconds
        while self.kills.total() < kills and time.monotonic() < deadline:
            self._look()
            while sum(not run.status for run in self.runs) < AT_ONCE:
                self._start()
            moment = self.chance.choice(MOMENTS)
            self._await(moment)
            if moment == "question":
                self._strikes_question = True
                continue
            self._strike(self.chance.choice(("runtime", "runtime", "sandbox", "fork server")), moment)

    def _await(self, moment: Moment) -> None:
        signal = self._signals["write arrived" if moment in {"any", "question"} else moment]
        signal.clear()
        if moment == "write begun":
            self._go_on.clear()
        signal.wait(PATIENCE)
        if moment == "any":
            time.sleep(self.chance.uniform(0, 0.4))

    def _strike(self, target: Target, moment: Moment, runtime: ServedRuntime | None = None) -> None:
        done = self.those.strike(target, self.chance, runtime)
        if not done.startswith("nothing"):
            self.kills[target] += 1
            self.moments[moment] += 1
        self._go_on.set()
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
                self.lost += counts.count(0)
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
                [
                    ["POST", f"{self.host.url}/write/{key}", {"key": key, "at": "NOW", "more": more}]
                    for key, more in zip(keys, MORE, strict=True)
                ]
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
            if run.status == "failed" and error.get("code") not in KILLED_CODES:
                self.faults.append(f"{run.run_id} failed: {error}")
            elif run.status != "succeeded" and len(record["attempts"]) <= RETRIES:
                self.faults.append(f"{run.run_id} ended with attempts left: {record}")
            return
        self._answer(run)

    def _answer(self, run: Resumption) -> None:
        """Answer the question of a run by what the host has seen."""
        path = f"/runs/{run.run_id}/resume"
        question = self._ask("GET", path)
        if question["resumed_by"]:
            # The answer was taken, and its own answer was lost.
            run.run_id = question["resumed_by"]
            return

        answers: list[dict[str, Any]] = []
        for write in question["writes"]:
            found = _KEY.search(write["body"])
            assert found is not None, write
            answers.append({"number": write["number"], "sent": self._has_arrived(found[1])})
        if self._strikes_question:
            self._strikes_question = False
            self._strike_answer(path, answers)
            return
        resumed = self._ask("POST", path, {"writes": answers})
        run.questions += 1
        self.asked.append(len(answers))
        run.run_id = resumed["id"]

    def _has_arrived(self, key: str) -> bool:
        # What a killed process has handed to the kernel may still be on its way.
        path = f"/write/{key}"
        until(lambda: not self.host.reading[path], f"the body of {path}", SLOWEST * 100)
        return self.host.writes[key] > 0

    def _strike_answer(self, path: str, answers: list[dict[str, Any]]) -> None:
        """Kill the runtime that is given the answer. Whether it was taken is seen when the run is looked at again."""
        runtime = self.chance.choice(self.those.live)
        with ThreadPoolExecutor(1) as pool:
            answering = pool.submit(ask, runtime, "POST", path, {"writes": answers})
            time.sleep(self.chance.uniform(0, 0.1))
            self._strike("runtime", "question", runtime)
            with suppress(Lost):
                answering.result()


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
