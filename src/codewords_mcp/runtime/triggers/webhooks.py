"""An owner's webhooks and the log of what arrived at them.

A request is verified, stored in the log and answered. The webhook dispatcher in `runs/` starts the
runs from there: a sender never waits for a workflow, and no accepted request is lost.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any, get_args

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import Conflict, InvalidInput, NotFound, TooBusy
from codewords_mcp.errors.remedies import Remedy, RemedyAction, set_secret
from codewords_mcp.runtime.model.caller import MadeBy
from codewords_mcp.runtime.model.webhook import (
    Arrival,
    Delivery,
    Webhook,
    WebhookKind,
)
from codewords_mcp.runtime.secrets.names import check_name
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store import webhooks as rows
from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.clock import now, to_datetime, to_micros
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import ListedDelivery, WebhookRow
from codewords_mcp.runtime.triggers.webhook_receiver import SECRETS, WebhookReceiver, shared_endpoint
from codewords_mcp.runtime.triggers.webhook_signatures import sign

MAX_WEBHOOKS = 100
"""Maximum webhooks of an owner."""
log = structlog.get_logger(__name__)


class WebhookService:
    """Webhooks by owner. `on_delivery` is called when a delivery waits, `on_change` when webhooks changed."""

    def __init__(
        self,
        database: Database,
        secret_service: SecretService,
        address: Callable[[], str],
        *,
        on_delivery: Callable[[], object],
        on_change: Callable[[], object],
    ) -> None:
        self._db = database
        self.receiver = WebhookReceiver(database, secret_service, on_delivery)
        self._address = address
        self._on_delivery = on_delivery
        self._on_change = on_change

    async def create(
        self,
        owner: str,
        kind: str,
        service_id: str,
        *,
        path: str = "/",
        name: str = "",
        secret: str | None = None,
        filters: dict[str, Any] | None = None,
        made_by: MadeBy | None = None,
        key_id: str | None = None,
    ) -> Webhook:
        """Create a webhook, or return an equal one, which stays paused if it is. `made_by` is the
        workflow whose run makes it.

        Its runs stay within the permissions and budget of the key `key_id`. Raises InvalidInput,
        NotFound, TooBusy.
        """
        if kind not in get_args(WebhookKind):
            raise InvalidInput(f"`kind` must be one of {', '.join(get_args(WebhookKind))}.")

        if made_by is not None:
            made_by.check()
        secret = self._secret_of(kind, secret)
        row: WebhookRow = {
            "id": f"wh_{secrets.token_hex(12)}",
            "endpoint": shared_endpoint(owner, kind) if kind in SECRETS else secrets.token_urlsafe(24),
            "owner": owner,
            "key_id": key_id,
            "kind": kind,
            "service_id": service_id,
            "path": "/" + path.lstrip("/"),
            "name": name[:200],
            "filters": filters or {},
            "secret": secret,
            "created_at": now(),
            "maker": made_by.workflow if made_by else None,
            "made_by": made_by.as_json() if made_by else None,
            "paused": False,
        }
        stored_row = await self._db.write(_add, row)
        self._on_change()

        return self._to_webhook(stored_row)

    @staticmethod
    def _secret_of(kind: str, secret: str | None) -> str | None:
        if kind in SECRETS:
            return SECRETS[kind]
        if kind == "plain":
            if secret is not None:
                raise InvalidInput(
                    "A plain webhook is not signed.", hint="Name its kind: hub, standard or stripe."
                )
            return None
        if secret is None:
            raise InvalidInput(
                f"A webhook of the kind {kind} needs the name of the secret that its sender signs with.",
                hint="Set the secret, and give its name.",
            )

        return check_name(secret)

    async def list(self, owner: str, kind: str | None = None, *, maker: str | None = None) -> list[Webhook]:
        """List webhooks, newest first. `maker`: only those made by runs of this workflow."""
        found_rows = await self._db.read(rows.of_owner, owner, maker=maker)
        return [self._to_webhook(row) for row in found_rows if kind in {None, row["kind"]}]

    async def page(
        self,
        owner: str,
        *,
        service_id: str | None = None,
        maker: str | None = None,
        limit: int,
        after: tuple[int, str] | None = None,
    ) -> list[Webhook]:
        """Some of the same list, only of the workflow `service_id` if set; `after` is the time in µs and
        the id of the last one of the page before.
        """
        found_rows = await self._db.read(
            rows.of_owner, owner, service_id=service_id, maker=maker, limit=limit, after=after
        )
        return [self._to_webhook(row) for row in found_rows]

    async def get(self, owner: str, webhook_id: str) -> Webhook:
        """Return a webhook. Raises NotFound."""
        return self._to_webhook(await self._row(owner, webhook_id))

    async def _row(self, owner: str, webhook_id: str) -> WebhookRow:
        row = await self._db.read(rows.get_webhook, webhook_id, owner)
        if row is None:
            raise _unknown_webhook()
        return row

    async def send_test(self, owner: str, webhook_id: str, body: bytes) -> str:
        """Receive a body as if its sender had signed and sent it now. Returns the delivery's id.

        Raises NotFound, InvalidInput where the secret is not set, TooBusy.
        """
        row = await self._row(owner, webhook_id)
        headers = {"content-type": "application/json"}
        if row["secret"] is not None:
            secret = await self.receiver.own_secret(owner, row["secret"])
            if secret is None:
                raise InvalidInput(
                    f"The secret {row['secret']} is not set, so the test can't be signed.",
                    remedy=set_secret(row["secret"]),
                )
            headers |= sign(row["kind"], secret, body, time.time())
        answer = (await self.receiver.receive(Arrival(row["endpoint"], "POST", {}, headers, body))).body
        if isinstance(answer, str) or "delivery" not in answer:
            raise InvalidInput("This body is a challenge of the sender, which starts nothing.")
        return str(answer["delivery"])

    async def delete(
        self, owner: str, webhook_id: str, *, kind: str | None = None, maker: str | None = None
    ) -> None:
        """Delete a webhook; its log stays. `kind` and `maker` must match if set. Raises NotFound."""
        if await self._db.write(rows.remove, webhook_id, owner, kind, maker) is None:
            raise _unknown_webhook()
        self._on_change()

    async def pause(
        self, owner: str, webhook_id: str, *, maker: str | None = None, paused: bool = True
    ) -> Webhook:
        """Pause a webhook, or resume it with `paused=False`. Idempotent. `maker` must match if set.

        Raises NotFound.
        """
        row = await self._db.write(rows.pause, webhook_id, owner, maker, paused=paused)
        if row is None:
            raise _unknown_webhook()
        self._on_change()
        return self._to_webhook(row)

    async def deliveries(
        self, owner: str, *, status: str | None = None, limit: int = 50, before: str | None = None
    ) -> list[Delivery]:
        """List deliveries, newest first. `before` is the id of a delivery; older ones are returned.
        Raises NotFound.
        """
        if before is None:
            until = None
        else:
            until = to_micros((await self.delivery(owner, before)).received_at)
        found_rows = await self._db.read(rows.log, owner, status=status, limit=limit, before=until)
        return [_to_delivery(row) for row in found_rows]

    async def delivery(self, owner: str, delivery_id: str) -> Delivery:
        """Return a delivery with its headers and body. Raises NotFound."""
        row = await self._db.read(rows.get, delivery_id, owner)
        if row is None:
            raise NotFound("No delivery has this id.", remedy=Remedy(RemedyAction.LIST_DELIVERIES))
        body = row["body"].decode(errors="replace")
        return _to_delivery(row).model_copy(update={"headers": row["headers"], "body": body})

    async def redeliver(self, owner: str, delivery_id: str) -> Delivery:
        """Start the runs of a delivery again, for the current webhooks. Raises NotFound, Conflict."""
        delivery = await self.delivery(owner, delivery_id)
        if not await self._db.write(rows.redeliver, delivery_id, owner, now()):
            if delivery.status == "refused":
                reason = "was refused, so nothing of it is stored"
            else:
                reason = "is being delivered"
            raise Conflict(f"The delivery {delivery.id} {reason}.")
        self._on_delivery()
        return await self.delivery(owner, delivery_id)

    def url_of(self, endpoint: str) -> str:
        """The address at which senders reach the endpoint."""
        return f"{self._address()}/webhook/{endpoint}"

    def _to_webhook(self, row: WebhookRow) -> Webhook:
        plain = ("id", "kind", "service_id", "path", "name", "secret", "filters", "maker")
        return Webhook.model_validate(
            {name: row[name] for name in plain}
            | {
                "url": self.url_of(row["endpoint"]),
                "created_at": to_datetime(row["created_at"]),
                "paused": bool(row["paused"]),
            }
        )


def _add(connection: Connection, row: WebhookRow) -> WebhookRow:
    workflow = workflows.get(connection, row["service_id"])
    if workflow is None or workflow.owner != row["owner"]:
        raise NotFound("None of your workflows has this id.", remedy=Remedy(RemedyAction.LIST_WORKFLOWS))

    own_webhooks = rows.of_owner(connection, row["owner"])
    # A workflow registers itself at each start, which must not add a webhook each time.
    same = ("kind", "service_id", "path", "name", "filters", "secret", "maker", "key_id")
    for existing in own_webhooks:
        if all(existing[column] == row[column] for column in same):
            return existing

    if len(own_webhooks) >= MAX_WEBHOOKS:
        raise TooBusy(f"The limit of {MAX_WEBHOOKS} webhooks is reached.", retry_after=60, hint="Delete one.")

    rows.add(connection, row)
    return row


def _unknown_webhook() -> NotFound:
    return NotFound("No webhook has this id.", remedy=Remedy(RemedyAction.LIST_WEBHOOKS))


def _to_delivery(row: ListedDelivery) -> Delivery:
    return Delivery.model_validate(
        {name: row[name] for name in ("id", "kind", "event", "status", "reason", "size", "repeats")}
        | {"received_at": to_datetime(row["received_at"]), "runs": row["runs"]}
    )


def as_json(payload: Any) -> bytes:
    """Serialize a payload as compact JSON."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
