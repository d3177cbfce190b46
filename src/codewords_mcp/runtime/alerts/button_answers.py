"""Answers by buttons of Slack and WhatsApp, whose requests are verified by their signatures or came by a socket."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable
from typing import Any, Final
from urllib.parse import parse_qs

import structlog

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.common.json_parts import list_of, object_of, text_of
from codewords_mcp.errors import CodewordsError, Conflict, InvalidInput, NotFound, Unauthenticated
from codewords_mcp.runtime.alerts.answers import QuestionAnswers
from codewords_mcp.runtime.alerts.question_channels import QuestionChannels
from codewords_mcp.runtime.alerts.question_slack import ACTION
from codewords_mcp.runtime.alerts.question_tokens import read_token
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.model.plain_text import one_line
from codewords_mcp.runtime.model.webhook import Arrival, WebhookResponse
from codewords_mcp.runtime.store import access
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.triggers.webhook_receiver import SECRETS, VERIFY_TOKEN, shared_endpoint
from codewords_mcp.runtime.triggers.webhook_signatures import VERIFY, SignatureInvalid
from codewords_mcp.runtime.triggers.webhooks import WebhookService

TELL_TIMEOUT: Final = 2.0
"""Seconds for a word to who pressed a button: Slack wants its answer within three."""
MOST_REPLIES: Final = 20
"""Replies of one notification that are looked at."""
log = structlog.get_logger(__name__)


class ButtonAnswers:
    """Takes presses of buttons out of what arrives at the shared addresses of Slack and WhatsApp."""

    def __init__(
        self,
        database: Database,
        webhooks: WebhookService,
        answers: QuestionAnswers,
        channels: QuestionChannels,
    ) -> None:
        self._db = database
        self._webhooks = webhooks
        self._answers = answers
        self._channels = channels

    async def receive(self, arrival: Arrival) -> WebhookResponse | None:
        """Answer questions by a request; None where it is for webhooks.

        Raises Unauthenticated for an invalid signature, NotFound for a token that is none of ours.
        """
        kind = arrival.endpoint.partition("-")[0]
        if kind not in SECRETS:
            return None
        if arrival.method == "GET":
            if kind != "whatsapp":
                return None
            return await self._challenge(arrival)
        if kind == "slack":
            return await self._slack_request(arrival)
        return await self._whatsapp_request(arrival)

    # Slack

    async def _slack_request(self, arrival: Arrival) -> WebhookResponse | None:
        payload = _slack_payload(arrival)
        actions = _own_actions(payload)
        if not actions:
            return None
        tokens = [token for action in actions if (token := _text(action.get("value")))]
        # A button that opens a page sends its press, too.
        for token in tokens:
            # The token alone says whose question it is, and so whose secret the signature is checked with.
            owner = await self._owner_of(token, arrival.endpoint, "slack")
            await self._verify(owner, "slack", arrival)
            await self._press(owner, token, payload)
        return WebhookResponse("")

    async def take_slack(self, owner: str, payload: dict[str, Any]) -> bool:
        """Take an interaction that came by an owner's socket; False where it has no button of ours."""
        actions = _own_actions(payload)
        for action in actions:
            token = _text(action.get("value"))
            if token and await self._is_of(token, owner):
                await self._press(owner, token, payload)
        return bool(actions)

    async def _press(self, owner: str, token: str, payload: dict[str, Any]) -> None:
        user, channel = object_of(payload.get("user")), _text(object_of(payload.get("channel")).get("id"))
        user_id = one_line(_text(user.get("id")), 20)
        name = one_line(_text(user.get("username")) or _text(user.get("name")), 40)
        by = f"{name} ({user_id})" if name else user_id
        try:
            await self._choose(token, f"user {user_id}", by)
        except (Conflict, InvalidInput, NotFound) as refused:
            await self._tell(self._channels.tell_slack(owner, channel, user_id, refused.message))

    async def _choose(self, token: str, place: str, by: str) -> str:
        """Take the answer of a token's option; the option."""
        _, option = await self._answers.message_of(token)
        if option is None:
            raise InvalidInput("This button has no answer of its own.")
        await self._answers.answer(token, option, {}, place, by=by)
        return option

    # WhatsApp

    async def _whatsapp_request(self, arrival: Arrival) -> WebhookResponse | None:
        replies = _own_replies(arrival)
        if not replies:
            return None
        for sender, token in replies:
            owner = await self._owner_of(token, arrival.endpoint, "whatsapp")
            await self._verify(owner, "whatsapp", arrival)
            await self._reply(owner, sender, token)
        return WebhookResponse({"ok": True})

    async def _reply(self, owner: str, sender: str, token: str) -> None:
        message, _ = await self._answers.message_of(token)
        if message.target != sender:
            log.warning("answer by another number refused", owner=owner)
            return
        try:
            notice = f"Answered: {await self._choose(token, 'a button', sender)}."
        except Conflict as late:
            # The notification of an answer that counted is sent again, too.
            if late.message.startswith(f"{sender} "):
                return
            notice = late.message
        except (InvalidInput, NotFound) as refused:
            notice = refused.message
        await self._tell(self._channels.tell_whatsapp(owner, sender, notice))

    async def _challenge(self, arrival: Arrival) -> WebhookResponse | None:
        """Answer WhatsApp's check of an address to which only answers come."""
        query = arrival.query
        owners = await self._db.read(access.secret_owners, VERIFY_TOKEN)
        owner = next((one for one in {*owners, HOME_OWNER} if _is_at(one, "whatsapp", arrival)), None)
        if owner is None:
            token = None
        else:
            token = await self._webhooks.receiver.own_secret(owner, VERIFY_TOKEN)
        if token is None or query.get("hub.mode") != "subscribe":
            return None
        # In constant time, so that the token cannot be found out character by character.
        if not hmac.compare_digest(query.get("hub.verify_token", "").encode(), token.encode()):
            return None
        return WebhookResponse(query.get("hub.challenge", "")[:500])

    # of both

    async def _owner_of(self, token: str, endpoint: str, kind: str) -> str:
        """The owner whose question a token is of, if the request came to their address. Raises NotFound."""
        message, _ = await self._answers.message_of(token)
        if shared_endpoint(message.owner, kind) != endpoint or message.channel != kind:
            raise NotFound("No webhook has this address.")
        return message.owner

    async def _is_of(self, token: str, owner: str) -> bool:
        try:
            message, _ = await self._answers.message_of(token)
        except NotFound:
            return False
        return message.owner == owner and message.channel == "slack"

    async def _verify(self, owner: str, kind: str, arrival: Arrival) -> None:
        secret = await self._webhooks.receiver.own_secret(owner, SECRETS[kind])
        try:
            if secret is None:
                raise SignatureInvalid(f"The secret {SECRETS[kind]} is not set.")
            VERIFY[kind](secret, arrival.headers, arrival.body, time.time())
        except SignatureInvalid as invalid:
            log.warning("answer by a button refused", kind=kind, owner=owner, reason=str(invalid))
            raise Unauthenticated("The signature is missing or invalid.") from None

    async def _tell(self, telling: Awaitable[None]) -> None:
        """Say something to who pressed a button, if that is possible soon."""
        try:
            async with asyncio.timeout(TELL_TIMEOUT):
                await telling
        except (CodewordsError, TimeoutError) as error:
            log.info("who pressed a button was not told", reason=type(error).__name__)


def _is_at(owner: str, kind: str, arrival: Arrival) -> bool:
    return shared_endpoint(owner, kind) == arrival.endpoint


def _slack_payload(arrival: Arrival) -> dict[str, Any]:
    if not arrival.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {}
    try:
        form = parse_qs(arrival.body.decode("utf-8", "replace"), max_num_fields=200)
        return object_of(parse(form.get("payload", ["{}"])[0]))
    except (ValueError, RecursionError):
        return {}


def _own_actions(payload: dict[str, Any]) -> list[dict[str, Any]]:
    if payload.get("type") != "block_actions":
        return []
    actions = [object_of(action) for action in list_of(payload.get("actions"))]
    return [action for action in actions if _text(action.get("action_id")).startswith(f"{ACTION}_")]


def _own_replies(arrival: Arrival) -> list[tuple[str, str]]:
    """(sender, token) of each reply by a button of ours."""
    try:
        body = object_of(parse(arrival.body))
    except (ValueError, RecursionError):
        return []
    found: list[tuple[str, str]] = []
    for entry in list_of(body.get("entry")):
        for change in list_of(object_of(entry).get("changes")):
            for message in list_of(object_of(object_of(change).get("value")).get("messages")):
                reply = object_of(object_of(object_of(message).get("interactive")).get("button_reply"))
                token = _text(reply.get("id"))
                if read_token(token) is not None:
                    found.append((_text(object_of(message).get("from")), token))
    return found[:MOST_REPLIES]


def _text(value: Any) -> str:
    return text_of(value)[:300]
