"""The audit trail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, cast, get_args

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import query_int
from codewords_mcp.http.operations import HttpOperation, Parameter, page_of, whole_number
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.api.audit import MAX_EXPORTED
from codewords_mcp.runtime.api.paging import MAX_PAGE
from codewords_mcp.runtime.model.audit import AuditEntry, AuditFilter, AuditOutcome, AuditReport
from codewords_mcp.runtime.model.moments import parse_moment

_TEXTS: Final = ("owner", "action", "target", "actor", "key_id", "run_id")
_MAX_TEXT = 200


async def list_entries(request: Request) -> Response:
    """A page of the newest entries, or with `after` the sealed ones in order."""
    api, conditions = runtime(request.scope).audit, _conditions(request)
    after = query_int(request, "after", low=0, high=10**15 - 1)
    if after is None:
        limit = query_int(request, "limit", low=1, high=MAX_PAGE) or MAX_PAGE
        cursor = request.query_params.get("cursor")
        return JsonReply(await api.page(caller(request.scope), conditions, limit=limit, cursor=cursor))

    limit = query_int(request, "limit", low=1, high=MAX_EXPORTED) or MAX_EXPORTED
    found = await api.sealed_after(caller(request.scope), conditions, after=after, limit=limit)
    return JsonReply({"items": found, "next_cursor": None})


async def verify(request: Request) -> Response:
    """Compare the trail with what was sealed."""
    head = request.query_params.get("head")
    return JsonReply(await runtime(request.scope).audit.verify(caller(request.scope), head=head))


def _conditions(request: Request) -> AuditFilter:
    query = request.query_params
    for name in _TEXTS:
        if len(query.get(name, "")) > _MAX_TEXT:
            raise InvalidInput(f"`{name}` must not be longer than {_MAX_TEXT} characters.")
    outcome = query.get("outcome")
    if outcome is not None and outcome not in get_args(AuditOutcome):
        raise InvalidInput(f"`outcome` must be one of {', '.join(get_args(AuditOutcome))}.")
    texts: dict[str, Any] = {name: query.get(name) for name in _TEXTS}
    return AuditFilter(
        **texts,
        outcome=cast("AuditOutcome | None", outcome),
        since=_micros(query.get("since"), "since"),
        until=_micros(query.get("until"), "until"),
    )


def _micros(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    return round(parse_moment(text, name, datetime.now(UTC)).timestamp() * 1e6)


OPERATIONS = [
    HttpOperation(
        "GET", "/audit", "List the audit trail", list_entries, tag="audit", reply=page_of(AuditEntry),
        description="The newest entries first. With `after` the sealed entries behind that place, in the order of the chain: "
        "ask again with the last `seq` to follow the trail or to export all of it. Admins and keys with the scope `audit` see "
        "the whole home, other keys what concerns their own things.",
        parameters=(
            Parameter("action", "`consent.agreed`, or `consent` for all of a kind.", {"type": "string"}),
            Parameter("target", "Only about this id or name.", {"type": "string"}),
            Parameter("outcome", "How it ended.", {"type": "string", "enum": list(get_args(AuditOutcome))}),
            Parameter("actor", "Only by this owner's keys and sessions.", {"type": "string"}),
            Parameter("owner", "Only about things of this owner. For those who see the whole home.", {"type": "string"}),
            Parameter("key_id", "Only by this key.", {"type": "string"}),
            Parameter("run_id", "Only by this run.", {"type": "string"}),
            Parameter("since", "Only at this time or later: a time, or an age like 24h.", {"type": "string"}),
            Parameter("until", "Only before this time, or age.", {"type": "string"}),
            Parameter("after", "Sealed entries behind this place; 0 for all.", whole_number(0, 10**15 - 1)),
            Parameter("limit", "At most so many: 1 to 100, with `after` to 1000.", whole_number(1, MAX_EXPORTED)),
            Parameter("cursor", "`next_cursor` of the page before.", {"type": "string"}),
        ),
    ),
    HttpOperation(
        "GET", "/audit/verification", "Verify the audit trail", verify, tag="audit", reply=AuditReport,
        description="Compares every entry with the block that seals it, and every block with the one before.",
        parameters=(
            Parameter("head", "The hash of a block that was noted earlier: a trail made anew lacks it.", {"type": "string"}),
        ),
    ),
]  # fmt: skip
