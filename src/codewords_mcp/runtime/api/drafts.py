"""Drafts of workflows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codewords_mcp.errors import Conflict, InvalidInput, NotFound
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.repairs import evidence_for
from codewords_mcp.runtime.api.templates import TemplateApi
from codewords_mcp.runtime.api.validation import ScriptValidator
from codewords_mcp.runtime.authoring.drafts import (
    DraftSource,
    edited_draft,
    require_code,
    stale_revision,
    to_draft,
)
from codewords_mcp.runtime.authoring.edits import apply_edits, apply_patch
from codewords_mcp.runtime.model.authoring import (
    DRAFT_ID,
    Draft,
    Edit,
    EditedDraft,
)
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.model.workflow import WorkflowDetail
from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.drafts import DraftRow


class DraftApi:
    """Drafts: code that serves nobody yet. Ids are a draft's or a workflow's."""

    def __init__(self, container: Container, validator: ScriptValidator, templates: TemplateApi) -> None:
        self._container = container
        self._validator = validator
        self._templates = templates

    async def create(
        self,
        caller: Caller,
        code: str,
        *,
        name: str = "",
        description: str = "",
        example: Any = None,
        check: bool = True,
    ) -> EditedDraft:
        """Check code and store it as a draft, also if checks fail; without `check` it is only stored.

        Raises InvalidInput, Conflict with too many drafts, StorageQuotaExceeded.
        """
        refuse_run(caller, "make drafts")
        if full := await self._container.quotas.full_storage(caller.owner):
            raise full
        origin = DraftSource(name, description, example=example)
        validate = self._validator.for_draft(caller) if check else None
        row = await self._container.drafts.add(caller, require_code(code), origin, validate)
        return edited_draft(("", ()), row)

    async def create_from_template(
        self, caller: Caller, template_id: str, *, edits: Sequence[Edit] = (), patch: str = ""
    ) -> EditedDraft:
        """Make a draft from a template, with these changes applied. Raises NotFound, and what `edit` raises."""
        refuse_run(caller, "make drafts")
        if edits and patch:
            raise InvalidInput("A change is one of edits and patch.", hint="Give one of them, or none.")
        code = await self._templates.get_code(caller, template_id)
        if edits:
            code = apply_edits(code, edits)
        elif patch:
            code = apply_patch(code, patch)
        return await self.create(caller, code)

    async def edit(
        self,
        caller: Caller,
        subject: str,
        *,
        edits: Sequence[Edit] = (),
        patch: str = "",
        code: str = "",
        revision: int | None = None,
        base_version: int | None = None,
    ) -> EditedDraft:
        """Change a draft by `edits`, a unified `patch` or other `code`; or make one from a live version.

        `subject` is the id of a draft or a workflow. If the workflow has an open draft, that one is
        changed (`continued`). Unchanged code of a draft is checked again. `revision` is the revision
        that the caller read, 0 if there was no draft; `base_version` the live version that was read.

        Raises Conflict for an outdated revision or version, and InvalidInput if an old text does not occur exactly
        once. Nothing is changed then.
        """
        refuse_run(caller, "edit workflows")
        if sum(map(bool, (edits, patch, code))) != 1:
            raise InvalidInput("A change is one of edits, patch and code.", hint="Give exactly one of them.")

        row, before = await self._subject(caller, subject, open_draft=True)
        # Somebody else changed the draft since it was read: the edits may no longer mean the
        # same.
        if row is not None and revision not in {None, row.revision}:
            raise stale_revision(revision or 0)
        if row is None and base_version is not None:
            await self._refuse_outdated(caller, subject, base_version)

        old, checks = before
        if edits:
            new = apply_edits(old, edits)
        elif patch:
            new = apply_patch(old, patch)
        else:
            new = require_code(code)

        # A draft equal to the live version would only be in the way of the next edit.
        if new == old and row is None:
            raise InvalidInput(
                "The change changes nothing.", hint="Its new text is what stands there already."
            )

        # Checked again instead: a missing secret may have been set since.
        if row is not None and new == old:
            after = await self._container.drafts.check_again(row, self._validator.for_draft(caller, row.id))
        elif row is not None:
            after = await self._container.drafts.change(row, new, self._validator.for_draft(caller, row.id))
        else:
            after = await self._container.drafts.add(
                caller, new, await self._origin(caller, subject), self._validator.for_draft(caller)
            )

        live = await self._live_number(caller, after)
        continued = row is not None and row.id != subject
        edited = edited_draft((old, checks), after, continued=continued, live_version=live)
        evidence, remedy = await evidence_for(self._container, caller, after, live)
        return edited.model_copy(update={"evidence": evidence, "remedy": remedy})

    async def get(self, caller: Caller, draft_id: str, *, include_code: bool = False) -> Draft:
        """Return one draft. Raises NotFound."""
        refuse_run(caller, "read drafts")
        return to_draft(await self._container.drafts.get(caller, draft_id), code=include_code)

    async def rename(self, caller: Caller, draft_id: str, name: str) -> Draft:
        """Call a draft by another name. Raises NotFound, InvalidInput, Conflict."""
        refuse_run(caller, "rename drafts")
        row = await self._container.drafts.get(caller, draft_id)
        return to_draft(await self._container.drafts.rename(row, name))

    async def delete(self, caller: Caller, draft_id: str) -> None:
        """Delete a draft at once: it serves nobody. Raises NotFound."""
        refuse_run(caller, "delete drafts")
        await self._container.drafts.remove(caller, draft_id)
        self._container.catalog.served.remove(draft_id)
        self._container.forget(draft_id)

    async def list(self, caller: Caller) -> list[Draft]:
        """Last changed first; at most 100."""
        refuse_run(caller, "read drafts")
        return [to_draft(row) for row in await self._container.drafts.list(caller)]

    async def _refuse_outdated(self, caller: Caller, service_id: str, base_version: int) -> None:
        live = await self._version(caller, service_id)
        if live.version != base_version:
            raise Conflict(
                f"Version {live.version} was made live since version {base_version}; nothing was stored.",
                hint="Read the live version again, then repeat the changes that still apply.",
            )

    async def _live_number(self, caller: Caller, row: DraftRow) -> int | None:
        """The live version of the draft's workflow; None for a draft without one."""
        if row.workflow_id is None:
            return None
        return (
            await self._container.deployments.get(caller, row.workflow_id, number=None, include_code=False)
        ).version

    async def _subject(
        self, caller: Caller, subject: str, *, open_draft: bool = False
    ) -> tuple[DraftRow | None, tuple[str, list[Check]]]:
        """(the draft, or None for a version; (code, checks)).

        `open_draft`: prefer a workflow's open draft to its live version.
        """
        if open_draft:
            # Changes to one workflow go into one draft. In two drafts, the deploy of one would
            # lose the changes in the other.
            row = await self._container.drafts.find_open(caller, subject)
        else:
            row = None

        # After the look-up of an open draft: ids of drafts and workflows never coincide.
        if DRAFT_ID.fullmatch(subject):
            row = await self._container.drafts.get(caller, subject)
        if row is not None:
            checks = [Check.model_validate(check) for check in row.facts["checks"]]
            return row, (row.code, checks)

        version = await self._live_version(caller, subject)
        checks = [Check.model_validate(check) for check in version.checks]
        return None, (version.code, checks)

    async def _version(self, caller: Caller, service_id: str, number: int | None = None) -> WorkflowDetail:
        return await self._container.deployments.get(caller, service_id, number=number, include_code=True)

    async def _live_version(self, caller: Caller, service_id: str) -> workflows.VersionRow:
        detail = await self._version(caller, service_id)
        row = await self._container.database.read(workflows.version, service_id, detail.version)
        if row is None:
            raise NotFound("The workflow was deleted meanwhile.")
        return row

    async def _origin(self, caller: Caller, service_id: str) -> DraftSource:
        detail = await self._version(caller, service_id)
        if detail.example_from == "given":
            example = detail.example
        else:
            example = None
        return DraftSource(detail.name, detail.description, service_id, detail.version, example=example)
