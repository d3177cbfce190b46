"""Questions of runs that are sent to people: their messages, and the answers that come by them."""

from __future__ import annotations

from codewords_mcp.runtime.alerts.answers import QuestionAnswers
from codewords_mcp.runtime.alerts.button_answers import ButtonAnswers
from codewords_mcp.runtime.alerts.channels import AlertChannels
from codewords_mcp.runtime.alerts.question_channels import QuestionChannels
from codewords_mcp.runtime.alerts.question_delivery import QuestionDelivery
from codewords_mcp.runtime.alerts.question_tokens import PURPOSE, QuestionTokens
from codewords_mcp.runtime.model.events import EventBus, WaitingPagesChanged
from codewords_mcp.runtime.runs.wait_answers import WaitAnswers
from codewords_mcp.runtime.secrets.rotation import Keys
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.triggers.slack_socket_mode import SocketMode
from codewords_mcp.runtime.triggers.webhooks import WebhookService
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.settings import Settings


class Questions:
    """`delivery` sends questions by `channels`; `answers` takes what comes back by links, `buttons` by buttons."""

    def __init__(
        self,
        database: Database,
        waits: WaitAnswers,
        keys: Keys,
        channels: AlertChannels,
        secret_service: SecretService,
        web: Web,
        settings: Settings,
        events: EventBus,
        webhooks: WebhookService,
        socket_mode: SocketMode,
    ) -> None:
        tokens = QuestionTokens(lambda: [key.derive(PURPOSE) for key in keys.every])
        self.channels = QuestionChannels(
            channels, tokens, secret_service, webhooks.receiver.own_secret, web, settings
        )
        self.delivery = QuestionDelivery(database, self.channels)
        self.answers = QuestionAnswers(database, waits, tokens)
        self.buttons = ButtonAnswers(database, webhooks, self.answers, self.channels)

        socket_mode.answer_by(self.buttons.take_slack)
        events.subscribe(WaitingPagesChanged, lambda _: self.delivery.wake())
        events.subscribe(WaitingPagesChanged, lambda _: socket_mode.wake())
