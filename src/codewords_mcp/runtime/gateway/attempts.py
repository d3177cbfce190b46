"""Attempts of one call: other keys, configured fallback models, and retries where they are safe.

No attempt follows once a byte of a response has been passed on. None follows either when the
provider may have begun billable work: a call that was sent and got no response is settled as it is.
Waiting is left to SDKs that announce their own retries.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.gateway.connection_pool import ProviderResponse
from codewords_mcp.runtime.gateway.error_verdicts import MAX_ERROR_BYTES, NO_ACTION, Verdict, judge
from codewords_mcp.runtime.gateway.exchange import ProviderCall
from codewords_mcp.runtime.gateway.health import Health, Name
from codewords_mcp.runtime.gateway.keys import ProviderKey, in_trial_order, title_of
from codewords_mcp.runtime.model.model_errors import ProviderTimedOut, ProviderUnavailable

MAX_WAIT = 20.0
"""Seconds that a call waits before a retry.

If the provider asks for more, its error is passed on with `retry-after`.
"""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
Send = Callable[[ProviderKey], Awaitable[ProviderResponse]]


@dataclass(slots=True)
class AttemptOutcome:
    """Response or failure of one attempt, and the possible next steps."""

    response: ProviderResponse | None
    failure: CodewordsError | None
    verdict: Verdict


class Attempts:
    """Makes the calls of one gateway."""

    def __init__(self, health: Health, retries: int) -> None:
        self._health = health
        self._retries = retries

    async def execute(
        self, call: ProviderCall, keys: list[ProviderKey], send: Send, *, may_wait: bool
    ) -> ProviderResponse:
        """Return the response to pass on.

        `send` makes the call once, in the state that `call` has at that time. `may_wait`: the call
        may be retried after a pause. Raises ProviderUnavailable, ProviderTimedOut, and whatever
        `send` raises.
        """
        retry = 0
        while True:
            last = await self._try_models(call, keys, send, last_round=not may_wait or retry >= self._retries)
            if not last.verdict.retryable or not may_wait or retry >= self._retries:
                break
            pause = _pause(last.verdict.retry_after, retry)
            if pause > MAX_WAIT:
                break

            _discard(call, last)
            await asyncio.sleep(pause)
            retry += 1
            call.retries += 1

        if last.response is None:
            assert last.failure is not None  # noqa: S101  # an outcome is one of the two
            raise last.failure

        return last.response

    async def _try_models(
        self, call: ProviderCall, keys: list[ProviderKey], send: Send, *, last_round: bool
    ) -> AttemptOutcome:
        """Try every fallback model with every key until one responds. Returns the last outcome."""
        while True:
            outcome = await self._try_keys(call, keys, send, last_round=last_round)
            if not outcome.verdict.other_model or not call.use_fallback():
                # The next round begins with the model that was asked for.
                if outcome.verdict.retryable and not last_round:
                    call.use_original()
                return outcome
            _discard(call, outcome)

    async def _try_keys(
        self, call: ProviderCall, keys: list[ProviderKey], send: Send, *, last_round: bool
    ) -> AttemptOutcome:
        health = self._health
        if len(keys) == 1:
            return await self._try_once(call, keys[0], send, final=last_round and not call.has_fallback)

        def first_only() -> bool:
            # Asked only where there are several keys, since it searches the body.
            return call.is_bound_to_account

        ordered = in_trial_order(keys, health, first_only)
        for position, key in enumerate(ordered, start=1):
            final = last_round and position == len(ordered) and not call.has_fallback
            outcome = await self._try_once(call, key, send, final=final)
            if not outcome.verdict.other_key or position == len(ordered):
                return outcome
            if health.blocked_for(ordered[position].health) and health.blocked_for(key.health):
                # Keys are sorted, so all later ones are resting too.
                return outcome

            _discard(call, outcome)

        raise AssertionError("a provider has at least one key")

    async def _try_once(
        self, call: ProviderCall, key: ProviderKey, send: Send, *, final: bool
    ) -> AttemptOutcome:
        """Send the call once.

        `final`: no attempt would follow an error, so its body need not be read.
        """
        health, provider = self._health, call.route.provider
        provider_name: Name = (provider,)
        model_name: Name = (provider, "model", call.model)
        if blocked := health.enter(provider_name) or health.enter(model_name):
            return AttemptOutcome(None, _circuit_open(call, blocked), Verdict(other_model=True))

        key.in_flight += 1
        try:
            response = await send(key)
        except ProviderUnavailable as error:
            # No connection was made, so nothing was billed and any other attempt is safe.
            if not error.reached:
                call.sent = False
                health.record_failure(provider_name)
                return AttemptOutcome(None, error, Verdict(retryable=True, other_model=True))

            return AttemptOutcome(None, error, NO_ACTION if call.bills else Verdict(retryable=True))
        except ProviderTimedOut as error:
            # The provider may be working on the call, and billing it, so it is not repeated.
            health.record_failure(model_name)
            return AttemptOutcome(None, error, NO_ACTION)
        finally:
            key.in_flight -= 1

        if response.status < 400:
            health.record_success(provider_name, model_name, key.health)
            return AttemptOutcome(response, None, NO_ACTION)

        return AttemptOutcome(response, None, await self._judge_error(call, key, response, final=final))

    async def _judge_error(
        self, call: ProviderCall, key: ProviderKey, response: ProviderResponse, *, final: bool
    ) -> Verdict:
        body = b""
        if not final:
            try:
                body = await response.peek(MAX_ERROR_BYTES)
            except OSError:
                # The status still counts; relaying the body raises the error again.
                body = b""

        verdict, health, provider = judge(call.route, response, body), self._health, call.route.provider
        # It answered, so it can be reached, whatever it said.
        health.record_success((provider,))
        if verdict.down:
            health.record_failure((provider, "model", call.model))
        if verdict.rest:
            health.rest(key.health, verdict.rest)
        return verdict


def _discard(call: ProviderCall, outcome: AttemptOutcome) -> None:
    """Drop an error response that is not passed on. The provider did not bill it."""
    if outcome.response is not None:
        outcome.response.close()
    # An error is not billed, so the next attempt begins like the first.
    call.sent = False


def _pause(retry_after: float | None, retry: int) -> float:
    """Seconds until the next retry: the provider's value, else the SDKs' exponential backoff with
    jitter.
    """
    if retry_after is not None:
        return retry_after
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**retry) * random.uniform(0.75, 1)  # noqa: S311  # no secret


def _circuit_open(call: ProviderCall, seconds: float) -> ProviderUnavailable:
    title, whole = title_of(call.route.provider), max(1, round(seconds))
    error = ProviderUnavailable(
        f"{title} has failed several times in a row, so calls to it are suspended for {whole} s.",
        hint=f"Try again in {whole} s.",
    )
    error.reached, error.retry_after = False, whole
    return error
