"""The account of a person who is a member: who may add and end its keys and passkeys."""

from __future__ import annotations

from codewords_mcp.errors import Forbidden
from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.auth.roles import ROLES
from codewords_mcp.runtime.model.caller import Caller, HomeMember


def person_of(caller: Caller) -> HomeMember:
    """The member who asks. Raises Forbidden for a caller who is no person of the home."""
    if caller.member is None or caller.member.kind != "person":
        raise Forbidden(
            "Only people who are members of the home have an account of their own.",
            hint="Ask an admin of the home for a link of your own.",
        )
    return caller.member


async def require_unlimited(keyring: ApiKeys, caller: Caller) -> None:
    """Raise Forbidden for a member's key that may do less than the member, or not for long, and for a session by such a key.

    It must neither add what may do more, nor end it.
    """
    member = caller.member
    if member is None or caller.key_id == member.id:
        return
    key = await keyring.find(caller.key_id or "")
    is_whole = key is not None and key.kind == ROLES[member.role].kind and not key.one_time
    limits = key and (key.scopes, key.toolsets, key.models, key.expires_at)
    if not is_whole or any(limit is not None for limit in limits or ()):
        raise Forbidden(
            "A key with limits of its own changes no keys and passkeys.",
            hint="Sign in by a link, a passkey or a key without limits.",
        )
