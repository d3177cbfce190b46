"""Keys that members make for themselves."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.routes.admin import CreatedKey
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.caller import Scope
from codewords_mcp.runtime.model.key import KeyInfo


class OwnKeyBody(Body):
    """`scopes` are all that the key may do, at most what the role allows, which it may without them.

    `expires_in` is seconds; without it the key lives until it is revoked, or its member is removed.
    """

    scopes: list[Scope] | None = None
    expires_in: float | None = None


async def create_key(request: Request) -> Response:
    """Make a key of the caller's own account; its text is in this answer and nowhere else."""
    body = await read_body(request, OwnKeyBody)
    text, info = await runtime(request.scope).own_keys.create(
        caller(request.scope), scopes=body.scopes, expires_in=body.expires_in
    )
    return JsonReply(CreatedKey(key=text, **info.model_dump()), status_code=201)


async def list_keys(request: Request) -> Response:
    """List the caller's own keys, without their text."""
    return JsonReply({"items": await runtime(request.scope).own_keys.list(caller(request.scope))})


async def revoke_key(request: Request) -> Response:
    """Revoke one of the caller's own keys."""
    await runtime(request.scope).own_keys.revoke(caller(request.scope), request.path_params["key_id"])
    return Response(status_code=204)


_TAG = "members"
OPERATIONS = [
    HttpOperation("GET", "/me/keys", "List the own keys", list_keys, tag=_TAG, reply=items_of(KeyInfo)),
    HttpOperation(
        "POST", "/me/keys", "Make a key of the own account", create_key, tag=_TAG, body=OwnKeyBody, reply=CreatedKey, status=201,
        description="For people who are members, with at most the rights of their role. A key with limits of its own makes none.",
    ),
    HttpOperation("DELETE", "/me/keys/{key_id}", "Revoke an own key", revoke_key, tag=_TAG, status=204),
]  # fmt: skip
