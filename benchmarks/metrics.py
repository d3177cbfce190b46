"""Measures the page of /metrics among 10,000 workflows that have all run, beside a bare registry of prometheus-client.

The registry has the same series and does nothing else: it asks no store, no pool and no process.

    python benchmarks/metrics.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _bench import Numbers, Question, options, report
from _sandboxes import quiet
from _stored import fill
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.runtime import ADMIN, make_home, open_runtime

from codewords_mcp.runtime.api import metrics
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.measures import EndedRun, Measures
from codewords_mcp.runtime.model.service_table import SERVICES

WORKFLOWS = 10_000
STATUSES = ("succeeded", "failed", "timed_out", "cancelled", "interrupted")
PHASES = {"queued": 1.0, "sandbox": 2.0, "ready": 3.0, "answer": 4.0}


def ended(number: int, status: str, **more: Any) -> EndedRun:
    """A run of one of the workflows."""
    values: dict[str, Any] = {
        "service_id": f"other_{number}", "status": status, "mode": None, "background": number % 2 == 0, "created_at": 0,
        "completed_at": 1_000_000, "first_started_at": 1000, "phases": PHASES,
    }  # fmt: skip
    return EndedRun(**(values | more))


def count_everything(measures: Measures) -> None:
    """Runs of every workflow with every outcome, and calls of everything else that a page can show."""
    for number in range(WORKFLOWS):
        for status in STATUSES:
            measures.count_run(ended(number, status))
    for service in SERVICES:
        for status in STATUSES[:4]:
            measures.count_run(ended(0, status, service_id=service))
    for provider in ("openai", "anthropic", "gemini"):
        for number in range(40):
            for outcome in ("ok", "rate_limited", "provider_error"):
                measures.count_model_call(
                    provider, f"model-{number}", outcome,
                    seconds=1, tokens={"input_tokens": 5, "output_tokens": 5}, cost_usd=0.1,
                )  # fmt: skip
    for code in (200, 201, 202, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504):
        for listener in ("public", "sandbox", "pages"):
            measures.count_response(listener, code, 0.01)
    for number in range(45):
        for outcome in ("done", "failed", "refused"):
            measures.tool_calls.add(f"tool_{number}", outcome)


def same_in_the_client(page: str) -> CollectorRegistry:
    """The series of a page as instruments of prometheus-client."""
    registry = CollectorRegistry()
    for family in text_string_to_metric_families(page):
        samples = [one for one in family.samples if one.name != f"{family.name}_created"]
        names = [name for name in samples[0].labels if name != "le"] if samples else []
        if family.type == "histogram":
            labels = {tuple(one.labels[name] for name in names) for one in samples}
            bounds = {float(one.labels["le"]) for one in samples if "le" in one.labels}
            histogram = Histogram(
                family.name, family.documentation, names, buckets=sorted(bounds) or [1], registry=registry
            )
            for values in labels:
                (histogram.labels(*values) if names else histogram).observe(0.1)
            continue

        kind = Counter if family.type == "counter" else Gauge
        made: Any = kind(family.name, family.documentation, names, registry=registry)
        for one in samples:
            child = made.labels(**one.labels) if names else made
            child.inc(one.value) if kind is Counter else child.set(one.value)
    return registry


def series_of(page: str) -> int:
    """The number of series of a page."""
    return sum(not line.startswith("#") for line in page.splitlines())


async def measure(runtime: Runtime, runs: int) -> tuple[Question, Question, int]:
    """Pages in turn: ours with the store read anew, ours with what was read before, and the client's."""
    fresh = Question(
        f"page of /metrics among {WORKFLOWS:,} workflows, the store read anew", "prometheus-client's registry",
        "ms", None, at_most=20,
    )  # fmt: skip
    again = Question(
        "the same, with the store's numbers of before", "prometheus-client's registry", "ms", 1.0
    )
    page = await runtime.metrics.page(ADMIN)
    registry = same_in_the_client(page)

    for number in range(runs + 1):
        runtime.metrics._stored = None  # pyright: ignore[reportPrivateUsage]
        began = time.perf_counter()
        await runtime.metrics.page(ADMIN)
        first = time.perf_counter()
        page = await runtime.metrics.page(ADMIN)
        second = time.perf_counter()
        generate_latest(registry)
        ended_at = time.perf_counter()
        if number:
            fresh.ours.append((first - began) * 1e3)
            again.ours.append((second - first) * 1e3)
            fresh.peer.append((ended_at - second) * 1e3)
            again.peer.append((ended_at - second) * 1e3)
    return fresh, again, series_of(page)


def costs(numbers: Numbers, count: int) -> None:
    """Microseconds of processor that counting costs a run: its end, two responses, and its transactions."""
    measures, spent = Measures(), []
    for _ in range(7):
        began = time.process_time()
        for number in range(count):
            measures.count_run(ended(number % 100, "succeeded"))
            measures.count_response("public", 200, 0.01)
            for _ in range(4):
                measures.transactions.observe(0.001, "write")
        spent.append((time.process_time() - began) / count * 1e6)
    numbers.add("counting a synchronous run", round(statistics.median(spent), 1), "µs", runs=7, at_most=50)


async def main_async() -> int:
    """Measure and report."""
    chosen = options((__doc__ or "").splitlines()[0], runs=30, quick_runs=10)
    numbers = Numbers(chosen.as_json)
    with tempfile.TemporaryDirectory() as folder:
        async with open_runtime(
            make_home(Path(folder) / "home"), sandbox="process", budgets={"day": 1}
        ) as runtime:
            container = runtime._container  # pyright: ignore[reportPrivateUsage]
            await asyncio.to_thread(fill, container.database, stored=0, deployments=WORKFLOWS, times=0)
            count_everything(runtime.metrics.measures)
            assert metrics.STORE_TTL > 1
            fresh, again, series = await measure(runtime, chosen.runs)
    numbers.add("series of the page", series, "", at_most=2000)
    costs(numbers, 2000 if chosen.quick else 20_000)
    numbers.print_table()
    held = report([fresh, again], chosen)
    return held if numbers.hold else 1


if __name__ == "__main__":
    quiet()
    sys.exit(asyncio.run(main_async()))
