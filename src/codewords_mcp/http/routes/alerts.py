"""Alerts: failures that nobody waited for."""

from __future__ import annotations

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import Body, query_int, read_body
from codewords_mcp.http.operations import HttpOperation, Parameter, items_of, whole_number
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.alert import (
    TIME_OF_DAY,
    Alert,
    AlertedRuns,
    AlertKind,
    AlertSettingsState,
    AlertTest,
)

_STATES = ("unresolved", "all")


async def list_alerts(request: Request) -> Response:
    """List alerts, the newest failure first."""
    state = request.query_params.get("state", "unresolved")
    if state not in _STATES:
        raise InvalidInput(f"`state` must be one of {', '.join(_STATES)}.")

    found = await runtime(request.scope).alerts.list(
        caller(request.scope),
        unresolved=state == "unresolved",
        limit=query_int(request, "limit", low=1, high=500) or 100,
    )
    return JsonReply({"items": found})


async def acknowledge(request: Request) -> Response:
    """Note that a person knows of it."""
    return JsonReply(await runtime(request.scope).alerts.acknowledge(caller(request.scope), _id(request)))


async def dismiss(request: Request) -> Response:
    """Put an alert away."""
    return JsonReply(await runtime(request.scope).alerts.dismiss(caller(request.scope), _id(request)))


class AlertSettingsBody(Body):
    """Settings to change; those that are left out stay. See `AlertSettings`."""

    runs: AlertedRuns | None = None
    muted: list[AlertKind] | None = None
    webhook: str | None = Field(default=None, max_length=2000)
    webhook_secret: str | None = Field(default=None, max_length=64)
    email: list[str] | None = Field(default=None, max_length=10)
    slack: str | None = Field(default=None, max_length=80)
    interval_minutes: int | None = Field(default=None, ge=1, le=1440)
    quiet_from: str | None = Field(default=None, pattern=TIME_OF_DAY)
    quiet_until: str | None = Field(default=None, pattern=TIME_OF_DAY)
    timezone: str | None = Field(default=None, max_length=64)


async def get_settings(request: Request) -> Response:
    """Answer with the settings."""
    return JsonReply(await runtime(request.scope).alerts.settings(caller(request.scope)))


async def change_settings(request: Request) -> Response:
    """Change settings."""
    body = await read_body(request, AlertSettingsBody)
    changes = body.model_dump(exclude_none=True)
    # The settings hold tuples, and their `model_copy` converts nothing.
    changes |= {name: tuple(changes[name]) for name in ("muted", "email") if name in changes}
    return JsonReply(await runtime(request.scope).alerts.change_settings(caller(request.scope), changes))


async def send_test(request: Request) -> Response:
    """Send a test by each channel."""
    return JsonReply({"items": await runtime(request.scope).alerts.send_test(caller(request.scope))})


def _id(request: Request) -> str:
    return str(request.path_params["alert_id"])


_STATE = {"type": "string", "enum": list(_STATES), "default": "unresolved"}
_TAG = "alerts"
OPERATIONS = [
    HttpOperation(
        "GET", "/alerts", "List failures that nobody waited for", list_alerts, tag=_TAG, reply=items_of(Alert),
        description="One for all equal failures of a workflow, with their number. An alert is over by itself when what failed "
        "works again.",
        parameters=(
            Parameter("state", "Those that are not over, or all.", _STATE),
            Parameter("limit", "At most so many, 1 to 500.", whole_number(1, 500, default=100)),
        ),
    ),
    HttpOperation(
        "POST", "/alerts/{alert_id}/acknowledge", "Acknowledge an alert", acknowledge, tag=_TAG, reply=Alert,
        description="It stays until what failed works again, and no more messages of it are sent.",
    ),
    HttpOperation(
        "POST", "/alerts/{alert_id}/dismiss", "Dismiss an alert", dismiss, tag=_TAG, reply=Alert,
        description="It is put away. A failure of a run or schedule opens it again; a state that lasts, once it was over.",
    ),
    HttpOperation(
        "GET", "/alerts/settings", "Show where alerts are sent", get_settings, tag=_TAG, reply=AlertSettingsState,
        description="`problems` says by channel why waiting messages were not taken; they are tried again.",
    ),
    HttpOperation(
        "PUT", "/alerts/settings", "Change where alerts are sent", change_settings, tag=_TAG, body=AlertSettingsBody,
        reply=AlertSettingsState, description="Fields that are left out stay. An empty text or list is none.",
    ),
    HttpOperation(
        "POST", "/alerts/test", "Send a test by each channel", send_test, tag=_TAG, reply=items_of(AlertTest),
    ),
]  # fmt: skip
