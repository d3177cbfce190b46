"""The audit trail: lists, verification, and entries of operations."""

from __future__ import annotations

from dataclasses import replace

from codewords_mcp.errors import Forbidden, InvalidInput
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.paging import check_limit, cut_page, parse_offset
from codewords_mcp.runtime.audit.verification import verify_chain
from codewords_mcp.runtime.model.audit import (
    AuditedOperation,
    AuditEntry,
    AuditFilter,
    AuditOutcome,
    AuditReport,
)
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.store import audit

MAX_EXPORTED = 1000
"""Sealed entries of one answer."""


class AuditApi:
    """The trail. Admins and keys with the scope `audit` see the whole home's, others what concerns their own things."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def record(self, operation: AuditedOperation, outcome: AuditOutcome, error: str = "") -> None:
        """Add an entry of an operation that is over; see `AuditTrail.record`."""
        self._container.audit.record(operation, outcome, error)

    async def page(
        self, caller: Caller, conditions: AuditFilter, *, limit: int, cursor: str | None = None
    ) -> Page[AuditEntry]:
        """A page of the entries, the newest first. Raises InvalidInput."""
        before = None if cursor is None else _place(cursor)
        found = await self._container.database.read(
            audit.page, self._visible(caller, conditions), check_limit(limit) + 1, before
        )
        return cut_page(found, limit, lambda entry: str(entry.id))

    async def sealed_after(
        self, caller: Caller, conditions: AuditFilter, *, after: int, limit: int
    ) -> list[AuditEntry]:
        """Sealed entries after a place in the chain, in its order. Raises InvalidInput."""
        if not 1 <= limit <= MAX_EXPORTED:
            raise InvalidInput(f"limit is 1 to {MAX_EXPORTED}.")
        return await self._container.database.read(
            audit.sealed_after, self._visible(caller, conditions), limit, after
        )

    async def verify(self, caller: Caller, *, head: str | None = None) -> AuditReport:
        """See `verify_chain`. For those who see the whole home: the chain is of all owners. Raises Forbidden."""
        if not _sees_all(caller):
            raise Forbidden(
                "This key may not verify the audit trail, which is of the whole home.",
                hint="Use the home's admin key, or a key with the scope audit.",
            )
        return await verify_chain(self._container.database, head=head)

    def _visible(self, caller: Caller, conditions: AuditFilter) -> AuditFilter:
        """The conditions of a caller's list: theirs, and those of their rights."""
        refuse_run(caller, "read the audit trail")
        if conditions.target is not None:
            marks = self._container.subject_marks.marks_of(conditions.target)
            conditions = replace(conditions, target_marks=marks)
        if _sees_all(caller):
            return conditions
        return replace(conditions, owner=caller.owner)


def _sees_all(caller: Caller) -> bool:
    """Whether the caller sees the trail of all owners: an admin, or whom an admin made a key with the scope for it."""
    return caller.kind == "admin" or (caller.scopes is not None and "audit" in caller.scopes)


def _place(cursor: str) -> int:
    # Ids grow beyond the offsets of other lists.
    if cursor.isdecimal() and cursor.isascii() and len(cursor) < 19:
        return int(cursor)
    return parse_offset(cursor)
