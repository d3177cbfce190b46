"""Passkeys of members: registered from the console, listed, named and revoked."""

from __future__ import annotations

from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import SELF, SESSION, caller, runtime
from codewords_mcp.runtime.model.passkey import PasskeyInfo

MAX_CREDENTIAL = 32 * 1024
"""Bytes of a browser's answer; some authenticators attach certificates."""


class PasskeyBody(Body):
    """`credential` is the browser's answer, as its `toJSON()` gives it; `name` is what lists call the passkey."""

    name: str
    credential: dict[str, Any]


class PasskeyNameBody(Body):
    """The new name."""

    name: str


async def list_passkeys(request: Request) -> Response:
    """List the caller's passkeys, for an admin those of all members."""
    return JsonReply({"items": await runtime(request.scope).passkeys.list(caller(request.scope))})


async def begin(request: Request) -> Response:
    """Make the options by which this session's browser makes a passkey."""
    scope = request.scope
    api = runtime(scope).passkeys
    return JsonReply(await api.begin(caller(scope), scope[SELF], _session(request)))


async def add(request: Request) -> Response:
    """Keep the passkey that the browser made."""
    body = await read_body(request, PasskeyBody, MAX_CREDENTIAL)
    scope = request.scope
    api = runtime(scope).passkeys
    made = await api.add(caller(scope), scope[SELF], _session(request), body.name, body.credential)
    return JsonReply(made, status_code=201)


async def rename(request: Request) -> Response:
    """Give a passkey another name."""
    body = await read_body(request, PasskeyNameBody)
    api = runtime(request.scope).passkeys
    return JsonReply(await api.rename(caller(request.scope), _id(request), body.name))


async def revoke(request: Request) -> Response:
    """Revoke a passkey."""
    await runtime(request.scope).passkeys.revoke(caller(request.scope), _id(request))
    return Response(status_code=204)


def _id(request: Request) -> str:
    return str(request.path_params["passkey_id"])


def _session(request: Request) -> str:
    """The session of the console, which the access table wants for these."""
    return cast("str", request.scope[SESSION])


_TAG = "members"
OPERATIONS = [
    HttpOperation("GET", "/passkeys", "List passkeys", list_passkeys, tag=_TAG, reply=items_of(PasskeyInfo)),
    HttpOperation(
        "POST", "/passkeys/options", "Begin to register a passkey", begin, tag=_TAG, reply={"type": "object"},
        description="Options of `navigator.credentials.create`. The console asks, by the session that the answer comes from.",
    ),
    HttpOperation(
        "POST", "/passkeys", "Register a passkey", add, tag=_TAG, body=PasskeyBody, reply=PasskeyInfo, status=201
    ),
    HttpOperation(
        "PUT", "/passkeys/{passkey_id}", "Rename a passkey", rename, tag=_TAG, body=PasskeyNameBody, reply=PasskeyInfo
    ),
    HttpOperation(
        "DELETE", "/passkeys/{passkey_id}", "Revoke a passkey", revoke, tag=_TAG, status=204,
        description="Nobody signs in by it any more. Sessions go on.",
    ),
]  # fmt: skip
