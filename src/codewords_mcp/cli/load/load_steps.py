"""The steps of a load test: synchronous runs by so many callers, and batches of background runs."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from codewords_mcp.cli._client import RuntimeEndpoint
from codewords_mcp.cli.load.load_client import UNREACHABLE, LoadClient, LoadClients

SUBMITTERS = 8
"""Connections that submit background runs, and then wait for their results."""
RESULT_WAIT = 60
"""Seconds that one request waits for a result."""
SAMPLED = 40
"""Runs of a step whose records are read, for where their time went."""
REFUSED_PAUSE = 0.2
"""Seconds after a refusal before a caller asks again."""
_PENDING = "run_pending"


@dataclass(slots=True)
class LoadStep:
    """The outcome of one step. Times in ms; `latencies` are those of runs that succeeded.

    `size` is the number of callers at once, or of background runs in a batch. `phases` are the mean times of each phase
    of the sampled runs, by their records. `cpu` is the share of this machine's processors in use, None where the
    runtime is elsewhere.
    """

    size: int
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list[float])
    failures: Counter[str] = field(default_factory=Counter[str])
    phases: dict[str, float] = field(default_factory=dict[str, float])
    cpu: float | None = None

    @property
    def rate(self) -> float:
        """Runs a second that succeeded."""
        return len(self.latencies) / self.seconds if self.seconds > 0 else 0.0

    def percentile(self, share: float) -> float:
        """The time within which this share of the runs ended, in ms; 0 where none did."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1]

    def as_json(self) -> dict[str, Any]:
        """The step for `--json`."""
        return {
            "size": self.size,
            "runs": len(self.latencies),
            "failures": dict(self.failures),
            "seconds": round(self.seconds, 3),
            "runs_per_second": round(self.rate, 1),
            "p50_ms": round(self.percentile(0.5), 1),
            "p95_ms": round(self.percentile(0.95), 1),
            "p99_ms": round(self.percentile(0.99), 1),
            "phases_ms": self.phases,
            "cpu": None if self.cpu is None else round(self.cpu, 2),
        }


class LoadTest:
    """Loads one workflow. `local`: the runtime is on this machine. Used by one thread."""

    def __init__(
        self, endpoint: RuntimeEndpoint, service_id: str, path: str, body: bytes, *, local: bool
    ) -> None:
        self._endpoint = endpoint
        self._target = f"{quote(service_id, safe='')}/{path.lstrip('/')}"
        self._body = body
        self._local = local
        self._open: set[str] = set()
        """Background runs that are not known to have ended."""

    def synchronous(self, callers: int, seconds: float) -> LoadStep:
        """Let so many callers each run it again and again for so long."""
        step, run_ids = LoadStep(callers), list[str]()
        clients = LoadClients(self._endpoint)
        began = time.monotonic()

        def call_repeatedly(client: LoadClient) -> None:
            while time.monotonic() - began < seconds and not clients.stopped:
                sent_at = time.perf_counter()
                reply = client.send("POST", f"/run/{self._target}", self._body)
                if reply.failure:
                    step.failures[reply.failure] += 1
                    time.sleep(REFUSED_PAUSE)
                else:
                    step.latencies.append((time.perf_counter() - sent_at) * 1000)
                    run_ids.append(reply.run_id)

        busy = _ProcessorShare(local=self._local)
        clients.run(callers, call_repeatedly)
        step.seconds, step.cpu = time.monotonic() - began, busy.until_now()
        step.phases = self._phases(run_ids)
        return step

    def background(self, count: int) -> LoadStep:
        """Submit so many runs as fast as the runtime takes them, and wait until all have ended.

        Times and the rate are those of the runs' records, by the runtime's clock: from accepted to ended.
        """
        step, busy = LoadStep(count), _ProcessorShare(local=self._local)
        self._submit(step)
        records = self._collect(step)
        step.cpu = busy.until_now()

        created = [_seconds(record["createdAt"]) for record in records]
        ended = [_seconds(record["completedAt"]) for record in records]
        step.latencies = [(end - begin) * 1000 for begin, end in zip(created, ended, strict=True)]
        if records:
            step.seconds = max(ended) - min(created)

        step.phases = _mean_phases(records[:SAMPLED])
        return step

    def _submit(self, step: LoadStep) -> None:
        """Submit the runs of a step."""
        numbers, clients = iter(range(step.size)), LoadClients(self._endpoint)

        def submit(client: LoadClient) -> None:
            for _ in numbers:
                if clients.stopped:
                    return
                reply = client.send("POST", f"/run_async/{self._target}", self._body)
                if reply.failure:
                    step.failures[reply.failure] += 1
                    time.sleep(REFUSED_PAUSE)
                else:
                    self._open.add(reply.run_id)

        # A run that is accepted and whose id does not arrive could not be cancelled.
        clients.run(min(SUBMITTERS, step.size), submit, finishes=True)

    def _collect(self, step: LoadStep) -> list[dict[str, Any]]:
        """Wait for all open runs. Returns the records of those that succeeded."""
        waiting, clients = sorted(self._open), LoadClients(self._endpoint)
        records: list[dict[str, Any]] = []

        def collect(client: LoadClient) -> None:
            while not clients.stopped:
                try:
                    run_id = waiting.pop()
                except IndexError:
                    return

                reply = client.send("GET", f"/result/{run_id}?timeout={RESULT_WAIT}")
                record = reply.json()
                if reply.failure == _PENDING:
                    waiting.insert(0, run_id)
                    continue

                # Of one without an answer nothing is known: it stays open, and is cancelled in the end.
                if reply.failure != UNREACHABLE:
                    self._open.discard(run_id)
                if record.get("status") == "succeeded":
                    records.append(record)
                else:
                    step.failures[reply.failure or str(record.get("status"))] += 1

        clients.run(min(SUBMITTERS, step.size), collect)
        return records

    def cancel_open(self) -> None:
        """Cancel background runs that have not ended."""
        waiting, clients = sorted(self._open), LoadClients(self._endpoint)
        count = len(waiting)

        def cancel(client: LoadClient) -> None:
            while True:
                try:
                    run_id = waiting.pop()
                except IndexError:
                    return
                client.send("POST", f"/runs/{run_id}/cancel")

        if count:
            clients.run(min(SUBMITTERS, count), cancel)
        self._open.clear()

    def _phases(self, run_ids: list[str]) -> dict[str, float]:
        """The mean time of each phase, by the records of the latest runs."""
        sampled, records = run_ids[-SAMPLED:], list[dict[str, Any]]()
        clients = LoadClients(self._endpoint)

        def read(client: LoadClient) -> None:
            records.extend(client.send("GET", f"/request/{run_id}").json() for run_id in sampled)

        if sampled:
            clients.run(1, read)
        return _mean_phases(records)


class _ProcessorShare:
    """The share of this machine's processors in use since it was made; None where the runtime is elsewhere."""

    def __init__(self, *, local: bool) -> None:
        self._local = local
        self._before = _processor_times()

    def until_now(self) -> float | None:
        """The share, 0 to 1."""
        now = _processor_times()
        if not self._local or now is None or self._before is None:
            return None
        busy, total = (after - before for after, before in zip(now, self._before, strict=True))
        return busy / total if total else None


def _processor_times() -> tuple[int, int] | None:
    """(ticks in use, all ticks) of this machine's processors; None where the system does not tell."""
    try:
        first, *_ = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    # user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in `user` already.
    ticks = [int(word) for word in first.split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _mean_phases(records: list[dict[str, Any]]) -> dict[str, float]:
    """The mean of each phase of the records' `timings`, in ms."""
    timings = [record["timings"] for record in records if record.get("timings")]
    names = dict.fromkeys(name for timing in timings for name in timing)
    return {name: round(sum(timing.get(name, 0.0) for timing in timings) / len(timings), 1) for name in names}


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
