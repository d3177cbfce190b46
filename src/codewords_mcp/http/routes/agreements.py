"""Agreements to workflows of other owners: list, agree, withdraw."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.agreement import Agreement


class AgreeBody(Body):
    """`confirm` is the token that the 403 `consent_needed` of a run had: it says that a person agrees to exactly that."""

    confirm: str


async def list_agreements(request: Request) -> Response:
    """Answer with the caller's agreements, the newest first."""
    return JsonReply({"items": await runtime(request.scope).consents.list_agreements(caller(request.scope))})


async def agree(request: Request) -> Response:
    """Store an agreement."""
    body = await read_body(request, AgreeBody)
    made = await runtime(request.scope).consents.agree(
        caller(request.scope), _service_id(request), body.confirm
    )
    return JsonReply(made)


async def withdraw(request: Request) -> Response:
    """End an agreement; the next run of the workflow is asked about again."""
    await runtime(request.scope).consents.withdraw_agreement(caller(request.scope), _service_id(request))
    return Response(status_code=204)


def _service_id(request: Request) -> str:
    return str(request.path_params["service_id"])


_TAG = "agreements"
OPERATIONS = [
    HttpOperation(
        "GET", "/agreements", "List agreements to workflows of other owners", list_agreements, tag=_TAG,
        reply=items_of(Agreement),
    ),
    HttpOperation(
        "PUT", "/agreements/{service_id}", "Agree to what another owner's workflow may do", agree, tag=_TAG,
        body=AgreeBody, reply=Agreement,
    ),
    HttpOperation("DELETE", "/agreements/{service_id}", "Withdraw an agreement", withdraw, tag=_TAG, status=204),
]  # fmt: skip
