"""Secrets by name. No route gives a value back, and no error shows one."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, SecretStr
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import Body, page_query, read_body
from codewords_mcp.http.middleware.headers import content_length
from codewords_mcp.http.operations import PAGE_PARAMETERS, HttpOperation, page_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.secret import KeyRotation, SecretInfo


class SecretBody(Body):
    """`value` is write-only; in its place, `source` is a reference to a value that is kept elsewhere, such as
    `vault://kv/app#token`. `hosts` and `places` say where it may go, `plain` that workflows may read it; without any of
    them the rule stays as it was, or is what a well-known name brings. `expires_at`, with a zone, is the end of the value.
    """

    value: SecretStr | None = None
    source: str | None = None
    hosts: list[str] = Field(default_factory=list[str])
    places: list[str] = Field(default_factory=list[str])
    plain: bool = False
    expires_at: str | None = None


class EntryBody(Body):
    """`hosts` are what the page proposes; the person may change them."""

    hosts: list[str] = Field(default_factory=list[str])


async def list_secrets(request: Request) -> Response:
    """Names, times and users."""
    return JsonReply(await runtime(request.scope).secrets.page(caller(request.scope), **page_query(request)))


async def set_secret(request: Request) -> Response:
    """Store or replace a value, or a reference to it."""
    body = await read_body(request, SecretBody)
    secrets, named = runtime(request.scope).secrets, (caller(request.scope), _name(request))
    if body.source is not None and body.value is not None:
        raise InvalidInput("A secret has a value here or a source elsewhere, not both.")
    if body.source is not None:
        stored = await secrets.refer(
            *named,
            body.source,
            hosts=body.hosts,
            places=body.places,
            plain=body.plain,
            expires_at=_moment(body.expires_at),
        )
    elif body.value is not None:
        stored = await secrets.set(
            *named,
            body.value.get_secret_value(),
            hosts=body.hosts,
            places=body.places,
            plain=body.plain,
            expires_at=_moment(body.expires_at),
        )
    else:
        raise InvalidInput("A secret has a value, or a source elsewhere; this has neither.")
    return JsonReply(stored)


async def delete_secret(request: Request) -> Response:
    """Forget a value."""
    await runtime(request.scope).secrets.delete(caller(request.scope), _name(request))
    return Response(status_code=204)


async def open_entry(request: Request) -> Response:
    """A one-time page on which a person types the value."""
    # The body is optional: without it the page proposes no hosts.
    empty = not content_length(request.scope["headers"])
    if empty:
        body = EntryBody()
    else:
        body = await read_body(request, EntryBody)
    url = await runtime(request.scope).secrets.create_link(
        caller(request.scope), _name(request), hosts=body.hosts
    )
    return JsonReply({"url": url})


async def rotate_key(request: Request) -> Response:
    """Another master key; secrets can be used meanwhile."""
    return JsonReply(await runtime(request.scope).secrets.rotate_master_key(caller(request.scope)))


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("`expires_at` is no time.", hint="Write it as 2027-01-31T00:00:00Z.") from None


def _name(request: Request) -> str:
    return str(request.path_params["name"])


OPERATIONS = [
    HttpOperation(
        "GET", "/secrets", "List secrets by name, without their values", list_secrets, tag="secrets",
        reply=page_of(SecretInfo), parameters=PAGE_PARAMETERS,
    ),
    HttpOperation("PUT", "/secrets/{name}", "Store a secret", set_secret, tag="secrets", body=SecretBody, reply=SecretInfo),
    HttpOperation(
        "POST", "/secrets/rotate-key", "Encrypt every secret with a new master key", rotate_key,
        tag="secrets", reply=KeyRotation,
    ),
    HttpOperation("DELETE", "/secrets/{name}", "Delete a secret", delete_secret, tag="secrets", status=204),
    HttpOperation(
        "POST", "/secrets/{name}/entry", "Make a one-time page to type a secret on", open_entry, tag="secrets",
        body=EntryBody, reply={"type": "object", "properties": {"url": {"type": "string", "format": "uri"}}, "required": ["url"]},
    ),
]  # fmt: skip
