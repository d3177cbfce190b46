"""Runs that wait for people, times, requests and other runs, and replays of them, under kill -9: none is lost, none asks twice.

    python -m tests.chaos.waiting --database postgres --kills 200 [--seed 36] [--seconds 3600]

Prints what was seen; exit code 1 with what was found untrue.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import httpx
from tests.chaos.replicas import StormRuntimes, storm_runtimes
from tests.chaos.storm import FINAL, Lost, ask
from tests.support.background_runs import with_options
from tests.support.browser_client import sign_in
from tests.support.counting_host import CountingHost, counting_host
from tests.support.runtime import workflow

Wait = Literal["person", "deadline", "timer", "request", "run"]
WAITS: tuple[Wait, ...] = get_args(Wait)
RETRIES = 10
"""Attempts of a run beside its first, without those that end in a wait: the most that a header may ask for."""
AT_ONCE = 6
"""Runs that go on at the same time."""
PATIENCE = 6.0
"""Seconds for the thing after which a kill is to strike."""
LONGEST = 150.0
"""Seconds after the last kill within which all runs end."""
_ADDRESS = re.compile(r"ADDRESS (\d+) \S*?(/webhook/[\w-]+)")
_KEY = re.compile(r'"key": ?"([^"]+)"')

_PROGRAM = """
import asyncio, os, httpx

HOST, CALLED = "{host}", "{called}"

@app.post("/")
async def act(body: dict):
    name, replies = body["name"], []
    async with (
        httpx.AsyncClient(timeout=90, base_url=os.environ["CODEWORDS_RUNTIME_URI"]) as client,
        httpx.AsyncClient(timeout=90) as outside,
    ):
        client.headers["Authorization"] = os.environ["CODEWORDS_API_KEY"]
        for number, kind in enumerate(body["plan"]):
            key = f"{{name}}-{{number}}"
            await outside.post(f"{{HOST}}/write/{{key}}", json={{"key": key}})
            await asyncio.sleep(body["pause"])
            service, data = "wait", {{"seconds": 1}}
            if kind == "person":
                service, data = "approvals", {{"title": key}}
            elif kind == "deadline":
                service, data = "approvals", {{"title": key, "timeout": 1, "default": "reject"}}
            elif kind == "request":
                made = (await client.post("/run/wait/", json={{"new_webhook": True}})).json()
                print("ADDRESS", number, made["url"], flush=True)
                data = {{"for_webhook": made["id"]}}
            elif kind == "run":
                service, data = CALLED, {{"name": key, "plan": ["person"], "pause": 0}}
            replies.append((await client.post(f"/run/{{service}}/", json=data)).json())
    return {{"replies": replies}}
"""


def script(host: CountingHost, called: str) -> str:
    """A workflow that waits as its input says: {name, plan, pause}. It may call the workflow `called`."""
    services = '["approvals", "wait"]' if not called else f'["approvals", "wait", "{called}"]'
    code = workflow(_PROGRAM.format(host=host.url, called=called), title="Calling" if called else "Called")
    retries = f"retries = {{count = {RETRIES}, resume = true}}"
    name = host.url.partition("//")[2].partition(":")[0]
    return with_options(code, retries, f'hosts = ["{name}"]', f"services = {services}")


@dataclass
class WaitingRun:
    """A run of the storm. `taken`: numbers of its waits whose request was answered with 200."""

    name: str
    plan: list[Wait]
    run_id: str = ""
    status: str = ""
    record: Any = None
    taken: set[int] = field(default_factory=set[int])


@dataclass
class WaitingStorm:
    """Starts runs, answers what they wait for, replays them, and kills runtimes meanwhile."""

    those: StormRuntimes
    host: CountingHost
    chance: random.Random
    service: str = ""
    kills: Counter[str] = field(default_factory=Counter[str])
    """By what had happened just before."""
    runs: list[WaitingRun] = field(default_factory=list[WaitingRun])
    statuses: Counter[str] = field(default_factory=Counter[str])
    replays: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])
    questions: int = 0
    """Questions about writes that were answered."""
    _resumed: set[str] = field(default_factory=set[str])
    """Called runs whose questions about writes were answered."""
    _seen: set[str] = field(default_factory=set[str])
    """The things that have happened since the last kill: one of them calls for the next at once."""
    _replaying: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def deploy(self) -> None:
        """Deploy a workflow that waits, and one that calls it too."""
        called = self.those.live[0].deploy(script(self.host, ""), "called")
        self.service = self.those.live[0].deploy(script(self.host, called), "calling")

    def blow(self, kills: int, seconds: float) -> None:
        """Kill so often, or for so long, while runs go on."""
        deadline = time.monotonic() + seconds
        while self.kills.total() < kills and time.monotonic() < deadline:
            while sum(not run.status for run in self.runs) < AT_ONCE:
                self._start()
            wanted = self.chance.choice(("any", "answer", "request", "replay", "resumption"))
            strikes_at = time.monotonic() + self.chance.uniform(0, 3) + (0 if wanted == "any" else PATIENCE)
            self._seen.clear()
            while time.monotonic() < strikes_at and wanted not in self._seen:
                self._tend()
                if wanted == "replay":
                    self._replay()
                    time.sleep(self.chance.uniform(0, 0.5))
            if self.those.live:
                self.those.kill(self.chance.choice(self.those.live))
                self.kills[wanted if wanted in self._seen else "any"] += 1
            self.those.revive()

    def settle(self) -> None:
        """Wait until all runs have ended, and compare them with what they were given."""
        deadline = time.monotonic() + LONGEST
        while any(not run.status for run in self.runs) and time.monotonic() < deadline:
            self._tend()
            time.sleep(0.1)
        for thread in self._replaying:
            thread.join(120)
        for run in self.runs:
            self.statuses[run.status or "lost"] += 1
            if fault := self._fault(run):
                self.faults.append(f"{run.name} ({run.run_id}, {run.plan}): {fault}")
        self.faults += [f"written twice: {key}" for key in self.host.doubled]
        with suppress(Lost):
            for row in self._ask("GET", "/runs?mode=replay&limit=100")["items"]:
                if row["status"] not in FINAL:
                    self.faults.append(f"the replay {row['id']} is {row['status']}")

    def _fault(self, run: WaitingRun) -> str:
        if not run.status:
            return f"lost: {run.record}"
        if run.status == "interrupted" and len(run.record["attempts"]) > RETRIES:
            return ""
        if run.status != "succeeded":
            return f"{run.status}: {run.record['error']} {run.record['attempts']}"
        for number, (kind, reply) in enumerate(
            zip(run.plan, run.record["responseJson"]["replies"], strict=True)
        ):
            expected = {
                "person": reply.get("answer") == "approve",
                "deadline": reply.get("answer") == "reject",
                "timer": reply.get("status") == "elapsed",
                "request": reply.get("status") == "received"
                and reply["request"]["body"] == {"of": f"{run.name}-{number}"},
                "run": "replies" in reply and reply["replies"][0].get("answer") == "approve",
            }[kind]
            if not expected:
                return f"wait {number} was answered with {reply}"
        return ""

    def _ask(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """The answer of a runtime that lives. Raises Lost."""
        if not self.those.live:
            raise Lost("no runtime lives")
        status, answer = ask(self.chance.choice(self.those.live), method, path, body, Idempotency_Key=key)
        if status >= 300:
            raise Lost(f"{status} {answer}")
        return answer

    def _start(self) -> None:
        name = f"w{len(self.runs)}"
        plan: list[Wait] = [self.chance.choice(WAITS) for _ in range(self.chance.randint(1, 3))]
        body = {"name": name, "plan": plan, "pause": self.chance.choice((0, 0, 0.5, 2))}
        run = WaitingRun(name, plan)
        for _ in range(200):
            with suppress(Lost):
                path = f"/run_async/{self.service}/"
                run.run_id = self._ask("POST", path, body, name)["request_id"]
                self.runs.append(run)
                return
            time.sleep(0.1)
        raise AssertionError("no runtime takes runs")

    def _tend(self) -> None:
        """Look at each run, and answer what it waits for."""
        # Runs that were called have questions of their own, and all are in one inbox.
        with suppress(Lost, httpx.HTTPError, AssertionError):
            self._answer_people()
            self._answer_called()
        for run in [run for run in self.runs if not run.status]:
            with suppress(Lost):
                before = len(run.record["attempts"]) if run.record else 0
                run.record = self._ask("GET", f"/request/{run.run_id}")
                if len(run.record["attempts"]) > before > 0:
                    self._seen.add("resumption")
                self._look(run)

    def _look(self, run: WaitingRun) -> None:
        record = run.record
        if record["status"] not in FINAL:
            self._send_requests(run)
            return
        error: dict[str, str] = record.get("error") or {}
        if error.get("code") != "write_unknown":
            run.status = record["status"]
            return

        run.run_id = self._resume(run.run_id)

    def _resume(self, run_id: str) -> str:
        """Say of each write that a run asks about whether it was sent. The id of the run that goes on with it."""
        path = f"/runs/{run_id}/resume"
        question = self._ask("GET", path)
        if question["resumed_by"]:
            return question["resumed_by"]
        answers: list[dict[str, Any]] = []
        for write in question["writes"]:
            found = _KEY.search(write["body"])
            if found is None and write["address"] in {"approvals", "wait"}:
                self.faults.append(f"{run_id} asks about {write}")
            # A call of a workflow whose run was lost is made again.
            arrived = found is not None and self.host.writes[found[1]] > 0
            answers.append({"number": write["number"], "sent": arrived})
        resumed = self._ask("POST", path, {"writes": answers})["id"]
        self.questions += 1
        return resumed

    def _answer_called(self) -> None:
        """Answer what called runs ask about their writes."""
        for row in self._ask("GET", "/runs?status=failed&limit=100")["items"]:
            error: dict[str, str] = row.get("error") or {}
            if (
                row["parentRequestId"]
                and error.get("code") == "write_unknown"
                and row["id"] not in self._resumed
            ):
                self._resume(row["id"])
                self._resumed.add(row["id"])

    def _send_requests(self, run: WaitingRun) -> None:
        if "request" not in run.plan:
            return
        text = str(self._ask("GET", f"/logs/{run.run_id}?follow=false"))
        for number, path in _ADDRESS.findall(text):
            if int(number) not in run.taken:
                self._ask("POST", path, {"of": f"{run.name}-{number}"})
                run.taken.add(int(number))
                self._seen.add("request")

    def _answer_people(self) -> None:
        runtime = self.chance.choice(self.those.live) if self.those.live else None
        if runtime is None:
            return
        status, inbox = ask(runtime, "GET", "/runs?status=queued&limit=100")
        waiting = [row for row in inbox["items"] if row["waitsFor"] == "answer"] if status == 200 else []
        for row in self.chance.sample(waiting, min(2, len(waiting))):
            for question in self._ask("GET", f"/runs/{row['id']}/approvals")["items"]:
                # Those of a called run are named after its own key.
                if question["status"] != "open" or question["default"]:
                    continue
                own = {"X-Codewords-Console": "1", "Sec-Fetch-Site": "same-origin", "Origin": runtime.url}
                with sign_in(runtime.url, runtime.key) as person:
                    body = {"answer": "approve"}
                    sent = person.post(f"{runtime.url}/questions/{question['id']}", json=body, headers=own)
                if sent.status_code == 200:
                    self._seen.add("answer")

    def _replay(self) -> None:
        """Begin a replay of runs that have succeeded, in a thread: a kill breaks it off."""
        ended = [run.run_id for run in self.runs if run.status == "succeeded"]
        if not ended or any(thread.is_alive() for thread in self._replaying) or not self.those.live:
            return
        body = {"service_id": self.service, "version": 1, "runs": ended[-2:]}
        runtime = self.chance.choice(self.those.live)

        def replay() -> None:
            try:
                status, answer = ask(runtime, "POST", "/replays", body, timeout=60)
                self.replays["answered" if status == 200 else str(answer)[:200]] += 1
            except Lost:
                self.replays["broken off"] += 1

        thread = threading.Thread(target=replay, daemon=True)
        thread.start()
        self._replaying.append(thread)
        self._seen.add("replay")


def wait_under_kills(database: str, kills: int, seed: int, seconds: float = 600.0) -> WaitingStorm:
    """Blow so long, on "sqlite" or with three replicas on "postgres"."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        counting_host() as host,
        storm_runtimes(Path(folder), database, host.port, CODEWORDS_WAITING_GRACE="0.1") as those,
    ):
        storm = WaitingStorm(those, host, random.Random(seed))
        storm.deploy()
        storm.blow(kills, seconds)
        storm.settle()
        return storm


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=36)
    chosen = parser.parse_args()
    storm = wait_under_kills(chosen.database, chosen.kills, chosen.seed, chosen.seconds)
    kinds = Counter(kind for run in storm.runs for kind in run.plan)
    print(f"kills {storm.kills.total()} {dict(storm.kills)}; runs {len(storm.runs)}; waits {dict(kinds)}")
    print(f"statuses {dict(storm.statuses)}; questions {storm.questions}; replays {dict(storm.replays)}")
    for fault in storm.faults:
        print("FAULT", fault)
    return 1 if storm.faults else 0


if __name__ == "__main__":
    sys.exit(main())
