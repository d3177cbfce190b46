"""The owner's webhooks, what comes by them, and the log of it.

What comes is verified, put into the log, and answered; `runs/courier.py` starts its runs from there, so that a sender
never waits for a workflow and nothing that was answered is lost.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, get_args

import structlog
from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from codewords_mcp.errors import Conflict, InvalidInput, NotFound, TooBusy, Unauthenticated
from codewords_mcp.runtime.model.caller import HOME_OWNER, MadeBy
from codewords_mcp.runtime.model.webhook import (
    Arrival,
    Delivery,
    StartedRun,
    Webhook,
    WebhookKind,
    WebhookResponse,
)
from codewords_mcp.runtime.secrets.names import check_name
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store import webhooks as rows
from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.clock import now, to_datetime, to_micros
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.triggers.webhook_events import Event, read_other, read_slack, read_whatsapp
from codewords_mcp.runtime.triggers.webhook_signatures import VERIFY, Forged

MOST = 100
"""Webhooks of an owner."""
MOST_WAITING = 500
"""Deliveries of an owner whose runs are not started yet, before senders are told to come back."""
SECRETS: Mapping[str, str] = {"slack": "SLACK_SIGNING_SECRET", "whatsapp": "WHATSAPP_APP_SECRET"}
VERIFY_TOKEN = "WHATSAPP_VERIFY_TOKEN"  # noqa: S105  # the name of a secret
REFUSALS_APART = 1.0
"""Seconds between two refusals of one address that are put into the log."""
_DROPPED = frozenset(
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
_HEADERS_KEPT = 16384
log = structlog.get_logger(__name__)


class WebhookService:
    """Webhooks by owner. `came` is called when something waits to be delivered, `changed` when webhooks did."""

    def __init__(self, database: Database, secret_book: SecretService, address: Callable[[], str]) -> None:
        self._db = database
        self._secrets = secret_book
        self._address = address
        self._refused: dict[str, float] = {}
        self.came: Callable[[], None] = lambda: None
        self.changed: Callable[[], None] = lambda: None

    # the owner's

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
        """Make one, or give the one that is the same already. `made_by`: the workflow whose run asks. The runs that it starts
        keep to what the key `key_id` may ask and spend.

        Raises InvalidInput, NotFound, TooBusy.
        """
        if kind not in get_args(WebhookKind):
            raise InvalidInput(f"`kind` must be one of {', '.join(get_args(WebhookKind))}.")

        if made_by is not None:
            made_by.check()
        secret = self._secret_of(kind, secret)
        row = {
            "id": f"wh_{secrets.token_hex(12)}",
            "endpoint": _shared_endpoint(owner, kind) if kind in SECRETS else secrets.token_urlsafe(24),
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
        }
        made = await self._db.write(_add, row)
        self.changed()

        return self._told(made)

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
                hint="Store it with `codewords secrets set NAME`, and give NAME.",
            )

        return check_name(secret)

    async def list(self, owner: str, kind: str | None = None, *, maker: str | None = None) -> list[Webhook]:
        """Newest first. `maker`: only what the runs of this workflow made."""
        found = await self._db.read(rows.of_owner, owner)
        return [
            self._told(row) for row in found if kind in {None, row["kind"]} and maker in {None, row["maker"]}
        ]

    async def delete(
        self, owner: str, webhook_id: str, *, kind: str | None = None, maker: str | None = None
    ) -> None:
        """What came by it stays in the log. `kind` and `maker`: only such a one. Raises NotFound."""
        if await self._db.write(rows.remove, webhook_id, owner, kind, maker) is None:
            raise NotFound("There is no webhook of that id.", hint="`codewords webhooks list` shows yours.")
        self.changed()

    async def deliveries(
        self, owner: str, *, status: str | None = None, limit: int = 50, before: str | None = None
    ) -> list[Delivery]:
        """Newest first; `before` is a delivery's id, for those that came before it. Raises NotFound."""
        if before is None:
            until = None
        else:
            until = to_micros((await self.delivery(owner, before)).received_at)
        found = await self._db.read(rows.log, owner, status=status, limit=limit, before=until)
        return [_delivery(row) for row in found]

    async def delivery(self, owner: str, delivery_id: str) -> Delivery:
        """One with its headers and body. Raises NotFound."""
        row = await self._db.read(rows.get, delivery_id, owner)
        if row is None:
            raise NotFound(
                "There is no delivery of that id.", hint="`codewords webhooks deliveries` shows yours."
            )
        return _delivery(row)

    async def redeliver(self, owner: str, delivery_id: str) -> Delivery:
        """Start its runs once more, for the webhooks that there are now. Raises NotFound, Conflict."""
        found = await self.delivery(owner, delivery_id)
        if not await self._db.write(lambda c: rows.redeliver(c, delivery_id, owner, now())):
            if found.status == "refused":
                why = "was refused, so that nothing of it was kept"
            else:
                why = "is being delivered"
            raise Conflict(f"The delivery {found.id} {why}.")
        self.came()
        return await self.delivery(owner, delivery_id)

    def url_of(self, endpoint: str) -> str:
        """Where senders reach it."""
        return f"{self._address()}/webhook/{endpoint}"

    def _told(self, row: Mapping[str, Any] | RowMapping) -> Webhook:
        plain = ("id", "kind", "service_id", "path", "name", "secret", "filters")
        return Webhook(
            **{name: row[name] for name in plain},
            url=self.url_of(row["endpoint"]),
            created_at=to_datetime(row["created_at"]),
        )

    async def own_secret(self, owner: str, name: str) -> str | None:
        """A secret that only its owner may use here: the home's own is not a user's to be trusted by."""
        book = self._secrets
        found = await (book.resolve(owner, [name]) if owner == HOME_OWNER else book.values(owner, [name]))
        return found.get(name, "").strip() or None

    # what comes

    async def receive(self, arrival: Arrival) -> WebhookResponse:
        """Take in what came. Raises NotFound, Unauthenticated for what is not its sender's, TooBusy, StorageFailed."""
        hooks = await self._db.read(rows.at_endpoint, arrival.endpoint)
        if not hooks:
            raise NotFound("There is no webhook at this address.")

        hook = hooks[0]
        kind: str = hook["kind"]
        if arrival.method == "GET":
            return await self._challenged(hook, arrival)

        try:
            await self._verify(hook, arrival)
        except Forged as forged:
            await self._refuse(hook, str(forged))
            raise Unauthenticated("This is not signed as its sender signs.") from None

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
        """Put something genuine into the log, once, to be delivered; its id there. `made_by`: the workflow whose run sent it.

        Raises TooBusy, StorageFailed.
        """
        at = now()
        row: dict[str, Any] = _row(owner, kind, endpoint or _shared_endpoint(owner, kind), event.key, at) | {
            "event": event.name,
            "about": event.about,
            "headers": _kept(headers),
            "body": body,
            "size": len(body),
            "made_by": made_by.as_json() if made_by else None,
        }

        def write(connection: Connection) -> str:
            if rows.waiting(connection, owner) >= MOST_WAITING:
                raise TooBusy("Too much waits to be delivered here.", retry_after=30)
            return rows.note(connection, row) or row["id"]

        try:
            delivery = await self._db.write(write)
        except IntegrityError:  # it came twice at once, to two runtimes
            delivery = await self._db.write(write)

        self.came()
        return delivery

    async def _challenged(self, hook: RowMapping, arrival: Arrival) -> WebhookResponse:
        """WhatsApp asks whether it may send here."""
        query = arrival.query
        if hook["kind"] == "whatsapp":
            token = await self.own_secret(hook["owner"], VERIFY_TOKEN)
        else:
            token = None

        given = query.get("hub.verify_token", "")
        genuine = token is not None and hmac.compare_digest(given.encode(), token.encode())
        if hook["kind"] != "whatsapp" or query.get("hub.mode") != "subscribe" or not genuine:
            if hook["kind"] == "whatsapp":
                await self._refuse(
                    hook, "The verify token is not set." if token is None else "The verify token is another."
                )

            raise Unauthenticated("This is not signed as its sender signs.")

        return WebhookResponse(query.get("hub.challenge", "")[:500])

    async def _verify(self, hook: RowMapping, arrival: Arrival) -> None:
        if hook["secret"] is None:
            return
        secret = await self.own_secret(hook["owner"], hook["secret"])
        if secret is None:
            raise Forged(f"The secret {hook['secret']} is not set: `codewords secrets set {hook['secret']}`.")
        VERIFY[hook["kind"]](secret, arrival.headers, arrival.body, time.time())

    async def _refuse(self, hook: RowMapping, why: str) -> None:
        """Let the owner know, at a bounded rate: anybody can send."""
        endpoint, at = hook["endpoint"], time.monotonic()
        if at - self._refused.get(endpoint, -REFUSALS_APART) < REFUSALS_APART:
            return
        if len(self._refused) > 10_000:
            self._refused.clear()
        self._refused[endpoint] = at
        row = _row(hook["owner"], hook["kind"], endpoint, secrets.token_hex(32), now())
        await self._db.write(rows.note, row | {"status": "refused", "reason": why})


def _add(connection: Connection, row: dict[str, Any]) -> dict[str, Any]:
    workflow = workflows.get(connection, row["service_id"])
    if workflow is None or workflow.owner != row["owner"]:
        raise NotFound(
            "There is no workflow of that id among yours.", hint="`codewords list` shows your workflows."
        )

    mine = rows.of_owner(connection, row["owner"])
    same = ("kind", "service_id", "path", "name", "filters", "secret", "maker", "key_id")
    for known in mine:
        if all(known[column] == row[column] for column in same):
            return dict(known)  # type: ignore[arg-type]  # the names of columns

    if len(mine) >= MOST:
        raise TooBusy(f"There are {MOST} webhooks, which is the limit.", retry_after=60, hint="Delete one.")

    rows.add(connection, row)
    return row


def _shared_endpoint(owner: str, kind: str) -> str:
    """The one address of an owner's for a sender whose signature is the secret: the same whenever it is asked for."""
    return f"{kind}-{hashlib.sha256(f'{kind}/{owner}'.encode()).hexdigest()[:24]}"


def _row(owner: str, kind: str, endpoint: str, key: str, at: int) -> dict[str, Any]:
    return {
        "id": f"whd_{secrets.token_hex(12)}", "endpoint": endpoint, "key": key, "owner": owner, "kind": kind, "event": "",
        "about": {}, "status": "received", "reason": "", "received_at": at, "due_at": at, "tries": 0, "round": 0,
        "repeats": 0, "headers": {}, "body": b"", "size": 0, "runs": [],
    }  # fmt: skip


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    room = _HEADERS_KEPT
    for name, value in headers.items():
        room -= len(name) + len(value)
        if room < 0:
            break
        if name not in _DROPPED:
            kept[name] = value
    return kept


def _delivery(row: RowMapping) -> Delivery:
    plain = ("id", "kind", "event", "status", "reason", "size", "repeats")
    told = Delivery(
        **{name: row[name] for name in plain},
        received_at=to_datetime(row["received_at"]),
        runs=[StartedRun.model_validate(run) for run in row["runs"]],
    )
    if "body" not in row:
        return told
    body = row["body"].decode(errors="replace")
    return told.model_copy(update={"headers": row["headers"], "body": body})


def as_json(payload: Any) -> bytes:
    """A body of ours."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
