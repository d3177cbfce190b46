"""The numbers that a runtime counts about itself, for `/metrics`.

Each part counts where something happens. Values of labels are the runtime's own words, or names of which only so many
are labels: what workflows, models and callers are called must not decide how much a monitoring system stores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from codewords_mcp.common.instruments import OTHER, BoundedNames, Counter, Histogram
from codewords_mcp.runtime.model.service_table import SERVICES

MAX_WORKFLOWS: Final = 100
"""Workflows that are label values, without a setting."""
MAX_MODELS: Final = 30
"""Models that are label values."""
MAX_PROVIDERS: Final = 6
"""Providers that are label values: an operator can name any number of them."""
RunKind = Literal["foreground", "background", "service"]
_PHASES: Final = ("queued", "sandbox", "ready", "answer")
_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_LONG: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run whose end is committed. Times are in µs, phases in milliseconds."""

    service_id: str
    status: str
    mode: str | None
    background: bool
    created_at: int
    completed_at: int
    first_started_at: int | None
    phases: Mapping[str, float]

    @property
    def kind(self) -> RunKind:
        """The kind of the call."""
        if self.service_id in SERVICES:
            return "service"
        return "background" if self.background else "foreground"


class Measures:
    """All instruments of one runtime. `workflows`: how many of them are label values, 0 for none."""

    def __init__(self, workflows: int = MAX_WORKFLOWS) -> None:
        self.workflows = BoundedNames(workflows)
        self._models = BoundedNames(MAX_MODELS)
        self.providers = BoundedNames(MAX_PROVIDERS)
        self.runs = Counter(
            "codewords_runs_total", "Runs of workflows that have ended.", ("workflow", "status")
        )
        self.workflow_seconds = Counter(
            "codewords_workflow_run_seconds_total",
            "Seconds from the request to the end of runs, by workflow.",
            ("workflow",),
        )
        self.trials = Counter(
            "codewords_trial_runs_total", "Replays, dry runs and runs that apply them.", ("mode", "status")
        )
        self.services = Counter(
            "codewords_service_calls_total",
            "Calls of library services that have ended.",
            ("service", "status"),
        )
        self.run_seconds = Histogram(
            "codewords_run_seconds", "Seconds from the request to the end of a run.", _LONG, ("kind",)
        )
        self.run_wait = Histogram(
            "codewords_run_wait_seconds", "Seconds from the request until a run began.", _LONG, ("kind",)
        )
        self.phases = Histogram(
            "codewords_run_phase_seconds", "Seconds that phases of the last attempt took.", _SHORT, ("phase",)
        )
        self.sandboxes_taken = Counter(
            "codewords_sandboxes_taken_total", "Sandboxes that runs took, by their origin.", ("origin",)
        )
        self.sandbox_start = Histogram(
            "codewords_sandbox_start_seconds", "Seconds that starting a sandbox took.", _SHORT
        )
        self.responses = Counter(
            "codewords_http_responses_total", "Responses of the HTTP API.", ("listener", "code")
        )
        self.response_seconds = Histogram(
            "codewords_http_response_seconds", "Seconds until the head of a response.", _SHORT, ("listener",)
        )
        self.tool_calls = Counter(
            "codewords_mcp_tool_calls_total", "Calls of MCP tools.", ("tool", "outcome")
        )
        self.mcp_messages = Counter("codewords_mcp_messages_total", "MCP messages by method.", ("method",))
        self.tool_seconds = Histogram(
            "codewords_mcp_tool_seconds", "Seconds that calls of MCP tools took.", _LONG
        )
        self.model_calls = Counter(
            "codewords_gateway_calls_total", "Calls of model providers.", ("provider", "model", "outcome")
        )
        self.model_tokens = Counter(
            "codewords_gateway_tokens_total", "Tokens of model calls.", ("provider", "model", "direction")
        )
        self.model_cost = Counter(
            "codewords_gateway_cost_usd_total", "Cost of model calls in US dollars.", ("provider", "model")
        )
        self.model_retries = Counter(
            "codewords_gateway_retries_total", "Model calls that were made again.", ("provider",)
        )
        self.model_seconds = Histogram(
            "codewords_gateway_call_seconds", "Seconds that model calls took.", _LONG, ("provider",)
        )
        self.first_chunk = Histogram(
            "codewords_gateway_first_chunk_seconds",
            "Seconds until the first bytes of a model's answer.",
            _LONG,
            ("provider",),
        )
        self.transactions = Histogram(
            "codewords_database_transaction_seconds", "Seconds that transactions took.", _SHORT, ("kind",)
        )
        self.transaction_failures = Counter(
            "codewords_database_failures_total", "Transactions that the database did not carry out."
        )
        self.audit_sent = Counter(
            "codewords_audit_sent_total",
            "Audit entries that a receiver has got, and batches that it did not take.",
            ("receiver", "outcome"),
        )
        self.loop_lag = Histogram(
            "codewords_event_loop_lag_seconds",
            "Seconds by which the event loop was late, once a second.",
            _SHORT,
        )
        self.instruments: Sequence[Counter | Histogram] = tuple(
            found for found in vars(self).values() if isinstance(found, Counter | Histogram)
        )

    def count_run(self, run: EndedRun) -> None:
        """Count a run that has ended."""
        if run.mode is not None:
            self.trials.add(run.mode, run.status)
            return

        seconds = max(0.0, (run.completed_at - run.created_at) / 1e6)
        kind = run.kind
        if kind == "service":
            self.services.add(run.service_id, run.status)
        else:
            label = self.workflows.label(run.service_id)
            self.runs.add(label, run.status)
            self.workflow_seconds.add(label, amount=seconds)

        self.run_seconds.observe(seconds, kind)
        if kind != "service" and run.first_started_at is not None:
            self.run_wait.observe(max(0.0, (run.first_started_at - run.created_at) / 1e6), kind)
        for phase in _PHASES:
            took = run.phases.get(phase)
            if took is not None:
                self.phases.observe(took / 1e3, phase)

    def count_response(self, listener: str, code: int, seconds: float) -> None:
        """Count a response whose head is sent."""
        self.responses.add(listener, str(code))
        self.response_seconds.observe(seconds, listener)

    def count_model_call(
        self,
        provider: str,
        model: str,
        outcome: str,
        *,
        seconds: float,
        tokens: Mapping[str, int],
        cost_usd: float | None,
    ) -> None:
        """Count a model call that has ended. Only a model that answered gets a label: callers send any name."""
        provider = self.providers.label(provider)
        label = self._models.label(f"{provider}/{model}", admits=outcome in {"ok", "cached"} and model != "")
        model = OTHER if label == OTHER else model
        self.model_calls.add(provider, model, outcome)
        self.model_seconds.observe(seconds, provider)

        for direction in ("input", "output"):
            used = tokens.get(f"{direction}_tokens", 0)
            if used:
                self.model_tokens.add(provider, model, direction, amount=used)
        if cost_usd and math.isfinite(cost_usd):
            self.model_cost.add(provider, model, amount=cost_usd)
