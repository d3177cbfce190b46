"""Entries of the audit trail, and the operation that a change belongs to."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.caller import Caller

FrontDoor = Literal["http", "mcp", "console", "page", "sandbox", "runtime"]
"""The way by which an operation came; `runtime` for what no request asked for, such as a schedule."""
AuditOutcome = Literal["done", "refused", "failed"]
ProblemKind = Literal["changed", "missing", "inserted", "block_changed", "chain_broken", "removed_unrecorded"]

Subject = tuple[tuple[str, str], ...]
"""Names of things as a caller wrote them, each with the kind of thing: `("run_id", "…")`."""
REFUSED_CODES: Final = frozenset({"unauthenticated", "forbidden", "insufficient_scope"})
"""Codes of the errors with which an operation is refused to its caller."""


@dataclass(slots=True, eq=False)
class AuditedOperation:
    """One use of an operation, from the request to its end.

    `name` is its row of the access table, `writes` whether it changes something. `recorded`: a change that it made is in
    the trail; writer threads set it. `action` and `target` are set by an operation that no change of a table describes,
    such as a sign-in. `subject` is what the caller named, as (kind, text): an entry has its text only where that names a
    thing of the home, since any other text may be a secret's value.
    """

    front_door: FrontDoor
    name: str = ""
    address: str = ""
    agent: str = ""
    request_id: str = ""
    caller: Caller | None = None
    writes: bool = False
    action: str = ""
    target: str = ""
    recorded: bool = False
    subject: Subject = ()


CURRENT: ContextVar[AuditedOperation | None] = ContextVar("operation", default=None)
"""The operation that goes on; None where no request asked for what happens."""


def describe(action: str, caller: Caller, target: str) -> None:
    """Name what the current operation does, and for whom, where no change of an audited table tells it.

    The first name stays: what follows it is a part of it.
    """
    operation = CURRENT.get()
    if operation is not None and not operation.action:
        operation.action, operation.target = action, target
        operation.caller = operation.caller or caller


class AuditEntry(Model):
    """One entry. `seq` is its place in the sealed chain, None for the second before it is sealed.

    `owner` is whose thing it is about, `actor` who did it. `before` and `after` hold the fields that changed, and
    `hidden` names changed fields whose values the trail does not keep.
    """

    id: int
    seq: int | None
    at: datetime
    owner: str
    action: str
    target: str
    outcome: AuditOutcome
    actor: str
    actor_kind: str
    key_id: str
    run_id: str
    front_door: FrontDoor
    operation: str
    address: str
    agent: str
    request_id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    hidden: list[str] = Field(default_factory=list[str])
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Conditions of a list, all of which must hold. `action` is whole, or the part before its dot. Times are in µs.

    `target_marks` stand for the target in entries that have no text of it (`SubjectMarks`).
    """

    owner: str | None = None
    action: str | None = None
    target: str | None = None
    target_marks: tuple[str, ...] = ()
    outcome: AuditOutcome | None = None
    actor: str | None = None
    key_id: str | None = None
    run_id: str | None = None
    since: int | None = None
    until: int | None = None


class AuditProblem(Model):
    """A place where the trail is not what was sealed. `seq` is an entry's place, `block` the number of its block."""

    kind: ProblemKind
    message: str
    block: int | None = None
    seq: int | None = None


class AuditReport(Model):
    """The outcome of a verification.

    `head` is the hash of the last block. Whoever noted an earlier head elsewhere finds it in `blocks` of the same trail.
    `removed_through` is the place of the last entry that retention removed, 0 for none. `head_found`: whether the head
    that was asked for is one of this chain.
    """

    entries: int
    blocks: int
    unsealed: int
    head: str
    removed_through: int = 0
    head_found: bool | None = None
    problems: list[AuditProblem] = Field(default_factory=list[AuditProblem])
