"""Agreements to workflows of other owners: list, agree, withdraw."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from codewords_mcp.errors import BodyTooLarge
from codewords_mcp.http.bodies import Body, read_body, read_bytes
from codewords_mcp.http.middleware.people import person
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.pages import HEADERS, sorry
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import ERROR_PAGE, caller, runtime
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


async def withdraw_on_page(request: Request) -> Response:
    """The button of the front page; the person is back there then."""
    request.scope[ERROR_PAGE] = sorry("The agreement was not withdrawn")
    await read_bytes(request, _MAX_FORM, _too_large)
    await runtime(request.scope).consents.withdraw_agreement(person(request.scope), _service_id(request))
    # 303 makes the browser ask by GET, so that reloading the page doesn't repeat the form.
    return RedirectResponse("/", 303, headers=HEADERS)


def agreement_list(items: list[Agreement]) -> str:
    """Agreements with a button for each that withdraws it, as HTML."""
    if not items:
        return ""

    rows = "".join(_row(agreement) for agreement in items)
    return (
        "<h2>Workflows of others that you agreed to</h2>"
        f"<p>They may do this for you. Once you withdraw, the next run asks you again.</p><table>{rows}</table>"
    )


def _row(agreement: Agreement) -> str:
    action = f"/withdraw/{quote(agreement.service_id, safe='')}"
    return (
        f"<tr><th><code>{escape(agreement.service_id)}</code><br>of {escape(agreement.published_by)}</th>"
        f"<td>{'<br>'.join(escape(line) for line in agreement.capabilities)}"
        f'<form method="post" action="{action}"><button class="quiet">Withdraw</button></form>'
        "</td></tr>"
    )


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge("That is no answer of this page.", hint="Open the page again.")


def _service_id(request: Request) -> str:
    return str(request.path_params["service_id"])


_MAX_FORM = 1024
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
    HttpOperation(
        "POST", "/withdraw/{service_id}", "The button of the front page that withdraws an agreement", withdraw_on_page,
        tag=_TAG, media="text/html", body_media="application/x-www-form-urlencoded", body={"type": "object"}, status=303,
    ),
]  # fmt: skip
