"""Deployed workflows: list, show, roll back and delete them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from sqlalchemy import Connection

from codewords_mcp.common.counts import counted
from codewords_mcp.errors import Conflict, NotFound
from codewords_mcp.errors.remedies import DIAGNOSE, show_workflow
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.deletion import Deletion
from codewords_mcp.runtime.model.integration_names import family
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.questions import Question, of_deletion
from codewords_mcp.runtime.model.service_operations import service_of
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.model.workflow import (
    Deployment,
    ListedWorkflow,
    RecentRun,
    Version,
    WorkflowDetail,
    WorkflowSummary,
)
from codewords_mcp.runtime.store import recordings, run_list, schedules
from codewords_mcp.runtime.store import workflows as rows
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.unknown_ids import no_workflow
from codewords_mcp.runtime.store.workflow_databases.base import WorkflowDatabases
from codewords_mcp.runtime.store.workflows import VersionRow, WorkflowRow
from codewords_mcp.runtime.workflows.openapi import docs_path, read_routes
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.validation.variables import PROVIDED
from codewords_mcp.runtime.workflows.versions import describe_capabilities, example_input, manifest_of

_RECENT = 10
"""Runs of a workflow that a list shows."""
_LANDLOCK = Check(
    id="isolation",
    status="note",
    message="This machine isolates runs by Landlock (tier C): they have no Unix sockets, UDP, inotify or /dev/shm, and see "
    "the names of the host, its files and its processes.",
    fix=DIAGNOSE.words,
    remedy=DIAGNOSE,
)


class Deployments:
    """All workflows of the home. A workflow is its owner's; others see of a public one what its runs take and may do."""

    def __init__(
        self,
        database: Database,
        url_of: Callable[[str], str],
        isolation: Callable[[], Awaitable[str]],
        databases: WorkflowDatabases,
    ) -> None:
        self._db = database
        self._url_of = url_of
        self._isolation = isolation
        self._databases = databases

    async def own(self, caller: Caller, service_id: str) -> WorkflowRow:
        """Return the caller's workflow. Raises NotFound, also if the workflow is another owner's."""
        row = await self._db.read(rows.get, service_id)
        # The same answer for both, so that nobody learns which ids exist.
        if row is None or row.owner != caller.owner:
            # A run learns of its own workflow only.
            owner = None if caller.kind == "run" else caller.owner
            raise await self._db.read(no_workflow, owner, service_id)
        return row

    async def rollback(self, caller: Caller, service_id: str, number: int) -> Deployment:
        """See `WorkflowApi.rollback`."""
        workflow = await self.own(caller, service_id)
        version = await self._db.read(rows.version, service_id, number)
        if version is None:
            raise NotFound(
                f"{workflow.name} has no version {number}.",
                remedy=show_workflow(service_id),
            )

        changed = workflow.active_version != number
        if changed:
            values = {"active_version": number, "updated_at": now()}
            await self._db.write(rows.change, service_id, values)
            workflow = replace(workflow, **values)

        return await self.describe(workflow, version, changed=changed)

    async def list(
        self,
        caller: Caller,
        *,
        query: str,
        limit: int,
        after: tuple[int, str] | None,
        only: str | None = None,
    ) -> Page[WorkflowSummary]:
        """One page, last changed first. `after` is the cursor of the page before; `only` restricts to one workflow id."""
        # one row more than asked shows whether there is a next page
        found = await self._db.read(
            rows.page, caller.owner, query=query, limit=limit + 1, after=after, only=only
        )
        stored = await self._db.read(rows.live_manifests, [workflow.id for workflow in found[:limit]])
        manifests = {workflow_id: Manifest.model_validate(one) for workflow_id, one in stored.items()}
        items = [
            self._summary(workflow, manifests.get(workflow.id, Manifest())) for workflow in found[:limit]
        ]

        if len(found) > limit:
            cursor = f"{found[limit - 1].updated_at}.{found[limit - 1].id}"
        else:
            cursor = None

        return Page[WorkflowSummary](items=items, next_cursor=cursor)

    async def with_runs(self, caller: Caller, page: Page[WorkflowSummary]) -> Page[ListedWorkflow]:
        """The same page with the last runs of its workflows and how many schedules each has."""
        ids = [item.service_id for item in page.items]
        last = await self._db.read(run_list.last_of_each, caller.owner, ids, _RECENT)
        counts = await self._db.read(schedules.counts, caller.owner, ids)
        items = [
            ListedWorkflow(
                **item.model_dump(),
                recent=[
                    RecentRun.model_validate({"id": id_, "status": status})
                    for id_, status in last.get(item.service_id, [])
                ],
                schedules=counts.get(item.service_id, 0),
            )
            for item in page.items
        ]
        return Page[ListedWorkflow](items=items, next_cursor=page.next_cursor)

    def _summary(self, workflow: WorkflowRow, manifest: Manifest) -> WorkflowSummary:
        scheduling = ["schedule_runs"] if manifest.schedules else []
        return WorkflowSummary(
            service_id=workflow.id,
            name=workflow.name,
            version=workflow.active_version,
            url=self._url_of(workflow.id),
            description=workflow.description,
            updated_at=to_datetime(workflow.updated_at),
            services=sorted({*manifest.service_names, *map(service_of, manifest.models), *scheduling}),
            apps=sorted({name for app in manifest.connections for name in family(app)}),
        )

    async def get(
        self, caller: Caller, service_id: str, *, number: int | None, include_code: bool
    ) -> WorkflowDetail:
        """A workflow with one of its versions, the live one by default. Raises NotFound."""
        workflow = await self.own(caller, service_id)
        if number is None:
            number = workflow.active_version

        version = await self._db.read(rows.version, service_id, number)
        if version is None:
            raise NotFound(
                f"{workflow.name} has no version {number}.",
                hint=f"Its live version is {workflow.active_version}.",
            )

        versions = await self._db.read(rows.list_versions, service_id)
        script = parse_script(version.code)
        manifest = manifest_of(version)
        example, example_from = example_input(version)
        return WorkflowDetail(
            service_id=workflow.id,
            name=workflow.name,
            description=workflow.description,
            url=self._url_of(workflow.id),
            version=version.number,
            routes=read_routes(version.openapi),
            docs=docs_path(version.code),
            env=[
                {
                    "name": v.name,
                    "default": v.default,
                    "required": v.required,
                    "provided": v.name in PROVIDED,
                }
                for v in script.env
            ],
            dependencies=list(script.dependencies),
            versions=[
                Version(
                    version=v["number"],
                    version_id=v["id"],
                    created_at=to_datetime(v["created_at"]),
                    active=v["number"] == workflow.active_version,
                    description=v["description"],
                    deployed_by=v["deployed_by"],
                )
                for v in versions
            ],
            code=version.code if include_code else None,
            capabilities=describe_capabilities(manifest),
            manifest=manifest,
            example=example,
            example_from=example_from,
            expect=list(script.tool.get("expect", ())),
            public=workflow.public,
            template=workflow.template,
        )

    async def get_public(self, caller: Caller, service_id: str) -> WorkflowDetail | None:
        """Another owner's public workflow as its runners see it: routes and permissions; None where there is none."""
        workflow = await self._db.read(rows.get, service_id)
        if workflow is None or workflow.owner == caller.owner or not workflow.public:
            return None

        version = await self._db.read(rows.version, service_id, workflow.active_version)
        if version is None:
            return None
        return WorkflowDetail(
            service_id=workflow.id,
            name=workflow.name,
            description=workflow.description,
            url=self._url_of(workflow.id),
            version=version.number,
            routes=read_routes(version.openapi),
            env=[],
            dependencies=[],
            versions=[],
            capabilities=describe_capabilities(manifest_of(version)),
            published_by=workflow.owner,
            public=True,
        )

    async def deletion_question(self, caller: Caller, service_id: str) -> Question:
        """The question that a person agrees to before `delete`. Raises NotFound, Conflict while runs go on.

        Runs that wait without a sandbox are part of the question: the deletion cancels them.
        """
        workflow = await self.own(caller, service_id)
        deletion = await self.deletion(caller, service_id)
        await self.require_ended(workflow, but=deletion.waiting)
        return of_deletion(caller.owner, workflow.name, service_id, workflow.active_version, deletion)

    async def deletion(self, caller: Caller, service_id: str) -> Deletion:
        """Count what the deletion of a workflow removes, pauses and cancels. Raises NotFound."""
        await self.own(caller, service_id)
        numbers = await self._db.read(rows.count_for_deletion, service_id)
        return numbers.model_copy(update={"databases": await self._databases.count(service_id)})

    async def suspended_runs(self, service_id: str) -> list[str]:
        """The runs of a workflow that wait for an answer, a request or a time without a sandbox."""
        return await self._db.read(rows.suspended_runs, service_id)

    async def require_ended(self, workflow: WorkflowRow, *, but: int = 0) -> None:
        """Raise Conflict while more runs of a workflow have not ended than `but`."""
        # A run needs its version's row for its result, its retries and its replay.
        unfinished = await self._db.read(rows.count_unfinished_runs, workflow.id)
        if unfinished > but:
            raise Conflict(
                f"{workflow.name} has {counted(unfinished - but, 'run')} that have not ended; nothing was deleted.",
                hint="Wait for them or cancel them first.",
            )

    async def delete(self, caller: Caller, service_id: str) -> str:
        """Delete the workflow and return its name. See `WorkflowApi.delete`."""
        workflow = await self.own(caller, service_id)

        def remove(connection: Connection) -> None:
            rows.remove(connection, service_id)
            recordings.remove_service(connection, service_id)

        await self._db.write(remove)
        # Last: a workflow that is still there keeps its data.
        await self._databases.delete(service_id)
        return workflow.name

    async def describe(
        self,
        workflow: WorkflowRow,
        version: VersionRow,
        *,
        changed: bool,
        timings: dict[str, float] | None = None,
    ) -> Deployment:
        """The `Deployment` of a version that is live."""
        checks = [Check(**check) for check in version.checks]
        isolation = await self._isolation()
        manifest = manifest_of(version)

        return Deployment(
            service_id=workflow.id,
            name=workflow.name,
            version=version.number,
            version_id=version.id,
            url=self._url_of(workflow.id),
            description=workflow.description,
            public=workflow.public,
            created_at=to_datetime(version.created_at),
            changed=changed,
            isolation=isolation,
            notes=[c for c in checks if c.status in ("warning", "note")] + isolation_notes(isolation),
            timings_ms=timings or {},
            capabilities=describe_capabilities(manifest),
            manifest=manifest,
        )


def isolation_notes(tier: str) -> list[Check]:
    """Notes for a deployer about the limits of this machine's isolation."""
    if tier == "C":
        return [_LANDLOCK]
    return []
