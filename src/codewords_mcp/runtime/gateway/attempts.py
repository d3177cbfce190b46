"""One call's tries: other keys, other models where a person configured them, and the same again where that is safe.

Nothing is tried again once a byte of an answer has been passed on, nor after a provider may have begun to work on what it
bills: a call that was sent and never answered is settled as it is. Waiting is left to SDKs that say that they repeat calls.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from codewords_mcp.errors import CodewordsError, ProviderTimedOut, ProviderUnavailable
from codewords_mcp.runtime.gateway.exchange import ProviderCall
from codewords_mcp.runtime.gateway.health import Health, Name
from codewords_mcp.runtime.gateway.http_connection import ProviderResponse
from codewords_mcp.runtime.gateway.keys import TITLES, ProviderKey, in_turn
from codewords_mcp.runtime.gateway.verdicts import FINE, LARGEST, Verdict, judge

LONGEST_WAIT = 20.0
"""Seconds that a call waits before it is made again; a provider that wants more is passed on with its `retry-after`."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
Send = Callable[[ProviderKey], Awaitable[ProviderResponse]]


@dataclass(slots=True)
class AttemptOutcome:
    """Of one try: an answer or a failure, and what may be done about it."""

    answer: ProviderResponse | None
    failure: CodewordsError | None
    verdict: Verdict


class Attempts:
    """Makes calls of one gateway."""

    def __init__(self, health: Health, retries: int) -> None:
        self._health = health
        self._retries = retries

    async def answered(
        self, call: ProviderCall, keys: list[ProviderKey], send: Send, *, repeats: bool
    ) -> ProviderResponse:
        """The answer to pass on. `send` makes the call once, as `call` is at that time; `repeats`: it may be waited for.

        Raises ProviderUnavailable, ProviderTimedOut, and what `send` raises.
        """
        turn = 0
        while True:
            last = await self._round(call, keys, send, last_round=not repeats or turn >= self._retries)
            pause = _pause(last.verdict.after, turn)
            if not last.verdict.again or not repeats or turn >= self._retries or pause > LONGEST_WAIT:
                break

            _discard(call, last)
            await asyncio.sleep(pause)
            turn += 1
            call.repeated += 1

        if last.answer is None:
            assert last.failure is not None  # noqa: S101  # an outcome is one of the two
            raise last.failure

        return last.answer

    async def _round(
        self, call: ProviderCall, keys: list[ProviderKey], send: Send, *, last_round: bool
    ) -> AttemptOutcome:
        """Every model that may stand in, by every key, until one answers; the outcome of the last."""
        while True:
            outcome = await self._by_each_key(call, keys, send, last_round=last_round)
            if not outcome.verdict.other_model or not call.stand_in():
                if outcome.verdict.again and not last_round:
                    call.stand_back()
                return outcome
            _discard(call, outcome)

    async def _by_each_key(
        self, call: ProviderCall, keys: list[ProviderKey], send: Send, *, last_round: bool
    ) -> AttemptOutcome:
        health = self._health
        ordered = in_turn(keys, health, lambda: call.is_bound)
        for place, key in enumerate(ordered, start=1):
            final = last_round and place == len(ordered) and not call.has_stand_in
            outcome = await self._once(call, key, send, final=final)
            if not outcome.verdict.other_key or place == len(ordered):
                return outcome
            if health.left_alone(ordered[place].health) and health.left_alone(key.health):
                return outcome  # the keys that are left rest too

            _discard(call, outcome)

        raise AssertionError("a provider has a key")  # keys are never empty

    async def _once(self, call: ProviderCall, key: ProviderKey, send: Send, *, final: bool) -> AttemptOutcome:
        """`final`: nothing else would be done about an error, so that its body need not be read."""
        health, provider = self._health, call.route.provider
        reach: Name = (provider,)
        works: Name = (provider, "model", call.model)
        if left := health.enter(reach) or health.enter(works):
            return AttemptOutcome(None, _left_alone(call, left), Verdict(other_model=True))

        key.in_flight += 1
        try:
            answer = await send(key)
        except ProviderUnavailable as error:
            if not error.reached:
                call.sent = False
                health.failed(reach)
                return AttemptOutcome(None, error, Verdict(again=True, other_model=True))

            return AttemptOutcome(None, error, FINE if call.bills else Verdict(again=True))
        except ProviderTimedOut as error:
            health.failed(works)
            return AttemptOutcome(None, error, FINE)
        finally:
            key.in_flight -= 1

        if answer.status < 400:
            health.worked(reach, works, key.health)
            return AttemptOutcome(answer, None, FINE)

        return AttemptOutcome(answer, None, await self._judged(call, key, answer, final=final))

    async def _judged(
        self, call: ProviderCall, key: ProviderKey, answer: ProviderResponse, *, final: bool
    ) -> Verdict:
        body = b""
        if not final:
            try:
                body = await answer.peek(LARGEST)
            except OSError:  # it broke off: its status still counts; what reads it on is told so
                body = b""

        verdict, health, provider = judge(call.route, answer, body), self._health, call.route.provider
        health.worked((provider,))
        if verdict.down:
            health.failed((provider, "model", call.model))
        if verdict.rest:
            health.rest(key.health, verdict.rest)
        return verdict


def _discard(call: ProviderCall, outcome: AttemptOutcome) -> None:
    """Drop an error that is not passed on; it was not billed."""
    if outcome.answer is not None:
        outcome.answer.close()
    call.sent = False


def _pause(told: float | None, turn: int) -> float:
    """Seconds until the next turn: as the provider says, else as the SDKs do it."""
    if told is not None:
        return told
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**turn) * random.uniform(0.75, 1)  # noqa: S311  # no secret


def _left_alone(call: ProviderCall, seconds: float) -> ProviderUnavailable:
    title, whole = TITLES[call.route.provider], max(1, round(seconds))
    error = ProviderUnavailable(
        f"{title} has failed several times in a row, so it is left alone for {whole} s.",
        hint="Try again then.",
    )
    error.reached, error.retry_after = False, whole
    return error
