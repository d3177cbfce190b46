"""Keys as the store has them, read as callers and as what a list shows."""

from __future__ import annotations

from codewords_mcp.runtime.auth.roles import limit_to_role
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.key import KeyInfo
from codewords_mcp.runtime.store import access
from codewords_mcp.runtime.store.clock import now, optional_datetime, to_datetime
from codewords_mcp.runtime.store.rows import KeyRow


def caller_by(found: access.HeldKey) -> Caller:
    """The caller of a key, with the rights that its member's role leaves."""
    row = found.row
    caller = Caller(
        row["owner"],
        row["kind"],
        key_id=row["id"],
        scopes=None if row["scopes"] is None else frozenset(row["scopes"]),
        toolsets=None if row["toolsets"] is None else frozenset(row["toolsets"]),
    )
    if found.member is None:
        return caller
    return limit_to_role(caller, found.member)


def is_orphan(found: access.HeldKey) -> bool:
    """Whether the member of the key is gone."""
    return found.row["member"] is not None and found.member is None


def live_caller(found: access.HeldKey) -> Caller | None:
    """The key's holder, unless it was revoked or has expired, or its member is gone."""
    expires_at = found.row["expires_at"]
    expired = expires_at is not None and expires_at <= now()
    if found.row["revoked"] or expired or is_orphan(found):
        return None
    return caller_by(found)


def key_info(row: KeyRow) -> KeyInfo:
    """A key as it is listed, without its hash."""
    times = {
        "created_at": to_datetime(row["created_at"]),
        "expires_at": optional_datetime(row["expires_at"]),
        "used_at": optional_datetime(row["used_at"]),
    }
    return KeyInfo.model_validate({name: value for name, value in row.items() if name != "hash"} | times)
