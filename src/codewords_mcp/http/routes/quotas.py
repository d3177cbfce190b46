"""Quotas of the owners of one database."""

from __future__ import annotations

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.quota import OwnerQuota, QuotaLimits


class QuotaBody(Body):
    """The limits of an owner. What is left out has none."""

    limits: QuotaLimits = Field(description="`memory` and `storage` are bytes.")


async def list_quotas(request: Request) -> Response:
    """The quotas that the caller may see."""
    return JsonReply({"items": await runtime(request.scope).quotas.list(caller(request.scope))})


async def set_quota(request: Request) -> Response:
    """Set or replace one."""
    body = await read_body(request, QuotaBody)
    return JsonReply(await runtime(request.scope).quotas.set(_owner(request), body.limits))


async def remove_quota(request: Request) -> Response:
    """Remove one."""
    await runtime(request.scope).quotas.remove(_owner(request))
    return Response(status_code=204)


def _owner(request: Request) -> str:
    return str(request.path_params["owner"])


OPERATIONS = [
    HttpOperation(
        "GET", "/quotas", "List quotas of owners", list_quotas, tag="quotas", reply=items_of(OwnerQuota),
        description="All of the database for an owner of the home, with what is used; for others their own.",
    ),
    HttpOperation(
        "PUT", "/quotas/{owner}", "Set the quota of an owner", set_quota, tag="quotas", body=QuotaBody, reply=OwnerQuota,
        description="`*` is each owner without a quota of their own, but the home's. Spending is a budget of scope owner.",
    ),
    HttpOperation(
        "DELETE", "/quotas/{owner}", "Remove the quota of an owner", remove_quota, tag="quotas", status=204,
    ),
]  # fmt: skip
