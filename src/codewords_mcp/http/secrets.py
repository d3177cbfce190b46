"""Secrets by name. No route gives a value back, and no error shows one."""

from __future__ import annotations

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.house import caller, runtime
from codewords_mcp.http.operations import Operation, items_of
from codewords_mcp.http.replies import JsonReply
from codewords_mcp.runtime.models import SecretInfo


class SecretBody(Body):
    """`value` is write-only."""

    value: SecretStr


async def list_secrets(request: Request) -> Response:
    """Names, times and users."""
    return JsonReply({"items": await runtime(request.scope).list_secrets(caller(request.scope))})


async def set_secret(request: Request) -> Response:
    """Store or replace a value."""
    body = await read_body(request, SecretBody)
    value = body.value.get_secret_value()
    return JsonReply(await runtime(request.scope).set_secret(caller(request.scope), _name(request), value))


async def delete_secret(request: Request) -> Response:
    """Forget a value."""
    await runtime(request.scope).delete_secret(caller(request.scope), _name(request))
    return Response(status_code=204)


async def open_entry(request: Request) -> Response:
    """A one-time page on which a person types the value."""
    return JsonReply(
        {"url": await runtime(request.scope).secret_entry(caller(request.scope), _name(request))}
    )


def _name(request: Request) -> str:
    return str(request.path_params["name"])


OPERATIONS = [
    Operation(
        "GET", "/secrets", "List secrets, without their values", list_secrets, tag="secrets",
        reply=items_of(SecretInfo),
    ),
    Operation("PUT", "/secrets/{name}", "Store a secret", set_secret, tag="secrets", body=SecretBody, reply=SecretInfo),
    Operation("DELETE", "/secrets/{name}", "Delete a secret", delete_secret, tag="secrets", status=204),
    Operation(
        "POST", "/secrets/{name}/entry", "Make a one-time page to type a secret on", open_entry, tag="secrets",
        reply={"type": "object", "properties": {"url": {"type": "string", "format": "uri"}}, "required": ["url"]},
    ),
]  # fmt: skip
