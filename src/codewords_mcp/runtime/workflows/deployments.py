"""Deployments: a name or id, its immutable versions, and which of them is live."""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import re
import secrets
import time
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from codewords_mcp.errors import Conflict, InvalidInput, NotFound, ValidationFailed
from codewords_mcp.runtime.auth.questions import Question, of_deletion, of_deploy
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.conflicts import NameTaken, VersionChanged
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.model.workflow import Deployment, Version, WorkflowDetail, WorkflowSummary
from codewords_mcp.runtime.store import workflows as rows
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.workflows import VersionRow, WorkflowRow
from codewords_mcp.runtime.workflows.openapi import routes_of, title_of
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.validation.checks import CheckedScript
from codewords_mcp.runtime.workflows.validation.samples import example_of, main_route

MAX_NAME = 100
MAX_DESCRIPTION = 2000
WITHOUT = (
    "deployed before there were manifests: it may do what its code asks for, and its next deploy asks you"
)
_LANDLOCK = Check(
    id="isolation",
    status="note",
    message="This machine isolates runs by Landlock (tier C): they have no Unix sockets, UDP, inotify or /dev/shm, and see "
    "the names of the host, its files and its processes.",
    fix="`codewords-mcp doctor` says how to get namespaces.",
)
Validate = Callable[[str, Progress], Awaitable[CheckedScript]]
Agree = Callable[[Question], Awaitable[None]]
"""Returns where a deploy may do what it asks for, and raises where it may not, or not yet."""


class Deployments:
    """Every workflow of the home."""

    def __init__(
        self, database: Database, url_of: Callable[[str], str], isolation: Callable[[], Awaitable[str]]
    ) -> None:
        self._db = database
        self._url_of = url_of
        self._isolation = isolation
        self.on_live: Callable[[str], None] = lambda _service_id: None
        """Called with each workflow of which another version was made live, also where its deployer hung up meanwhile."""

    async def deploy(
        self,
        caller: Caller,
        code: str,
        *,
        name: str | None,
        service_id: str | None,
        base_version: int | None,
        description: str,
        public: bool | None,
        validate: Validate,
        agree: Agree,
        unchanged: Callable[[], Awaitable[None]],
        progress: Progress,
    ) -> Deployment:
        """See `DeploymentCalls.deploy`. `unchanged` raises where the code is not what it was when this began."""
        began = time.perf_counter()
        name = None if name is None else check_name(name)
        if len(description) > MAX_DESCRIPTION:
            raise InvalidInput(f"A description has at most {MAX_DESCRIPTION} characters.")

        target = await self._target(caller, name, service_id)
        if target is not None and (same := await self._same(target, code, name, description)):
            return same

        await self._refuse_replacement(caller, name, service_id, target)
        if target is not None and base_version is not None:
            await self._refuse_outdated(target, base_version, code)
        validation = await validate(code, progress)
        report, script, environment = validation.report, validation.script, validation.environment
        manifest = validation.manifest
        if not report.all_passed or script is None or environment is None or manifest is None:
            raise ValidationFailed(
                "The workflow was not deployed: a check failed."
                + (f" Version {target.active_version} goes on serving." if target else ""),
                report=report.model_dump(),
                hint=_first_failure(report.checks),
            )

        title = name or (target.name if target else title_of(validation.openapi))
        if target is None and name is None:
            target = await self._target(caller, title, None)
            if target is not None:
                if same := await self._same(target, code, None, description):
                    return same
                raise NameTaken(target.id, target.active_version)

        await unchanged()
        agreed_beside, question = await self._ask(caller, title, target, manifest, code)
        await agree(question)
        description = (
            description
            or (target.description if target else "")
            or str((validation.openapi or {}).get("info", {}).get("description") or "")
        )
        version = VersionRow(
            id=secrets.token_hex(16),
            workflow_id="",
            number=0,
            code=code,
            code_hash=script.code_hash,
            environment=environment.hash,
            openapi=validation.openapi or {},
            checks=[c.model_dump() for c in report.checks],
            description=description[:MAX_DESCRIPTION],
            created_at=now(),
            manifest=manifest.model_dump(mode="json"),
            example=_given(validation),
        )

        if target is not None and base_version is not None:
            seen = target.active_version
        else:
            seen = None

        workflow, version = await self._store(
            caller, title, target, version, public=public, seen=seen, agreed_beside=agreed_beside
        )
        timings = dict(validation.timings_ms) | {"total": round((time.perf_counter() - began) * 1000, 1)}
        return await self._deployment(workflow, version, changed=True, timings=timings)

    async def _refuse_replacement(
        self, caller: Caller, name: str | None, service_id: str | None, target: WorkflowRow | None
    ) -> None:
        """Raise NameTaken where the name is another workflow's than the one that was named by its id."""
        if name is None:
            return
        if service_id is None:
            holder = target
        else:
            holder = await self._target(caller, name, None)
        if holder is not None and holder.id != service_id:
            raise NameTaken(holder.id, holder.active_version)

    async def _refuse_outdated(self, target: WorkflowRow, base_version: int, code: str) -> None:
        """Raise VersionChanged where other code is live than that of the version which the deploy began from."""
        if base_version == target.active_version:
            return

        base = await self._db.read(rows.version, target.id, base_version)
        live = await self._db.read(rows.version, target.id, target.active_version)
        if base is None:
            raise NotFound(
                f"{target.id} has no version {base_version}.",
                hint=f"Its live version is {target.active_version}; `base_version` is the one that you began from.",
            )
        if live is None or live.code == base.code:
            return

        raise VersionChanged(
            target.id,
            base_version,
            target.active_version,
            base_code=base.code,
            live_code=live.code,
            code=code,
        )

    async def _target(self, caller: Caller, name: str | None, service_id: str | None) -> WorkflowRow | None:
        if service_id is not None:
            return await self._own(caller, service_id)
        if name is None:
            return None
        return await self._db.read(rows.by_name, caller.owner, name)

    async def _ask(
        self, caller: Caller, name: str, target: WorkflowRow | None, manifest: Manifest, code: str
    ) -> tuple[int | None, Question]:
        """(the version that is live now, what the new one asks for beyond it)."""
        live = None
        if target is not None:
            live = await self._db.read(_live_of, target.id)
        before = live and _manifest(live)
        number = live.number if live else None
        return number, of_deploy(
            caller.owner,
            name,
            target.id if target else None,
            number,
            manifest.widens(before or Manifest()),
            unknown_before=live is not None and before is None,
            code_hash=hashlib.sha256(code.encode()).hexdigest(),
            diff="" if live is None else _difference(live, code),
        )

    async def _same(
        self, target: WorkflowRow, code: str, name: str | None, description: str
    ) -> Deployment | None:
        live = await self._db.read(rows.version, target.id, target.active_version)
        agreed = None if live is None else _manifest(live)
        if live is None or live.code != code or agreed is None or agreed.outdated:
            return None

        changes = {
            k: v
            for k, v in {"name": name, "description": description or None}.items()
            if v is not None and getattr(target, k) != v
        }
        if changes:
            await self._change(target.id, changes)
            target = replace(target, **changes)

        return await self._deployment(target, live, changed=bool(changes))

    async def _change(self, workflow_id: str, values: dict[str, Any]) -> None:
        try:
            await self._db.write(lambda c: rows.change(c, workflow_id, values | {"updated_at": now()}))
        except IntegrityError as error:
            raise Conflict("Another workflow of yours has this name.", hint="Choose another name.") from error

    async def _store(
        self,
        caller: Caller,
        name: str,
        target: WorkflowRow | None,
        version: VersionRow,
        *,
        public: bool | None,
        seen: int | None,
        agreed_beside: int | None,
    ) -> tuple[WorkflowRow, VersionRow]:
        """Write it. `seen`: the version that has to be live still. `agreed_beside`: the one that was live when a person was asked
        for what goes beyond it; of another one that may do less, nobody has been asked.

        Raises Conflict where a deploy, a rollback or a deletion came in between.
        """

        def write(connection: Connection) -> tuple[WorkflowRow, VersionRow]:
            at = version.created_at
            if target:
                current = rows.get(connection, target.id)
            else:
                current = None

            if target is None and (holder := rows.by_name(connection, caller.owner, name)):
                raise NameTaken(holder.id, holder.active_version)
            if target is not None and current is None:
                raise Conflict(f"The workflow {target.id} was deleted meanwhile; nothing was deployed.")
            if current is not None and (
                seen not in {None, current.active_version}
                or (current.active_version != agreed_beside and _widens(connection, current, version))
            ):
                raise Conflict(
                    f"Version {current.active_version} of {current.id} was made live meanwhile; nothing was deployed.",
                    hint="Deploy again: it answers with what is different.",
                )

            if current is None:
                workflow = WorkflowRow(
                    new_service_id(name), caller.owner, name, version.description, bool(public), at, at, 1
                )
                rows.add(connection, workflow)
            else:
                number = rows.next_number(connection, current.id)
                shared = current.public if public is None else public
                values = {
                    "name": name,
                    "description": version.description,
                    "public": shared,
                    "updated_at": at,
                    "active_version": number,
                }
                rows.change(connection, current.id, values)
                workflow = replace(current, **values)

            stored = replace(version, workflow_id=workflow.id, number=workflow.active_version)
            rows.add_version(connection, stored)
            return workflow, stored

        def stored(done: asyncio.Future[tuple[WorkflowRow, VersionRow]]) -> None:
            if not done.cancelled() and done.exception() is None:
                self.on_live(done.result()[0].id)

        # begun, it is written to its end: what is on record must be what is served
        writing = asyncio.ensure_future(self._db.write(write))
        writing.add_done_callback(stored)

        try:
            return await asyncio.shield(writing)
        except IntegrityError as error:
            raise Conflict(
                "Another workflow of yours has this name.",
                hint="Choose another name, or deploy to that workflow's id.",
            ) from error

    async def rollback(self, caller: Caller, service_id: str, number: int) -> Deployment:
        """See `Runtime.rollback`."""
        workflow = await self._own(caller, service_id)
        version = await self._db.read(rows.version, service_id, number)
        if version is None:
            raise NotFound(
                f"{workflow.name} has no version {number}.",
                hint=f"`codewords show {service_id}` lists its versions.",
            )

        changed = workflow.active_version != number
        if changed:
            values = {"active_version": number, "updated_at": now()}
            await self._db.write(rows.change, service_id, values)
            workflow = replace(workflow, **values)

        return await self._deployment(workflow, version, changed=changed)

    async def list(
        self,
        caller: Caller,
        *,
        query: str,
        limit: int,
        after: tuple[int, str] | None,
        only: str | None = None,
    ) -> Page[WorkflowSummary]:
        """Newest change first; the cursor is of the last item. `only`: no workflow but this one."""
        found = await self._db.read(
            rows.page, caller.owner, query=query, limit=limit + 1, after=after, only=only
        )
        items = [
            WorkflowSummary(
                service_id=w.id,
                name=w.name,
                version=w.active_version,
                url=self._url_of(w.id),
                description=w.description,
                updated_at=to_datetime(w.updated_at),
            )
            for w in found[:limit]
        ]

        if len(found) > limit:
            cursor = f"{found[limit - 1].updated_at}.{found[limit - 1].id}"
        else:
            cursor = None

        return Page[WorkflowSummary](items=items, next_cursor=cursor)

    async def get(
        self, caller: Caller, service_id: str, *, number: int | None, include_code: bool
    ) -> WorkflowDetail:
        """A workflow with one of its versions, the live one by default. Raises NotFound."""
        workflow = await self._own(caller, service_id)
        if number is None:
            wanted = workflow.active_version
        else:
            wanted = number

        version = await self._db.read(rows.version, service_id, wanted)
        if version is None:
            raise NotFound(
                f"{workflow.name} has no version {wanted}.",
                hint=f"Its live version is {workflow.active_version}.",
            )

        known = await self._db.read(rows.list_versions, service_id)
        script = parse_script(version.code)
        return WorkflowDetail(
            service_id=workflow.id,
            name=workflow.name,
            description=workflow.description,
            url=self._url_of(workflow.id),
            version=version.number,
            routes=routes_of(version.openapi),
            env=[{"name": v.name, "default": v.default, "required": v.required} for v in script.env],
            dependencies=list(script.dependencies),
            versions=[
                Version(
                    version=v["number"],
                    version_id=v["id"],
                    created_at=to_datetime(v["created_at"]),
                    active=v["number"] == workflow.active_version,
                    description=v["description"],
                )
                for v in known
            ],
            code=version.code if include_code else None,
            **_capabilities(version),
            **_example(version),
        )

    async def delete(self, caller: Caller, service_id: str, agree: Agree) -> str:
        """See `Runtime.delete_workflow`; the name that it had."""
        workflow = await self._own(caller, service_id)
        if going := await self._db.read(rows.goes_on, service_id):
            raise Conflict(
                f"{workflow.name} has {going} {'runs' if going > 1 else 'run'} that have not ended; nothing was deleted.",
                hint="Wait for them or cancel them first.",
            )

        numbers = [v["number"] for v in await self._db.read(rows.list_versions, service_id)]
        await agree(
            of_deletion(caller.owner, workflow.name, service_id, workflow.active_version, len(numbers))
        )
        await self._db.write(rows.remove, service_id)

        return workflow.name

    async def _own(self, caller: Caller, service_id: str) -> WorkflowRow:
        row = await self._db.read(rows.get, service_id)
        if row is None or row.owner != caller.owner:
            raise NotFound("There is no workflow of that id.", hint="`codewords list` shows your workflows.")
        return row

    async def _deployment(
        self,
        workflow: WorkflowRow,
        version: VersionRow,
        *,
        changed: bool,
        timings: dict[str, float] | None = None,
    ) -> Deployment:
        checks = [Check(**check) for check in version.checks]
        isolation = await self._isolation()
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
            **_capabilities(version),
        )


def isolation_notes(tier: str) -> list[Check]:
    """Notes for a deployer about what the isolation of this machine cannot hold."""
    if tier == "C":
        return [_LANDLOCK]
    return []


def _difference(live: VersionRow, code: str) -> str:
    lines = difflib.unified_diff(live.code.splitlines(), code.splitlines(), n=3, lineterm="")
    return "\n".join(lines)


def _given(validation: CheckedScript) -> Any:
    """The example that is kept with a version: not one that can be derived at any time."""
    example = validation.example
    if example is not None and example.source != "derived":
        return example.value
    return None


def _example(version: VersionRow) -> dict[str, Any]:
    """The fields of `WorkflowDetail`."""
    if version.example is not None:
        return {"example": version.example, "example_from": "given"}
    route = main_route(routes_of(version.openapi))
    if route and route.schema:
        return {"example": example_of(route.schema), "example_from": "derived"}
    return {}


def _live_of(connection: Connection, workflow_id: str) -> VersionRow | None:
    workflow = rows.get(connection, workflow_id)
    return workflow and rows.version(connection, workflow_id, workflow.active_version)


def _widens(connection: Connection, workflow: WorkflowRow, version: VersionRow) -> bool:
    """Whether a new version may do what the live one may not."""
    live = rows.version(connection, workflow.id, workflow.active_version)
    before = (live and _manifest(live)) or Manifest()
    return bool((_manifest(version) or Manifest()).widens(before))


def _manifest(version: VersionRow) -> Manifest | None:
    if version.manifest is None:
        return None
    return Manifest.model_validate(version.manifest)


def _capabilities(version: VersionRow) -> dict[str, Any]:
    """The fields of `Deployment` and `WorkflowDetail`."""
    manifest = _manifest(version)
    return {"manifest": manifest, "capabilities": manifest.lines() if manifest else [WITHOUT]}


def check_name(name: str) -> str:
    """Trimmed. Raises InvalidInput. Any printable text is a name: ids are made from it, never paths."""
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput(
            f"A workflow's name is 1 to {MAX_NAME} printable characters.",
            hint='For example "Website monitor".',
        )
    return name


def new_service_id(name: str) -> str:
    """`<slug>_<8 hex>`: lower-case ASCII letters, digits and underscores."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:40].strip("_") or "workflow"
    return f"{slug}_{secrets.token_hex(4)}"


def _first_failure(checks: list[Check]) -> str:
    failed = next((c for c in checks if c.status == "failed"), None)
    if failed is None:
        return ""
    if failed.line:
        place = f" (line {failed.line})"
    else:
        place = ""
    return f"{failed.message}{place}" + (f" Fix: {failed.fix}" if failed.fix else "")
