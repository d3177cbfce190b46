"""How much processor time do matching and comparing take, without the programs that are replayed?

Twenty recordings of ten exchanges of 8 KB are each replayed three times, twice by their own version, and compared; once with
requests that are equal, once with a time in each body of a write. A thousand equal requests are answered from one recording.

    python benchmarks/replay_matching.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from _bench import alone, options
from tests.unit.recording.helpers import exchange, recording, request

from codewords_mcp.runtime.model.replay import ReplayedRun
from codewords_mcp.runtime.recording.baseline import Baseline
from codewords_mcp.runtime.recording.comparison import compare
from codewords_mcp.runtime.recording.exchange_log import ExchangeLog
from codewords_mcp.runtime.recording.exchanges import RecordedRequest, Recording
from codewords_mcp.runtime.recording.replay import ReplayRecorder
from codewords_mcp.runtime.recording.replay_summary import summarize

RECORDINGS, EXCHANGES, EQUAL = 20, 10, 1000
ROWS = [
    {"id": f"o-{n}", "at": "2026-11-20T10:00:00Z", "text": "a text of some words " * 5} for n in range(50)
]


def requests(of: int, day: int | None) -> list[RecordedRequest]:
    """Reads and writes of a run, with the day of the run in the writes."""
    made: list[RecordedRequest] = []
    for number in range(EXCHANGES):
        address = f"https://api.example/{number}"
        body: dict[str, object] = {"n": number, "rows": ROWS}
        if day is not None:
            body["at"] = f"2026-11-{day}T10:00:0{number}Z"
        made.append(request("POST", address, body) if number % 2 else request("GET", f"{address}?run={of}"))
    return made


async def replay(recorder: ReplayRecorder, made: list[RecordedRequest], like: Recording) -> Recording:
    """A run that makes these requests."""
    log = ExchangeLog()
    for one in made:
        log.add(one, await recorder.decide(one))
    return replace(like, exchanges=log.exchanges())


async def compare_all(*, noisy: bool) -> float:
    """Seconds of the processor for all recordings."""
    recorded, now = (27, 28) if noisy else (None, None)
    runs = [
        (
            recording(
                *(exchange(n, one, {"rows": ROWS}) for n, one in enumerate(requests(of, recorded))),
                answer={"run": of, "rows": ROWS},
            ),
            requests(of, now),
        )
        for of in range(RECORDINGS)
    ]
    began = time.process_time()
    found: list[ReplayedRun] = []
    for made, asked in runs:
        olds = [await replay(ReplayRecorder(made, same_version=True), asked, made) for _ in range(2)]
        baseline = Baseline(made, olds)
        new = await replay(ReplayRecorder(made, noise=baseline.noisy_fields), asked, made)
        found.append(compare(baseline, new))
    report = summarize(found)
    seconds = time.process_time() - began
    assert report.verdict == "same"  # a benchmark of wrong results is none
    return seconds


async def answer_equal() -> float:
    """Seconds of the processor for a thousand equal requests at once."""
    one = request("GET", "https://api.example/x")
    recorder = ReplayRecorder(recording(*(exchange(n, one, {"n": n}) for n in range(EQUAL))))
    began = time.process_time()
    await asyncio.gather(*(recorder.decide(one) for _ in range(EQUAL)))
    return time.process_time() - began


async def measure(rounds: int) -> dict[str, list[float]]:
    """Milliseconds of the processor for each question, in turns."""
    questions: dict[str, Callable[[], Awaitable[float]]] = {
        "20 recordings of 10 equal exchanges": partial(compare_all, noisy=False),
        "the same, a time in each write of 8 KB": partial(compare_all, noisy=True),
        "1,000 equal requests at once": answer_equal,
    }
    times: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(rounds):
        for name, ask in questions.items():
            times[name].append(await ask() * 1000)
    return times


def main() -> int:
    """Print a table, or JSON lines."""
    chosen = options((__doc__ or "").splitlines()[0], runs=7, quick_runs=2)
    for name, taken in asyncio.run(measure(chosen.runs)).items():
        middle, best = round(median(taken), 1), round(min(taken), 1)
        if chosen.as_json:
            alone(name, middle, "ms of the processor", runs=chosen.runs, best=best)
        else:
            print(f"{name:45} {middle:8.1f} ms (best {best:.1f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
