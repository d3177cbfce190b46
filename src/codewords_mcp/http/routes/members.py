"""Members of the home, and the caller's own account."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.caller import MemberKind, Role
from codewords_mcp.runtime.model.member import CallerInfo, Invitation, MemberInfo, RemovedMember


class MemberBody(Body):
    """`name` is what lists and the audit trail call the member. `kind` `service` is an account that has keys only."""

    name: str
    role: Role
    kind: MemberKind = "person"


class RoleBody(Body):
    """The new role."""

    role: Role


async def list_members(request: Request) -> Response:
    """List the members with their roles."""
    return JsonReply({"items": await runtime(request.scope).members.list(caller(request.scope))})


async def add(request: Request) -> Response:
    """Add a member. A person gets a one-time link."""
    body = await read_body(request, MemberBody)
    api, adder = runtime(request.scope).members, caller(request.scope)
    if body.kind == "service":
        member = await api.add_service(adder, body.name, body.role)
        return JsonReply({"member": member, "url": None, "expires_at": None}, status_code=201)
    return JsonReply(await api.invite(adder, body.name, body.role), status_code=201)


async def set_role(request: Request) -> Response:
    """Change a member's role."""
    body = await read_body(request, RoleBody)
    api = runtime(request.scope).members
    return JsonReply(await api.set_role(caller(request.scope), _member(request), body.role))


async def invite_again(request: Request) -> Response:
    """Make a new one-time link for a member."""
    return JsonReply(
        await runtime(request.scope).members.invite_again(caller(request.scope), _member(request)),
        status_code=201,
    )


async def remove(request: Request) -> Response:
    """Remove a member, with keys and sessions."""
    return JsonReply(await runtime(request.scope).members.remove(caller(request.scope), _member(request)))


async def me(request: Request) -> Response:
    """Describe the caller's own account."""
    return JsonReply(await runtime(request.scope).members.describe(caller(request.scope)))


def _member(request: Request) -> str:
    text = str(request.path_params["member_id"])
    if len(text) > _MAX_REFERENCE:
        raise InvalidInput("That is no member's name or id.")
    return text


_MAX_REFERENCE = 64
_TAG = "members"
_ADDED = {
    "type": "object",
    "required": ["member"],
    "properties": {
        "member": {"type": "object"},
        "url": {"type": ["string", "null"]},
        "expires_at": {"type": ["string", "null"]},
    },
}
OPERATIONS = [
    HttpOperation("GET", "/me", "Describe the caller", me, tag=_TAG, reply=CallerInfo),
    HttpOperation("GET", "/members", "List the members of the home", list_members, tag=_TAG, reply=items_of(MemberInfo)),
    HttpOperation(
        "POST", "/members", "Add a member", add, tag=_TAG, body=MemberBody, reply=_ADDED, status=201,
        description="`url` is a one-time link for the person, good for a week: whoever opens it is that member.",
    ),
    HttpOperation(
        "PUT", "/members/{member_id}", "Change a member's role", set_role, tag=_TAG, body=RoleBody, reply=MemberInfo,
        description="`member_id` is an id or a name. The role counts from the next request on. The last owner stays one.",
    ),
    HttpOperation(
        "POST", "/members/{member_id}/invitation", "Make a new one-time link of a member", invite_again, tag=_TAG,
        reply=Invitation, status=201, description="Also for who has joined and signs in anew. An earlier link ends.",
    ),
    HttpOperation(
        "DELETE", "/members/{member_id}", "Remove a member", remove, tag=_TAG, reply=RemovedMember,
        description="Keys and sessions end at once, and questions that wait for a person's agreement are asked anew. Runs, "
        "schedules, secrets and all else go on as the home's.",
    ),
]  # fmt: skip
