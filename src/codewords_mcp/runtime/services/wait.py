"""`wait`: a running workflow waits for a time or a request, without a sandbox where that is longer than some seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.run_wait import NewWait
from codewords_mcp.runtime.secrets.names import check_name
from codewords_mcp.runtime.services._durations import Duration, seconds_of
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext

WEEK: Final = 7 * 86400


class WaitInput(Input):
    """One of `seconds`, `until`, `new_webhook` and `for_webhook`. `timeout` is of `for_webhook`."""

    seconds: Duration | None = Field(default=None, description='Seconds from now, or "30m", "4h", "3d".')
    until: datetime | None = Field(
        default=None,
        description="A time with its zone, such as 2027-01-31T09:00:00+01:00; one without is UTC.",
    )
    new_webhook: bool = Field(
        default=False, description="Make an address to wait for later: answers at once with `id` and `url`."
    )
    for_webhook: str | None = Field(
        default=None, max_length=64, description="The `id` of such an address: wait for a request to it."
    )
    timeout: Duration = Field(default=WEEK, description="Seconds until the deadline; a year at the most.")
    signed_as: Literal["hub", "standard", "stripe"] | None = Field(
        default=None,
        description="How the sender of a new address signs, as for webhooks; `secret` names its secret.",
    )
    secret: str | None = Field(default=None, max_length=64, description="The name of the secret that signs.")


class WaitedRequest(Output):
    """A request to an address: `body` as JSON or text, else `body_base64`. `headers` have no credentials."""

    headers: dict[str, str]
    query: dict[str, str]
    body: Any = None
    body_base64: str | None = None


class WaitOutput(Output):
    """The wait is over: its time has come (`elapsed`), a request came (`received`), or none came in time (`timed_out`).

    `ready` is a new address, with its `id` and `url`.
    """

    status: Literal["elapsed", "ready", "received", "timed_out"]
    began_at: str | None = None
    until: str | None = None
    id: str | None = None
    url: str | None = None
    request: WaitedRequest | None = None


async def wait(context: ServiceContext, params: WaitInput) -> WaitOutput:
    """Wait until the time has come or a request has, or make an address for one."""
    chosen = [
        params.seconds is not None, params.until is not None, params.new_webhook, params.for_webhook is not None,
    ]  # fmt: skip
    if chosen.count(True) != 1:
        raise InvalidInput("Give one of `seconds`, `until`, `new_webhook` and `for_webhook`.")
    if params.new_webhook:
        return await _make_address(context, params)
    if params.for_webhook is not None:
        return await _wait_for_request(context, params.for_webhook, seconds_of(params.timeout))

    if params.seconds is not None:
        remaining = seconds_of(params.seconds)
    else:
        remaining = _seconds_until(params.until)
    new = NewWait("time", "A time", remaining, {})
    over = await context.dependencies.waits.wait(context.caller, context.repeat_key, new)
    return WaitOutput(status="elapsed", began_at=over.created_at.isoformat(), until=over.due_at.isoformat())


async def _make_address(context: ServiceContext, params: WaitInput) -> WaitOutput:
    if (params.signed_as is None) != (params.secret is None):
        raise InvalidInput("Give both `signed_as` and `secret`, or none of them.")
    name = None if params.secret is None else check_name(params.secret)
    question = {"signed_as": params.signed_as, "secret": name}
    made = await context.dependencies.waits.new_webhook(context.caller, context.repeat_key, question)
    return WaitOutput(status="ready", id=made.id, url=context.dependencies.webhooks.url_of(made.id))


async def _wait_for_request(context: ServiceContext, address: str, seconds: float) -> WaitOutput:
    new = NewWait("webhook", "A request to its address", seconds, {}, wait_id=address)
    over = await context.dependencies.waits.wait(context.caller, context.repeat_key, new)
    if over.answer is None:
        return WaitOutput(status="timed_out", id=over.id)
    # The digest only tells a repeated request from another one.
    content = {name: value for name, value in over.answer.items() if name != "digest"}
    return WaitOutput(status="received", id=over.id, request=WaitedRequest(**content))


def _seconds_until(time: datetime | None) -> float:
    """Seconds until a time, of which one that has passed is over at once. Raises InvalidInput beyond a year."""
    if time is None:
        return 0.001
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    # `seconds_of` refuses zero, and a time that has passed must not be an error.
    return seconds_of(max((time - datetime.now(UTC)).total_seconds(), 0.001))


SERVICE = Service(
    name="wait",
    title="Wait",
    summary="Wait for a time or a webhook: minutes or days, without a sandbox meanwhile.",
    operations=(
        Operation(
            "Wait for some seconds, until a time, or for a webhook",
            WaitInput,
            WaitOutput,
            wait,
            effect="reads",
            example={"seconds": "2h"},
        ),
    ),
    waits=True,
)
