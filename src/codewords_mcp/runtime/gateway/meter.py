"""Settles calls: what the provider told, or the best estimate, marked as one."""

from __future__ import annotations

from codewords_mcp.errors import BudgetExceeded, InvalidInput, UnpricedModel
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.budgets import BudgetLimit, Budgets
from codewords_mcp.runtime.gateway.cache import CachedResponse
from codewords_mcp.runtime.gateway.estimates import Estimate
from codewords_mcp.runtime.gateway.estimates import estimate as estimate_most
from codewords_mcp.runtime.gateway.exchange import ProviderCall
from codewords_mcp.runtime.gateway.inputs import find_inputs
from codewords_mcp.runtime.gateway.ledger import Ledger
from codewords_mcp.runtime.gateway.prices import USD, Prices
from codewords_mcp.runtime.gateway.tap import Reading
from codewords_mcp.runtime.gateway.usage import Tokens
from codewords_mcp.runtime.model.provider import CallUsage

BYTES_PER_TOKEN = 4
"""Of English text, by every tokenizer of the three providers; used only where nothing was told."""


class CallMeter:
    """Reserves what calls may cost, prices what they used, and writes it into the books."""

    def __init__(self, prices: Prices, ledger: Ledger, budgets: Budgets) -> None:
        self._prices = prices
        self._ledger = ledger
        self._budgets = budgets

    async def limits(self, origin: CallAttribution) -> list[BudgetLimit]:
        """Every budget that applies to a call of this origin."""
        return await self._budgets.limits(origin)

    async def reserve(self, call: ProviderCall, limits: list[BudgetLimit]) -> None:
        """Take what the call may cost from every budget that applies to it.

        Raises BudgetExceeded; UnpricedModel where nobody can say what it costs; InvalidInput for a body that says nothing.
        """
        if call.route.kind == "free" or not limits:
            return

        asked = call.asked
        if asked is None:
            raise UnpricedModel(
                "What such a call costs is told by no answer, so it is refused while a budget applies.",
                hint="Make it from outside, with a key that has no budget.",
            )
        if not asked.readable:
            raise InvalidInput(
                "The body is not a JSON object that names a model, so it cannot be held to its budget."
            )

        inputs = find_inputs(asked)
        if inputs.uncounted:
            raise UnpricedModel(
                f"{inputs.uncounted}, so the call is refused while a budget applies.",
                hint="Bound it (`max_uses`, `max_tool_calls`), leave it out, or make the call with a key that has no budget.",
            )

        most = estimate_most(asked, self._prices, inputs)
        if most is None:
            raise UnpricedModel(
                "This model has no known price, so it is refused while a budget applies.",
                hint="CODEWORDS_MODEL_PRICES gives it one, in USD a million tokens.",
            )

        call.fees = most.fees
        if call.others:
            await self._with_others(call, limits, most)
        else:
            call.reservation = await self._budgets.reserve(call, limits, most)

    async def _with_others(self, call: ProviderCall, limits: list[BudgetLimit], most: Estimate) -> None:
        """Reserve once for whichever model answers; those that the budget has no room for do not stand in."""
        priced = [(one, found) for one in call.others if (found := estimate_most(one, self._prices))]
        dearest = max((most, *(found for _, found in priced)), key=lambda one: one.most)

        try:
            call.reservation = await self._budgets.reserve(call, limits, dearest)
        except BudgetExceeded:
            if dearest is most:
                raise
            priced = [(one, found) for one, found in priced if found.most <= most.most]
            call.reservation = await self._budgets.reserve(call, limits, most)

        call.others = tuple(one for one, _ in priced)

    def given(self, call: ProviderCall, kept: CachedResponse) -> CallUsage:
        """Count a call that was answered with what is kept, at no cost."""
        self._ledger.record(call.origin, call.route.provider, call.model, {}, cost=0, cached=True)
        return CallUsage(kept.tokens, 0.0, estimated=False, cached=True)

    def settle(self, call: ProviderCall, reading: Reading) -> None:
        """See `Books`. A refusal of the provider, and a call that never reached it, cost nothing."""
        self._budgets.settle(call.origin, call.reservation, self._count(call, reading))

    def _count(self, call: ProviderCall, reading: Reading) -> int:
        """Write the call down; what it cost."""
        if call.status >= 300 or not call.sent or call.route.kind == "free":
            return 0

        provider, asked = call.route.provider, call.asked
        if asked is None:
            self._ledger.record(call.origin, provider, _path_of(call), {}, cost=None)
            return 0

        tokens = reading.tokens if reading.whole else None
        estimated = tokens is None
        if tokens is None:
            tokens = estimate(call, reading)
        cost = self._price(call, reading, tokens)
        if estimated and call.reservation is not None:
            cost = max(cost or 0, call.reservation.amount)
        elif call.fees and "web_searches" not in tokens:  # billed, and not told: as many as were reserved
            cost, estimated = (cost or 0) + call.fees, True

        self._ledger.record(
            call.origin,
            provider,
            asked.model or reading.model,
            tokens,
            cost=cost,
            estimated=estimated,
            fallback=bool(call.instead_of),
        )
        call.used = CallUsage(tokens, None if cost is None else cost / USD, estimated)
        return cost or 0

    def _price(self, call: ProviderCall, reading: Reading, tokens: Tokens) -> int | None:
        """By the model that answered, else by the one that was asked for: an alias, a name that only we know."""
        provider, asked = call.route.provider, call.asked.model if call.asked is not None else ""
        if self._prices.is_own(asked):
            first = asked
        else:
            first = reading.model or asked

        for model in dict.fromkeys((first, asked)):
            cost = self._prices.cost(provider, model, tokens, reading.tier)
            if cost is not None:
                return cost

        return None


def estimate(call: ProviderCall, reading: Reading) -> Tokens:
    """Tokens of a call that told none, or only its first word: pieces of a stream are about a token each."""
    told = dict(reading.tokens or {})
    assert call.asked is not None  # noqa: S101  # only such calls are counted

    if not reading.events:
        plain = call.passed // BYTES_PER_TOKEN
    else:
        plain = 0

    if "input_tokens" not in told:
        told["input_tokens"] = max(1, len(call.asked.body) // BYTES_PER_TOKEN)
    told["output_tokens"] = max(told.get("output_tokens", 0), reading.events, plain)
    return told


def _path_of(call: ProviderCall) -> str:
    """What stands for a model where none is known: the path, without ids."""
    return "/".join(part for part in call.route.path.split("/")[:5] if not any(c.isdigit() for c in part[2:]))
