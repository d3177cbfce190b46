"""Drafts: code that is worked on beside what is served, checked at each change, each owner's apart."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from codewords_mcp.errors import Conflict, InvalidInput, NotFound
from codewords_mcp.runtime.authoring.edits import diff_of
from codewords_mcp.runtime.model.authoring import Draft, EditedDraft, GenerationAttempt
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.store import drafts as rows
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.drafts import DraftRow
from codewords_mcp.runtime.workflows.openapi import UNTITLED, routes_of, title_of
from codewords_mcp.runtime.workflows.validation.checks import CheckedScript

MOST = 100
"""Drafts of one owner."""
Validate = Callable[[str, Any], Awaitable[CheckedScript]]
"""`await validate(code, example)`: every check, and a try with the example or an input made from the schema."""


@dataclass(frozen=True, slots=True)
class DraftSource:
    """What a draft is of: a version of a workflow, or what was asked of a model (its digest)."""

    name: str = ""
    description: str = ""
    workflow_id: str | None = None
    base_version: int | None = None
    asked: str | None = None
    example: Any = None


@dataclass(frozen=True, slots=True)
class GenerationHistory:
    """How a draft was generated: the model, its plan, and every answer so far; `done` where no further one will come."""

    model: str = ""
    plan: str = ""
    tried: tuple[GenerationAttempt, ...] = ()
    done: bool = False


class Drafts:
    """The drafts of one home. Raises NotFound for those of others, Conflict where one was changed meanwhile."""

    def __init__(self, database: Database, ttl: float) -> None:
        self._db = database
        self._ttl = round(ttl * 1e6)

    async def add(
        self,
        caller: Caller,
        code: str,
        origin: DraftSource,
        validate: Validate,
        story: GenerationHistory | None = None,
    ) -> DraftRow:
        """Check code and keep it, whatever the checks say."""
        await self._room(caller)
        validation = await validate(code, origin.example)
        at = now()
        row = DraftRow(
            f"draft_{secrets.token_hex(6)}",
            caller.owner,
            (origin.name or title_of(validation.openapi))[:100],
            code,
            1,
            origin.workflow_id,
            origin.base_version,
            origin.asked,
            _facts(validation, origin.example, origin.description, story),
            at,
            at,
            at + self._ttl,
        )

        def write(connection: Connection) -> None:
            of = row.workflow_id
            if of is not None and (other := rows.open_of(connection, row.owner, of, at)):
                raise Conflict(
                    f"The draft {other.id} of {of} was begun meanwhile; nothing was kept.",
                    hint="Make the change again: it is made there.",
                )
            rows.add(connection, row)

        await self._db.write(write)

        return row

    async def change(
        self, row: DraftRow, code: str, validate: Validate, story: GenerationHistory | None = None
    ) -> DraftRow:
        """Check other code and keep it as the next revision. Raises Conflict where `row` is not its last revision any more."""
        if row.facts["example_from"] == "given":
            given = row.facts["example"]
        else:
            given = None

        validation = await validate(code, given)
        told = story or _story(row)
        at = now()
        changed = replace(
            row,
            name=row.name if row.name != UNTITLED else title_of(validation.openapi),
            code=code,
            revision=row.revision + 1,
            facts=_facts(validation, given, row.facts["description"], told),
            updated_at=at,
            expires_at=at + self._ttl,
        )
        await self._store(row, changed)

        return changed

    async def check_again(self, row: DraftRow, validate: Validate) -> DraftRow:
        """Check the same code once more: what a check found may have been put right outside of it."""
        if row.facts["example_from"] == "given":
            given = row.facts["example"]
        else:
            given = None
        facts = _facts(await validate(row.code, given), given, row.facts["description"], _story(row))
        changed = replace(row, facts=facts | {"done": row.facts["done"]}, updated_at=now())
        await self._store(row, changed)
        return changed

    async def tell(self, row: DraftRow, story: GenerationHistory) -> DraftRow:
        """Keep how it was generated, the code being the same."""
        changed = replace(row, facts=row.facts | _told(story), updated_at=now())
        await self._store(row, changed)
        return changed

    async def _store(self, before: DraftRow, after: DraftRow) -> None:
        names = ("name", "code", "revision", "facts", "updated_at", "expires_at")
        values = {name: getattr(after, name) for name in names}
        if not await self._db.write(rows.change, before.id, before.revision, values):
            raise stale(before.revision)

    async def get(self, caller: Caller, draft_id: str) -> DraftRow:
        """Raises NotFound."""
        row = await self._db.read(lambda c: rows.get(c, draft_id, caller.owner, now()))
        if row is None:
            raise NotFound(
                "There is no draft of that id: it was deleted, deployed or has expired.",
                hint="`codewords drafts` and list_workflows show yours.",
            )
        return row

    async def asked_for(self, caller: Caller, asked: str) -> DraftRow | None:
        """The newest draft that was generated from this very description."""
        return await self._db.read(lambda c: rows.by_request(c, caller.owner, asked, now()))

    async def open_of(self, caller: Caller, workflow_id: str) -> DraftRow | None:
        """The draft of this workflow that was changed last; None where none is open."""
        return await self._db.read(lambda c: rows.open_of(c, caller.owner, workflow_id, now()))

    async def list(self, caller: Caller) -> list[DraftRow]:
        """Last changed first; all of them, since they are bounded."""
        return await self._db.read(lambda c: rows.of_owner(c, caller.owner, now(), MOST))

    async def remove(self, caller: Caller, draft_id: str) -> None:
        """Raises NotFound."""
        if not await self._db.write(rows.remove, draft_id, caller.owner):
            await self.get(caller, draft_id)

    async def purge(self) -> None:
        """Remove those past their time."""
        await self._db.write(lambda c: rows.purge(c, now()))

    async def _room(self, caller: Caller) -> None:
        def count(connection: Connection) -> int:
            return rows.count(connection, caller.owner, now())

        if await self._db.read(count) >= MOST:
            raise Conflict(
                f"You have {MOST} drafts, and no more are kept.",
                hint="Delete some: `codewords drafts` shows them, `codewords delete` and delete_workflow take their ids.",
            )


def stale(revision: int) -> Conflict:
    """What is said to whoever works on an older revision than the last."""
    return Conflict(
        f"The draft was changed since revision {revision}; nothing was done.",
        hint="Look at it again (get_workflow) and repeat what is still right.",
    )


def edited(
    before: tuple[str, str, Sequence[Check]],
    after: DraftRow,
    *,
    continued: bool = False,
    live_version: int | None = None,
) -> EditedDraft:
    """The change from (its name, code, checks) to a draft as it is now."""
    name, code, old = before
    draft = shown(after)
    known, now_there = {_same(check) for check in old}, {_same(check) for check in draft.checks}

    return EditedDraft(
        draft=draft,
        diff=diff_of(code, after.code, (name, f"{after.id} revision {after.revision}")),
        continued=continued,
        live_version=live_version,
        checks=[c for c in draft.checks if _same(c) not in known and c.status not in {"passed", "skipped"}],
        resolved=[c for c in old if _same(c) not in now_there and c.status in {"failed", "warning"}],
    )


def _same(check: Check) -> tuple[str, str, str]:
    """A check but for its line, which moves with every edit above it."""
    return check.id, check.status, check.message


def shown(row: DraftRow, *, code: bool = False) -> Draft:
    """A draft as the facade gives it."""
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
    validation: CheckedScript, given: Any, description: str, story: GenerationHistory | None
) -> dict[str, Any]:
    report, example = validation.report, validation.example
    openapi = validation.openapi or {}
    described = description or str(openapi.get("info", {}).get("description") or "")
    return {
        "description": described[:2000],
        "ready": report.all_passed,
        "checks": [check.model_dump() for check in report.checks],
        "capabilities": report.capabilities,
        "routes": routes_of(openapi),
        "example": given if example is None else example.value,
        "example_from": ("given" if given is not None else None) if example is None else example.source,
    } | _told(story or GenerationHistory())


def _told(story: GenerationHistory) -> dict[str, Any]:
    return {
        "model": story.model,
        "plan": story.plan,
        "tried": [one.model_dump() for one in story.tried],
        "done": story.done,
    }


def _story(row: DraftRow) -> GenerationHistory:
    """How it was generated; changed by hand since, no model goes on with it."""
    facts = row.facts
    tried = tuple(GenerationAttempt.model_validate(one) for one in facts["tried"])
    return GenerationHistory(facts["model"], facts["plan"], tried, done=True)


def require_code(code: str) -> str:
    """Raises InvalidInput for no code at all."""
    if not code.strip():
        raise InvalidInput("The code is empty.", hint="Send the whole Python file.")
    return code
