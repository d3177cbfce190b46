"""`wait`: a running workflow waits until a time, without a sandbox where that is longer than some seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.run_wait import NewWait
from codewords_mcp.runtime.services._durations import Duration, seconds_of
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext


class WaitInput(Input):
    """One of the two."""

    seconds: Duration | None = Field(default=None, description='Seconds from now, or "30m", "4h", "3d".')
    until: datetime | None = Field(
        default=None,
        description="A time with its zone, such as 2027-01-31T09:00:00+01:00; one without is UTC.",
    )


class WaitOutput(Output):
    """The wait is over."""

    status: Literal["elapsed"]
    began_at: str
    until: str


async def wait(context: ServiceContext, params: WaitInput) -> WaitOutput:
    """Wait until the time has come."""
    if (params.seconds is None) == (params.until is None):
        raise InvalidInput("Give either `seconds` or `until`.")
    if params.seconds is not None:
        remaining = seconds_of(params.seconds)
    else:
        remaining = _seconds_until(params.until)

    new = NewWait("time", "A time", remaining, {})
    over = await context.dependencies.waits.wait(context.caller, context.repeat_key, new)
    return WaitOutput(status="elapsed", began_at=over.created_at.isoformat(), until=over.due_at.isoformat())


def _seconds_until(time: datetime | None) -> float:
    """Seconds until a time, of which one that has passed is over at once. Raises InvalidInput beyond a year."""
    if time is None:
        return 0.001
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return seconds_of(max((time - datetime.now(UTC)).total_seconds(), 0.001))


SERVICE = Service(
    name="wait",
    title="Wait",
    summary="Wait until a time or for a duration: minutes or days, without a sandbox meanwhile.",
    operations=(
        Operation(
            "Wait for some seconds, or until a time",
            WaitInput,
            WaitOutput,
            wait,
            effect="reads",
            example={"seconds": "2h"},
        ),
    ),
    waits=True,
)
