"""The facade's part about writing workflows: drafts, edits, generating, why a run failed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast
from weakref import WeakValueDictionary

from codewords_mcp.errors import InvalidInput, ModelAnswerInvalid, NotFound
from codewords_mcp.runtime.api.browsers import BrowserCalls
from codewords_mcp.runtime.api.integrations import IntegrationCalls
from codewords_mcp.runtime.api.services import Library
from codewords_mcp.runtime.api.sessions import SessionCalls
from codewords_mcp.runtime.authoring import diagnose as diagnosing
from codewords_mcp.runtime.authoring.author_model import gateway_author
from codewords_mcp.runtime.authoring.brief import (
    brief,
    describe_service,
    matching_templates,
    nearest_template,
)
from codewords_mcp.runtime.authoring.drafts import (
    DraftSource,
    edited_draft,
    require_code,
    stale_revision,
    to_draft,
)
from codewords_mcp.runtime.authoring.edits import apply_edits, apply_patch, unified_diff
from codewords_mcp.runtime.authoring.generate import Bounds, GenerationRequest, Generator
from codewords_mcp.runtime.authoring.model_request import check_description
from codewords_mcp.runtime.authoring.practices import practice, topics
from codewords_mcp.runtime.authoring.private_hosts import check_private_hosts
from codewords_mcp.runtime.authoring.service_choice import choose_services
from codewords_mcp.runtime.authoring.templates import lacking, read_template, template_code, templates
from codewords_mcp.runtime.model.authoring import (
    DRAFT_ID,
    AskModel,
    Brief,
    Diagnosis,
    Draft,
    Edit,
    EditedDraft,
    Generation,
    Template,
)
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.manifest import ANY
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.run import FINISHED, Run
from codewords_mcp.runtime.model.service_operations import service_of
from codewords_mcp.runtime.model.validation import Check, ValidationReport
from codewords_mcp.runtime.model.workflow import Consent, WorkflowDetail
from codewords_mcp.runtime.runs.launcher import limits_of
from codewords_mcp.runtime.store import runs, workflows
from codewords_mcp.runtime.store.drafts import DraftRow
from codewords_mcp.runtime.workflows.openapi import read_routes
from codewords_mcp.runtime.workflows.validation.checks import CheckedScript, validate
from codewords_mcp.runtime.workflows.validation.smoke import Smoke
from codewords_mcp.settings import Settings

_CATEGORY = re.compile(r"[a-z0-9-]{1,40}")


class AuthoringCalls(Library, IntegrationCalls, BrowserCalls, SessionCalls):
    """What `Runtime` offers about code that is not served yet. An id is a draft's or a workflow's."""

    settings: Settings

    _validating = 0
    """Validations that go on."""

    @cached_property
    def _turns(self) -> WeakValueDictionary[tuple[str, str | None], asyncio.Lock]:
        """Callers whose code is being read, each one program at a time."""
        return WeakValueDictionary()

    async def validate(
        self, caller: Caller, code: str, *, progress: Progress = no_progress
    ) -> ValidationReport:
        """Run every check on the code. A failing check is a result, not a raise."""
        return (await self._validate(caller, code, progress)).report

    async def _validate(
        self,
        caller: Caller,
        code: str,
        progress: Progress,
        smoke: Smoke = Smoke(),  # noqa: B008  # immutable
    ) -> CheckedScript:
        house = self._house
        self._validating += 1
        try:
            return await validate(
                code,
                environments=house.environments,
                driver=await house.driver(),
                known_secrets=await house.secrets.names(caller.owner),
                secret_hosts=await house.secrets.hosts_by_name(caller.owner),
                connected=lambda app: self.app_connected(caller, app),
                services=lambda names: self.services_named(caller, names),
                parse_slot=self._turns.setdefault(
                    (caller.owner, caller.key_id or caller.run_id), asyncio.Lock()
                ),
                addresses=lambda script: check_private_hosts(script, self.settings.egress_allow_private),
                max_code=self.settings.max_code,
                limits=limits_of(self.settings),
                progress=progress,
                smoke=smoke,
            )
        finally:
            self._validating -= 1

    # drafts

    async def create_draft(
        self, caller: Caller, code: str, *, name: str = "", description: str = "", example: Any = None
    ) -> EditedDraft:
        """Check code and keep it as a draft, whatever the checks say. Raises InvalidInput, Conflict with too many drafts."""
        refuse_run(caller, "make drafts")
        origin = DraftSource(name, description, example=example)
        row = await self._house.drafts.add(caller, require_code(code), origin, self._checking(caller))
        return edited_draft(("", "", ()), row)

    async def draft_of_template(
        self, caller: Caller, template_id: str, *, edits: Sequence[Edit] = (), patch: str = ""
    ) -> EditedDraft:
        """A draft that begins as a template, with these changes made already. Raises NotFound, and what `edit_draft` raises."""
        refuse_run(caller, "make drafts")
        if edits and patch:
            raise InvalidInput("A change is one of edits and patch.", hint="Give one of them, or none.")
        code = await self.template_code(caller, template_id)
        if edits:
            code = apply_edits(code, edits)
        elif patch:
            code = apply_patch(code, patch)
        return await self.create_draft(caller, code)

    async def edit_draft(
        self,
        caller: Caller,
        subject: str,
        *,
        edits: Sequence[Edit] = (),
        patch: str = "",
        code: str = "",
        revision: int | None = None,
    ) -> EditedDraft:
        """Change a draft, or make one of a workflow's live version: by `edits`, a unified `patch`, or other `code`.

        A workflow that has an open draft is gone on with there (`continued`), so that no change is left in another draft.
        The code that a draft has already is checked again.

        `revision`: the one that was read; another answers Conflict. Raises InvalidInput where an old text does not stand
        in the code exactly once; then nothing is changed.
        """
        refuse_run(caller, "edit workflows")
        if sum(map(bool, (edits, patch, code))) != 1:
            raise InvalidInput("A change is one of edits, patch and code.", hint="Give exactly one of them.")

        row, before = await self._subject(caller, subject, open_draft=True)
        if row is not None and revision not in {None, row.revision}:
            raise stale_revision(revision or 0)

        old, checks, name = before
        if edits:
            new = apply_edits(old, edits)
        elif patch:
            new = apply_patch(old, patch)
        else:
            new = require_code(code)

        if new == old and row is None:
            raise InvalidInput(
                "The change changes nothing.", hint="Its new text is what stands there already."
            )

        if row is not None and new == old:
            after = await self._house.drafts.check_again(row, self._checking(caller))
        elif row is not None:
            after = await self._house.drafts.change(row, new, self._checking(caller))
        else:
            after = await self._house.drafts.add(
                caller, new, await self._origin(caller, subject), self._checking(caller)
            )

        live = await self._live_number(caller, after)
        continued = row is not None and row.id != subject
        return edited_draft((name, old, checks), after, continued=continued, live_version=live)

    async def _live_number(self, caller: Caller, row: DraftRow) -> int | None:
        """The live version of the workflow that a draft is of; None where it is of none."""
        if row.workflow_id is None:
            return None
        return (
            await self._house.deployments.get(caller, row.workflow_id, number=None, include_code=False)
        ).version

    async def get_draft(self, caller: Caller, draft_id: str, *, include_code: bool = False) -> Draft:
        """Raises NotFound."""
        refuse_run(caller, "read drafts")
        return to_draft(await self._house.drafts.get(caller, draft_id), code=include_code)

    async def list_drafts(self, caller: Caller) -> list[Draft]:
        """Last changed first; at most 100."""
        refuse_run(caller, "read drafts")
        return [to_draft(row) for row in await self._house.drafts.list(caller)]

    async def delete_draft(self, caller: Caller, draft_id: str) -> None:
        """At once: it serves nobody. Raises NotFound."""
        refuse_run(caller, "delete drafts")
        await self._house.drafts.remove(caller, draft_id)

    async def delete_workflow(
        self,
        caller: Caller,
        service_id: str,
        *,
        consent: Consent = Consent(),  # noqa: B008  # immutable
    ) -> str:
        """Delete a workflow with its versions, schedules and webhooks, once a person agrees; its name. Its runs stay on record.

        Raises NotFound, ConsentNeeded, Forbidden, Conflict while runs of it go on.
        """
        refuse_run(caller, "delete workflows")
        deployments = self._house.deployments
        await self._house.consents.settle(await deployments.deletion_question(caller, service_id), consent)
        name = await deployments.delete(caller, service_id)
        self._house.forget(service_id)
        self._house.webhooks.changed()
        await self._house.tell_changed(caller.owner, service_id)

        return name

    async def diff(
        self, caller: Caller, subject: str, *, against: int | None = None, version: int | None = None
    ) -> str:
        """The unified diff to a draft from what it was made of, or between two versions; `against` names the earlier.

        "" where nothing differs. Raises NotFound, InvalidInput where there is nothing to compare with.
        """
        refuse_run(caller, "compare versions")
        if DRAFT_ID.fullmatch(subject):
            row = await self._house.drafts.get(caller, subject)
            base = against or row.base_version
            if row.workflow_id is None or base is None:
                raise InvalidInput(
                    "This draft was made of no version, so there is nothing to compare it with."
                )

            before = await self._version(caller, row.workflow_id, base)
            return unified_diff(
                before.code or "", row.code, (f"version {base}", f"{row.id} revision {row.revision}")
            )

        after = await self._version(caller, subject, version)
        newest = max((v.version for v in after.versions), default=after.version)
        if version is None and against is None and newest != after.version:
            # An older one is live: the last two are what was made last, whatever serves.
            after = await self._version(caller, subject, newest)

        earlier = against or max((v.version for v in after.versions if v.version < after.version), default=0)
        if not earlier:
            raise InvalidInput(
                f"Version {after.version} is the first, so there is nothing to compare it with."
            )

        before = await self._version(caller, subject, earlier)
        return unified_diff(
            before.code or "", after.code or "", (f"version {earlier}", f"version {after.version}")
        )

    async def _subject(
        self, caller: Caller, subject: str, *, open_draft: bool = False
    ) -> tuple[DraftRow | None, tuple[str, list[Check], str]]:
        """(the draft, if it is one; (its code, its checks, its name)).

        `open_draft`: of a workflow the draft that is open, where there is one.
        """
        if open_draft:
            row = await self._house.drafts.find_open(caller, subject)
        else:
            row = None

        if DRAFT_ID.fullmatch(subject):
            row = await self._house.drafts.get(caller, subject)
        if row is not None:
            checks = [Check.model_validate(check) for check in row.facts["checks"]]
            return row, (row.code, checks, f"{row.id} revision {row.revision}")

        version = await self._live_version(caller, subject)
        checks = [Check.model_validate(check) for check in version.checks]
        return None, (version.code, checks, f"version {version.number}")

    async def _version(self, caller: Caller, service_id: str, number: int | None = None) -> WorkflowDetail:
        return await self._house.deployments.get(caller, service_id, number=number, include_code=True)

    async def _live_version(self, caller: Caller, service_id: str) -> workflows.VersionRow:
        detail = await self._version(caller, service_id)
        row = await self._house.database.read(workflows.version, service_id, detail.version)
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

    def _checking(self, caller: Caller) -> Any:
        async def validate(code: str, example: Any) -> CheckedScript:
            return await self._validate(caller, code, no_progress, Smoke(example, derive=True))

        return validate

    # templates

    async def list_templates(self, caller: Caller, *, query: str = "", category: str = "") -> list[Template]:
        """Workflows to start from, the caller's own among them; with a query the best first. Says which secrets they lack."""
        found = [*templates(), *await self._own_templates(caller)]
        if category:
            found = [one for one in found if one.category == category.lower()]
        services = {one.name: one for one in await self.list_services(caller)}
        needs = {name for one in found for name in one.needs}
        present = await self._house.secrets.resolve(caller.owner, sorted(needs))
        found = [one.model_copy(update={"missing": lacking(one, services, present)}) for one in found]
        if query:
            return matching_templates(found, query)

        return found

    async def share_template(self, caller: Caller, service_id: str, category: str | None) -> None:
        """Put the caller's workflow among their templates, as its live version is; `None` takes it out again.

        Raises NotFound, InvalidInput.
        """
        refuse_run(caller, "change templates")
        if category is not None and not _CATEGORY.fullmatch(category):
            raise InvalidInput(
                "A category is 1 to 40 lower-case letters, digits and dashes.",
                hint="Such as `data` or `sales`.",
            )

        await self._version(caller, service_id)
        values = {"template": category}
        await self._house.database.write(workflows.change, service_id, values)

    async def template_code(self, caller: Caller, template_id: str) -> str:
        """The script of a template, of the gallery or the caller's own. Raises NotFound."""
        own = [one.code for one in await self._own_templates(caller) if one.id == template_id]
        if own:
            return own[0]
        return template_code(template_id)

    async def _own_templates(self, caller: Caller) -> list[Template]:
        if caller.kind == "run":  # it starts from the gallery, not from its owner's workflows
            return []
        rows = await self._house.database.read(workflows.templates, caller.owner)
        return [await self._own_template(caller, row) for row in rows]

    async def _own_template(self, caller: Caller, row: workflows.WorkflowRow) -> Template:
        detail = await self._version(caller, row.id)
        told = read_template(row.id, row.template or "", detail.code or "")
        given: Any = detail.example
        if isinstance(given, dict):
            example = cast("dict[str, Any]", given)
        else:
            example = {}
        return told.model_copy(
            update={"title": detail.name, "description": detail.description, "example_input": example}
        )

    # generating

    async def generate(
        self,
        caller: Caller,
        description: str,
        *,
        constraints: str = "",
        ask: AskModel | None = None,
        brief_on_failure: bool = False,
        progress: Progress = no_progress,
    ) -> Generation:
        """Let a model write a workflow until every check passes, within CODEWORDS_AUTHOR_ROUNDS and _BUDGET: a draft.

        The model is one of the providers with a key, else `ask`; without either the answer is a brief. The same wish again
        goes on with a draft that was broken off, and gives one that is ready. `brief_on_failure`: where the model writes no
        program, the answer is a brief too. Raises InvalidInput, ModelAnswerInvalid,
        and what a call of a model raises.
        """
        refuse_run(caller, "generate workflows")
        description, constraints = check_description(description, constraints)
        author = await gateway_author(self._house.gateway, caller, self.settings)
        if author is None and ask is None:
            return Generation(status="brief", brief=await self.brief(caller, description, constraints))

        model, asks = author or ("the client's model", ask)
        if asks is None:
            raise NotFound("There is no model to ask.")

        wanted = f"{description} {constraints}"
        services = tuple(
            describe_service(one) for one in choose_services(await self.list_services(caller), wanted)
        )
        wish = GenerationRequest(
            description, constraints, nearest_template(templates(), wanted).code, services
        )
        bounds = Bounds(self.settings.author_rounds, self.settings.author_budget)
        generator = Generator(
            self._house.drafts, caller, wish, asks, model, self._checking(caller), bounds, progress
        )
        if not brief_on_failure:
            return await generator.run()

        try:
            return await generator.run()
        except (
            ModelAnswerInvalid
        ) as error:  # an assistant can write it itself, which the caller is one to know
            told = await self.brief(caller, description, constraints)
            return Generation(status="brief", brief=told, why=error.message)

    async def brief(self, caller: Caller, description: str, constraints: str = "") -> Brief:
        """What an assistant needs to write a workflow itself. Raises InvalidInput."""
        description, constraints = check_description(description, constraints)
        return brief(templates(), await self.list_services(caller), f"{description} {constraints}")

    def practice_topics(self) -> list[str]:
        """What there are short answers about."""
        return topics()

    def practice(self, topic: str) -> str:
        """How it is done here, in Markdown with code that runs. Raises NotFound, naming the topics."""
        return practice(topic)

    # failures

    async def diagnose(self, caller: Caller, run: Run) -> Diagnosis | None:
        """Why this run failed; None for one that did not, or of a workflow that is gone or another's: it shows their code."""
        if run.status not in FINISHED or run.status in {"succeeded", "cancelled"} or not run.service_id:
            return None

        service_id, database = run.service_id, self._house.database
        workflow = await database.read(workflows.get, service_id)
        if workflow is None or workflow.owner != caller.owner:
            return None

        version = await self._version_row(service_id, run.version)
        if version is None:
            return None

        code = version.code
        asked = run.input.content if run.input else None
        last = await database.read(
            runs.page, caller.owner, service_id=service_id, status="succeeded", limit=1, before=None
        )
        good = None
        if last and (before := await self._code_of(service_id, last[0].version)) is not None:
            good = last[0], before
        log = await self._house.dispatcher.tail(caller, run.id, diagnosing.LOG_LINES)
        routes = [f"{one['method']} {one['path']}" for one in read_routes(version.openapi)]
        unset = await self._unset(caller, version)

        return diagnosing.diagnose(run, log, code, asked, good, routes=routes, unset=unset)

    async def _unset(self, caller: Caller, version: workflows.VersionRow) -> set[str]:
        """Names of secrets that a version and its services may need, and that have no value."""
        manifest = version.manifest or {}
        named = {*map(service_of, manifest.get("services", [])), *manifest.get("models", [])}

        if ANY in named:
            known = await self.list_services(caller)
        else:
            known = await self.services_named(caller, named)

        held = {str(one["name"]) for one in manifest.get("secrets", [])}
        present = await self._house.secrets.resolve(caller.owner, sorted(held))
        return {one.name for service in known for one in service.credentials if not one.present} | (
            held - set(present)
        )

    async def _code_of(self, service_id: str, version: int | None) -> str | None:
        row = await self._version_row(service_id, version)
        if row:
            return row.code
        return None

    async def _version_row(self, service_id: str, version: int | None) -> workflows.VersionRow | None:
        if version is None:
            return None
        return await self._house.database.read(workflows.version, service_id, version)
