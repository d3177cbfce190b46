"""Conclusions from the steps of a load test: where more load stops giving more runs, and what limited them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from codewords_mcp.cli.load.load_steps import LoadStep

LEAST_GAIN = 0.1
"""The share of runs a second that a step has to add to the best one before."""
BUSY = 0.85
"""The share of processors in use from which they count as full."""
LARGE = 0.4
"""The share of a run's time from which a phase is what it waits for."""
STEPS_BEYOND = 2
"""Steps without a gain after which a ramp ends."""
LimitKind = Literal["slots", "refusals", "processors", "sandboxes", "workflow", "runtime", "nothing"]


@dataclass(frozen=True, slots=True)
class LoadLimit:
    """The limit of a runtime, and the sentence that says it."""

    kind: LimitKind
    message: str


def bend(steps: Sequence[LoadStep]) -> LoadStep | None:
    """The step that gave the most, when no later one gave clearly more; None where the last step still did."""
    if not steps:
        return None
    best = steps[0]
    for step in steps[1:]:
        if step.rate > best.rate * (1 + LEAST_GAIN):
            best = step
    return None if best is steps[-1] else best


def is_over(steps: Sequence[LoadStep]) -> bool:
    """Whether a ramp has gone beyond its bend far enough to know it."""
    best = bend(steps)
    return best is not None and len(steps) - 1 - steps.index(best) >= STEPS_BEYOND


def limit_of(step: LoadStep, concurrency: int | None) -> LoadLimit:
    """Find the limit of a step. `concurrency`: the caller's runs at once, by the runtime's settings, where it tells."""
    if step.failures:
        code, count = step.failures.most_common(1)[0]
        return LoadLimit("refusals", f"{count} requests failed with {code}.")

    total = step.phases.get("total", 0.0)
    if total and step.phases.get("queued", 0.0) > LARGE * total:
        limit = "" if concurrency is None else f" (CODEWORDS_CONCURRENCY is {concurrency})"
        return LoadLimit("slots", f"Runs waited for a slot{limit}. Raise the limit, or add replicas.")
    if step.cpu is not None and step.cpu > BUSY:
        return LoadLimit(
            "processors",
            f"{step.cpu:.0%} of this machine's processors were in use. More processors, or replicas on other machines.",
        )

    # Of a background run the latency begins when it is accepted, and the record's times when its attempt begins.
    outside = step.percentile(0.5) - total
    shares = {"sandbox": step.phases.get("sandbox", 0.0) + step.phases.get("ready", 0.0)}
    shares["answer"] = step.phases.get("answer", 0.0)
    if outside > LARGE * step.percentile(0.5):
        return LoadLimit(
            "runtime",
            "Most of the time passed before and after the sandbox: in the runtime's one processor, its database, or the network.",
        )
    if total and shares["sandbox"] > LARGE * total:
        return LoadLimit("sandboxes", "Most of a run's time is the start of its sandbox.")
    if total and shares["answer"] > LARGE * total:
        return LoadLimit("workflow", "Most of a run's time is the workflow's own.")
    return LoadLimit("nothing", "No part of a run stands out.")


def summary(steps: Sequence[LoadStep], concurrency: int | None) -> dict[str, Any]:
    """The steps of one kind of runs with their bend and limit, for `--json`."""
    best = bend(steps)
    return {
        "steps": [step.as_json() for step in steps],
        "bend": None if best is None else best.as_json(),
        "limit": asdict(limit_of(steps[-1], concurrency)) if steps else None,
    }
