"""The runtime's instruments: what a run and a model call count as, and how many series there can be."""

from __future__ import annotations

import pytest

from codewords_mcp.common.instruments import OTHER
from codewords_mcp.runtime.model.measures import MAX_MODELS, MAX_WORKFLOWS, EndedRun, Measures
from codewords_mcp.runtime.model.service_table import SERVICES

MAX_SERIES = 2000


def ended(service_id: str = "report_1", status: str = "succeeded", **more: object) -> EndedRun:
    fields: dict[str, object] = {
        "mode": None, "background": False, "created_at": 1_000_000, "completed_at": 3_500_000,
        "first_started_at": 1_500_000, "phases": {"queued": 500.0, "sandbox": 20.0, "total": 2500.0},
    }  # fmt: skip
    return EndedRun(service_id, status, **(fields | more))  # type: ignore[arg-type]


def series_of(measures: Measures) -> int:
    text = "".join(line for one in measures.instruments for line in one.lines())
    return sum(not line.startswith("#") for line in text.splitlines())


@pytest.mark.requirement("metrics:runs")
def test_a_run_counts_by_workflow_status_duration_wait_and_phase() -> None:
    measures = Measures()
    measures.count_run(ended())
    measures.count_run(ended(status="failed", background=True))
    assert measures.runs.value("report_1", "succeeded") == 1
    assert measures.runs.value("report_1", "failed") == 1
    assert measures.workflow_seconds.value("report_1") == 5
    assert measures.run_seconds.count("foreground") == measures.run_seconds.count("background") == 1
    assert measures.run_wait.count("foreground") == 1
    assert measures.phases.count("sandbox") == 2
    assert measures.phases.count("total") == 0


@pytest.mark.requirement("metrics:runs")
def test_services_and_trials_are_no_runs_of_workflows() -> None:
    measures = Measures()
    measures.count_run(ended("files"))
    measures.count_run(ended(mode="replay"))
    assert measures.services.value("files", "succeeded") == 1
    assert measures.trials.value("replay", "succeeded") == 1
    assert list(measures.workflows) == []


@pytest.mark.requirement("metrics:runs")
def test_a_clock_that_was_set_back_makes_no_negative_duration() -> None:
    measures = Measures()
    measures.count_run(ended(completed_at=0, first_started_at=0))
    assert measures.workflow_seconds.value("report_1") == 0


@pytest.mark.requirement("metrics:bounded")
def test_ten_thousand_workflows_and_models_that_callers_invent_stay_below_the_limit() -> None:
    measures = Measures()
    statuses = ("succeeded", "failed", "timed_out", "cancelled", "interrupted")
    for number in range(10_000):
        measures.count_run(ended(f"w_{number}", statuses[number % 5]))
    for number in range(MAX_WORKFLOWS):
        for status in statuses:
            measures.count_run(ended(f"w_{number}", status))
    for service in SERVICES:
        for status in ("succeeded", "failed", "timed_out", "cancelled"):
            measures.count_run(ended(service, status, phases=dict.fromkeys(("ready", "answer"), 1.0)))
    for status in statuses:
        measures.count_run(ended(background=True, status=status))
        for mode in ("replay", "dry_run", "apply"):
            measures.count_run(ended(mode=mode, status=status))
    for provider in ("openai", "anthropic", "gemini", "azure", "bedrock", "groq", "mistral", "ollama"):
        for number in range(1000):
            for outcome in ("rejected", "ok", "provider_error"):
                measures.count_model_call(
                    provider, f"m-{number}", outcome,
                    seconds=1, tokens={"input_tokens": 5, "output_tokens": 5}, cost_usd=0.1,
                )  # fmt: skip
        measures.first_chunk.observe(1, measures.providers.label(provider))
        measures.model_retries.add(measures.providers.label(provider))
    for listener in ("public", "sandbox", "pages"):
        for code in (
            200,
            201,
            202,
            204,
            302,
            304,
            400,
            401,
            403,
            404,
            405,
            409,
            413,
            422,
            429,
            500,
            502,
            503,
            504,
        ):
            measures.count_response(listener, code, 0.1)
    for number in range(45):
        for outcome in ("done", "failed", "refused"):
            measures.tool_calls.add(f"tool-{number}", outcome)
    for number in range(20):
        measures.mcp_messages.add(f"method/{number}")
    measures.tool_seconds.observe(1)
    for kind in ("read", "write"):
        measures.transactions.observe(1, kind)
    for origin in ("new", "warm", "shared"):
        measures.sandboxes_taken.add(origin)
    measures.sandbox_start.observe(1)
    measures.loop_lag.observe(1)

    # Beside these a page has the names of workflows, three series of each budget, and some 30 of the process and the home.
    assert series_of(measures) + MAX_WORKFLOWS + 3 * 40 + 30 <= MAX_SERIES
    assert measures.runs.value(OTHER, "succeeded") > 0


@pytest.mark.requirement("metrics:bounded")
def test_only_a_model_that_answered_gets_a_label() -> None:
    measures = Measures()
    call = {"seconds": 1.0, "tokens": {"input_tokens": 7}, "cost_usd": None}
    for number in range(MAX_MODELS + 5):
        measures.count_model_call("openai", f"guess-{number}", "rejected", **call)  # type: ignore[arg-type]
    measures.count_model_call("openai", "gpt-4o", "ok", **call)  # type: ignore[arg-type]
    measures.count_model_call("openai", "gpt-4o", "rejected", **call)  # type: ignore[arg-type]
    measures.count_model_call("openai", "", "ok", **call)  # type: ignore[arg-type]
    assert measures.model_calls.value("openai", OTHER, "rejected") == MAX_MODELS + 5
    assert measures.model_calls.value("openai", "gpt-4o", "ok") == 1
    assert measures.model_calls.value("openai", "gpt-4o", "rejected") == 1
    assert measures.model_calls.value("openai", OTHER, "ok") == 1
    assert measures.model_tokens.value("openai", "gpt-4o", "input") == 14
