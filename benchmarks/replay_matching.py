"""How much processor time do matching and comparing take, without the programs that are replayed?

Twenty recordings of ten exchanges of 8 KB are each replayed three times, twice by their own version, and compared; once with
requests that are equal, once with a time in each body of a write. A thousand equal requests are answered from one recording.

    python benchmarks/replay_matching.py [--json]
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from statistics import median

from _door import PROJECT

from codewords_mcp.runtime.model.replay import ReplayedRun
from codewords_mcp.runtime.recording.baseline import Baseline
from codewords_mcp.runtime.recording.comparison import compare
from codewords_mcp.runtime.recording.exchange_log import ExchangeLog
from codewords_mcp.runtime.recording.exchanges import RecordedRequest, Recording
from codewords_mcp.runtime.recording.replay import ReplayRecorder
from codewords_mcp.runtime.recording.replay_summary import summarize

sys.path[:0] = [str(PROJECT)]
from tests.unit.recording.helpers import exchange, recording, request  # noqa: E402

RECORDINGS, EXCHANGES, EQUAL = 20, 10, 1000
ROWS = [
    {"id": f"o-{n}", "at": "2026-11-20T10:00:00Z", "text": "a text of some words " * 5} for n in range(50)
]
ROUNDS = 7


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


async def main() -> None:
    """Print a table, or JSON lines."""
    questions: dict[str, Callable[[], Awaitable[float]]] = {
        "20 recordings of 10 equal exchanges": lambda: compare_all(noisy=False),
        "the same, a time in each write of 8 KB": lambda: compare_all(noisy=True),
        "1,000 equal requests at once": answer_equal,
    }
    times: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(ROUNDS):
        for name, ask in questions.items():
            times[name].append(await ask() * 1000)

    for name, taken in times.items():
        if "--json" in sys.argv:
            print(json.dumps({"name": name, "cpu_ms": round(median(taken), 1), "best": round(min(taken), 1)}))
        else:
            print(f"{name:45} {median(taken):8.1f} ms (best {min(taken):.1f})")


if __name__ == "__main__":
    asyncio.run(main())
