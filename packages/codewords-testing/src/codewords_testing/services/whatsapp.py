"""WhatsApp's Cloud API (`/whatsapp/{phone number id}/messages`), and how it signs what it sends."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

# Not secrets: they open the stand-in alone.
ACCESS_TOKEN = "whatsapp-token-of-the-tests"  # noqa: S105
APP_SECRET = "whatsapp-app-secret-of-the-tests"  # noqa: S105
PHONE_NUMBER_ID = "106540352242922"


def signed(body: bytes, secret: str = APP_SECRET) -> dict[str, str]:
    """The headers with which it sends a body."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"}


def incoming(
    text: str, *, sender: str = "16315551181", message_id: str = "wamid.1", at: int = 1_700_000_000
) -> dict[str, Any]:
    """Webhook body that WhatsApp posts for one text message."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": PHONE_NUMBER_ID},
        "contacts": [{"profile": {"name": "A person"}, "wa_id": sender}],
        "messages": [
            {"from": sender, "id": message_id, "timestamp": str(at), "type": "text", "text": {"body": text}}
        ],
    }
    change = {"value": value, "field": "messages"}
    return {"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [change]}]}


def button_reply(
    token: str,
    title: str,
    *,
    sender: str = "16315551181",
    message_id: str = "wamid.2",
    at: int = 1_700_000_000,
) -> dict[str, Any]:
    """Webhook body that WhatsApp posts when a person presses a reply button."""
    body = incoming("", sender=sender, message_id=message_id, at=at)
    message = body["entry"][0]["changes"][0]["value"]["messages"][0]
    del message["text"]
    message |= {
        "type": "interactive",
        "context": {"from": "15550783881", "id": "wamid.sent"},
        "interactive": {"type": "button_reply", "button_reply": {"id": token, "title": title}},
    }
    return body


def interactive_problem(content: dict[str, Any]) -> str:
    """The part for which the Cloud API would refuse an interactive message; "" for none."""
    action = content["action"]
    if not 1 <= len(content["body"]["text"]) <= 1024 or len(content.get("footer", {}).get("text", "")) > 60:
        return "body or footer"
    if content["type"] == "cta_url":
        parameters = action["parameters"]
        fits = action["name"] == "cta_url" and 1 <= len(parameters["display_text"]) <= 20
        if fits and parameters["url"].startswith("http"):
            return ""
        return "cta_url"
    replies = [one["reply"] for one in action["buttons"]]
    titles = {one["title"] for one in replies}
    fits = 1 <= len(replies) <= 3 and len(titles) == len(replies)
    fits = fits and all(1 <= len(one["title"]) <= 20 and 1 <= len(one["id"]) <= 256 for one in replies)
    return "" if fits else "buttons"


async def messages(request: Request) -> JSONResponse:
    """Send one; errors in the Graph API's envelope."""
    if request.headers.get("Authorization") != f"Bearer {ACCESS_TOKEN}":
        return _refused(401, 190, "Error validating access token")

    data = await request.json()
    if data.get("messaging_product") != "whatsapp" or data["type"] not in {
        "text",
        "template",
        "image",
        "interactive",
    }:
        return _refused(400, 100, "Invalid parameter")
    if data["type"] == "interactive" and (problem := interactive_problem(data["interactive"])):
        return _refused(400, 131009, f"Parameter value is not valid: {problem}")
    if data["to"] == "15550000000":
        return _refused(400, 131030, "Recipient phone number not in allowed list")

    return JSONResponse(
        {
            "messaging_product": "whatsapp",
            "contacts": [{"input": data["to"], "wa_id": data["to"].removeprefix("+")}],
            "messages": [{"id": "wamid.sent"}],
        }
    )


def _refused(status: int, code: int, message: str) -> JSONResponse:
    return JSONResponse(
        {"error": {"message": message, "type": "OAuthException", "code": code}}, status_code=status
    )


def routes() -> list[Route]:
    """Routes of the service."""
    return [Route(f"/whatsapp/{PHONE_NUMBER_ID}/messages", messages, methods=["POST"])]
