"""The ways out of alerts: a signed webhook, e-mail by the home's mail server, and Slack."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from codewords_mcp.errors import MissingCredential, UpstreamFailed
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.model.alert import Alert, AlertChannel, AlertSettings
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.services import _mail
from codewords_mcp.runtime.services.slack_trigger import SLACK_BOT_TOKEN, post_message
from codewords_mcp.runtime.web.client import Web

SHOWN = 20
"""Alerts in one mail or message; the others are counted."""
WEBHOOK_TIMEOUT = 15.0
_SUBJECT = 150


@dataclass(frozen=True, slots=True)
class AlertNotice:
    """An alert as it is sent. `id` is the message's and the same at each try; `event` is opened, resolved or test."""

    id: str
    event: str
    alert: Alert


class AlertChannels:
    """Sends notices. `address` gives the URL by which people reach the runtime."""

    def __init__(
        self, secrets: SecretService, web: Web, slack_base_url: str, address: Callable[[], str]
    ) -> None:
        self._secrets = secrets
        self._web = web
        self._slack_base_url = slack_base_url
        self._address = address

    @property
    def address(self) -> str:
        """The URL by which people reach the runtime, without a slash at its end."""
        return self._address()

    async def require(self, owner: str, settings: AlertSettings) -> None:
        """Raise MissingCredential where a channel can't be used."""
        if settings.webhook:
            await self._signing_secret(owner, settings)
        if settings.email:
            await self.smtp("alerts")
        if settings.slack:
            await self.slack_token(owner, "Alerts")

    async def send(
        self, owner: str, settings: AlertSettings, channel: AlertChannel, notices: Sequence[AlertNotice]
    ) -> None:
        """Send notices by a channel: as one mail or Slack message, or each by itself to a webhook.

        Raises CodewordsError.
        """
        match channel:
            case "webhook":
                for notice in notices:
                    await self._post(owner, settings, notice)
            case "email":
                await self._mail(settings, notices)
            case "slack":
                token = await self.slack_token(owner, "Alerts")
                fields = {"channel": settings.slack, "text": self._text(notices)}
                await post_message(self._web, self._slack_base_url, token, fields)

    async def _post(self, owner: str, settings: AlertSettings, notice: AlertNotice) -> None:
        secret = await self._signing_secret(owner, settings)
        text = json.dumps(self._document(notice))
        headers = sign(secret, notice.id, int(time.time()), text.encode()) | {
            "content-type": "application/json"
        }
        response = await self._web.fetch(
            settings.webhook,
            method="POST",
            content=text,
            headers=headers,
            # Nothing of the answer is used but its status.
            max_bytes=1 << 16,
            seconds=WEBHOOK_TIMEOUT,
        )
        if not 200 <= response.status < 300:
            raise UpstreamFailed(
                f"The receiver of the alerts' webhook answered {response.status}.",
                upstream_status=response.status,
            )

    def _document(self, notice: AlertNotice) -> dict[str, Any]:
        alert = notice.alert
        data = alert.model_dump(mode="json") | {"url": self._url(alert)}
        return {"type": f"alert.{notice.event}", "timestamp": alert.last_at.isoformat(), "data": data}

    async def _mail(self, settings: AlertSettings, notices: Sequence[AlertNotice]) -> None:
        url, sender = await self.smtp("alerts")
        message = EmailMessage()
        message["From"] = sender
        message["To"] = ", ".join(settings.email)
        message["Subject"] = _subject(notices)
        message["Date"] = formatdate(localtime=False)
        # The same at each try, so that a second copy is known as such.
        message["Message-ID"] = f"<{notices[0].id}.{len(notices)}@{sender.rpartition('@')[2]}>"
        message["X-Codewords-Alert"] = " ".join(notice.id for notice in notices[:SHOWN])
        message.set_content(self._text(notices))
        await _mail.deliver(url, message, sender, list(settings.email))

    def _text(self, notices: Sequence[AlertNotice]) -> str:
        lines: list[str] = []
        for notice in notices[:SHOWN]:
            alert = notice.alert
            times = f" ({alert.count} times)" if alert.count > 1 else ""
            if notice.event == "resolved":
                lines.append(f"It works again: {alert.title}.")
            else:
                lines.append(f"{alert.title}{times}: {alert.message}")
            lines += [self._url(alert), ""]
        if len(notices) > SHOWN:
            lines.append(f"And {len(notices) - SHOWN} more: {self._address()}/console/inbox")
        return "\n".join(lines).strip() + "\n"

    def _url(self, alert: Alert) -> str:
        return f"{self._address()}{alert.path}"

    async def _signing_secret(self, owner: str, settings: AlertSettings) -> str:
        # Only the owner's own: with the home's another owner could sign what seems to be the home's.
        values = await self._secrets.values(owner, [settings.webhook_secret])
        if not values.get(settings.webhook_secret, "").strip():
            raise MissingCredential(
                f"The webhook of alerts is signed with the secret {settings.webhook_secret}, which is not set.",
                credential=settings.webhook_secret,
                remedy=set_secret(settings.webhook_secret),
            )
        return values[settings.webhook_secret].strip()

    async def smtp(self, subject: str) -> tuple[str, str]:
        """The mail server and the sender of mail about alerts, or another subject. Raises MissingCredential."""
        names = (_mail.SMTP_URL.name, _mail.SMTP_FROM.name)
        found = await self._secrets.resolve(HOME_OWNER, list(names))
        url = found.get(names[0])
        if url is None:
            raise MissingCredential(
                f"No mail server is set, so {subject} can't be sent by e-mail.",
                credential=names[0],
                hint=_mail.SMTP_URL.how,
                remedy=set_secret(names[0]),
            )
        return url, _mail.sender_address(f"The e-mail of {subject}", url, found.get(names[1]))

    async def slack_token(self, owner: str, subject: str) -> str:
        """The owner's token to send alerts, or another subject, by Slack. Raises MissingCredential."""
        found = await self._secrets.resolve(owner, [SLACK_BOT_TOKEN.name])
        token = found.get(SLACK_BOT_TOKEN.name)
        if token is None:
            raise MissingCredential(
                f"{subject} go to Slack with {SLACK_BOT_TOKEN.name}, which is not set.",
                credential=SLACK_BOT_TOKEN.name,
                hint=SLACK_BOT_TOKEN.how,
                remedy=set_secret(SLACK_BOT_TOKEN.name),
            )
        return token


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of a message in the format of standardwebhooks.com."""
    try:
        # Keys of this standard are base64; any other text is taken as it is.
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = secret.encode()
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(signed).decode(),
    }


def _subject(notices: Sequence[AlertNotice]) -> str:
    if len(notices) > 1:
        return f"{len(notices)} alerts of CodeWords"
    [notice] = notices
    begin = "It works again: " if notice.event == "resolved" else ""
    return f"{begin}{notice.alert.title}"[:_SUBJECT]
