"""Settles calls: by the provider's usage report, or by the best estimate, marked as one."""

from __future__ import annotations

import time
from operator import attrgetter

import structlog

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.gateway.budgets import BudgetLimit, Budgets
from codewords_mcp.runtime.gateway.cache import CachedResponse
from codewords_mcp.runtime.gateway.estimates import (
    Estimate,
    estimate,
    is_plausible,
    max_output_tokens,
)
from codewords_mcp.runtime.gateway.exchange import ProviderCall
from codewords_mcp.runtime.gateway.inputs import find_inputs
from codewords_mcp.runtime.gateway.ledger import Ledger
from codewords_mcp.runtime.gateway.prices import USD, Prices
from codewords_mcp.runtime.gateway.reading import Reading
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import Tokens
from codewords_mcp.runtime.model.measures import Measures
from codewords_mcp.runtime.model.model_errors import BudgetExceeded, UnpricedModel
from codewords_mcp.runtime.model.provider import CallUsage

log = structlog.get_logger(__name__)
_FAILURES = frozenset(
    {
        "budget_exceeded",
        "unpriced_model",
        "too_busy",
        "provider_unavailable",
        "provider_timed_out",
        "cut_short",
    }
)
"""Codes of failures that have an outcome of their own."""
BYTES_PER_TOKEN = 4
"""Of English text, by every tokenizer of the three providers. Used only without a usage report."""


class CallMeter:
    """Reserves the maximum cost of calls, prices their usage, and records it in the ledger."""

    def __init__(self, prices: Prices, ledger: Ledger, budgets: Budgets, measures: Measures) -> None:
        self._measures = measures
        self._prices = prices
        self._ledger = ledger
        self._budgets = budgets
        # Bound once: it runs for every call.
        self.limits = budgets.limits

    async def reserve(self, call: ProviderCall, limits: list[BudgetLimit]) -> None:
        """Reserve the maximum cost of the call on every budget that applies to it.

        Raises BudgetExceeded; UnpricedModel if the cost cannot be determined; InvalidInput for a
        body that cannot be read.
        """
        if call.route.kind == "free" or not limits:
            return

        facts = call.facts
        if facts is None:
            raise UnpricedModel(
                "This endpoint's cost cannot be determined (batches, fine-tuning, speech, video), "
                "so it is refused while a budget is set.",
                hint="Make the call from outside, with a key that has no budget.",
            )
        if not facts.readable:
            raise InvalidInput(
                "The body is not a JSON object that names a model, so no budget can be applied to it.",
                hint="Send one JSON object with a `model`.",
            )

        inputs = find_inputs(facts)
        if inputs.uncounted:
            raise UnpricedModel(
                f"{inputs.uncounted}, so the call is refused while a budget applies.",
                hint="Bound it (`max_uses`, `max_tool_calls`), leave it out, or make the call with a key that has no budget.",
            )

        worst_case = estimate(facts, self._prices, inputs)
        if worst_case is None:
            raise UnpricedModel(
                "This model has no known price, so it is refused while a budget applies.",
                hint="CODEWORDS_MODEL_PRICES gives it one, in USD a million tokens.",
            )

        call.fees = worst_case.fees
        if call.fallbacks:
            await self._reserve_with_fallbacks(call, limits, worst_case)
        else:
            call.reservation = await self._budgets.reserve(call, limits, worst_case)

    def release(self, call: ProviderCall) -> None:
        """Give back what was reserved for a call that is not made."""
        self._budgets.settle(call.origin, call.reservation, 0)

    async def _reserve_with_fallbacks(
        self, call: ProviderCall, limits: list[BudgetLimit], own: Estimate
    ) -> None:
        """Reserve once for the dearest model. Fallbacks that the budget cannot pay for are dropped."""
        priced = [(facts, cost) for facts in call.fallbacks if (cost := estimate(facts, self._prices))]
        dearest = max((own, *(cost for _, cost in priced)), key=attrgetter("max_cost"))

        try:
            call.reservation = await self._budgets.reserve(call, limits, dearest)
        except BudgetExceeded:
            if dearest is own:
                raise

            # The dearest fallback exceeds the budget; the requested model may still fit.
            priced = [(facts, cost) for facts, cost in priced if cost.max_cost <= own.max_cost]
            call.reservation = await self._budgets.reserve(call, limits, own)

        call.fallbacks = tuple(facts for facts, _ in priced)

    def record_cached(self, call: ProviderCall, cached: CachedResponse) -> CallUsage:
        """Count a call that was answered from the cache, at no cost."""
        self._ledger.record(call.origin, call.route.provider, call.model, {}, cost=0, cached=True)
        self._measures.count_model_call(
            call.route.provider,
            call.model,
            "cached",
            seconds=time.perf_counter() - call.began_at,
            tokens={},
            cost_usd=None,
        )
        return CallUsage(cached.tokens, 0.0, estimated=False, cached=True, model=call.model)

    def settle(self, call: ProviderCall, reading: Reading) -> None:
        """See `CallSettler`.

        Error responses and calls that never reached the provider cost nothing.
        """
        self._budgets.settle(call.origin, call.reservation, self._count(call, reading))
        if call.route.kind != "free":
            self._measure(call)

    def _measure(self, call: ProviderCall) -> None:
        provider, used = call.route.provider, call.used
        self._measures.count_model_call(
            provider,
            call.model,
            _outcome(call),
            seconds=time.perf_counter() - call.began_at,
            tokens=used.tokens if used is not None else {},
            cost_usd=used.cost if used is not None else None,
        )
        label = self._measures.providers.label(provider)
        if call.first_chunk_at is not None:
            self._measures.first_chunk.observe(call.first_chunk_at - call.began_at, label)
        if call.retries:
            self._measures.model_retries.add(label, amount=call.retries)

    def _count(self, call: ProviderCall, reading: Reading) -> int:
        """Record the call. Returns its cost."""
        if call.status >= 300 or not call.sent or call.route.kind == "free":
            return 0

        provider, facts = call.route.provider, call.facts
        if facts is None:
            self._ledger.record(call.origin, provider, _path_of(call), {}, cost=None)
            return 0

        reported = self._believable(reading.tokens, facts)
        estimated = reported is None or not reading.whole
        if estimated:
            tokens = estimate_tokens(call, reading, reported or {}, max_output_tokens(facts, self._prices))
        else:
            tokens = reported or {}
        cost = self._price(call, reading, tokens, estimated=estimated)
        # Without a report the highest cost counts, so that no budget is passed unseen.
        if estimated and call.reservation is not None:
            cost = call.reservation.amount
        elif call.fees and "web_searches" not in tokens:
            # Billed but not reported: count the reserved fees.
            cost, estimated = (cost or 0) + call.fees, True

        self._ledger.record(
            call.origin,
            provider,
            facts.model or reading.model,
            tokens,
            cost=cost,
            estimated=estimated,
            fallback=bool(call.instead_of),
        )
        if cost is None:
            dollars = None
        else:
            dollars = cost / USD
        call.used = CallUsage(tokens, dollars, estimated, model=reading.model or facts.model)
        return cost or 0

    def _believable(self, tokens: Tokens | None, facts: RequestFacts) -> Tokens | None:
        """The reported tokens; None without a report, and for one that no call can come to."""
        if tokens is None or is_plausible(tokens, facts, self._prices):
            return tokens
        log.warning("provider usage not believed", provider=facts.route.provider, model=facts.model, **tokens)
        return None

    def _price(self, call: ProviderCall, reading: Reading, tokens: Tokens, *, estimated: bool) -> int | None:
        """Price by the responding model, else by the requested one: it may be an alias or a
        configured name.
        """
        provider, requested = call.route.provider, call.facts.model if call.facts is not None else ""
        # A name from the settings means their price, whatever model responds. A broken response may name any model.
        if estimated or self._prices.is_own(provider, requested):
            first = requested
        else:
            first = reading.model or requested

        for model in dict.fromkeys((first, requested)):
            cost = self._prices.cost(provider, model, tokens, reading.tier)
            if cost is not None:
                return cost

        return None


def estimate_tokens(call: ProviderCall, reading: Reading, early: Tokens, max_output: int) -> Tokens:
    """Tokens of a call with no usage report, or only an `early` one.

    Each event of a stream is about a token. What a broken provider sends may be endless, so the model's limit bounds it.
    """
    tokens_used = dict(early)
    assert call.facts is not None  # noqa: S101  # only such calls are counted

    if not reading.events:
        plain = call.passed_bytes // BYTES_PER_TOKEN
    else:
        plain = 0

    # An early report has the input already.
    if "input_tokens" not in tokens_used:
        tokens_used["input_tokens"] = max(1, len(call.facts.body) // BYTES_PER_TOKEN)
    written = min(max(reading.events, plain), max_output)
    tokens_used["output_tokens"] = max(tokens_used.get("output_tokens", 0), written)
    return tokens_used


def _outcome(call: ProviderCall) -> str:
    """The end of a call in one of a few words: `ok`, our code of a failure, or the class of the provider's status."""
    if call.failure:
        return call.failure if call.failure in _FAILURES else "failed"
    if call.status == 429:
        return "rate_limited"
    if call.status >= 500:
        return "provider_error"
    if call.status >= 400:
        return "rejected"
    return "ok"


def _path_of(call: ProviderCall) -> str:
    """The path without ids, recorded in place of an unknown model."""
    return "/".join(part for part in call.route.path.split("/")[:5] if not any(c.isdigit() for c in part[2:]))
