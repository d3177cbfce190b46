"""kill -9 of whatever it may be, again and again under load; after each round, what must be true is looked at.

    python -m tests.chaos.storm --database postgres --rounds 200 [--seed 7] [--first 12]

What is done in a round follows from the seed and the round's number, so that `--seed S --first N --rounds 1` does round
N of a storm again (its moments are the machine's). Prints one line a round; exit code 1 with what was found untrue.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from tests.chaos.replicas import StormRuntimes, Target, storm_runtimes
from tests.chaos.witness import Witness, witnessing
from tests.support.background_runs import with_options
from tests.support.served_runtime import ServedRuntime
from tests.support.waiting import until

Kind = Literal["plain", "again", "delayed", "unwanted", "waited for"]
KINDS: tuple[Kind, ...] = ("plain", "again", "again", "delayed", "unwanted", "waited for")
RETRIES = 8
RUNS = 14
LINES = 5
SPAN = 1.5
"""Seconds of a round over which runs come and strikes fall."""
SLOW = 5.0
"""Seconds after which a request without an answer is worth a word, where something untrue is found."""
MAX_WAIT_S = 150.0
"""Seconds after which a run has not ended, but is stuck."""
FINAL = ("succeeded", "failed", "timed_out", "cancelled", "interrupted")
Answer = tuple[int, Any]


@dataclass
class Asked:
    """A run that the storm asks for. `run_id` once it is accepted; `lines`: what a reader has been given of its log."""

    name: str
    kind: Kind
    at: float
    seconds: float
    run_id: str = ""
    cancelled: bool = False
    cancelling: str = ""
    answered: bool = False
    lines: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


class Lost(Exception):
    """No answer came: whether the request was carried out is unknown."""


def ask(
    runtime: ServedRuntime, method: str, path: str, body: Any = None, *, timeout: float = 30, **headers: str
) -> Answer:
    """(status, JSON, or lines of it). Raises Lost."""
    sent = {"Authorization": runtime.key, "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{runtime.url}{path}", data, sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise Lost(str(error)) from error
    except Exception as error:  # http.client has many for an answer that breaks off
        raise Lost(repr(error)) from error
    if path.startswith("/logs/") and status == 200:
        return status, [json.loads(line) for line in text.splitlines() if line]
    return status, json.loads(text) if text else None


class Storm:
    """Rounds of load and strikes over these runtimes."""

    def __init__(self, those: StormRuntimes, witness: Witness, seed: int) -> None:
        self._runtimes = those
        self._witness = witness
        self._seed = seed
        self._services: dict[str, str] = {}
        self._known: set[str] = set()
        self._settled: dict[str, tuple[str, int]] = {}
        """Of runs that have ended: their status, and how often their program began."""
        self._minutely = ""
        self._minutely_since = datetime.now(UTC)
        self.strikes: Counter[Target] = Counter()
        self.told: list[str] = []
        """What the last round struck, in words."""
        self.slow: list[str] = []
        self.runs = self.attempts = self.lines = self.fired = 0

    def prepare(self) -> None:
        """Deploy what runs, and let something run each minute."""
        program = self._witness.program
        first = self._runtimes.live[0]
        again = with_options(program, f"retries = {RETRIES}")
        self._services = {
            "plain": first.deploy(program, "plain"),
            "again": first.deploy(again, "again"),
            "clock": first.deploy(again + "\n", "clock"),
        }
        minutely = {
            "service_id": self._services["clock"], "cron": "* * * * *", "catch_up": "all", "overlap": "parallel",
            "input": {"name": "minutely", "lines": LINES, "seconds": 0.1},
        }  # fmt: skip
        status, made = ask(first, "POST", "/schedules", minutely)
        assert status == 200, made
        self._minutely, self._minutely_since = made["id"], datetime.now(UTC)

    # one round

    def round(self, number: int) -> str:
        """What was struck, in words. Raises AssertionError with what is untrue."""
        chance = random.Random(f"{self._seed}/{number}")
        asked = [self._plan(chance, f"{number}/{n}") for n in range(RUNS)]
        targets = chance.choices(self._runtimes.targets(), k=chance.choice((1, 1, 2)))
        blows: list[tuple[float, Target]] = [(chance.uniform(0, SPAN), target) for target in targets]
        timed = self._schedule(chance, number)
        began, over, fences = time.monotonic(), threading.Event(), self._runtimes.fences()
        told = self.told = list[str]()
        with ThreadPoolExecutor(RUNS + 1) as pool:
            jobs = [
                pool.submit(self._drive, one, began, random.Random(f"{number}/{one.name}")) for one in asked
            ]
            reading = pool.submit(self._read, asked, over, random.Random(f"{number}/reader"))
            try:
                for at, target in sorted(blows):
                    time.sleep(max(0.0, began + at - time.monotonic()))
                    told.append(self._runtimes.strike(target, chance))
                    self.strikes[target] += not told[-1].startswith("nothing")
                self._runtimes.revive()
                for job in jobs:
                    job.result(MAX_WAIT_S)
            finally:
                over.set()
            reading.result(MAX_WAIT_S)
        self._check(asked, timed, {target for _, target in blows}, fences)
        return ", ".join(told)

    def _plan(self, chance: random.Random, name: str) -> Asked:
        kind = chance.choice(KINDS)
        seconds = 20.0 if kind == "unwanted" else chance.choice((0.05, 0.3, 1.0))
        return Asked(name, kind, chance.uniform(0, SPAN), seconds)

    def _container(self, chance: random.Random) -> ServedRuntime:
        return chance.choice(until(lambda: list(self._runtimes.live), "a runtime to come back"))

    def _insist(self, chance: random.Random, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """Ask until somebody answers for good."""
        deadline = time.monotonic() + MAX_WAIT_S
        said: object = "nothing"
        while time.monotonic() < deadline:
            runtime, began = self._container(chance), time.monotonic()
            try:
                status, said = ask(runtime, method, path, body, **more)
                if status < 500 and status != 429:
                    return status, said
            except Lost as lost:
                said = lost
            if time.monotonic() - began > SLOW:
                self.slow.append(
                    f"{method} {path} of {runtime.pid}: {said} after {time.monotonic() - began:.1f} s"
                )
            time.sleep(0.05)
        raise AssertionError(f"{method} {path} was asked in vain: {said}")

    def _schedule(self, chance: random.Random, number: int) -> list[str]:
        """Schedules for one time each within the round, made before anything is struck; their ids."""
        made: list[str] = []
        for n in range(chance.choice((0, 1, 2))):
            body = {
                "service_id": self._services["clock"], "name": f"{number}/{n}",
                "catch_up": "once", "input": {"name": "timed", "lines": LINES, "seconds": 0.2},
            }  # fmt: skip
            ahead, runtime = chance.uniform(1, 3), self._container(chance)
            while True:
                at = datetime.now(UTC) + timedelta(seconds=ahead)
                status, schedule = ask(runtime, "POST", "/schedules", body | {"at": at.isoformat()})
                if status == 200 or datetime.now(UTC) < at:
                    break
                ahead *= 2  # a machine that busy had not read it before its time was over
            assert status == 200, schedule
            made.append(schedule["id"])
        return made

    def _drive(self, one: Asked, began: float, chance: random.Random) -> None:
        """A client that wants one run, and does not give up."""
        time.sleep(max(0.0, began + one.at - time.monotonic()))
        body = {"name": one.name, "lines": LINES, "seconds": one.seconds}
        service = self._services["plain" if one.kind in ("plain", "waited for") else "again"]
        if one.kind == "waited for":
            self._wait_for(one, service, body, chance)
            return
        headers = {"Idempotency_Key": f"{self._seed}/{one.name}"}
        if one.kind == "delayed":
            headers["Codewords_Delay"] = "0.5"
        status, answer = self._insist(chance, "POST", f"/run_async/{service}/", body, **headers)
        assert status == 200, answer
        one.run_id = answer["request_id"]
        if one.kind == "unwanted":
            time.sleep(chance.uniform(0, 1))
            self._cancel(one, chance)

    def _cancel(self, one: Asked, chance: random.Random) -> None:
        began = time.monotonic()
        status, answer = self._insist(chance, "POST", f"/runs/{one.run_id}/cancel", timeout=60)
        # where no answer came to the first request, that may have been the one that ended the run
        one.cancelled = status == 409 or (status == 200 and answer["status"] == "cancelled")
        one.cancelling = f"asked at {one.at:.1f} s, {time.monotonic() - began:.1f} s: {status} {answer}"
        assert one.cancelled, one

    def _wait_for(self, one: Asked, service: str, body: Any, chance: random.Random) -> None:
        status, answer = self._insist(chance, "POST", "/provision-request", {})
        assert status == 200, answer
        one.run_id = answer["request_id"]
        try:
            status, answer = ask(
                self._container(chance), "POST", f"/run/{service}/", body, X_Provisioned_Request_Id=one.run_id
            )
            one.answered = status == 200
            assert not one.answered or answer == {"name": one.name}, answer
        except Lost:
            pass  # nobody asks again for what has no key: its record tells what came of it

    def _read(self, asked: list[Asked], over: threading.Event, chance: random.Random) -> None:
        """Somebody who reads logs all the time."""
        while not over.is_set():
            accepted = [one for one in asked if one.run_id]
            if accepted and self._runtimes.live:
                one = chance.choice(accepted)
                try:
                    status, found = ask(self._container(chance), "GET", f"/logs/{one.run_id}?follow=0")
                except Lost:
                    continue
                if status == 200:
                    one.lines = _grown(one, found)
            over.wait(0.01)

    # what must be true

    def _check(self, asked: list[Asked], timed: list[str], struck: set[Target], fences: int) -> None:
        chance = random.Random(0)
        words = f"(struck: {', '.join(self.told)})"
        for one in asked:
            run = self._end_of(one.run_id, chance)
            if run is not None:
                _, found = self._insist(chance, "GET", f"/logs/{one.run_id}?follow=0")
                told = f"{words}; its log: {[line['message'] for line in found][-40:]}"
                self._check_run(run, one.run_id, told)
                self._check_outcome(one, run, struck, fences, told)
                self.lines += len(one.lines)
                last = [line["message"] for line in found if line["message"].startswith("line ")][-LINES:]
                _grown(one, found)
                assert run["status"] != "succeeded" or last == [f"line {n}" for n in range(LINES)], (
                    f"{one.name} succeeded and its log ends with {last} {words}"
                )
        self._check_schedules(timed, words, chance)
        self._check_everything({one.run_id for one in asked}, words, chance)
        until(lambda: not +self._witness.living, f"sandboxes to be gone: {+self._witness.living} {words}")

    def _end_of(self, run_id: str, chance: random.Random) -> Any:
        """The final record; None of a request that was provisioned and never came."""

        def settled() -> Any:
            _, run = self._insist(chance, "GET", f"/request/{run_id}")
            return run if run["status"] in {*FINAL, "provisioned"} else None

        run = until(settled, f"the end of run {run_id}")
        return None if run["status"] == "provisioned" else run

    def _check_run(self, run: Any, run_id: str, words: str) -> None:
        attempts = run["attempts"]
        outcomes = [attempt["outcome"] for attempt in attempts]
        assert [attempt["number"] for attempt in attempts] == [*range(1, len(attempts) + 1)], (run, words)
        assert all(attempt["endedAt"] for attempt in attempts), f"an attempt did not end: {run} {words}"
        # one that was cancelled between two attempts ended with none
        assert not outcomes or run["status"] in (outcomes[-1], "cancelled"), (run, words)
        assert "succeeded" not in outcomes[:-1], f"done twice: {run} {words}"
        began = self._witness.began[run_id]
        assert began <= len(attempts), (
            f"begun {began} times, and the record tells of {len(attempts)}: {run} {words}"
        )
        if run["status"] == "succeeded":
            until(lambda: self._witness.ended[run_id], f"a program's last word: {run} {words}")
        before = self._settled.setdefault(run_id, (run["status"], began))
        assert before == (run["status"], began), f"went on after its end: {before}, {run} {words}"
        self._known.add(run_id)
        self.attempts += len(attempts)
        self.runs += 1

    def _check_outcome(self, one: Asked, run: Any, struck: set[Target], fences: int, words: str) -> None:
        if one.cancelled:
            allowed = {"cancelled"}
        elif one.kind in ("again", "delayed"):
            allowed = {"succeeded"}
        elif one.answered:
            # its caller has the answer some milliseconds before the record is committed
            lost = "runtime" in struck or self._runtimes.fences() > fences
            allowed = {"succeeded", "interrupted"} if lost else {"succeeded"}
        else:
            allowed = {"succeeded"}
            if struck & {"runtime", "database"} or self._runtimes.fences() > fences:
                allowed |= {"interrupted"}
            if struck & {"sandbox", "fork server"}:
                allowed |= {"failed"}
            if one.kind == "waited for":  # whoever waited was cut off
                allowed |= {"cancelled", "interrupted"}
        assert run["status"] in allowed, f"{one} is {run} {words}"

    def _check_schedules(self, timed: list[str], words: str, chance: random.Random) -> None:
        def fired() -> Counter[str]:
            return Counter(run["scheduledRequestId"] for run in self._listed(self._services["clock"], chance))

        until(lambda: all(fired()[one] for one in timed), f"schedules to fire: {timed} {words}")
        whole_minutes = self._minutes()
        until(lambda: fired()[self._minutely] >= whole_minutes, f"{whole_minutes} minutely runs {words}")
        counted = fired()
        assert all(counted[one] == 1 for one in timed), f"fired more than once: {counted} {words}"
        assert counted[self._minutely] <= self._minutes(), f"fired more than each minute: {counted} {words}"
        self.fired += len(timed)

    def _minutes(self) -> int:
        """Full minutes of the clock since the minutely schedule was made."""
        return int(time.time() // 60) - int(self._minutely_since.timestamp() // 60)

    def _listed(self, service: str, chance: random.Random) -> list[Any]:
        found: list[Any] = []
        cursor = ""
        while cursor is not None:
            _, page = self._insist(chance, "GET", f"/runs?service_id={service}&limit=100{cursor}")
            found += page["items"]
            cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
        return found

    def _check_everything(self, asked: set[str], words: str, chance: random.Random) -> None:
        """Whatever is on record was asked for, and has ended; nothing that has ended went on."""
        for name, service in self._services.items():
            for listed in self._listed(service, chance):
                if listed["id"] in self._known and listed["id"] not in asked:
                    before = (listed["status"], self._witness.began[listed["id"]])
                    assert self._settled[listed["id"]] == before, f"went on after its end: {listed} {words}"
                    continue
                assert name == "clock" or listed["id"] in asked, f"nobody asked for {listed} {words}"
                run = self._end_of(listed["id"], chance)
                if listed["id"] not in asked:
                    self._check_run(run, listed["id"], words)
                    assert run["status"] == "succeeded", f"a scheduled run is {run} {words}"


def _grown(one: Asked, found: list[Any]) -> list[tuple[str, str]]:
    lines = [(line["createdAt"], line["message"]) for line in found]
    assert lines[: len(one.lines)] == one.lines, f"the log of {one.name} lost {one.lines}; it is {lines}"
    return lines


def blow(database: str, rounds: int, seed: int, first: int = 1, tell: Any = print) -> Storm:
    """So many rounds. Raises AssertionError with what is untrue."""
    with (
        tempfile.TemporaryDirectory(prefix="codewords-storm-", ignore_cleanup_errors=True) as folder,
        witnessing() as witness,
        storm_runtimes(Path(folder), database, witness.port) as those,
    ):
        storm = Storm(those, witness, seed)
        storm.prepare()
        for number in range(first, first + rounds):
            began = time.monotonic()
            try:
                words = storm.round(number)
            except AssertionError:
                tell(
                    f"round {number} of seed {seed} on {database} found something untrue; struck: {storm.told}; {those.unfinished()}"
                )
                for home in Path(folder).glob("home *"):
                    tell(f"{home.name}: {(home / 'serve.log').read_text(encoding='utf-8')[-3000:]}")
                raise
            tell(f"round {number}: {words} ({time.monotonic() - began:.1f} s)")
        return storm


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--first", type=int, default=1, help="number of the first round")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)

    def tell(words: str) -> None:
        print(words, flush=True)

    storm = blow(given.database, given.rounds, given.seed, given.first, tell)
    print(
        f"{given.rounds} rounds on {given.database}: {dict(storm.strikes)} struck, {storm.runs} runs in {storm.attempts} "
        f"attempts, {storm.fired} single times fired, {storm.lines} lines that were read stayed; all as it must be."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
