"""`whatsapp_trigger`: messages of WhatsApp's Cloud API start workflows; and messages to WhatsApp."""

from __future__ import annotations

import re
import secrets
import time
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, AliasChoices, Field

from codewords_mcp.errors import InvalidInput, NotFound, TooBusy, UpstreamFailed
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
from codewords_mcp.runtime.triggers.webhook_events import read_whatsapp
from codewords_mcp.runtime.triggers.webhooks import as_json
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.runtime.web.responses import WebResponse, retry_after

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
    without="Incoming messages are refused.",
)
WHATSAPP_VERIFY_TOKEN = ServiceCredential(
    "WHATSAPP_VERIFY_TOKEN",
    f"Think of a long word, and write it into the webhook {_APP}, Configuration, as well.",
    without="WhatsApp's check of the address fails.",
)
# Webhooks of WhatsApp name fields in the plural, our events are single.
_SINGULAR = {"messages": "message", "statuses": "status"}
# The Graph API's codes for too many calls.
_RATE_LIMIT_CODES = frozenset({4, 80007, 130429, 131048, 131056})


def _number(text: str) -> str:
    # People write numbers with blanks, brackets and dashes.
    digits = re.sub(r"[\s()+.-]", "", text)
    if not re.fullmatch(r"[0-9]{5,20}", digits):
        raise ValueError("that is not a telephone number with a country code")
    return digits


PhoneNumber = Annotated[str, AfterValidator(_number)]


class WhatsAppRegistration(RegistrationInput):
    """`message` or `status`, or both. `phone_number`: only messages from this number."""

    phone_number: PhoneNumber | None = None


class WhatsAppWebhook(TriggerRegistration):
    """`url` goes into the app as its callback address; WhatsApp must be able to reach it."""

    success: bool


class WhatsAppMessage(Input):
    """`text` needs `message_text`, `template` needs `template_name`, `image` needs `image_link`."""

    to_phone_number: PhoneNumber = Field(
        validation_alias=AliasChoices("to_phone_number", "to", "phone_number")
    )
    message_type: Literal["text", "template", "image"] = "text"
    message_text: str | None = Field(
        default=None, max_length=4096, validation_alias=AliasChoices("message_text", "message", "text")
    )
    template_name: str | None = Field(default=None, max_length=512)
    template_language: str = Field(default="en_US", max_length=10)
    template_components: list[dict[str, Any]] | None = Field(default=None, max_length=20)
    image_link: str | None = Field(default=None, max_length=2048, pattern=r"^https?://")
    image_caption: str | None = Field(default=None, max_length=1024)


class WhatsAppSendOutput(Output):
    """WhatsApp accepted the message; its delivery is reported later by a `status`."""

    success: bool
    message_id: str


class WhatsAppSimulation(Input):
    """A text message, as if a person had sent it."""

    from_phone_number: PhoneNumber = Field(
        default="15550001111", validation_alias=AliasChoices("from_phone_number", "from")
    )
    message_text: str = Field(
        max_length=4096, validation_alias=AliasChoices("message_text", "message", "text")
    )


async def register(context: ServiceContext, params: WhatsAppRegistration) -> WhatsAppWebhook:
    """Register a workflow for messages. Raises InvalidInput, NotFound, Forbidden, TooBusy."""
    filters: dict[str, Any] = {"events": [_SINGULAR.get(name, name) for name in params.events]}
    filters |= {"number": params.phone_number} if params.phone_number else {}
    registration = await register_hook(context, "whatsapp", params, filters)
    return WhatsAppWebhook(**registration.model_dump(), success=True)


async def send(context: ServiceContext, params: WhatsAppMessage) -> WhatsAppSendOutput:
    """Send a message. Raises InvalidInput, MissingCredential, NotFound, TooBusy, UpstreamFailed."""
    content = {"messaging_product": "whatsapp", "to": params.to_phone_number, "type": params.message_type}
    content |= {params.message_type: _content(params)}
    token = await context.need("whatsapp_trigger", WHATSAPP_ACCESS_TOKEN)
    number = await context.need("whatsapp_trigger", WHATSAPP_PHONE_NUMBER_ID)
    message_id = await send_content(context.web, context.settings.whatsapp_base_url, token, number, content)
    return WhatsAppSendOutput(success=True, message_id=message_id)


async def send_content(web: Web, base_url: str, token: str, number: str, content: dict[str, Any]) -> str:
    """Send a message in the form of the Cloud API; its id. Raises InvalidInput, NotFound, TooBusy, UpstreamFailed."""
    response = await web.api(
        base_url,
        f"/{_number_id(number)}/messages",
        method="POST",
        content=content,
        headers={"Authorization": f"Bearer {token}"},
    )
    if response.status >= 400:
        raise _to_error(response)

    try:
        return str(response.json()["messages"][0]["id"])
    except (LookupError, TypeError):
        raise UpstreamFailed(
            "WhatsApp's response has an unexpected format.", upstream_status=response.status
        ) from None


def _number_id(text: str) -> str:
    # The number becomes a part of the address.
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(
            "WHATSAPP_PHONE_NUMBER_ID is not a phone number ID.", hint=WHATSAPP_PHONE_NUMBER_ID.how
        )
    return text


def _content(params: WhatsAppMessage) -> dict[str, Any]:
    needed = {"text": "message_text", "template": "template_name", "image": "image_link"}[params.message_type]
    if getattr(params, needed) is None:
        raise InvalidInput(f"A message of the type {params.message_type} needs `{needed}`.")

    match params.message_type:
        case "text":
            return {"body": params.message_text}
        case "image":
            if params.image_caption:
                caption = {"caption": params.image_caption}
            else:
                caption = {}

            return {"link": params.image_link} | caption
        case "template":
            if params.template_components:
                components = {"components": params.template_components}
            else:
                components = {}

            return {"name": params.template_name, "language": {"code": params.template_language}} | components


def _to_error(response: WebResponse) -> TooBusy | NotFound | UpstreamFailed:
    try:
        error = cast("dict[str, Any]", response.json()["error"])
        code, error_text = int(error.get("code", 0)), str(error.get("message", ""))
    except (UpstreamFailed, LookupError, TypeError, ValueError, AttributeError):
        code, error_text = 0, ""

    if response.status == 429 or code in _RATE_LIMIT_CODES:
        return TooBusy("WhatsApp's rate limit is reached.", retry_after=retry_after(response, 60))

    hints = {
        190: f"{WHATSAPP_ACCESS_TOKEN.name} is not valid.",
        131030: "Add the number to those of the app, or publish the app.",
        131047: "More than 24 hours after a person's last message only templates are accepted.",
        132001: "There is no such template in this language.",
    }
    return UpstreamFailed(
        f"WhatsApp refused the message ({code or response.status}).",
        upstream_status=response.status,
        # Text of another party is printed in one line, and bounded.
        upstream_said="".join(letter for letter in error_text if letter.isprintable())[:500],
        hint=hints.get(code, ""),
    )


async def simulate(context: ServiceContext, params: WhatsAppSimulation) -> SimulationOutput:
    """Deliver a message as if it came from WhatsApp. Raises TooBusy."""
    # A workflow must not make others believe what WhatsApp has not sent.
    context.authority.require_person("deliver an event as if its sender had")
    message = {
        "from": params.from_phone_number,
        "id": f"wamid.{secrets.token_hex(8)}",
        "timestamp": str(int(time.time())),
        "type": "text",
        "text": {"body": params.message_text},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550000000", "phone_number_id": "0"},
        "contacts": [{"profile": {"name": "Simulated"}, "wa_id": params.from_phone_number}],
        "messages": [message],
    }
    entry = {"id": "0", "changes": [{"value": value, "field": "messages"}]}
    body = as_json({"object": "whatsapp_business_account", "entry": [entry]})
    kind = {"content-type": "application/json"}
    event = read_whatsapp(kind, body)
    delivery = await context.dependencies.webhooks.receiver.take(
        context.caller.owner, "whatsapp", None, event, kind, body
    )

    return SimulationOutput(success=True, delivery=delivery)


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
        *registration_operations("whatsapp"),
        Operation(
            "Send a message",
            WhatsAppMessage,
            WhatsAppSendOutput,
            send,
            effect="writes",
            path="send_message",
            aliases=("send",),
            example={"to_phone_number": "+351 912 345 678", "message_text": "It is ready."},
        ),
        Operation(
            "Deliver a message as if somebody had sent it",
            WhatsAppSimulation,
            SimulationOutput,
            simulate,
            effect="writes",
            path="simulate",
            example={"message_text": "hello"},
        ),
    ),
    credentials=(WHATSAPP_ACCESS_TOKEN, WHATSAPP_PHONE_NUMBER_ID, WHATSAPP_APP_SECRET, WHATSAPP_VERIFY_TOKEN),
)
