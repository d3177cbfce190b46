"""What all runs of this process share: where they happen."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from codewords_mcp.errors import CodewordsError, Conflict, NotAgreed, NotFound
from codewords_mcp.runtime.auth.agreements import Agreements
from codewords_mcp.runtime.auth.authority import Authorities, Authority, RunAuthority
from codewords_mcp.runtime.auth.questions import describe_key
from codewords_mcp.runtime.gateway.attribution import DEEPEST, CallAttribution, CallChain
from codewords_mcp.runtime.gateway.rules import NONE, Rules
from codewords_mcp.runtime.model.caller import MAX_DEPTH, Caller, MadeBy
from codewords_mcp.runtime.model.limits import LimitScope, limit_scope
from codewords_mcp.runtime.model.plain_text import item
from codewords_mcp.runtime.model.run import FINISHED, RunRequest
from codewords_mcp.runtime.model.run_state import open_attempt, released, to_starting
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.runtime.runs.admission import Admission
from codewords_mcp.runtime.runs.catalog import Catalog, Servable
from codewords_mcp.runtime.runs.launcher import LaunchConfig, Launcher
from codewords_mcp.runtime.runs.memory import Headroom
from codewords_mcp.runtime.runs.request_headers import value_of
from codewords_mcp.runtime.runs.result_files import AnswerFiles
from codewords_mcp.runtime.runs.run_logs import Journal
from codewords_mcp.runtime.runs.sandbox_allocator import SandboxAllocator
from codewords_mcp.runtime.runs.slots import SlotManager
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import WRITE_TIMEOUT, Database
from codewords_mcp.settings import Settings

T = TypeVar("T")
Decide = Callable[[Connection, dict[str, Any]], dict[str, Any]]
"""`decide(connection, row)` gives the row as it is to be written; called again where the transaction is."""
More = Callable[[Connection, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class RunAncestry:
    """Where a run stands in its chain of calls; `depth` 0 begins one."""

    depth: int
    correlation_id: str

    def check(self) -> None:
        """Raises Conflict for a workflow that is called too deep in."""
        if self.depth > MAX_DEPTH:
            raise Conflict(
                f"Workflows call each other {MAX_DEPTH} deep, which is the limit.",
                hint="Look for a workflow that calls itself without end.",
            )


UNBOUNDED = 1 << 30


@dataclass(frozen=True, slots=True)
class CalledService:
    """A library service as what a run is of: it has one version, one attempt, and no limits of its own."""

    service_id: str
    version: None = None
    retries: int = 0
    limits: tuple[int | None, int | None] = (UNBOUNDED, UNBOUNDED)


Target = Servable | CalledService


class ActiveRun(Protocol):
    """A run that this process carries out."""

    run_id: str
    correlation_id: str
    depth: int
    key_id: str | None
    settled: asyncio.Event
    task: asyncio.Task[None] | None

    @property
    def scrubber(self) -> Scrubber | None:
        """Takes the secrets that its program holds out of output."""
        ...

    def cancel(self, why: str) -> None:
        """End it soon; wait for `settled` and the task."""
        ...

    def stop(self) -> None:
        """The runtime is ending: end it soon, in a way that it can be gone on with where that is possible."""
        ...


@dataclass(slots=True)
class RunNews:
    """What is asked about one run, and by how many."""

    came: asyncio.Event = field(default_factory=asyncio.Event)
    askers: int = 0


@dataclass(slots=True)
class RunRegistry:
    """The parts that a run passes through, and the runs that are there now. `executor` names this process start."""

    database: Database
    journal: Journal
    admission: Admission
    headroom: Headroom
    catalog: Catalog
    launcher: Launcher
    supply: SandboxAllocator
    settings: Settings
    lineage: CallChain
    authorities: Authorities
    agreements: Agreements
    answer_files: AnswerFiles
    executor: str
    active: dict[str, ActiveRun] = field(default_factory=dict[str, ActiveRun])
    tasks: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])
    draining: bool = False
    """The runtime is about to end: what somebody waits for is served, and nothing in the background begins here any more."""
    paused_at: int | None = None
    """When this home was restored from a backup, in µs: runs of before wait until a person resumes it."""
    answering: bool = True
    """Runs that somebody waits for begin here."""
    last_activity: float = field(default_factory=time.monotonic)
    listener: Callable[[str], None] | None = None
    """Told of each run that changed, where other processes want to know."""
    on_leave: Callable[[str], None] | None = None
    """Told of each run that is here no more, for what it leaves to end."""
    _news: dict[str, RunNews] = field(default_factory=dict[str, RunNews])

    turns: SlotManager = field(init=False)

    def __post_init__(self) -> None:
        self.journal.settled = self.tell
        if self.database.shared:
            self.journal.holder = self.executor
        else:
            self.journal.holder = None
        self.turns = SlotManager(self.admission, self.database, self.executor)
        self.authorities.on_refused = self._refused

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """A task that counts as activity."""
        task = asyncio.create_task(coroutine, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def enter(self, run: ActiveRun, life: Coroutine[Any, Any, None]) -> None:
        """The run lives here from now on, until `leave`."""
        self.active[run.run_id] = run
        run.task = self.spawn(life, name=f"run {run.run_id}")
        self.tell(run.run_id)

    def _refused(self, run_id: str, sentence: str) -> None:
        if run_log := self.journal.live(run_id):
            run_log.refused(sentence)

    def begin(
        self, run_id: str, caller: Caller, kit: LaunchConfig, above: CallAttribution | None = None
    ) -> None:
        """A run of this version is recorded: calls with its key count on it, and are held against its manifest."""
        servable = kit.servable
        self.lineage.begin(run_id, caller, servable.service_id, servable.rules, above)
        permissions, hosts = servable.permissions, kit.egress
        if not self.agreements.holds(caller.owner, permissions):
            permissions, hosts = permissions.nothing(), ()
        self.authorities.begin(run_id, caller.owner, permissions, hosts)
        if servable.manifest.models:
            self.lineage.on_models()

    async def servable(
        self,
        caller: Caller,
        service_id: str,
        consent: Consent = Consent(),  # noqa: B008  # immutable
    ) -> Servable:
        """What is to run for this caller, whose owner has agreed to it, or agrees by `consent`.

        Raises NotFound, EnvironmentFailed; ConsentNeeded for another owner's workflow that nobody has agreed to.
        """
        servable = await self.catalog.find(caller, service_id)
        if servable.owner != caller.owner:
            asker = self._asker(caller)
            await self.agreements.require(caller.owner, servable.permissions, asker, consent)
        return servable

    def _asker(self, caller: Caller) -> str:
        """The words by which a question says who wants to run something: a workflow, or whoever has a key."""
        if caller.run_id:
            workflow = self.authorities.service_of(caller.run_id)
        else:
            workflow = None
        if workflow is not None:
            return f"a run of the workflow {item(workflow, 80)}, with {describe_key(caller)}"
        if caller.kind == "user" and caller.key_id is None:
            return f"a schedule or webhook of {item(caller.owner, 64)}"
        return f"a call with {describe_key(caller)}"

    async def require_agreed(self, caller: Caller, service_id: str) -> None:
        """Raise what `servable` raises for a workflow of another owner; nothing else is looked at."""
        workflow = await self.database.read(workflows.get, service_id)
        if workflow is not None and workflow.public and workflow.owner != caller.owner:
            await self.servable(caller, service_id)

    async def authority(self, caller: Caller) -> Authority:
        """The authority of a caller, also of a run that has ended or goes on elsewhere and whose background call is carried
        out here. Raises NotAgreed for a run that is not on record.
        """
        try:
            return self.authorities.of(caller)
        except NotAgreed:
            found = await self._recorded_authority(caller)
            if found is None:
                raise
            return found

    async def _recorded_authority(self, caller: Caller) -> RunAuthority | None:
        run_id = caller.run_id or ""

        def query(connection: Connection) -> Any:
            run = rows.get(connection, run_id, caller.owner)
            if run is None or run.service_id is None or run.version is None:
                return None
            workflow = workflows.get(connection, run.service_id)
            version = workflows.version(connection, run.service_id, run.version)
            if workflow and version:
                return (workflow, version)
            return None

        found = await self.database.read(query)
        if found is None:
            return None

        permissions = await self.catalog.permissions(*found)
        manifest = permissions.manifest
        hosts = None if manifest.any_host else manifest.hosts

        return RunAuthority(caller.owner, permissions.service_id, run_id, permissions, hosts)

    def scrubbers_above(self, caller: Caller) -> list[Scrubber]:
        """Those of the run that this caller is, where it is alive here: it may pass its secrets on in what it asks."""
        parent = self.active.get(caller.run_id or "")
        if parent is not None and parent.scrubber:
            return [parent.scrubber]
        return []

    def leave(self, run_id: str) -> None:
        """The run is here no more, for good or for now."""
        self.active.pop(run_id, None)
        if self.on_leave is not None:
            self.on_leave(run_id)
        self.lineage.end(run_id)
        self.authorities.end(run_id)
        if self.database.shared:  # followers elsewhere wait for it: no line comes any more
            self.database.write_with_retries(
                rows.change, run_id, released(), only_from=tuple(FINISHED), holder=self.executor
            )

        self.journal.tell(run_id)
        self.tell(run_id)
        self.last_activity = time.monotonic()

    @contextmanager
    def news(self, run_id: str) -> Generator[asyncio.Event]:
        """Set when the run comes to this process, leaves it or is settled. Ask before looking at the record."""
        asked = self._news.setdefault(run_id, RunNews())
        asked.askers += 1
        try:
            yield asked.came
        finally:
            asked.askers -= 1
            if not asked.askers and self._news.get(run_id) is asked:
                del self._news[run_id]

    def tell(self, run_id: str) -> None:
        """Let whoever waits for this run look again."""
        if asked := self._news.pop(run_id, None):
            asked.came.set()
        if self.listener is not None:
            self.listener(run_id)

    def heard(self, run_id: str) -> None:
        """Another process has told of this run; `*` stands for any."""
        self.turns.news()
        for one in [*self._news, *self.journal.tails.followed] if run_id == "*" else [run_id]:
            self.journal.tails.wake(one)
            if asked := self._news.pop(one, None):
                asked.came.set()

    async def ancestry(self, request: RunRequest, run_id: str) -> RunAncestry:
        """What this run inherits of the chain of calls that it belongs to; its caller gets the key that began it."""
        caller = request.caller
        given = request.correlation_id or value_of(request.headers, b"x-correlation-id") or ""
        if caller.run_id is None:
            return RunAncestry(request.made_by.depth if request.made_by else 0, given[:200] or run_id)

        parent: Any = self.active.get(caller.run_id)
        parent = parent or await self.database.read_within(WRITE_TIMEOUT, rows.chain_of, caller.run_id or "")
        if parent is None:
            return RunAncestry(1, given[:200] or run_id)

        request.caller = replace(caller, key_id=parent.key_id)
        return RunAncestry(parent.depth + 1, (given or parent.correlation_id or "")[:200] or run_id)

    async def made_by(self, caller: Caller) -> MadeBy | None:
        """What a schedule or webhook carries that this caller makes now; None for a person."""
        if caller.kind != "run" or caller.run_id is None:
            return None
        authority = await self.authority(caller)
        parent: Any = self.active.get(caller.run_id)
        parent = parent or await self.database.read(rows.chain_of, caller.run_id or "")
        origin = await self.above(caller) or self.lineage.origin(caller)
        depth = (parent.depth if parent else 0) + 1
        workflow = authority.workflow or ""
        return MadeBy(workflow, depth, origin.services or (workflow,), origin.key_id or None)

    async def above(self, caller: Caller, made_by: MadeBy | None = None) -> CallAttribution | None:
        """What a run counts on beside itself, from the records: the run that this caller is, where that has ended or is another
        replica's; the workflow that made the schedule or webhook by which it came.

        None where the caller's run is alive here, or there is nothing.
        """
        if caller.run_id is None and made_by is not None:
            rules = [await self._rules(caller.owner, one) for one in made_by.services]
            limits = tuple(one.budget for one in rules)
            return CallAttribution(caller.owner, caller.key_id or "", (), made_by.services, limits)

        if caller.run_id is None or self.lineage.knows(caller.run_id):
            return None

        first = caller.run_id
        chain = await self.database.read_within(WRITE_TIMEOUT, rows.chain_above, first, DEEPEST)
        if chain:
            makers = MadeBy.from_json(chain[-1].made_by)
        else:
            makers = None

        services = [*(run.service_id for run in chain), *(makers.services if makers else ())][:DEEPEST]
        rules = [await self._rules(caller.owner, one) for one in services]
        return CallAttribution(
            caller.owner,
            caller.key_id or "",
            tuple(run.id for run in chain),
            tuple(services),
            tuple(one.budget for one in rules),
            rules[0] if rules else NONE,
        )

    @asynccontextmanager
    async def counted(self, caller: Caller) -> AsyncGenerator[None]:
        """Within this, calls of models are counted on the caller's run and held to its workflow's lists, also where that run has
        ended or is another replica's.
        """
        above = await self.above(caller)
        if above is None or caller.run_id is None:
            yield
            return
        with self.lineage.late(caller.run_id, above):
            yield

    async def _rules(self, owner: str, service_id: str) -> Rules:
        """What the header of a workflow says about model calls; nothing where it is gone."""
        try:
            servable = await self.catalog.find(Caller(owner, "user"), service_id)
        except CodewordsError:
            return NONE
        return servable.rules

    def place(self, request: RunRequest, target: Target) -> LimitScope:
        """What this run is counted on."""
        caller = request.caller
        return limit_scope(
            self.settings, caller.owner, caller.key_id, target.service_id, target.limits,
            nested=caller.kind == "run",
        )  # fmt: skip

    def row(self, request: RunRequest, target: Target, run_id: str, ancestry: RunAncestry) -> dict[str, Any]:
        """The row of a run that begins now, held by this process."""
        at = now()
        return {
            "id": run_id,
            "owner": request.caller.owner,
            "created_at": at,
            "service_id": target.service_id,
            "version": target.version,
            "correlation_id": ancestry.correlation_id,
            "parent_id": request.caller.run_id,
            "idempotency_key": request.idempotency_key,
            "key_id": request.caller.key_id,
            "executor": self.executor,
            "depth": ancestry.depth,
            "made_by": request.made_by.as_json() if request.made_by else None,
        } | to_starting(at, [open_attempt(1, at)])

    async def record_once(
        self, request: RunRequest, row: dict[str, Any], decide: Decide | None = None, more: More | None = None
    ) -> str | None:
        """Write the row as `decide` would have it, with `more` in the same transaction; or the id of the run that first
        used the idempotency key. Raises what `decide` raises, and NotFound and Conflict for a provisioned id that is
        not one, or was used.
        """
        try:
            return await self.database.write(_record, request, row, decide, more)
        except IntegrityError:
            if not request.idempotency_key:
                raise
            # two first uses of one idempotency key at once: the other one won
            return await self.database.read(_first, request, row)


def new_id() -> str:
    """A run id: random, 128 bits."""
    return str(uuid.uuid4())


def shown(run_id: str) -> str:
    """A run id in a sentence: only if it looks like one."""
    if len(run_id) <= 40 and run_id.replace("-", "").isalnum():
        return run_id
    return "of that id"


def _first(connection: Connection, request: RunRequest, row: dict[str, Any]) -> str | None:
    key = request.idempotency_key
    return key and rows.find_idempotent(connection, row["owner"], row["service_id"], key)


def _record(
    connection: Connection,
    request: RunRequest,
    row: dict[str, Any],
    decide: Decide | None,
    more: More | None,
) -> str | None:
    if first := _first(connection, request, row):
        return first

    if decide is not None:
        row = decide(connection, row)
    if request.request_id is None:
        rows.add(connection, row)
    else:
        _use_provisioned(connection, row)

    if more is not None:
        more(connection, row)
    return None


def _use_provisioned(connection: Connection, row: dict[str, Any]) -> None:
    run_id = row["id"]
    known = rows.get(connection, run_id, row["owner"])
    if known is None or known.parent_id != row["parent_id"]:  # what one run provisioned is no other's to use
        raise NotFound(
            f"There is no provisioned request {shown(run_id)}.", hint="POST /provision-request gives one."
        )

    values = {name: value for name, value in row.items() if name not in {"id", "owner", "created_at"}}
    if not rows.change(connection, run_id, values, only_from=("provisioned",)):
        raise Conflict(
            f"The provisioned request {run_id} was already used.", hint="Provision one request per run."
        )
