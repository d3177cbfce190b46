"""The parts that a run passes through."""

from __future__ import annotations

from dataclasses import dataclass

from codewords_mcp.runtime.auth.agreements import Agreements
from codewords_mcp.runtime.auth.authorities import Authorities
from codewords_mcp.runtime.gateway.attribution import CallChain
from codewords_mcp.runtime.model.events import EventBus
from codewords_mcp.runtime.runs.admission import Admission
from codewords_mcp.runtime.runs.ancestry import AncestryResolver
from codewords_mcp.runtime.runs.authorization import RunAuthorization
from codewords_mcp.runtime.runs.catalog import Catalog
from codewords_mcp.runtime.runs.dry_runs import DryRuns
from codewords_mcp.runtime.runs.events import RunEvents
from codewords_mcp.runtime.runs.headroom import Headroom
from codewords_mcp.runtime.runs.killed_attempts import KilledAttempts
from codewords_mcp.runtime.runs.launcher import Launcher
from codewords_mcp.runtime.runs.owner_quotas import OwnerQuotas
from codewords_mcp.runtime.runs.records import RunRecords
from codewords_mcp.runtime.runs.registry import RunRegistry
from codewords_mcp.runtime.runs.result_files import ResponseFiles
from codewords_mcp.runtime.runs.run_journals import RunJournals
from codewords_mcp.runtime.runs.run_logs import Journal
from codewords_mcp.runtime.runs.run_recordings import RunRecordings
from codewords_mcp.runtime.runs.run_traces import ExportTrace, RunTraces
from codewords_mcp.runtime.runs.sandbox_allocator import SandboxAllocator
from codewords_mcp.runtime.runs.slots import SlotManager
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.settings import Settings


@dataclass(frozen=True, slots=True)
class RunDependencies:
    """Dependencies of the components that start or execute runs. `registry` alone has state of active runs."""

    settings: Settings
    database: Database
    journal: Journal
    admission: Admission
    slots: SlotManager
    headroom: Headroom
    catalog: Catalog
    launcher: Launcher
    allocator: SandboxAllocator
    response_files: ResponseFiles
    authorities: Authorities
    call_chain: CallChain
    events: RunEvents
    registry: RunRegistry
    authorization: RunAuthorization
    ancestry: AncestryResolver
    records: RunRecords
    dry_runs: DryRuns
    recordings: RunRecordings
    run_journals: RunJournals
    killed_attempts: KilledAttempts
    traces: RunTraces


def assemble(
    executor: str,
    bus: EventBus,
    settings: Settings,
    database: Database,
    *,
    journal: Journal,
    admission: Admission,
    headroom: Headroom,
    catalog: Catalog,
    launcher: Launcher,
    allocator: SandboxAllocator,
    call_chain: CallChain,
    authorities: Authorities,
    agreements: Agreements,
    response_files: ResponseFiles,
    recordings: RunRecordings,
    run_journals: RunJournals,
    dry_runs: DryRuns,
    export_trace: ExportTrace | None,
    quotas: OwnerQuotas,
) -> RunDependencies:
    """Make the parts of runs that depend on each other. `executor` names this process start."""
    slots = SlotManager(admission, database, executor)
    events = RunEvents(bus, journal, slots)
    registry = RunRegistry(
        executor,
        database=database,
        journal=journal,
        call_chain=call_chain,
        authorities=authorities,
        agreements=agreements,
        events=events,
        bus=bus,
    )
    authorization = RunAuthorization(database, catalog, authorities, agreements)
    ancestry = AncestryResolver(
        database=database,
        catalog=catalog,
        call_chain=call_chain,
        registry=registry,
        authorization=authorization,
    )
    return RunDependencies(
        settings=settings,
        database=database,
        journal=journal,
        admission=admission,
        slots=slots,
        headroom=headroom,
        catalog=catalog,
        launcher=launcher,
        allocator=allocator,
        response_files=response_files,
        authorities=authorities,
        call_chain=call_chain,
        events=events,
        registry=registry,
        authorization=authorization,
        ancestry=ancestry,
        records=RunRecords(database, settings, executor, quotas),
        recordings=recordings,
        run_journals=run_journals,
        killed_attempts=KilledAttempts(database, run_journals, recordings, authorization, launcher),
        dry_runs=dry_runs,
        traces=RunTraces(database, executor, export_trace),
    )
