"""`whatsapp_trigger`: messages of WhatsApp's Cloud API start workflows; and messages to WhatsApp."""

from __future__ import annotations

import re
import secrets
import time
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, AliasChoices, Field

from codewords_mcp.errors import InvalidInput, NotFound, TooBusy, UpstreamFailed
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
from codewords_mcp.runtime.triggers.webhook_events import read_whatsapp
from codewords_mcp.runtime.triggers.webhooks import as_json
from codewords_mcp.runtime.web.client import WebResponse, retry_after

_APP = "of your app at https://developers.facebook.com/apps, under WhatsApp"
WHATSAPP_ACCESS_TOKEN = ServiceCredential(
    "WHATSAPP_ACCESS_TOKEN",
    f"Take the access token {_APP}, API Setup; a system user's does not expire.",
    without="Messages cannot be sent.",
    essential=True,
)
WHATSAPP_PHONE_NUMBER_ID = ServiceCredential(
    "WHATSAPP_PHONE_NUMBER_ID",
    f"Take the phone number ID {_APP}, API Setup.",
    without="Messages cannot be sent.",
    essential=True,
)
WHATSAPP_APP_SECRET = ServiceCredential(
    "WHATSAPP_APP_SECRET",
    "Take the app secret of your app at https://developers.facebook.com/apps, under App settings, Basic.",
    without="Nothing that comes is taken.",
)
WHATSAPP_VERIFY_TOKEN = ServiceCredential(
    "WHATSAPP_VERIFY_TOKEN",
    f"Think of a long word, and write it into the webhook {_APP}, Configuration, as well.",
    without="WhatsApp's check of the address fails.",
)
_SINGULAR = {"messages": "message", "statuses": "status"}
_LIMITS = frozenset({4, 80007, 130429, 131048, 131056})
"""The Graph API's codes for too many calls."""


def _number(text: str) -> str:
    digits = re.sub(r"[\s()+.-]", "", text)
    if not re.fullmatch(r"[0-9]{5,20}", digits):
        raise ValueError("that is no telephone number with its country's code")
    return digits


Number = Annotated[str, AfterValidator(_number)]


class WhatsAppRegistration(Registration):
    """`message` or `status`, or both; `phone_number`: only messages from this number."""

    phone_number: Number | None = None


class WhatsAppWebhook(Hook):
    """`url` goes into the app as its callback address; WhatsApp must be able to reach it."""

    success: bool


class WhatsAppMessage(Input):
    """`text` with `message_text`, `template` with `template_name`, `image` with `image_link`."""

    to_phone_number: Number = Field(validation_alias=AliasChoices("to_phone_number", "to", "phone_number"))
    message_type: Literal["text", "template", "image"] = "text"
    message_text: str | None = Field(
        default=None, max_length=4096, validation_alias=AliasChoices("message_text", "message", "text")
    )
    template_name: str | None = Field(default=None, max_length=512)
    template_language: str = Field(default="en_US", max_length=10)
    template_components: list[dict[str, Any]] | None = Field(default=None, max_length=20)
    image_link: str | None = Field(default=None, max_length=2048, pattern=r"^https?://")
    image_caption: str | None = Field(default=None, max_length=1024)


class WhatsAppSent(Output):
    """WhatsApp has taken it; whether it arrived comes as a `status`."""

    success: bool
    message_id: str


class WhatsAppSimulation(Input):
    """A text message, as if somebody had sent it."""

    from_phone_number: Number = Field(
        default="15550001111", validation_alias=AliasChoices("from_phone_number", "from")
    )
    message_text: str = Field(
        max_length=4096, validation_alias=AliasChoices("message_text", "message", "text")
    )


async def register(context: ServiceContext, asked: WhatsAppRegistration) -> WhatsAppWebhook:
    """Raises InvalidInput, NotFound, Forbidden, TooBusy."""
    filters: dict[str, Any] = {"events": [_SINGULAR.get(name, name) for name in asked.events]}
    filters |= {"number": asked.phone_number} if asked.phone_number else {}
    made = await register_hook(context, "whatsapp", asked, filters)
    return WhatsAppWebhook(**made.model_dump(), success=True)


async def send(context: ServiceContext, asked: WhatsAppMessage) -> WhatsAppSent:
    """Raises InvalidInput, MissingCredential, NotFound, TooBusy, UpstreamFailed."""
    content = {"messaging_product": "whatsapp", "to": asked.to_phone_number, "type": asked.message_type}
    content |= {asked.message_type: _content(asked)}
    token = await context.need("whatsapp_trigger", WHATSAPP_ACCESS_TOKEN)
    number = _number_id(await context.need("whatsapp_trigger", WHATSAPP_PHONE_NUMBER_ID))
    reply = await context.web.api(
        context.settings.whatsapp_base_url,
        f"/{number}/messages",
        method="POST",
        content=content,
        headers={"Authorization": f"Bearer {token}"},
    )
    if reply.status >= 400:
        raise _refusal(reply)

    try:
        return WhatsAppSent(success=True, message_id=str(reply.json()["messages"][0]["id"]))
    except (LookupError, TypeError):
        raise UpstreamFailed(
            "WhatsApp answered in a shape that it should not have.", upstream_status=reply.status
        ) from None


def _number_id(text: str) -> str:
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(
            "WHATSAPP_PHONE_NUMBER_ID is no phone number ID.", hint=WHATSAPP_PHONE_NUMBER_ID.how
        )
    return text


def _content(asked: WhatsAppMessage) -> dict[str, Any]:
    needed = {"text": "message_text", "template": "template_name", "image": "image_link"}[asked.message_type]
    if getattr(asked, needed) is None:
        raise InvalidInput(f"A message of the type {asked.message_type} needs `{needed}`.")

    match asked.message_type:
        case "text":
            return {"body": asked.message_text}
        case "image":
            if asked.image_caption:
                caption = {"caption": asked.image_caption}
            else:
                caption = {}

            return {"link": asked.image_link} | caption
        case "template":
            if asked.template_components:
                parts = {"components": asked.template_components}
            else:
                parts = {}

            return {"name": asked.template_name, "language": {"code": asked.template_language}} | parts


def _refusal(reply: WebResponse) -> TooBusy | NotFound | UpstreamFailed:
    try:
        error = cast("dict[str, Any]", reply.json()["error"])
        code, said = int(error.get("code", 0)), str(error.get("message", ""))
    except (UpstreamFailed, LookupError, TypeError, ValueError, AttributeError):
        code, said = 0, ""

    if reply.status == 429 or code in _LIMITS:
        return TooBusy("WhatsApp takes no more messages for now.", retry_after=retry_after(reply, 60))

    hints = {
        190: f"{WHATSAPP_ACCESS_TOKEN.name} is not valid any more.",
        131030: "Add the number to those of the app, or publish the app.",
        131047: "More than 24 hours after a person's last message only templates are taken.",
        132001: "There is no such template in this language.",
    }
    return UpstreamFailed(
        f"WhatsApp did not take the message ({code or reply.status}).",
        upstream_status=reply.status,
        upstream_said="".join(letter for letter in said if letter.isprintable())[:500],
        hint=hints.get(code, ""),
    )


async def simulate(context: ServiceContext, asked: WhatsAppSimulation) -> Simulated:
    """As if it came from WhatsApp. Raises TooBusy."""
    context.authority.require_person("deliver an event as if its sender had")
    message = {
        "from": asked.from_phone_number,
        "id": f"wamid.{secrets.token_hex(8)}",
        "timestamp": str(int(time.time())),
        "type": "text",
        "text": {"body": asked.message_text},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550000000", "phone_number_id": "0"},
        "contacts": [{"profile": {"name": "Simulated"}, "wa_id": asked.from_phone_number}],
        "messages": [message],
    }
    entry = {"id": "0", "changes": [{"value": value, "field": "messages"}]}
    body = as_json({"object": "whatsapp_business_account", "entry": [entry]})
    kind = {"content-type": "application/json"}
    event = read_whatsapp(kind, body)
    delivery = await context.parts.webhooks.take(context.caller.owner, "whatsapp", None, event, kind, body)

    return Simulated(success=True, delivery=delivery)


SERVICE = Service(
    name="whatsapp_trigger",
    title="WhatsApp",
    summary="Messages of WhatsApp's Cloud API start workflows; and messages to WhatsApp.",
    operations=(
        Operation(
            "Let messages of WhatsApp start a workflow",
            WhatsAppRegistration,
            WhatsAppWebhook,
            register,
            effect="writes",
            path="register",
            example={"service_path": "helper_99115e9a/whatsapp_event", "event_type": "message"},
        ),
        *registrations("whatsapp"),
        Operation(
            "Send a message",
            WhatsAppMessage,
            WhatsAppSent,
            send,
            effect="writes",
            path="send_message",
            aliases=("send",),
            example={"to_phone_number": "+351 912 345 678", "message_text": "It is ready."},
        ),
        Operation(
            "Deliver a message as if somebody had sent it",
            WhatsAppSimulation,
            Simulated,
            simulate,
            effect="writes",
            path="simulate",
            example={"message_text": "hello"},
        ),
    ),
    credentials=(WHATSAPP_ACCESS_TOKEN, WHATSAPP_PHONE_NUMBER_ID, WHATSAPP_APP_SECRET, WHATSAPP_VERIFY_TOKEN),
)
