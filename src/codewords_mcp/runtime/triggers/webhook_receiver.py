"""Requests that arrive at webhooks: verified, and stored in the log, once each.

The webhook dispatcher in `runs/` starts the runs from there.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from codewords_mcp.errors import MethodNotAllowed, NotFound, TooBusy, Unauthenticated
from codewords_mcp.runtime.model.caller import HOME_OWNER, MadeBy
from codewords_mcp.runtime.model.webhook import (
    Arrival,
    WebhookResponse,
)
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store import webhooks as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import DeliveryRow, WebhookRow
from codewords_mcp.runtime.triggers.webhook_events import Event, read_other, read_slack, read_whatsapp
from codewords_mcp.runtime.triggers.webhook_signatures import VERIFY, SignatureInvalid

MAX_WAITING = 500
"""Deliveries of an owner without a started run, beyond which senders are told to come back."""
SECRETS: Mapping[str, str] = {"slack": "SLACK_SIGNING_SECRET", "whatsapp": "WHATSAPP_APP_SECRET"}
VERIFY_TOKEN = "WHATSAPP_VERIFY_TOKEN"  # noqa: S105  # the name of a secret
REFUSAL_LOG_INTERVAL_S = 1.0
"""Seconds between two logged refusals of one address."""
# They belong to the connection, or are credentials, which a log must not have.
_DROPPED_HEADERS = frozenset(
    {
        "cookie",
        "authorization",
        "host",
        "connection",
        "transfer-encoding",
        "accept-encoding",
        "content-length",
    }
)
_MAX_HEADER_CHARS = 16384


class WebhookReceiver:
    """Receives for the webhooks of all owners. `on_delivery` is called when a delivery waits."""

    def __init__(
        self, database: Database, secret_service: SecretService, on_delivery: Callable[[], object]
    ) -> None:
        self._db = database
        self._secrets = secret_service
        self._on_delivery = on_delivery
        self._refused: dict[str, float] = {}

    async def receive(self, arrival: Arrival) -> WebhookResponse:
        """Accept a request. Raises NotFound, Unauthenticated for an invalid signature, TooBusy,
        StorageFailed.
        """
        hooks = await self._db.read(rows.at_endpoint, arrival.endpoint)
        if not hooks:
            raise NotFound("No webhook has this address.")

        # All webhooks of an address have the same owner, kind and secret.
        hook = hooks[0]
        kind: str = hook["kind"]
        if arrival.method == "GET":
            return await self._answer_challenge(hook, arrival)

        try:
            await self._verify(hook, arrival)
        except SignatureInvalid as invalid:
            await self._refuse(hook, str(invalid))
            raise Unauthenticated("The signature is missing or invalid.") from None

        if kind == "slack":
            event = read_slack(arrival.headers, arrival.body)
        elif kind == "whatsapp":
            event = read_whatsapp(arrival.headers, arrival.body)
        else:
            event = read_other(arrival.headers, arrival.body, signed=kind != "plain")

        if event.challenge is not None:
            return WebhookResponse({"challenge": event.challenge})

        delivery = await self.take(
            hook["owner"], kind, arrival.endpoint, event, arrival.headers, arrival.body, arrival.made_by
        )
        return WebhookResponse({"ok": True, "delivery": delivery})

    async def take(
        self,
        owner: str,
        kind: str,
        endpoint: str | None,
        event: Event,
        headers: Mapping[str, str],
        body: bytes,
        made_by: MadeBy | None = None,
    ) -> str:
        """Store a genuine event in the log, once, and return its id. `made_by` is the workflow
        whose run sent it.

        Raises TooBusy, StorageFailed.
        """
        at = now()
        row: DeliveryRow = {
            **_row(owner, kind, endpoint or shared_endpoint(owner, kind), event.key, at),
            "event": event.name,
            "about": event.about,
            "headers": stored_headers(headers),
            "body": body,
            "size": len(body),
            "made_by": made_by.as_json() if made_by else None,
        }

        def write(connection: Connection) -> str:
            # In the transaction that adds the row, so that requests at the same time cannot pass
            # the limit together.
            if rows.waiting(connection, owner) >= MAX_WAITING:
                raise TooBusy("Too many deliveries are waiting.", retry_after=30)
            return rows.note(connection, row) or row["id"]

        try:
            delivery = await self._db.write(write)
        except IntegrityError:
            # The same event arrived at two runtimes at once: the second finds what the first stored.
            delivery = await self._db.write(write)

        self._on_delivery()
        return delivery

    async def own_secret(self, owner: str, name: str) -> str | None:
        """Return the owner's own secret; the home's is used only for the home's own webhooks."""
        service = self._secrets
        values = await (
            service.resolve(owner, [name]) if owner == HOME_OWNER else service.values(owner, [name])
        )
        return values.get(name, "").strip() or None

    async def _answer_challenge(self, hook: WebhookRow, arrival: Arrival) -> WebhookResponse:
        """Answer WhatsApp's check of the address. Raises MethodNotAllowed for the address of another kind."""
        if hook["kind"] != "whatsapp":
            raise MethodNotAllowed(
                "The address of a webhook takes POST.",
                allow=["POST"],
                hint="A sender posts its messages here. To try it, POST a JSON body.",
            )
        query = arrival.query
        token = await self.own_secret(hook["owner"], VERIFY_TOKEN)
        sent_token = query.get("hub.verify_token", "")
        # As bytes: `compare_digest` refuses text beyond ASCII, and the sender chooses it.
        genuine = token is not None and hmac.compare_digest(sent_token.encode(), token.encode())
        if query.get("hub.mode") != "subscribe" or not genuine:
            if token is None:
                reason = "The verify token is not set."
            else:
                reason = "The verify token is wrong."
            await self._refuse(hook, reason)
            raise Unauthenticated("The signature is missing or invalid.")

        return WebhookResponse(query.get("hub.challenge", "")[:500])

    async def _verify(self, hook: WebhookRow, arrival: Arrival) -> None:
        if hook["secret"] is None:
            return
        secret = await self.own_secret(hook["owner"], hook["secret"])
        if secret is None:
            raise SignatureInvalid(f"The secret {hook['secret']} is not set.")
        VERIFY[hook["kind"]](secret, arrival.headers, arrival.body, time.time())

    async def _refuse(self, hook: WebhookRow, reason: str) -> None:
        """Log a refusal for the owner, at a bounded rate: anybody can send."""
        endpoint, at = hook["endpoint"], time.monotonic()
        if at - self._refused.get(endpoint, -REFUSAL_LOG_INTERVAL_S) < REFUSAL_LOG_INTERVAL_S:
            return
        # Addresses are bounded by the webhooks there are; this bounds those that were deleted.
        if len(self._refused) > 10_000:
            self._refused.clear()
        self._refused[endpoint] = at
        # A key of its own: with the key of the event, a genuine one would count as its repeat.
        row = _row(hook["owner"], hook["kind"], endpoint, secrets.token_hex(32), now())
        row["status"], row["reason"] = "refused", reason
        await self._db.write(rows.note, row)


def shared_endpoint(owner: str, kind: str) -> str:
    """Return the single address of an owner for a sender whose signature is the secret; always the
    same.
    """
    return f"{kind}-{hashlib.sha256(f'{kind}/{owner}'.encode()).hexdigest()[:24]}"


def _row(owner: str, kind: str, endpoint: str, key: str, at: int) -> DeliveryRow:
    return {
        "id": f"whd_{secrets.token_hex(12)}", "endpoint": endpoint, "key": key, "owner": owner, "kind": kind, "event": "",
        "about": {}, "status": "received", "reason": "", "received_at": at, "due_at": at, "tries": 0, "round": 0,
        "repeats": 0, "headers": {}, "body": b"", "size": 0, "runs": [], "made_by": None,
    }  # fmt: skip


def stored_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request that are kept: none of the connection, no credentials, and not without bounds."""
    stored: dict[str, str] = {}
    remaining = _MAX_HEADER_CHARS
    for name, value in headers.items():
        remaining -= len(name) + len(value)
        if remaining < 0:
            break
        if name not in _DROPPED_HEADERS:
            stored[name] = value
    return stored
