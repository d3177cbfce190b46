"""Live versions of workflows by service id, ready to start."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, cast

from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError, NotFound
from codewords_mcp.runtime.auth.authority import Permissions
from codewords_mcp.runtime.gateway.rules import Rules, rules_of
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.events import EnvironmentLost, EventBus
from codewords_mcp.runtime.model.grants import ANY
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.progress import no_progress
from codewords_mcp.runtime.model.recording import RecordingPolicy
from codewords_mcp.runtime.model.run_wait import WAITING_SERVICES
from codewords_mcp.runtime.runs.served_drafts import ServedDrafts
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.store import workflows as rows
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.unknown_ids import no_workflow
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.script import Script, parse_script
from codewords_mcp.runtime.workflows.validation.repair import runnable_code

CACHED = 256
INSTANCE_CONCURRENCY = 32
MAX_CALLED: Final = 50
"""Workflows below one that are looked at for one that may wait."""
NO_WORKFLOW: Final = "tested_file"
"""The workflow's id of code that is tried by itself."""


@dataclass(frozen=True, slots=True)
class Servable:
    """A live version with all that a sandbox needs."""

    service_id: str
    owner: str
    public: bool
    version: int
    script: Script
    code: str
    environment: EnvironmentRef
    permissions: Permissions
    run_budget: float | None = None
    """US dollars that the model calls of a run may cost, beside the budgets of its header."""
    debugged: bool = False
    """Whether its code waits for a debugger: one sandbox serves its runs then, and they may stand still."""
    config: Mapping[str, str] = field(default_factory=dict[str, str])
    """Plain configuration values by variable."""

    @property
    def manifest(self) -> Manifest:
        """The permissions of the version."""
        return self.permissions.manifest

    @property
    def keep_warm(self) -> bool:
        """Whether one sandbox serves many runs: as its header asks, or since a debugger is attached to it."""
        return self.debugged or self.script.tool.get("isolation") == "instance"

    @property
    def egress(self) -> tuple[str, ...] | None:
        """The only hosts that it may reach, beside those that its variables name; None for any."""
        if self.manifest.any_host:
            return None
        return self.manifest.hosts

    @property
    def inspects(self) -> bool:
        """Whether its header asks that what goes to any host by TLS is looked at for placeholders."""
        return self.script.tool.get("inspect") is True

    @property
    def snapshots(self) -> bool:
        """True if its header asks that runs start from a snapshot of its imports."""
        return self.script.tool.get("snapshot") is True

    def recording_policy(self, default: RecordingPolicy) -> RecordingPolicy:
        """The runs that are recorded: as its header says, else the default."""
        policy = self.script.tool.get("record")
        if policy in {"all", "failures", "off"}:
            return policy
        return default

    @property
    def rules(self) -> Rules:
        """The header's rules for model calls."""
        rules = rules_of(self.script.tool)
        if self.run_budget is None:
            return rules
        # A budget for this run narrows the one in the header, and never raises it.
        lowest = min(self.run_budget, rules.budget.get("run", self.run_budget))
        return replace(rules, budget={**rules.budget, "run": lowest})

    @property
    def instance_concurrency(self) -> int:
        """Runs at once that one such sandbox serves."""
        concurrency = self.script.tool.get("concurrency")
        if isinstance(concurrency, int) and concurrency >= 1:
            return concurrency
        return INSTANCE_CONCURRENCY

    @property
    def limits(self) -> tuple[int | None, int | None]:
        """Return (concurrent runs, runs that may wait), each None unless the header sets it. If runs share sandboxes,
        `concurrency` in the header applies to one sandbox.
        """
        return None if self.keep_warm else self.script.tool.get("concurrency"), self.script.tool.get(
            "queue_limit"
        )

    @property
    def retries(self) -> int:
        """Attempts beyond the first at a background run; none unless its header asks."""
        retries = self.script.tool.get("retries", 0)
        if isinstance(retries, dict):
            return int(cast("dict[str, int]", retries).get("count", 0))
        return int(retries)

    @property
    def resumes(self) -> bool:
        """Whether an attempt at a background run goes on from the attempt before."""
        retries = self.script.tool.get("retries", 0)
        return isinstance(retries, dict) and bool(cast("dict[str, bool]", retries).get("resume"))

    @property
    def waits(self) -> bool:
        """Whether a background run may wait for days, so that it keeps a journal from its start."""
        return not WAITING_SERVICES.isdisjoint(self.manifest.service_names)

    @property
    def timeout(self) -> float | None:
        """Seconds that a background run may take, where its header says."""
        seconds = self.script.tool.get("timeout")
        if seconds is None:
            return None
        return float(seconds)


Derive = Callable[[str, Script], Awaitable[Manifest]]
"""`await derive(owner, script)`: the manifest that the code of an owner asks for."""


class Catalog:
    """Finds servables by id; caches parsed scripts and environments for the hot path.

    A version that was stored without a manifest gets the one that its code asks for, by `derive`.
    """

    def __init__(
        self, database: Database, environments: Environments, derive: Derive, events: EventBus
    ) -> None:
        self._db = database
        self._environments = environments
        self._derive = derive
        self._events = events
        self._cache: OrderedDict[str, Servable] = OrderedDict()
        self.served = ServedDrafts()
        """Drafts that their owners run while they work on them."""

    def forget(self, service_id: str) -> None:
        """A deploy, a rollback or a change of the configuration changed what is live."""
        self._cache.pop(service_id, None)

    async def find(self, caller: Caller, service_id: str) -> Servable:
        """The live version, if it is the caller's or public; or the caller's draft, while it is served.

        Raises NotFound; EnvironmentFailed when its environment is gone and cannot be built again.
        """
        draft = self.served.find(service_id)
        if draft is not None and draft.servable.owner == caller.owner:
            return draft.servable

        servable = self._cache.get(service_id)
        if servable is not None and not servable.environment.path.exists():
            # Environments are files that can be deleted while their version is cached.
            self._events.publish(EnvironmentLost(service_id))
            servable = None

        # On SQLite this process alone deploys, and `forget` keeps the cache true.
        if servable is None or (self._db.shared and not await self._is_live(servable)):
            servable = await self._load(service_id)
        # Another owner's workflow is answered like none, so that ids cannot be probed.
        if servable is None or not (servable.owner == caller.owner or servable.public):
            raise await self._unknown(caller, service_id)

        self._cache[service_id] = servable
        self._cache.move_to_end(service_id)
        while len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return servable

    async def may_wait(self, caller: Caller, servable: Servable) -> bool:
        """True if a background run of this version may wait for days: by itself, or for a workflow that it calls."""
        seen, level = {servable.service_id}, [servable]
        while level and len(seen) <= MAX_CALLED:
            if any(found.waits for found in level):
                return True
            names = {name for found in level for name in found.manifest.workflows}
            # Workflows may call each other in a circle.
            names -= seen | {ANY}
            seen |= names
            level = [found for name in sorted(names) if (found := await self._find_or_none(caller, name))]
        return False

    async def _find_or_none(self, caller: Caller, service_id: str) -> Servable | None:
        """The live version; None if there is none for this caller, or none that can start."""
        try:
            return await self.find(caller, service_id)
        except CodewordsError:
            return None

    async def _unknown(self, caller: Caller, unknown_id: str) -> NotFound:
        """The error for an unknown id, with the id that was probably meant."""
        # A run learns of its own workflow only.
        owner = None if caller.kind == "run" else caller.owner
        return await self._db.read(
            no_workflow, owner, unknown_id, "There is no workflow or service of that id."
        )

    async def _is_live(self, servable: Servable) -> bool:
        """Whether no other process has deployed or rolled back meanwhile."""
        row = await self._db.read(rows.get, servable.service_id)
        if row is None:
            return False
        live = (row.active_version, row.public, row.config or {})
        return live == (servable.version, servable.public, servable.config)

    async def _load(self, service_id: str) -> Servable | None:
        if not service_id.isascii():
            return None

        def query(connection: Connection) -> tuple[rows.WorkflowRow, rows.VersionRow] | None:
            workflow = rows.get(connection, service_id)
            version = workflow and rows.version(connection, service_id, workflow.active_version)
            if workflow and version:
                return (workflow, version)
            return None

        found = await self._db.read(query)
        if found is None:
            return None
        return await self._servable(*found)

    async def version(self, owner: str, service_id: str, number: int) -> Servable | None:
        """A version of an owner's workflow, live or not; None without one. Raises EnvironmentFailed."""

        def query(connection: Connection) -> tuple[rows.WorkflowRow, rows.VersionRow] | None:
            workflow = rows.get(connection, service_id)
            version = rows.version(connection, service_id, number)
            if workflow and version and workflow.owner == owner:
                return (workflow, version)
            return None

        found = await self._db.read(query)
        if found is None:
            return None
        return await self._servable(*found)

    async def draft(self, owner: str, service_id: str, code: str) -> Servable:
        """Code that is not deployed, as version 0 of a workflow, with the permissions that it asks for.

        Raises InvalidScript, EnvironmentFailed.
        """
        script = parse_script(code)
        environment = await self._environments.ensure(script, no_progress)
        manifest = await self._derive(owner, script)
        permissions = Permissions.of(service_id, owner, manifest)
        workflow = await self._db.read(rows.get, service_id)
        # Values of another owner's workflow are nothing for this code.
        if workflow is not None and workflow.owner == owner:
            config = workflow.config
        else:
            config = None
        return Servable(
            service_id,
            owner,
            False,
            0,
            script,
            runnable_code(script),
            environment.ref,
            permissions,
            config=config or {},
        )

    async def _servable(self, workflow: rows.WorkflowRow, version: rows.VersionRow) -> Servable:
        script = parse_script(version.code)
        environment = await self._environments.ensure(script, no_progress)
        permissions = await self.permissions(workflow, version, script)
        return Servable(
            workflow.id,
            workflow.owner,
            workflow.public,
            version.number,
            script,
            runnable_code(script),
            environment.ref,
            permissions,
            config=workflow.config or {},
        )

    async def permissions(
        self, workflow: rows.WorkflowRow, version: rows.VersionRow, script: Script | None = None
    ) -> Permissions:
        """The permissions of a version."""
        if version.manifest is not None:
            manifest = Manifest.model_validate(version.manifest)
        else:
            manifest = await self._derive(workflow.owner, script or parse_script(version.code))
        return Permissions.of(workflow.id, workflow.owner, manifest)
