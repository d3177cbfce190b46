"""The ways by which a question reaches people: e-mail, Slack and WhatsApp, with what the owner has connected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from codewords_mcp.errors import MissingCredential
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.alerts import question_mail, question_slack, question_whatsapp
from codewords_mcp.runtime.alerts.channels import AlertChannels
from codewords_mcp.runtime.alerts.question_tokens import QuestionTokens
from codewords_mcp.runtime.model.recipients import Recipient
from codewords_mcp.runtime.model.run_wait import RunWait
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.services import _mail
from codewords_mcp.runtime.services.base import ServiceCredential
from codewords_mcp.runtime.services.slack_trigger import SLACK_APP_TOKEN, SLACK_SIGNING_SECRET, call_slack
from codewords_mcp.runtime.services.whatsapp_trigger import (
    WHATSAPP_ACCESS_TOKEN,
    WHATSAPP_APP_SECRET,
    WHATSAPP_PHONE_NUMBER_ID,
    send_content,
)
from codewords_mcp.runtime.store.question_messages import QuestionMessage
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.settings import Settings

OwnSecret = Callable[[str, str], Awaitable[str | None]]
"""`own_secret(owner, name)` is the owner's own secret; see `WebhookReceiver.own_secret`."""


class QuestionChannels:
    """Sends questions by the channels of alerts. Buttons and links have the tokens of `tokens`."""

    def __init__(
        self,
        channels: AlertChannels,
        tokens: QuestionTokens,
        secret_service: SecretService,
        own_secret: OwnSecret,
        web: Web,
        settings: Settings,
    ) -> None:
        self._channels = channels
        self._tokens = tokens
        self._secrets = secret_service
        self._own_secret = own_secret
        self._web = web
        self._settings = settings

    async def require(self, owner: str, recipients: Sequence[Recipient]) -> None:
        """Raise MissingCredential for a channel that the owner has not connected."""
        channels = {one.channel for one in recipients}
        if "email" in channels:
            await self._channels.smtp("questions")
        if "slack" in channels:
            await self._channels.slack_token(owner, "Questions")
        if "whatsapp" in channels:
            await self._whatsapp(owner)

    async def send(self, message: QuestionMessage, wait: RunWait, workflow: str) -> str:
        """Send a question to one person; the message's name at the receiver. Raises CodewordsError."""
        match message.channel:
            case "email":
                return await self._mail(message, wait, workflow)
            case "slack":
                return await self._slack(message, wait, workflow)
            case "whatsapp":
                return await self._to_whatsapp(message, wait)

    async def replace(self, message: QuestionMessage, wait: RunWait, workflow: str) -> None:
        """Put how a question ended in the place of a Slack message. Raises CodewordsError."""
        channel, _, time = message.reference.partition(" ")
        token = await self._channels.slack_token(message.owner, "Questions")
        fields = question_slack.over(wait, workflow) | {"channel": channel, "ts": time}
        await call_slack(self._web, self._settings.slack_base_url, token, "chat.update", fields)

    async def _mail(self, message: QuestionMessage, wait: RunWait, workflow: str) -> str:
        url, sender = await self._channels.smtp("questions")
        links = [
            (option, self._link(message, wait, number))
            for number, option in enumerate(wait.question["options"])
        ]
        mail = question_mail.compose(message, wait, workflow, sender, links)
        await _mail.deliver(url, mail, sender, [message.target])
        return str(mail["Message-ID"])

    async def _slack(self, message: QuestionMessage, wait: RunWait, workflow: str) -> str:
        token = await self._channels.slack_token(message.owner, "Questions")
        known = await self._secrets.resolve(message.owner, [SLACK_SIGNING_SECRET.name, SLACK_APP_TOKEN.name])
        is_cut = any(len(option) > question_slack.LONGEST_LABEL for option in wait.question["options"])
        # Without one of the two nobody could tell a genuine press of a button; fields are typed on the page.
        by_link = not known or is_cut or bool(wait.question["fields"])
        make = self._link if by_link else self._tokens.make
        buttons = [
            (option, make(message, wait, number)) for number, option in enumerate(wait.question["options"])
        ]
        fields = question_slack.ask(wait, workflow, buttons, by_link=by_link) | {"channel": message.target}
        sent = await call_slack(self._web, self._settings.slack_base_url, token, "chat.postMessage", fields)
        return f"{sent.get('channel', '')} {sent.get('ts', '')}"[:200]

    async def _to_whatsapp(self, message: QuestionMessage, wait: RunWait) -> str:
        # Without the app's secret nobody could tell a genuine press of a button.
        known = await self._has(message.owner, WHATSAPP_APP_SECRET)
        if known and question_whatsapp.fits(wait):
            buttons = [
                (option, self._tokens.make(message, wait, number))
                for number, option in enumerate(wait.question["options"])
            ]
            content = question_whatsapp.with_buttons(wait, message.target, buttons)
        else:
            content = question_whatsapp.with_link(wait, message.target, self._link(message, wait, None))
        token, number = await self._whatsapp(message.owner)
        return await send_content(self._web, self._settings.whatsapp_base_url, token, number, content)

    async def tell_slack(self, owner: str, channel: str, user: str, text: str) -> None:
        """Tell one user of a channel something that nobody else sees. Raises CodewordsError."""
        token = await self._channels.slack_token(owner, "Questions")
        fields = {"channel": channel, "user": user, "text": text}
        await call_slack(self._web, self._settings.slack_base_url, token, "chat.postEphemeral", fields)

    async def tell_whatsapp(self, owner: str, target: str, text: str) -> None:
        """Tell a number something. Raises CodewordsError."""
        token, number = await self._whatsapp(owner)
        content = question_whatsapp.text(target, text)
        await send_content(self._web, self._settings.whatsapp_base_url, token, number, content)

    def _link(self, message: QuestionMessage, wait: RunWait, option: int | None) -> str:
        return f"{self._channels.address}/answer/{self._tokens.make(message, wait, option)}"

    async def _whatsapp(self, owner: str) -> tuple[str, str]:
        """(access token, phone number id). Raises MissingCredential."""
        values = [await self._need(owner, one) for one in (WHATSAPP_ACCESS_TOKEN, WHATSAPP_PHONE_NUMBER_ID)]
        return values[0], values[1]

    async def _has(self, owner: str, *credentials: ServiceCredential) -> bool:
        """Whether one of these is set, by which a press of a button is verified."""
        for one in credentials:
            if await self._own_secret(owner, one.name) is not None:
                return True
        return False

    async def _need(self, owner: str, credential: ServiceCredential) -> str:
        found = await self._secrets.resolve(owner, [credential.name])
        if value := found.get(credential.name):
            return value
        raise MissingCredential(
            f"Questions go to WhatsApp with {credential.name}, which is not set.",
            credential=credential.name,
            hint=credential.how,
            remedy=set_secret(credential.name),
        )
