"""Webhooks: the addresses that senders know, without a key; and what their owner sees of them."""

from __future__ import annotations

from typing import get_args

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from codewords_mcp.errors import BodyTooLarge, InvalidInput
from codewords_mcp.http.bodies import Body, page_query, query_int, read_body, read_bytes
from codewords_mcp.http.middleware.headers import inward
from codewords_mcp.http.operations import (
    PAGE_PARAMETERS,
    HttpOperation,
    Parameter,
    items_of,
    page_of,
    whole_number,
)
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import access, app_state, caller, runtime
from codewords_mcp.runtime.model.webhook import Arrival, Delivery, DeliveryStatus, Webhook


class WebhookBody(Body):
    """`kind`: how its sender signs (`plain` not at all, `hub` like GitHub, `standard`, `stripe`), with the secret of the
    name `secret`.
    """

    service_id: str
    path: str = "/"
    kind: str = "plain"
    secret: str | None = None
    name: str = ""


async def receive(request: Request) -> Response:
    """Take a delivery. It is answered once it is in the log; its runs are started from there."""
    body = await read_bytes(request, app_state(request.scope).settings.max_webhook, _too_large)
    headers: dict[str, str] = {}
    for name, value in inward(request.scope["headers"]):
        # The first of several equal headers counts, as for the signature's check.
        headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    endpoint = str(request.path_params["endpoint"])
    arrival = Arrival(endpoint, request.method, dict(request.query_params), headers, body)
    answer = (await runtime(request.scope).webhooks.receive(arrival, access(request.scope).caller)).body
    if isinstance(answer, str):
        return PlainTextResponse(answer)

    return JsonReply(answer)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"What a webhook takes is {limit} bytes at most.",
        hint="Raise CODEWORDS_MAX_WEBHOOK if it should take more.",
    )


async def create(request: Request) -> Response:
    """An address of its own."""
    body = await read_body(request, WebhookBody)
    made = await runtime(request.scope).webhooks.create(caller(request.scope), **body.model_dump())
    return JsonReply(made)


async def list_webhooks(request: Request) -> Response:
    """List webhooks, newest first."""
    service_id = request.query_params.get("service_id")
    page = page_query(request)
    return JsonReply(
        await runtime(request.scope).webhooks.page(caller(request.scope), service_id=service_id, **page)
    )


async def delete(request: Request) -> Response:
    """Delete a webhook. Its deliveries stay in the log."""
    await runtime(request.scope).webhooks.delete(
        caller(request.scope), str(request.path_params["webhook_id"])
    )
    return Response(status_code=204)


async def pause(request: Request) -> Response:
    """Pause a webhook: what comes is stored and starts nothing until it is resumed."""
    webhook_id = str(request.path_params["webhook_id"])
    return JsonReply(await runtime(request.scope).webhooks.pause(caller(request.scope), webhook_id))


async def resume(request: Request) -> Response:
    """Let a webhook start runs again, for what comes from now on."""
    webhook_id = str(request.path_params["webhook_id"])
    return JsonReply(await runtime(request.scope).webhooks.resume(caller(request.scope), webhook_id))


async def list_deliveries(request: Request) -> Response:
    """List deliveries, newest first."""
    status = request.query_params.get("status")
    if status is not None and status not in get_args(DeliveryStatus):
        raise InvalidInput(f"`status` must be one of {', '.join(get_args(DeliveryStatus))}.")

    found = await runtime(request.scope).webhooks.list_deliveries(
        caller(request.scope),
        status=status,
        limit=query_int(request, "limit", low=1, high=100) or 50,
        before=request.query_params.get("before"),
    )
    return JsonReply({"items": found})


async def get_delivery(request: Request) -> Response:
    """Return one delivery with its headers and body."""
    return JsonReply(
        await runtime(request.scope).webhooks.get_delivery(caller(request.scope), _delivery_id(request))
    )


async def redeliver(request: Request) -> Response:
    """Start the runs of a delivery once more."""
    return JsonReply(
        await runtime(request.scope).webhooks.redeliver(caller(request.scope), _delivery_id(request))
    )


def _delivery_id(request: Request) -> str:
    return str(request.path_params["delivery_id"])


_ANSWER = {"type": "object", "properties": {"ok": {"type": "boolean"}, "delivery": {"type": "string"}}}
_STATUS = {"type": "string", "enum": list(get_args(DeliveryStatus))}

OPERATIONS = [
    HttpOperation(
        "POST", "/webhook/{endpoint}", "Deliver to a webhook", receive, tag="webhooks", body={},
        body_media="*/*", reply=_ANSWER,
        description="For senders: the address or their signature is the secret. Answered as soon as it is stored; what "
        "comes twice is delivered once.",
    ),
    HttpOperation(
        "GET", "/webhook/{endpoint}", "Answer a sender's challenge", receive, tag="webhooks",
        media="text/plain",
    ),
    HttpOperation(
        "GET", "/webhooks", "List webhooks, newest first", list_webhooks, tag="webhooks", reply=page_of(Webhook),
        parameters=(Parameter("service_id", "Only of this workflow.", {"type": "string"}), *PAGE_PARAMETERS),
    ),
    HttpOperation("POST", "/webhooks", "Give a workflow an address", create, tag="webhooks", body=WebhookBody, reply=Webhook),
    HttpOperation("DELETE", "/webhooks/{webhook_id}", "Delete a webhook", delete, tag="webhooks", status=204),
    HttpOperation(
        "POST", "/webhooks/{webhook_id}/pause", "Pause a webhook: what comes starts nothing", pause, tag="webhooks", reply=Webhook
    ),
    HttpOperation("POST", "/webhooks/{webhook_id}/resume", "Go on with a webhook", resume, tag="webhooks", reply=Webhook),
    HttpOperation(
        "GET", "/webhooks/deliveries", "List what came, newest first", list_deliveries, tag="webhooks",
        reply=items_of(Delivery),
        parameters=(
            Parameter("status", "Only with this status.", _STATUS),
            Parameter("limit", "At most so many, 1 to 100.", whole_number(1, 100, default=50)),
            Parameter("before", "Only what came before this delivery.", {"type": "string"}),
        ),
    ),
    HttpOperation("GET", "/webhooks/deliveries/{delivery_id}", "Show a delivery", get_delivery, tag="webhooks", reply=Delivery),
    HttpOperation(
        "POST", "/webhooks/deliveries/{delivery_id}/redeliver", "Deliver once more", redeliver, tag="webhooks", reply=Delivery
    ),
]  # fmt: skip
