"""Running checks against a driver."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Collection

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes.base import Capability, EnvironmentRef
from codewords_mcp.testing.sandboxes.expecting import Broken
from codewords_mcp.testing.sandboxes.model import ConformanceCheck, Outcome, Report
from codewords_mcp.testing.sandboxes.registry import checks
from codewords_mcp.testing.sandboxes.stage import Context, MakeDriver, open_context


async def _nothing(_: Context) -> None:
    """Closing the driver is what is checked."""


# Reported only where it failed.
_LAST = ConformanceCheck(
    "driver.last", "The driver that served all checks closes.", frozenset(), 60.0, _nothing
)


async def run_check(check: ConformanceCheck, context: Context) -> Outcome:
    """Run one check: skipped where the driver does not claim what it needs, failed where it raises anything.

    Takes at most `check.seconds`, and the time to kill what it started. Raises only when cancelled.
    """
    missing = check.missing(context.driver, context.make_driver)
    if missing:
        return Outcome(check, "skipped", f"Not claimed: {', '.join(missing)}.", 0.0)
    began = time.monotonic()
    reason = await _reason(check, context)
    return Outcome(check, "failed" if reason else "passed", reason, time.monotonic() - began)


async def _reason(check: ConformanceCheck, context: Context) -> str:
    """The reason why the check failed; empty if it did not."""
    bound = asyncio.timeout(check.seconds)
    try:
        async with bound:
            await check.run(context)
    except Exception as error:  # noqa: BLE001
        # A driver of others may raise anything.
        if isinstance(error, TimeoutError) and bound.expired():
            return f"It did not end within {check.seconds:g} seconds."
        return _explained(error)
    return ""


def _explained(error: Exception) -> str:
    if isinstance(error, Broken):
        return str(error)
    if isinstance(error, CodewordsError):
        return f"{type(error).__name__} ({error.code}): {error}"
    return "".join(traceback.format_exception(error)).rstrip()


async def self_check(
    make_driver: MakeDriver,
    environment: EnvironmentRef,
    *,
    only: Collection[str] | None = None,
    on_outcome: Callable[[Outcome], object] | None = None,
) -> Report:
    """Run every check, or those whose id or area is in `only`, one after the other; tell `on_outcome` of each.

    `environment` has fastapi and uvicorn[standard] (see `build_environment`).
    Raises ValueError for an unknown name in `only`, and what `make_driver` raises.
    """
    chosen = checks(only)
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)

    tier, capabilities = None, frozenset[Capability]()

    try:
        async with open_context(make_driver, environment) as context:
            tier, capabilities = context.driver.tier, context.driver.capabilities
            for check in chosen:
                note(await run_check(check, context))
    except Exception as error:
        # The driver could not be opened: there is nothing to report on.
        if tier is None:
            raise
        # Also a driver that cannot be closed has a report.
        note(Outcome(_LAST, "failed", _explained(error), 0.0))

    return Report(tier, capabilities, tuple(outcomes))
