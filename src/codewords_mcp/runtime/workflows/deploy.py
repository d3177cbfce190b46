"""Deploying code, in the steps plan, review and activate.

The caller validates the code between `plan` and `review` and obtains the consent between `review` and `activate`.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import Conflict, InvalidInput, NotFound, ValidationFailed
from codewords_mcp.runtime.model.code_difference import code_difference
from codewords_mcp.runtime.model.conflicts import NameTaken, VersionChanged
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.questions import Question, describe_key, of_deploy, with_missing
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.model.workflow import Deployment
from codewords_mcp.runtime.store import workflows as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.workflows import VersionRow, WorkflowRow
from codewords_mcp.runtime.workflows.configuration import check_addresses, check_values
from codewords_mcp.runtime.workflows.deploy_review import DeployPlan, DeployRequest, DeployReview
from codewords_mcp.runtime.workflows.deployments import Deployments
from codewords_mcp.runtime.workflows.openapi import read_title
from codewords_mcp.runtime.workflows.validation.checked_script import BY_PERSON, CheckedScript
from codewords_mcp.runtime.workflows.versions import manifest_of, widens

MAX_NAME = 100
MAX_DESCRIPTION = 2000


class Deployer:
    """Makes versions live. `on_live` is called with the id of each workflow that got another live version."""

    def __init__(self, database: Database, deployments: Deployments, on_live: Callable[[str], None]) -> None:
        self._db = database
        self._deployments = deployments
        self._on_live = on_live

    async def plan(self, request: DeployRequest) -> DeployPlan | Deployment:
        """Find the workflow that the deploy is for. Returns its `Deployment` if this code is live already.

        Raises InvalidInput, NotFound, NameTaken, VersionChanged if other code is live than that of `base_version`.
        """
        started = time.perf_counter()
        if request.name is not None:
            request = replace(request, name=check_name(request.name))
        check_values(request.config or {})
        if len(request.description) > MAX_DESCRIPTION:
            raise InvalidInput(f"A description has at most {MAX_DESCRIPTION} characters.")

        target = await self._find_target(request)
        if target is not None and request.config is not None:
            live_version = await self._db.read(rows.version, target.id, target.active_version)
            manifest = live_version and manifest_of(live_version)
            check_addresses(request.caller, manifest, target.config or {}, request.config)
        # A repeated deploy of the same code must be free: models and scripts retry.
        if target is not None and (live := await self._live_already(target, request)):
            return live

        await self._refuse_taken_name(request, target)
        if target is not None and request.base_version is not None:
            await self._refuse_outdated(target, request.base_version, request.code)

        return DeployPlan(request, target, started)

    async def review(self, plan: DeployPlan, checked: CheckedScript) -> DeployReview | Deployment:
        """Make the version and its question from validated code. Returns a `Deployment` if the code is live already.

        Raises ValidationFailed, and NameTaken if another workflow is called as the app's title says.
        """
        request, target = plan.request, plan.target
        report, script, environment = checked.report, checked.script, checked.environment
        manifest = checked.manifest
        if not report.all_passed or script is None or environment is None or manifest is None:
            raise ValidationFailed(
                "The workflow was not deployed: a check failed."
                + (f" Version {target.active_version} goes on serving." if target else ""),
                report=report.model_dump(),
                hint=_first_failure(report.checks),
            )

        name = request.name or (target.name if target else read_title(checked.openapi))
        if target is None and request.name is None:
            # only the app itself tells its title, so that a taken one shows after validation
            target = await self._db.read(rows.by_name, request.caller.owner, name)
            if target is not None:
                if live := await self._live_already(target, request):
                    return live
                raise NameTaken(target.id, target.active_version)

        # The question compares with the live version, not with the last one that was consented
        # to.
        replaced, question = await self._question(request, name, target, manifest)
        missing = [one.message for one in report.checks if one.status == "warning" and one.id in BY_PERSON]
        question = with_missing(question, missing)
        description = (
            request.description
            or (target.description if target else "")
            or str((checked.openapi or {}).get("info", {}).get("description") or "")
        )
        version = VersionRow(
            id=secrets.token_hex(16),
            # `_store` sets the workflow, the number and the time
            workflow_id="",
            number=0,
            created_at=0,
            code=request.code,
            code_hash=script.code_hash,
            environment=environment.hash,
            openapi=checked.openapi or {},
            checks=[check.model_dump() for check in report.checks],
            description=description[:MAX_DESCRIPTION],
            manifest=manifest.model_dump(mode="json"),
            example=_stored_example(checked),
            deployed_by=request.by or describe_key(request.caller),
        )

        return DeployReview(plan, name, target, version, replaced, question, dict(checked.timings_ms))

    async def activate(self, review: DeployReview) -> Deployment:
        """Store the version and make it live.

        Raises Conflict if a deploy, a rollback or a deletion came in between.
        """
        # once begun, the write completes even if the deployer disconnects: `on_live` has to follow each commit
        writing = asyncio.ensure_future(self._db.write(_store, review))
        writing.add_done_callback(self._report_live)

        try:
            workflow, version = await asyncio.shield(writing)
        except IntegrityError as error:
            # The unique index is what decides between two deploys of the same name at a time.
            raise Conflict(
                "Another workflow of yours has this name.",
                hint="Choose another name, or deploy to that workflow's id.",
            ) from error

        total = round((time.perf_counter() - review.plan.started) * 1000, 1)
        return await self._deployments.describe(
            workflow, version, changed=True, timings=review.timings_ms | {"total": total}
        )

    def _report_live(self, done: asyncio.Future[tuple[WorkflowRow, VersionRow]]) -> None:
        if not done.cancelled() and done.exception() is None:
            workflow, _ = done.result()
            self._on_live(workflow.id)

    async def _find_target(self, request: DeployRequest) -> WorkflowRow | None:
        if request.service_id is not None:
            return await self._deployments.own(request.caller, request.service_id)
        if request.name is not None:
            return await self._db.read(rows.by_name, request.caller.owner, request.name)
        return None

    async def _refuse_taken_name(self, request: DeployRequest, target: WorkflowRow | None) -> None:
        """Raise NameTaken if the name belongs to another workflow than `service_id`."""
        if request.name is None:
            return

        if request.service_id is None:
            owner_of_name = target
        else:
            owner_of_name = await self._db.read(rows.by_name, request.caller.owner, request.name)
        if owner_of_name is not None and owner_of_name.id != request.service_id:
            raise NameTaken(owner_of_name.id, owner_of_name.active_version)

    async def _refuse_outdated(self, target: WorkflowRow, base_version: int, code: str) -> None:
        """Raise VersionChanged if the live code differs from that of the version that the deploy is based on."""
        if base_version == target.active_version:
            return

        base = await self._db.read(rows.version, target.id, base_version)
        live = await self._db.read(rows.version, target.id, target.active_version)
        if base is None:
            raise NotFound(
                f"{target.id} has no version {base_version}.",
                hint=f"Its live version is {target.active_version}; `base_version` is the one that you began from.",
            )
        # a rollback and a return to the same code are no change for the deployer
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

    async def _question(
        self, request: DeployRequest, name: str, target: WorkflowRow | None, manifest: Manifest
    ) -> tuple[VersionRow | None, Question]:
        """The live version, and the question about the permissions that the new version adds to it."""
        live = None
        if target is not None:
            live = await self._db.read(_live_version, target.id)

        before = live and manifest_of(live)
        return live, of_deploy(
            request.caller.owner,
            name,
            target.id if target else None,
            live.number if live else None,
            manifest.widens(before or Manifest()),
            unknown_before=live is not None and before is None,
            code_hash=hashlib.sha256(request.code.encode()).hexdigest(),
            difference=code_difference(live.code if live else "", request.code),
        )

    async def _live_already(self, target: WorkflowRow, request: DeployRequest) -> Deployment | None:
        """The deployment of `target` if it serves this code already, with the new name and description; else None."""
        live = await self._db.read(rows.version, target.id, target.active_version)
        manifest = None if live is None else manifest_of(live)
        # a version with no manifest, or with one of an older format, is deployed again to get one
        if live is None or live.code != request.code or manifest is None or manifest.outdated:
            return None

        changes: dict[str, Any] = {}
        if request.name is not None and request.name != target.name:
            changes["name"] = request.name
        if request.description and request.description != target.description:
            changes["description"] = request.description
        if changes:
            await self._change(target.id, changes)
            target = replace(target, **changes)

        return await self._deployments.describe(target, live, changed=bool(changes))

    async def _change(self, workflow_id: str, values: dict[str, Any]) -> None:
        try:
            await self._db.write(rows.change, workflow_id, values | {"updated_at": now()})
        except IntegrityError as error:
            raise Conflict("Another workflow of yours has this name.", hint="Choose another name.") from error


def check_name(name: str) -> str:
    """The name without surrounding space. Raises InvalidInput.

    Any printable text is a name: ids are made from names, paths never are.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput(
            f"A workflow's name is 1 to {MAX_NAME} printable characters.",
            hint='For example "Website monitor".',
        )
    return name


def new_service_id(name: str) -> str:
    """`<slug>_<8 hex>`: lower-case ASCII letters, digits and underscores."""
    # NFKD splits accents off their letters, so that "Über" gives "uber" and not "ber".
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:40].strip("_") or "workflow"
    # Random, since an id is part of URLs and an id by counting could be guessed.
    return f"{slug}_{secrets.token_hex(4)}"


def _store(connection: Connection, review: DeployReview) -> tuple[WorkflowRow, VersionRow]:
    """Write the version as the live one of a new or existing workflow, in one transaction."""
    request, target, version = review.plan.request, review.target, review.version
    # Read again inside the transaction: a person may take minutes for the consent.
    current = rows.get(connection, target.id) if target else None
    _refuse_race(connection, review, current)

    at = now()
    if current is None:
        workflow = WorkflowRow(
            id=new_service_id(review.name),
            owner=request.caller.owner,
            name=review.name,
            description=version.description,
            public=bool(request.public),
            created_at=at,
            updated_at=at,
            active_version=1,
            config=request.config or None,
        )
        rows.add(connection, workflow)
    else:
        values: dict[str, Any] = {
            "name": review.name,
            "description": version.description,
            "public": current.public if request.public is None else request.public,
            "updated_at": at,
            "active_version": rows.next_number(connection, current.id),
        }
        if request.config is not None:
            values["config"] = request.config or None
        rows.change(connection, current.id, values)
        workflow = replace(current, **values)

    stored = replace(version, workflow_id=workflow.id, number=workflow.active_version, created_at=at)
    rows.add_version(connection, stored)
    return workflow, stored


def _refuse_race(connection: Connection, review: DeployReview, current: WorkflowRow | None) -> None:
    """Raise Conflict if the workflow changed since it was reviewed. `current` is its row now."""
    target = review.target
    if target is None:
        taken = rows.by_name(connection, review.plan.request.caller.owner, review.name)
        if taken:
            raise NameTaken(taken.id, taken.active_version)
        return

    if current is None:
        raise Conflict(f"The workflow {target.id} was deleted meanwhile; nothing was deployed.")

    # a deploy with `base_version` replaces exactly the version that it was checked against
    replaced = (
        review.plan.request.base_version is not None and current.active_version != target.active_version
    )
    # consent was to permissions beyond those of `review.live`; a version that may do less needs a new one
    live = rows.version(connection, current.id, current.active_version)
    beyond_consent = current.active_version != review.live and widens(live, review.version)
    if replaced or beyond_consent:
        raise Conflict(
            f"Version {current.active_version} of {current.id} was made live meanwhile; nothing was deployed.",
            hint="Deploy again: it answers with what is different.",
        )


def _live_version(connection: Connection, workflow_id: str) -> VersionRow | None:
    workflow = rows.get(connection, workflow_id)
    return workflow and rows.version(connection, workflow_id, workflow.active_version)


def _stored_example(checked: CheckedScript) -> JsonValue:
    """The example to store with the version. A derived one is None: it can be derived again at any time."""
    example = checked.example
    if example is not None and example.source != "derived":
        return example.value
    return None


def _first_failure(checks: list[Check]) -> str:
    """A hint from the first check that failed."""
    failed = next((check for check in checks if check.status == "failed"), None)
    if failed is None:
        return ""

    position = f" (line {failed.line})" if failed.line else ""
    fix = f" Fix: {failed.fix}" if failed.fix else ""
    return f"{failed.message}{position}{fix}"
