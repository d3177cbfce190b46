"""The chain of calls that a run belongs to."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from codewords_mcp.errors import CodewordsError, Conflict
from codewords_mcp.runtime.gateway.attribution import DEEPEST, CallAttribution, CallChain
from codewords_mcp.runtime.gateway.rules import NONE, Rules
from codewords_mcp.runtime.model.caller import MAX_DEPTH, Caller, MadeBy
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.recording.ambient_trace import AMBIENT
from codewords_mcp.runtime.recording.trace_context import TRACE_PARENT, context_of_run, parse_trace_parent
from codewords_mcp.runtime.runs.authorization import RunAuthorization
from codewords_mcp.runtime.runs.catalog import Catalog
from codewords_mcp.runtime.runs.registry import ActiveRun, RunRegistry
from codewords_mcp.runtime.runs.request_headers import value_of
from codewords_mcp.runtime.store import run_chain
from codewords_mcp.runtime.store.database import WRITE_TIMEOUT, Database

MAX_CORRELATION_ID = 200
"""Characters of a correlation id; the column has as many."""


@dataclass(frozen=True, slots=True)
class RunAncestry:
    """The position of a run in its chain of calls; `depth` 0 begins one."""

    depth: int
    correlation_id: str

    def check(self) -> None:
        """Raise Conflict if the chain of calls is too long."""
        if self.depth > MAX_DEPTH:
            raise Conflict(
                f"Workflows call each other {MAX_DEPTH} deep, which is the limit.",
                hint="Look for a workflow that calls itself without end.",
            )


class AncestryResolver:
    """Finds the callers of a run, among the active runs first and in the records else."""

    def __init__(
        self,
        *,
        database: Database,
        catalog: Catalog,
        call_chain: CallChain,
        registry: RunRegistry,
        authorization: RunAuthorization,
    ) -> None:
        self._db = database
        self._catalog = catalog
        self._call_chain = call_chain
        self._registry = registry
        self._authorization = authorization

    async def of_request(self, request: RunRequest, run_id: str) -> RunAncestry:
        """Place a new run in its chain of calls, and in its trace. The request's caller gets the key that began the chain.

        A run below a dry run, or below one that applies, is of the same mode and on the same list, whatever it asks for.
        """
        caller = request.caller
        sent = parse_trace_parent(value_of(request.headers, TRACE_PARENT))
        if caller.run_id is None:
            # The request's own span is below the one that its header names.
            sent = AMBIENT.get() or sent
        request.trace_parent = sent.header if sent is not None else None
        correlation_id = request.correlation_id or value_of(request.headers, b"x-correlation-id") or ""
        if caller.run_id is None:
            depth = request.made_by.depth if request.made_by else 0
            return RunAncestry(depth, correlation_id[:MAX_CORRELATION_ID] or run_id)

        parent: ActiveRun | run_chain.RecordedCaller | None = self._registry.active.get(caller.run_id)
        if parent is None:
            # How deep a run is decides whether it may start, so this read waits for all earlier writes and
            # fails closed.
            parent = await self._db.read_within(WRITE_TIMEOUT, run_chain.chain_of, caller.run_id)
        if parent is None:
            return RunAncestry(1, correlation_id[:MAX_CORRELATION_ID] or run_id)

        if isinstance(parent, run_chain.RecordedCaller):
            above = parent
        else:
            above = parent.request
        _inherit_mode(request, above, caller.run_id)
        request.caller = replace(caller, key_id=parent.key_id)
        # A program that knows nothing of traces need not pass the header on: the caller's run is known.
        if sent is None:
            request.trace_parent = context_of_run(caller.run_id, above.trace_parent).header
        correlation_id = correlation_id or parent.correlation_id or ""
        return RunAncestry(parent.depth + 1, correlation_id[:MAX_CORRELATION_ID] or run_id)

    async def made_by(self, caller: Caller) -> MadeBy | None:
        """The origin to store with a schedule or webhook that this caller makes now; None for a person."""
        if caller.kind != "run" or caller.run_id is None:
            return None

        authority = await self._authorization.authority(caller)
        parent: ActiveRun | run_chain.RecordedCaller | None = self._registry.active.get(caller.run_id)
        # The caller's run goes on in another replica, so only its record is here.
        if parent is None:
            parent = await self._db.read(run_chain.chain_of, caller.run_id)

        attribution = await self.above(caller) or self._call_chain.origin(caller)
        depth = (parent.depth if parent else 0) + 1
        workflow = authority.workflow or ""
        return MadeBy(workflow, depth, attribution.services or (workflow,), attribution.key_id or None)

    async def above(self, caller: Caller, made_by: MadeBy | None = None) -> CallAttribution | None:
        """The runs and workflows that a run's costs count on besides itself, from the records.

        These are the calling run, if it has ended or is another replica's, and the workflow that made the
        schedule or webhook which started the run. None if the calling run is active here, or there is none.
        """
        if caller.run_id is None and made_by is not None:
            rules = [await self._rules(caller.owner, service_id) for service_id in made_by.services]
            budgets = tuple(rule.budget for rule in rules)
            return CallAttribution(caller.owner, caller.key_id or "", (), made_by.services, budgets)

        if caller.run_id is None or self._call_chain.knows(caller.run_id):
            return None

        # Budgets are checked along this chain, so the read waits until the rows of the callers are written.
        chain = await self._db.read_within(WRITE_TIMEOUT, run_chain.chain_above, caller.run_id, DEEPEST)
        makers = MadeBy.from_json(chain[-1].made_by) if chain else None

        services = [*(run.service_id for run in chain), *(makers.services if makers else ())][:DEEPEST]
        rules = [await self._rules(caller.owner, service_id) for service_id in services]
        return CallAttribution(
            caller.owner,
            caller.key_id or "",
            tuple(run.id for run in chain),
            tuple(services),
            tuple(rule.budget for rule in rules),
            rules[0] if rules else NONE,
        )

    @asynccontextmanager
    async def counted(self, caller: Caller) -> AsyncGenerator[None]:
        """Count model calls on the caller's run and check them against its workflow's rules.

        Works also if that run has ended or is another replica's.
        """
        above = await self.above(caller)
        if above is None or caller.run_id is None:
            yield
            return

        with self._call_chain.late(caller.run_id, above):
            yield

    async def _rules(self, owner: str, service_id: str) -> Rules:
        """The rules for model calls in a workflow's header; no rules if the workflow is gone."""
        try:
            servable = await self._catalog.find(Caller(owner, "user"), service_id)
        except CodewordsError:
            return NONE
        return servable.rules


def _inherit_mode(request: RunRequest, above: RunRequest | run_chain.RecordedCaller, parent_id: str) -> None:
    if above.mode in {"dry_run", "apply"}:
        request.mode = above.mode
        request.mode_of = above.mode_of or parent_id
