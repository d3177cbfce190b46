"""`slack_trigger`: events of Slack start workflows, by its Events API or Socket Mode; and messages
to Slack.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, cast

from pydantic import AliasChoices, Field

from codewords_mcp.errors import NotFound, TooBusy, UpstreamFailed
from codewords_mcp.runtime.services._triggers import (
    RegistrationInput,
    SimulationOutput,
    TriggerRegistration,
    register_hook,
    registration_operations,
)
from codewords_mcp.runtime.services.base import (
    Input,
    Operation,
    Output,
    Service,
    ServiceContext,
    ServiceCredential,
)
from codewords_mcp.runtime.triggers.webhook_events import slack_event
from codewords_mcp.runtime.triggers.webhooks import as_json
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.runtime.web.responses import retry_after

SLACK_BOT_TOKEN = ServiceCredential(
    "SLACK_BOT_TOKEN",
    "It is the Bot User OAuth Token (xoxb-…) of your app at https://api.slack.com/apps, with the scope chat:write.",
    without="Messages cannot be sent.",
    essential=True,
)
SLACK_SIGNING_SECRET = ServiceCredential(
    "SLACK_SIGNING_SECRET",
    "It is under Basic Information of your app at https://api.slack.com/apps.",
    without="Events come by Socket Mode only.",
)
SLACK_APP_TOKEN = ServiceCredential(
    "SLACK_APP_TOKEN",
    "Make an app-level token (xapp-…) with the scope connections:write and turn Socket Mode on.",
    without="Events come to the address of `register` only, which Slack must reach.",
)


class SlackRegistration(RegistrationInput):
    """Events by Slack's names: `app_mention`, `message`, `reaction_added`, `slash_command` …;
    without one, all.
    """

    channel: str | None = Field(
        default=None, pattern=r"^[A-Z0-9]{1,30}$", description="Only of this channel."
    )
    include_own: bool = Field(default=False, description="Also what the app itself has written.")


class SlackWebhook(TriggerRegistration):
    """`url` goes into the app as its Request URL; Socket Mode doesn't need it. `socket` is the
    socket's state.
    """

    success: bool
    socket: str


class SlackMessage(Input):
    """`channel` is an id or a name; give `text` or `blocks`."""

    channel: str = Field(min_length=1, max_length=100)
    text: str = Field(
        default="", max_length=40_000, validation_alias=AliasChoices("text", "message", "message_text")
    )
    thread_ts: str | None = Field(default=None, pattern=r"^\d{1,12}\.\d{1,6}$")
    blocks: list[dict[str, Any]] | None = Field(default=None, max_length=50)


class SlackSendOutput(Output):
    """The position of the message in Slack."""

    success: bool
    channel: str
    ts: str


class SlackSimulation(Input):
    """An event of Slack's, like {"type": "app_mention", "text": "hello", "channel": "C1"}."""

    event: dict[str, Any]


async def register(context: ServiceContext, params: SlackRegistration) -> SlackWebhook:
    """Register a workflow for events. Raises InvalidInput, NotFound, Forbidden, TooBusy."""
    filters: dict[str, Any] = {"events": params.events}
    filters |= {"channel": params.channel} if params.channel else {}
    filters |= {"include_own": True} if params.include_own else {}
    registration = await register_hook(context, "slack", params, filters)
    if registration.paused:
        state = "paused"
    else:
        state = await context.dependencies.socket_state(context.caller.owner)
    return SlackWebhook(**registration.model_dump(), success=True, socket=state)


async def send(context: ServiceContext, params: SlackMessage) -> SlackSendOutput:
    """Send a message. Raises MissingCredential, NotFound, TooBusy, UpstreamFailed."""
    token = await context.need("slack_trigger", SLACK_BOT_TOKEN)
    # Slack refuses fields that are null.
    fields = params.model_dump(exclude_none=True)
    sent = await post_message(context.web, context.settings.slack_base_url, token, fields)
    return SlackSendOutput(success=True, channel=str(sent.get("channel")), ts=str(sent.get("ts")))


async def post_message(web: Web, base_url: str, token: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Send a message with the fields of chat.postMessage; Slack's answer. Raises NotFound, TooBusy, UpstreamFailed."""
    return await call_slack(web, base_url, token, "chat.postMessage", fields)


async def call_slack(
    web: Web, base_url: str, token: str, method: str, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Call a method of Slack's Web API that is about messages; its answer. Raises NotFound, TooBusy, UpstreamFailed."""
    response = await web.api(
        base_url,
        f"/{method}",
        method="POST",
        content=dict(fields),
        headers={"Authorization": f"Bearer {token}"},
    )
    if response.status == 429:
        raise TooBusy("Slack's rate limit is reached.", retry_after=retry_after(response))

    found = response.json()
    if isinstance(found, dict):
        body = cast("dict[str, Any]", found)
    else:
        body = {}

    # Slack answers 200 for refusals, too, and says so in the body.
    if body.get("ok") is True:
        return body

    # Text of another party is bounded.
    error_code = str(body.get("error", ""))[:100]
    if error_code in {"channel_not_found", "not_in_channel", "is_archived"}:
        raise NotFound(
            "Slack shows the bot no such channel.",
            hint="Check its id, and invite the bot: /invite @its-name.",
        )

    invalid = error_code in {
        "invalid_auth",
        "not_authed",
        "token_revoked",
        "token_expired",
        "account_inactive",
    }
    raise UpstreamFailed(
        "Slack refused the message.",
        upstream_status=response.status,
        upstream_said=error_code,
        hint=f"{SLACK_BOT_TOKEN.name} is not valid." if invalid else "",
    )


async def simulate(context: ServiceContext, params: SlackSimulation) -> SimulationOutput:
    """Deliver an event as if it came from Slack. Raises TooBusy."""
    # A workflow must not make others believe what Slack has not sent.
    context.authority.require_person("deliver an event as if its sender had")
    payload = {
        "type": "event_callback",
        "team_id": "T0SIMULATED",
        "event_id": f"Ev{secrets.token_hex(5).upper()}",
        "event": params.event,
    }
    body = as_json(payload)
    # Read back from its text, so that it is what a delivery would be.
    event = slack_event({"type": "events_api", "payload": json.loads(body)}, body)
    kind = {"content-type": "application/json"}
    delivery = await context.dependencies.webhooks.receiver.take(
        context.caller.owner, "slack", None, event, kind, body
    )

    return SimulationOutput(success=True, delivery=delivery)


SERVICE = Service(
    name="slack_trigger",
    title="Slack",
    summary="What happens in Slack starts workflows, by its Events API or Socket Mode; and messages to Slack.",
    operations=(
        Operation(
            "Let events of Slack start a workflow",
            SlackRegistration,
            SlackWebhook,
            register,
            effect="writes",
            path="register",
            example={"service_path": "helper_99115e9a/slack_event", "event_type": "app_mention"},
        ),
        *registration_operations("slack"),
        Operation(
            "Send a message",
            SlackMessage,
            SlackSendOutput,
            send,
            effect="writes",
            path="send_message",
            aliases=("send",),
            example={"channel": "C0123456", "text": "It is ready."},
        ),
        Operation(
            "Deliver an event as if Slack had sent it",
            SlackSimulation,
            SimulationOutput,
            simulate,
            effect="writes",
            path="simulate",
            example={"event": {"type": "app_mention", "text": "hello", "channel": "C1"}},
        ),
    ),
    credentials=(SLACK_BOT_TOKEN, SLACK_SIGNING_SECRET, SLACK_APP_TOKEN),
)
