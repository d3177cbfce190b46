"""`slack_trigger`: what happens in Slack starts workflows, by its Events API or by Socket Mode; and messages to Slack."""

from __future__ import annotations

import json
import secrets
from typing import Any, cast

from pydantic import AliasChoices, Field

from codewords_mcp.errors import NotFound, TooBusy, UpstreamFailed
from codewords_mcp.runtime.services._triggers import (
    Hook,
    Registration,
    Simulated,
    register_hook,
    registrations,
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
from codewords_mcp.runtime.web.client import retry_after

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


class SlackRegistration(Registration):
    """Which events, by Slack's names: `app_mention`, `message`, `reaction_added`, `slash_command` …; all without one."""

    channel: str | None = Field(
        default=None, pattern=r"^[A-Z0-9]{1,30}$", description="Only of this channel."
    )
    include_own: bool = Field(default=False, description="Also what the app itself has written.")


class SlackWebhook(Hook):
    """`url` goes into the app as its Request URL; with Socket Mode it is not needed. `socket` says how that stands."""

    success: bool
    socket: str


class SlackMessage(Input):
    """`channel` is an id or a name; `text` or `blocks`."""

    channel: str = Field(min_length=1, max_length=100)
    text: str = Field(
        default="", max_length=40_000, validation_alias=AliasChoices("text", "message", "message_text")
    )
    thread_ts: str | None = Field(default=None, pattern=r"^\d{1,12}\.\d{1,6}$")
    blocks: list[dict[str, Any]] | None = Field(default=None, max_length=50)


class SlackSent(Output):
    """Where it stands in Slack."""

    success: bool
    channel: str
    ts: str


class SlackSimulation(Input):
    """An event of Slack's, like {"type": "app_mention", "text": "hello", "channel": "C1"}."""

    event: dict[str, Any]


async def register(context: ServiceContext, asked: SlackRegistration) -> SlackWebhook:
    """Raises InvalidInput, NotFound, Forbidden, TooBusy."""
    filters: dict[str, Any] = {"events": asked.events}
    filters |= {"channel": asked.channel} if asked.channel else {}
    filters |= {"include_own": True} if asked.include_own else {}
    made = await register_hook(context, "slack", asked, filters)
    state = context.parts.socket_state(context.caller.owner)
    return SlackWebhook(**made.model_dump(), success=True, socket=state)


async def send(context: ServiceContext, asked: SlackMessage) -> SlackSent:
    """Raises MissingCredential, NotFound, TooBusy, UpstreamFailed."""
    token = await context.need("slack_trigger", SLACK_BOT_TOKEN)
    reply = await context.web.api(
        context.settings.slack_base_url,
        "/chat.postMessage",
        method="POST",
        content=asked.model_dump(exclude_none=True),
        headers={"Authorization": f"Bearer {token}"},
    )
    if reply.status == 429:
        raise TooBusy("Slack takes no more messages for now.", retry_after=retry_after(reply))

    found = reply.json()
    if isinstance(found, dict):
        told = cast("dict[str, Any]", found)
    else:
        told = {}

    if told.get("ok") is True:
        return SlackSent(success=True, channel=str(told.get("channel")), ts=str(told.get("ts")))

    why = str(told.get("error", ""))[:100]
    if why in {"channel_not_found", "not_in_channel", "is_archived"}:
        raise NotFound(
            "Slack shows the bot no such channel.",
            hint="Check its id, and invite the bot: /invite @its-name.",
        )

    invalid = why in {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"}
    raise UpstreamFailed(
        "Slack did not take the message.",
        upstream_status=reply.status,
        upstream_said=why,
        hint=f"{SLACK_BOT_TOKEN.name} is not valid any more." if invalid else "",
    )


async def simulate(context: ServiceContext, asked: SlackSimulation) -> Simulated:
    """As if it came from Slack. Raises TooBusy."""
    context.authority.require_person("deliver an event as if its sender had")
    payload = {
        "type": "event_callback",
        "team_id": "T0SIMULATED",
        "event_id": f"Ev{secrets.token_hex(5).upper()}",
        "event": asked.event,
    }
    body = as_json(payload)
    event = slack_event({"type": "events_api", "payload": json.loads(body)}, body)
    kind = {"content-type": "application/json"}
    delivery = await context.parts.webhooks.take(context.caller.owner, "slack", None, event, kind, body)

    return Simulated(success=True, delivery=delivery)


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
        *registrations("slack"),
        Operation(
            "Send a message",
            SlackMessage,
            SlackSent,
            send,
            effect="writes",
            path="send_message",
            aliases=("send",),
            example={"channel": "C0123456", "text": "It is ready."},
        ),
        Operation(
            "Deliver an event as if Slack had sent it",
            SlackSimulation,
            Simulated,
            simulate,
            effect="writes",
            path="simulate",
            example={"event": {"type": "app_mention", "text": "hello", "channel": "C1"}},
        ),
    ),
    credentials=(SLACK_BOT_TOKEN, SLACK_SIGNING_SECRET, SLACK_APP_TOKEN),
)
