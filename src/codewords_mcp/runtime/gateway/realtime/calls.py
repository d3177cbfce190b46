"""The calls of one session: each response is one, reserved before it begins and settled when it has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from codewords_mcp.common.json_parts import object_of, text_of
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.budgets import BudgetLimit
from codewords_mcp.runtime.gateway.exchange import CallObserver, ProviderCall
from codewords_mcp.runtime.gateway.meter import CallMeter
from codewords_mcp.runtime.gateway.model_choice import check_model
from codewords_mcp.runtime.gateway.reading import Reading
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import Tokens
from codewords_mcp.runtime.model.model_errors import UnpricedModel
from codewords_mcp.runtime.model.provider import CallUsage

MAX_RUNNING: Final = 32
"""Responses of one kind that run at once in a session."""
NOTHING: Final[Tokens] = {"input_tokens": 0, "output_tokens": 0}
"""Usage of a response that was cancelled before it wrote anything."""

_COUNTED_TOOLS: Final = frozenset({"function", "mcp"})


class SessionCalls:
    """Makes and settles the calls of a session. `allowed` are the lists of models that apply, `observe` makes spans."""

    def __init__(
        self,
        origin: CallAttribution,
        meter: CallMeter,
        limits: list[BudgetLimit],
        allowed: list[tuple[str, ...]],
        observe: Callable[[], CallObserver | None],
    ) -> None:
        self._origin = origin
        self._meter = meter
        self._limits = limits
        self._allowed = allowed
        self._observe = observe
        self._tokens: Counter[str] = Counter()
        self._cost: float | None = 0.0
        self._estimated = False

    def check_tools(self, tools: list[Any]) -> None:
        """Refuse tools of a provider whose cost no response reports, where a budget applies. Raises UnpricedModel."""
        if self._limits and any(text_of(object_of(tool).get("type")) not in _COUNTED_TOOLS for tool in tools):
            raise UnpricedModel(
                "A tool that the provider runs is billed outside the reported usage, so the session ends while a budget "
                "applies.",
                hint="Leave it out, or connect with a key that has no budget.",
            )

    def check(self, facts: RequestFacts) -> None:
        """Check a model against the lists. Raises ModelNotAllowed."""
        if self._allowed:
            check_model(self._allowed, facts.route, facts)

    async def reserve(self, facts: RequestFacts) -> ProviderCall:
        """Reserve the most that a call may cost. Raises BudgetExceeded, UnpricedModel, InvalidInput."""
        call = ProviderCall(facts.route, self._origin, facts, self._meter)
        await self._meter.reserve(call, self._limits)
        return call

    def begin(self, call: ProviderCall) -> None:
        """Note that the provider has begun the call, and bills it."""
        call.begin(self._observe())

    def release(self, call: ProviderCall) -> None:
        """Give back what is reserved for a call that never began."""
        self._meter.release(call)

    def settle(self, call: ProviderCall, tokens: Tokens | None) -> None:
        """Settle a call that has ended by its usage; None: at what was reserved."""
        call.settle(Reading(call.model, tokens=tokens, whole=tokens is not None))
        if call.used is not None:
            self._add(call.used)

    def _add(self, used: CallUsage) -> None:
        self._tokens.update(used.tokens)
        self._estimated = self._estimated or used.estimated
        if self._cost is not None:
            self._cost = None if used.cost is None else self._cost + used.cost

    def used(self, model: str) -> CallUsage:
        """Sum up all calls of the session so far."""
        return CallUsage(dict(self._tokens), self._cost, self._estimated, model=model)


class CallLane:
    """Responses of one model: those that run, and one more that is reserved for what begins by itself."""

    def __init__(self, calls: SessionCalls, facts: RequestFacts) -> None:
        self._session = calls
        self._facts = facts
        # Those that run come first, then those that the caller asked for, then the one for what comes next.
        self._calls: list[ProviderCall] = []
        self.running = 0
        self._requested = 0

    async def open(self) -> None:
        """Reserve the first. Raises BudgetExceeded, UnpricedModel and InvalidInput, as do `request` and `begin`."""
        if len(self._calls) > MAX_RUNNING:
            raise InvalidInput(f"A realtime session runs at most {MAX_RUNNING} responses at once.")
        self._calls.append(await self._session.reserve(self._facts))

    async def request(self) -> None:
        """Reserve one that the caller asks for, before it asks."""
        await self.open()
        self._requested += 1

    async def begin(self) -> None:
        """Note that one has begun. Unless the caller asked for it, another is reserved for the next."""
        position, self.running = self.running, self.running + 1
        if position < len(self._calls):
            self._session.begin(self._calls[position])
        if self._requested:
            self._requested -= 1
        else:
            await self.open()

    def refuse(self) -> None:
        """Note that the provider refused one that the caller asked for: it never began."""
        if self._requested and self._calls:
            self._requested -= 1
            self._session.release(self._calls.pop())

    def settle(self, tokens: Tokens | None) -> None:
        """Settle the one that runs longest."""
        if self.running and self._calls:
            self.running -= 1
            self._session.settle(self._calls.pop(0), tokens)

    def release(self, began: int = 0) -> None:
        """Give back what is reserved. What was running, asked for, or `began` unseen, counts as the most that it may cost."""
        billed = self.running + self._requested + began
        for position, call in enumerate(self._calls):
            if position >= billed:
                self._session.release(call)
                continue
            if position >= self.running:
                self._session.begin(call)
            self._session.settle(call, None)
        self._calls.clear()
