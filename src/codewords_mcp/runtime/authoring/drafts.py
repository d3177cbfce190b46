"""Drafts: code in progress beside the served code, validated at each change. Drafts of different
owners are separate.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import Conflict, InvalidInput
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.authoring import Draft, EditedDraft, GenerationAttempt
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.code_difference import code_difference
from codewords_mcp.runtime.model.events import DraftsChanged, EventBus
from codewords_mcp.runtime.model.validation import Check, ValidationReport
from codewords_mcp.runtime.store import drafts as rows
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.drafts import DraftRow
from codewords_mcp.runtime.store.unknown_ids import no_draft
from codewords_mcp.runtime.workflows.openapi import UNTITLED, read_routes, read_title
from codewords_mcp.runtime.workflows.validation.checked_script import CheckedScript

MAX_DRAFTS = 100
"""Maximum drafts of one owner."""
MAX_NAME = 100
"""Maximum characters of a draft's name."""
Validate = Callable[[str, Any], Awaitable[CheckedScript]]
"""`await validate(code, example)` runs every check and a smoke test with the example or an input
made from the schema.
"""


UNCHECKED = CheckedScript(
    ValidationReport(all_passed=False, report="", checks=[]), None, None, None, timings_ms={}
)
"""Of code that was not checked yet."""


@dataclass(frozen=True, slots=True)
class DraftSource:
    """The source of a draft: a version of a workflow, or a generation request (its digest)."""

    name: str = ""
    description: str = ""
    workflow_id: str | None = None
    base_version: int | None = None
    request_digest: str | None = None
    example: Any = None


@dataclass(frozen=True, slots=True)
class GenerationHistory:
    """The record of a generation: the model, its plan, and all its attempts. `done`: no further
    attempt follows.
    """

    model: str = ""
    plan: str = ""
    tried: tuple[GenerationAttempt, ...] = ()
    done: bool = False


class Drafts:
    """All drafts of one home. Raises NotFound for another owner's drafts, Conflict if a draft was
    changed concurrently.
    """

    def __init__(self, database: Database, ttl: float, events: EventBus) -> None:
        self._db = database
        self._events = events
        self._ttl = round(ttl * 1e6)

    async def add(
        self,
        caller: Caller,
        code: str,
        origin: DraftSource,
        validate: Validate | None,
        history: GenerationHistory | None = None,
    ) -> DraftRow:
        """Validate code and store it as a new draft, also if checks fail; unchecked without `validate`."""
        # Before the checks, which take seconds. The limit is not exact: drafts at once may pass it by a few.
        await self._refuse_excess(caller)
        if validate is None:
            validation = UNCHECKED
        else:
            validation = await validate(code, origin.example)
        at = now()
        row = DraftRow(
            f"draft_{secrets.token_hex(6)}",
            caller.owner,
            (origin.name or read_title(validation.openapi))[:MAX_NAME],
            code,
            1,
            origin.workflow_id,
            origin.base_version,
            origin.request_digest,
            _facts(validation, origin.example, origin.description, history),
            at,
            at,
            at + self._ttl,
        )

        def write(connection: Connection) -> None:
            workflow_id = row.workflow_id
            # Checked in the transaction: the validation before it takes seconds, and another
            # call may have made a draft of the same workflow meanwhile.
            if workflow_id is not None and (other := rows.open_of(connection, row.owner, workflow_id, at)):
                raise Conflict(
                    f"The draft {other.id} of {workflow_id} was created meanwhile; nothing was stored.",
                    hint="Repeat the change: it is then made in that draft.",
                )
            rows.add(connection, row)

        await self._db.write(write)
        self._events.publish(DraftsChanged(row.owner))
        return row

    async def change(
        self, row: DraftRow, code: str, validate: Validate, history: GenerationHistory | None = None
    ) -> DraftRow:
        """Validate other code and store it as the next revision. Raises Conflict if `row` is not
        the last revision any more.
        """
        example = supplied_example(row)

        validation = await validate(code, example)
        at = now()
        changed = replace(
            row,
            name=row.name if row.name != UNTITLED else read_title(validation.openapi),
            code=code,
            revision=row.revision + 1,
            facts=_facts(validation, example, row.facts["description"], history or _history(row)),
            updated_at=at,
            expires_at=at + self._ttl,
        )
        await self._store(row, changed)

        return changed

    async def replace_code(self, row: DraftRow, code: str, ttl: float) -> DraftRow:
        """Store other code as the next revision, unchecked; the same code stays the same revision.

        It is kept for `ttl` seconds from now. Raises Conflict as `change` does.
        """
        at = now()
        changed = replace(row, updated_at=at, expires_at=at + round(ttl * 1e6))
        if code != row.code:
            # Its routes and its example stay as they were until it is checked.
            facts: dict[str, Any] = row.facts | {"ready": False, "checks": [], "done": True}
            changed = replace(changed, code=code, revision=row.revision + 1, facts=facts)
        await self._store(row, changed)
        return changed

    async def keep(self, row: DraftRow, ttl: float) -> None:
        """Keep a draft for these seconds from now. A change at the same moment sets its own time."""
        await self._db.write(rows.change, row.id, row.revision, {"expires_at": now() + round(ttl * 1e6)})

    async def check_again(self, row: DraftRow, validate: Validate) -> DraftRow:
        """Validate the same code again: the cause of a failed check may have been removed outside
        of the code.
        """
        example = supplied_example(row)
        validation = await validate(row.code, example)
        # `_history` sets `done` for changes by hand, and this is none: the old value is put
        # back.
        facts = _facts(validation, example, row.facts["description"], _history(row))
        changed = replace(row, facts=facts | {"done": row.facts["done"]}, updated_at=now())
        await self._store(row, changed)
        return changed

    async def rename(self, row: DraftRow, name: str) -> DraftRow:
        """Call it by another name, under which it is deployed as a new workflow. Its code and
        revision stay. Raises InvalidInput.
        """
        title = " ".join(name.split())
        if not 1 <= len(title) <= MAX_NAME:
            raise InvalidInput(f"A draft's name has 1 to {MAX_NAME} characters.")
        renamed = replace(row, name=title, updated_at=now())
        await self._store(row, renamed)
        return renamed

    async def record_history(self, row: DraftRow, history: GenerationHistory) -> DraftRow:
        """Store the generation's history. The code stays the same."""
        changed = replace(row, facts=row.facts | _history_facts(history), updated_at=now())
        await self._store(row, changed)
        return changed

    async def _store(self, before: DraftRow, after: DraftRow) -> None:
        names = ("name", "code", "revision", "facts", "updated_at", "expires_at")
        values = {name: getattr(after, name) for name in names}
        # The write names the revision that it replaces, so of two at a time one fails.
        if not await self._db.write(rows.change, before.id, before.revision, values):
            raise stale_revision(before.revision)
        self._events.publish(DraftsChanged(after.owner))

    async def get(self, caller: Caller, draft_id: str) -> DraftRow:
        """The caller's draft. Raises NotFound."""
        row = await self._db.read(rows.get, draft_id, caller.owner, now())
        if row is None:
            raise await self._db.read(no_draft, caller.owner, draft_id)
        return row

    async def find_generated(self, caller: Caller, request_digest: str) -> DraftRow | None:
        """The newest draft that was generated from this request."""
        return await self._db.read(rows.by_request, caller.owner, request_digest, now())

    async def find_open(self, caller: Caller, workflow_id: str) -> DraftRow | None:
        """The workflow's draft that was changed last, None without one."""
        return await self._db.read(rows.open_of, caller.owner, workflow_id, now())

    async def list(self, caller: Caller) -> list[DraftRow]:
        """All drafts of the caller, last changed first. Their number is bounded."""
        return await self._db.read(rows.of_owner, caller.owner, now(), MAX_DRAFTS)

    async def remove(self, caller: Caller, draft_id: str) -> None:
        """Delete a draft. Raises NotFound."""
        # Raises NotFound, unless the draft was removed twice at the same moment.
        if not await self._db.write(rows.remove, draft_id, caller.owner):
            await self.get(caller, draft_id)
        self._events.publish(DraftsChanged(caller.owner))

    async def purge(self) -> None:
        """Delete expired drafts."""
        await self._db.write(rows.purge, now())

    async def _refuse_excess(self, caller: Caller) -> None:
        if await self._db.read(rows.count, caller.owner, now()) >= MAX_DRAFTS:
            raise Conflict(
                f"You have {MAX_DRAFTS} drafts, which is the limit.",
                remedy=Remedy(RemedyAction.DELETE_DRAFT),
            )


def stale_revision(revision: int) -> Conflict:
    """The error for a change to a revision that is not the last one; 0 is of no draft yet."""
    if not revision:
        return Conflict(
            "A draft of this workflow was made meanwhile; nothing was done.",
            hint="Read it, then repeat the changes that still apply there.",
        )
    return Conflict(
        f"The draft was changed since revision {revision}; nothing was done.",
        hint="Read it again, then repeat the changes that still apply.",
    )


def edited_draft(
    before: tuple[str, Sequence[Check]],
    after: DraftRow,
    *,
    continued: bool = False,
    live_version: int | None = None,
) -> EditedDraft:
    """The change from (code, checks) to the draft's current state."""
    code, old = before
    draft = to_draft(after)
    before_keys = {_identity(check) for check in old}
    after_keys = {_identity(check) for check in draft.checks}

    return EditedDraft(
        draft=draft,
        diff=code_difference(code, after.code).text(),
        continued=continued,
        live_version=live_version,
        checks=[
            c
            for c in draft.checks
            if _identity(c) not in before_keys and c.status not in {"passed", "skipped"}
        ],
        resolved=[c for c in old if _identity(c) not in after_keys and c.status in {"failed", "warning"}],
    )


def _identity(check: Check) -> tuple[str, str, str]:
    """The check without its line, which moves with every edit above it."""
    return check.id, check.status, check.message


def to_draft(row: DraftRow, *, code: bool = False) -> Draft:
    """The public form of a draft."""
    facts = {name: value for name, value in row.facts.items() if name != "done"}
    return Draft(
        draft_id=row.id,
        name=row.name,
        revision=row.revision,
        workflow_id=row.workflow_id,
        base_version=row.base_version,
        created_at=to_datetime(row.created_at),
        updated_at=to_datetime(row.updated_at),
        expires_at=to_datetime(row.expires_at),
        code=row.code if code else None,
        **facts,
    )


def _facts(
    validation: CheckedScript, supplied_example: Any, description: str, history: GenerationHistory | None
) -> dict[str, Any]:
    report, example = validation.report, validation.example
    openapi = validation.openapi or {}
    description = description or str(openapi.get("info", {}).get("description") or "")
    if example is not None:
        value, source = example.value, example.source
    else:
        value, source = supplied_example, None if supplied_example is None else "given"

    return {
        "description": description[:2000],
        "ready": report.all_passed,
        "checks": [check.model_dump() for check in report.checks],
        "capabilities": report.capabilities,
        "routes": read_routes(openapi),
        "example": value,
        "example_from": source,
        "test": validation.test.model_dump() if validation.test is not None else None,
    } | _history_facts(history or GenerationHistory())


def _history_facts(history: GenerationHistory) -> dict[str, Any]:
    return {
        "model": history.model,
        "plan": history.plan,
        "tried": [attempt.model_dump() for attempt in history.tried],
        "done": history.done,
    }


def _history(row: DraftRow) -> GenerationHistory:
    """The history of a draft that is changed by hand: `done`, since no model continues it."""
    facts = row.facts
    tried = tuple(GenerationAttempt.model_validate(attempt) for attempt in facts["tried"])
    return GenerationHistory(facts["model"], facts["plan"], tried, done=True)


def supplied_example(row: DraftRow) -> JsonValue:
    """The example that a person or an assistant supplied, None if the header or the schema supplies it."""
    if row.facts["example_from"] == "given":
        return row.facts["example"]
    return None


def require_code(code: str) -> str:
    """The code. Raises InvalidInput if it is empty."""
    if not code.strip():
        raise InvalidInput("The code is empty.", hint="Send the whole Python file.")
    return code
