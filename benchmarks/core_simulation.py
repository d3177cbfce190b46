"""Executions a second that 1 to 64 cores would carry.

A simulation with the service times that `sandbox_cpu.py` measured, for machines of more cores than there is one to measure on:
callers ask again when they are answered, eight for each core; a runtime, its fork server and its supervisor do one thing at a
time, and programs as many as there are cores. Memory and the disk are taken to keep up. With the process that asks, which had its
part of the two cores, it is bounded by what `sandbox_load.py` measured.

    python benchmarks/core_simulation.py [--quick] [--json]
"""

from __future__ import annotations

import heapq
import random
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from _bench import Numbers, options
from _page import Row, measured
from sandbox_cpu import BESIDE, PARTS

CORES = (1, 2, 4, 8, 16, 32, 64)
CALLERS = 8
"""For each core."""
CORES_OF_A_RUNTIME = 2
"""Cores for each of several runtimes on one database."""
IN_PROPORTION = 0.9
"""Executions a second over those of one core times the cores, at the least."""
OFF_BY = 0.15
"""Difference to what was measured on two cores, at the most."""
SERIAL = ("runtime", "server", "supervisor")
"""Parts that each runtime has one process of."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of processors that an execution takes, by what uses them."""

    runtime: float
    server: float
    supervisor: float
    prepared: float
    programs: float
    kernel: float
    asking: float

    def steps(self, runtime: int) -> Iterator[list[tuple[str, float]]]:
        """Steps of an execution (whose process, milliseconds), one after another: until its answer, and beside that."""
        own = {part: f"{part} {runtime}" for part in SERIAL}
        half = self.runtime / 2
        asking = [("asking", self.asking)] if self.asking else []
        yield [
            *asking,
            (own["runtime"], half),
            (own["server"], self.server),
            ("", self.programs),
            (own["runtime"], half),
        ]
        yield [(own["supervisor"], self.supervisor), ("", self.prepared), ("", self.kernel)]


@dataclass
class Machine:
    """So many cores. A step waits for its process, then for a core, and keeps both to its end."""

    cores: int
    chance: random.Random
    now: float = 0.0
    _ready: deque[tuple[str, float, int]] = field(default_factory=deque[tuple[str, float, int]])
    _waiting: dict[str, deque[tuple[str, float, int]]] = field(
        default_factory=dict[str, deque[tuple[str, float, int]]]
    )
    _busy: list[tuple[float, int, str, int]] = field(default_factory=list[tuple[float, int, str, int]])
    _numbers: Iterator[int] = field(default_factory=count)

    def add(self, process: str, mean: float, job: int) -> None:
        """Let a job do a step; `process` is empty for one that no other can hold up."""
        step = (process, self.chance.expovariate(1 / mean), job)
        if process and process in self._waiting:
            self._waiting[process].append(step)
            return
        if process:
            self._waiting[process] = deque()
        self._ready.append(step)

    def next(self) -> int:
        """Go on until a step ends; the job that it is of."""
        while self._ready and len(self._busy) < self.cores:
            process, length, job = self._ready.popleft()
            heapq.heappush(self._busy, (self.now + length, next(self._numbers), process, job))
        self.now, _, process, job = heapq.heappop(self._busy)
        if process and self._waiting[process]:
            self._ready.append(self._waiting[process].popleft())
        elif process:
            del self._waiting[process]
        return job


def executions_a_second(times: Times, cores: int, runtimes: int, answers: int) -> float:
    """Of so many cores and runtimes; the first fifth of the answers is not counted."""
    machine = Machine(cores, random.Random(cores))
    jobs: dict[int, deque[tuple[str, float]]] = {}
    callers = cores * CALLERS
    numbers, asked, answered, since = count(), dict[int, int](), 0, 0.0

    def go_on(job: int) -> bool:
        if jobs[job]:
            machine.add(*jobs[job].popleft(), job)
            return True
        del jobs[job]
        return False

    def ask(caller: int) -> None:
        for number, steps in enumerate(times.steps(caller % runtimes)):
            job = next(numbers)
            jobs[job] = deque(steps)
            if not number:
                asked[job] = caller
            go_on(job)

    for caller in range(callers):
        ask(caller)
    while answered < answers:
        job = machine.next()
        if not go_on(job) and job in asked:
            answered += 1
            if answered == answers // 5:
                since = machine.now
            ask(asked.pop(job))
    return (answers - answers // 5) / (machine.now - since) * 1000


def measured_times(rows: list[Row]) -> Times:
    """The service times of `sandbox_cpu.py`."""
    found = {row["question"]: row["ours"] for row in rows}
    return Times(
        **{part: found[f"of it: {words}"] for part, words in PARTS.items()},
        **{part: found[f"beside it: {words}"] for part, words in BESIDE.items()},
    )


def main() -> int:
    """Simulate and report."""
    chosen = options((__doc__ or "").splitlines()[0], runs=20_000, quick_runs=4_000)
    numbers = Numbers(chosen.as_json)
    kept = measured()
    on_this_machine = measured_times(kept["sandbox_cpu"].rows)
    # Callers have machines of their own.
    times = replace(on_this_machine, asking=0.0)
    on_two = next(row["ours"] for row in kept["sandbox_load"].rows if row["unit"] == "/s")
    alone = executions_a_second(times, 1, 1, chosen.runs)
    for cores in CORES:
        one = executions_a_second(times, cores, 1, chosen.runs)
        numbers.add(
            f"executions a second of {cores} cores, one runtime", round(one, 1), "/s", runs=chosen.runs
        )
        if cores == 2:
            off = abs(executions_a_second(on_this_machine, cores, 1, chosen.runs) / on_two - 1)
            numbers.add(
                "difference to what two cores did", round(off, 3), "", at_most=OFF_BY, measured=on_two
            )
    for cores in CORES[CORES.index(CORES_OF_A_RUNTIME) :]:
        several = executions_a_second(times, cores, cores // CORES_OF_A_RUNTIME, chosen.runs)
        numbers.add(
            f"executions a second of {cores} cores, a runtime for each {CORES_OF_A_RUNTIME}", round(several, 1), "/s",
            runs=chosen.runs, at_least=round(IN_PROPORTION * alone * cores, 1),
        )  # fmt: skip
    numbers.print_table()
    return 0 if numbers.hold else 1


if __name__ == "__main__":
    sys.exit(main())
