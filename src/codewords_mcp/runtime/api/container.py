"""Builds the parts of one home and connects them; no other module knows them all."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from functools import partial

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.alerts.service import Alerts
from codewords_mcp.runtime.api.home_store import shown_home
from codewords_mcp.runtime.api.open_requests import OpenRequests
from codewords_mcp.runtime.api.readiness import Readiness
from codewords_mcp.runtime.api.tasks import TaskStore
from codewords_mcp.runtime.api.trigger_loops import TriggerLoops
from codewords_mcp.runtime.audit.receivers import make_forwarders, receiver_names
from codewords_mcp.runtime.audit.subjects import SubjectMarks
from codewords_mcp.runtime.audit.trail import AuditTrail, SealLoop
from codewords_mcp.runtime.auth.agreements import Agreements
from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.auth.authorities import Authorities
from codewords_mcp.runtime.auth.consents import Consents
from codewords_mcp.runtime.auth.desktop import Desktop
from codewords_mcp.runtime.auth.members import Members
from codewords_mcp.runtime.auth.one_time_links import LIFETIME, Links
from codewords_mcp.runtime.auth.passkey_ceremonies import Ceremonies
from codewords_mcp.runtime.auth.passkeys import Passkeys
from codewords_mcp.runtime.auth.sandbox_access import SandboxAccess
from codewords_mcp.runtime.auth.sessions import PageSessions
from codewords_mcp.runtime.authoring.drafts import Drafts
from codewords_mcp.runtime.browser.headless.driver import HeadlessBrowser
from codewords_mcp.runtime.browser.own.driver import OwnChromeBrowser
from codewords_mcp.runtime.browser.own.pairing import PairedBrowsers
from codewords_mcp.runtime.browser.sessions import Browsers
from codewords_mcp.runtime.egress import Egress, EgressEvent, EgressPolicy
from codewords_mcp.runtime.gateway.gateway import Gateway
from codewords_mcp.runtime.gateway.price_feed import open_price_feed
from codewords_mcp.runtime.gateway.run_spans import trace_exporter
from codewords_mcp.runtime.integrations.accounts import LINK_TTL_S
from codewords_mcp.runtime.integrations.build import build_integrations
from codewords_mcp.runtime.integrations.native import NativeActions, base_urls_of
from codewords_mcp.runtime.integrations.native_table import SERVICES
from codewords_mcp.runtime.integrations.popular import popular
from codewords_mcp.runtime.model.availability import Availability, Hosting, availability
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.change_events import Announcements
from codewords_mcp.runtime.model.disk_errors import DiskSpace
from codewords_mcp.runtime.model.events import (
    AccessChanged,
    CallRefused,
    DeliveryReceived,
    EnvironmentLost,
    EventBus,
    RunLeft,
    SchedulesChanged,
    SecretsChanged,
    SecretsChangedElsewhere,
    WaitingPagesChanged,
    WebhooksChanged,
)
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.run import ExecutionMode
from codewords_mcp.runtime.runs import pausing
from codewords_mcp.runtime.runs.admission import Admission
from codewords_mcp.runtime.runs.called_runs import CalledRuns
from codewords_mcp.runtime.runs.catalog import Catalog
from codewords_mcp.runtime.runs.context import assemble
from codewords_mcp.runtime.runs.dispatcher import RunDispatcher
from codewords_mcp.runtime.runs.dry_runs import DryRuns
from codewords_mcp.runtime.runs.event_sources import EventSources
from codewords_mcp.runtime.runs.headroom import Headroom
from codewords_mcp.runtime.runs.launcher import Launcher
from codewords_mcp.runtime.runs.loop_lag import LagLoop
from codewords_mcp.runtime.runs.owner_quotas import OwnerQuotas
from codewords_mcp.runtime.runs.recorded_tests import RecordedTests
from codewords_mcp.runtime.runs.recording_store import RecordingService
from codewords_mcp.runtime.runs.replay_verdicts import ReplayVerdicts
from codewords_mcp.runtime.runs.replays import ReplayRunner
from codewords_mcp.runtime.runs.replica import Replica
from codewords_mcp.runtime.runs.result_files import ResponseFiles
from codewords_mcp.runtime.runs.run_journals import RunJournals
from codewords_mcp.runtime.runs.run_logs import Journal
from codewords_mcp.runtime.runs.run_recordings import RecorderFactory, RunRecordings
from codewords_mcp.runtime.runs.sandbox_allocator import SandboxAllocator
from codewords_mcp.runtime.runs.scheduler import Scheduler
from codewords_mcp.runtime.runs.service_calls import ServiceRunner
from codewords_mcp.runtime.runs.source_tools import SourceParts
from codewords_mcp.runtime.runs.stored_data import StoredData
from codewords_mcp.runtime.runs.waits import RunWaits
from codewords_mcp.runtime.runs.webhook_dispatcher import WebhookDispatcher
from codewords_mcp.runtime.runs.write_lists import WriteLists
from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef
from codewords_mcp.runtime.sandboxes.drivers import OpenDriver
from codewords_mcp.runtime.sandboxes.landlock.workers import confined_command
from codewords_mcp.runtime.secrets import Vault
from codewords_mcp.runtime.secrets.elsewhere import SecretsElsewhere
from codewords_mcp.runtime.secrets.references import AllowedReferences
from codewords_mcp.runtime.secrets.rotation import Keys
from codewords_mcp.runtime.secrets.sealing import Sealer
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.services._logins import LoginService
from codewords_mcp.runtime.services.base import ServiceDependencies
from codewords_mcp.runtime.services.registry import Registry
from codewords_mcp.runtime.store import access, published
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.file_location import open_blobs
from codewords_mcp.runtime.store.files import FileStore
from codewords_mcp.runtime.store.rows import LinkKind
from codewords_mcp.runtime.store.workflow_databases import open_databases
from codewords_mcp.runtime.triggers.input_fit import InputFit
from codewords_mcp.runtime.triggers.schedules import ScheduleService
from codewords_mcp.runtime.triggers.slack_socket_mode import SocketMode
from codewords_mcp.runtime.triggers.watched_folders import WatchedFolders
from codewords_mcp.runtime.triggers.webhooks import WebhookService
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.runtime.workflows.deploy import Deployer
from codewords_mcp.runtime.workflows.deployments import Deployments
from codewords_mcp.runtime.workflows.derived_manifest import derive_manifest
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.environments.uv import find_uv
from codewords_mcp.runtime.workflows.script import Script, parse_script
from codewords_mcp.runtime.workflows.validation.input_fit import find_misfit
from codewords_mcp.settings import Settings


class Container:
    """The parts of an open home. `open_container` opens one; its triggers have not started before that."""

    def __init__(
        self, settings: Settings, database: Database, hosting: Hosting, open_driver: OpenDriver
    ) -> None:
        self.settings = settings
        self._hosting = hosting
        self._open_driver = open_driver
        self.started_at = time.time()
        self.base_url = f"http://{settings.host}:{settings.port}"
        self._driver: Driver | None = None
        self._driver_lock = asyncio.Lock()
        self.database = database
        self.subject_marks = SubjectMarks(
            lambda: [key.derive("audit subjects") for key in self.keys.every],
            {*SERVICES, *(app.slug for app in popular())},
        )
        self.audit = AuditTrail(database, self.subject_marks)
        self.events = EventBus()
        self.executor = uuid.uuid4().hex
        self.replica_ttl = settings.replica_ttl
        self.disk = DiskSpace(settings.home, warning=settings.disk_warning)
        self._run_folder = settings.home / "run"
        self.readiness = Readiness(database, self.disk, DiskSpace(self._run_folder), self.driver)
        self.announcements = Announcements()
        self.tasks = TaskStore(database, self.executor, dead_after=settings.replica_ttl)
        # each step uses what the steps before it made
        self._build_storage(settings)
        self._build_sandboxes(settings)
        self._build_services(settings)
        self._connect_events()

    def _build_storage(self, settings: Settings) -> None:
        """Build keys, secrets, links, consents, files, deployments and drafts."""
        home, database = settings.home, self.database
        self.keys = Keys(
            home,
            settings.master_key,
            settings.master_key_previous,
            # A lost master key must be noticed before a new one would hide all stored secrets.
            stored_key_ids=database.write_blocking(access.secret_key_ids),
            keyring=settings.master_key_store == "auto",
        )
        self.keyring = ApiKeys(database, home, settings.api_key, self._publisher(AccessChanged()))
        self.authorities = Authorities(
            lambda run_id, message: self.events.publish(CallRefused(run_id, message))
        )
        self.page_sessions = PageSessions(database, self.keyring)
        self.open_requests = OpenRequests(self.keyring, self.page_sessions, self.events)
        self.members = Members(database, self.keyring)
        self.passkeys = Passkeys(database, Ceremonies(self.keys.current.derive("passkeys").hex()))
        self.desktop = Desktop(settings.open_browser)

        self._vault = Vault(self.keys.current, self.keys.older)
        elsewhere = SecretsElsewhere(AllowedReferences(settings.secret_sources), settings.secret_cache)
        self.secrets = SecretService(
            database, self._vault, self._publisher(SecretsChanged()), elsewhere=elsewhere
        )
        self.secret_links = self._links("secret")

        self.unattended = settings.consent == "token"
        self.consents = Consents(
            self._links("consent"),
            lambda token: f"{self.base_url}/consents/{token}",
            unattended=self.unattended,
        )
        self.agreements = Agreements(database, self.consents)

        self.databases = open_databases(database, settings.home, self.keys.current.derive, confined_command)
        self.stored_data = StoredData(database, self.databases.bytes_of)
        self.quotas = OwnerQuotas(database, settings.memory_limit, self.stored_data)
        self.files = FileStore(
            database,
            open_blobs(settings.files or "", home, settings.s3_endpoint),
            self.keys.current.derive("files").hex(),
            ttl=settings.file_ttl,
            max_bytes=settings.max_file,
            storage_room=self.quotas.storage_room,
        )
        self.response_files = ResponseFiles(database, self.files, limit=settings.max_file, folder=home)

        self.deployments = Deployments(
            database, lambda service_id: f"{self.base_url}/run/{service_id}/", self._isolation, self.databases
        )
        self.deployer = Deployer(database, self.deployments, self.forget)
        sealer = Sealer(self._vault)
        self.recordings = RecordingService(database, sealer, settings)
        self.write_lists = WriteLists(database, sealer)
        self.run_journals = RunJournals(database, sealer, self.executor, self._fail_run)
        self.drafts = Drafts(database, settings.draft_ttl, self.events)

    def _build_sandboxes(self, settings: Settings) -> None:
        """Build environments, egress, sandboxes and browsers, and the registry of the runs that use them."""
        home, database = settings.home, self.database
        self.gateway = Gateway(self.secrets, self.keyring, database, settings, executor=self.executor)
        self.sandbox_access = SandboxAccess(self.keyring, database, self.files, self.authorities.service_of)
        self.environments = Environments(home, settings, find_uv())
        self.catalog = Catalog(database, self.environments, self._manifest_of, self.events)
        self.admission = Admission()
        self.egress = Egress(
            EgressPolicy(settings.egress, frozenset(settings.egress_allow_private)),
            self.sandbox_access.serve,
            on_event=self._on_egress_event,
        )

        # sandboxes on E2B take nothing of this machine's memory
        headroom = Headroom(0 if settings.sandbox == "e2b" else settings.memory_reserve)
        launcher = Launcher(self.keyring, self.secrets, self.recordings, settings)
        self.supply = SandboxAllocator(
            launcher,
            self.driver,
            self.egress,
            grace=settings.grace_timeout,
            ready=settings.ready_sandboxes,
            has_room=headroom.has_room,
            measures=database.measures,
        )
        dry_runs = DryRuns(self.write_lists, self.recordings, self.gateway.recorders, self._fail_chain)
        recorders: dict[ExecutionMode, RecorderFactory] = {
            "dry_run": dry_runs.recorder,
            "apply": dry_runs.recorder,
        }
        self._runs = assemble(
            self.executor,
            self.events,
            settings,
            database,
            journal=Journal(
                database,
                settings.max_log_bytes,
                self.events,
                # on a shared database only the executor of a run may append to its log
                holder=self.executor if database.shared else None,
            ),
            admission=self.admission,
            headroom=headroom,
            catalog=self.catalog,
            launcher=launcher,
            allocator=self.supply,
            call_chain=self.gateway.call_chain,
            authorities=self.authorities,
            agreements=self.agreements,
            response_files=self.response_files,
            recordings=RunRecordings(self.recordings, self.gateway.recorders, settings, recorders),
            run_journals=self.run_journals,
            dry_runs=dry_runs,
            export_trace=trace_exporter(self.gateway.telemetry),
            quotas=self.quotas,
        )
        self.slots = self._runs.slots
        self.agree = self._runs.authorization.servable

        self.chromes = PairedBrowsers(
            database,
            self._links("browser"),
            home=shown_home(home),
            executor=self.executor,
            ttl=settings.replica_ttl,
        )
        self.own_chrome = OwnChromeBrowser(self.chromes, database, self._require_chrome)
        self._headless = HeadlessBrowser(settings, self.driver, self._environment_of, self.egress)
        self.browsers = Browsers(
            (self.own_chrome, self._headless),
            most=settings.browsers,
            most_per_caller=settings.browsers_per_caller,
            wait_timeout=settings.browser_wait,
            idle=settings.browser_idle_timeout,
            has_room=headroom.has_room,
        )

    def _build_services(self, settings: Settings) -> None:
        """Build library services, triggers and integrations, and the dispatchers that start runs for them."""
        database, runs = self.database, self._runs
        self.web = Web(self.egress.policy)
        self.price_feed = open_price_feed(settings, self.web, self.gateway.prices)
        self.services = Registry()
        self.logins = LoginService(database, self.keys.current.derive)
        self.input_fit = InputFit(database, find_misfit)
        self.schedules = ScheduleService(
            database,
            limit=settings.schedule_limit,
            on_change=self._publisher(SchedulesChanged()),
            admit=runs.authorization.require_agreed,
            fit=self.input_fit,
        )
        self.webhooks = WebhookService(
            database,
            self.secrets,
            self.address_for_others,
            on_delivery=self._publisher(DeliveryReceived()),
            on_change=self._publisher(WebhooksChanged()),
        )
        self.socket_mode = SocketMode(database, self.webhooks, self.web, settings.slack_base_url)
        self.waits = RunWaits(runs, self.gateway.recorders, self.events, grace=settings.waiting_grace)
        self.alerts = Alerts(
            database, self.gateway.budgets, self.disk, self.secrets, self.web, settings,
            self.address_for_others, self.events, self.waits.answers, self.keys, self.webhooks, self.socket_mode,
            receiver_names(settings),
        )  # fmt: skip
        self.integrations = build_integrations(
            settings, database, self.web, self.secrets, self.files, Sealer(self._vault),
            self._links("connect", LINK_TTL_S), self.environments, self.driver, self.egress,
            base_url=lambda: self.base_url, address_for_others=self.address_for_others,
            on_state=self.alerts.watcher.connection_state,
        )  # fmt: skip
        self.event_sources = EventSources(
            database,
            SourceParts(
                self.web,
                self.secrets,
                NativeActions(self.web, self.secrets, base_urls_of(settings)),
                self.files,
                self.address_for_others,
                WatchedFolders(settings.watched_folders, settings.home),
                self.integrations.events,
            ),
            self.events,
            limit=settings.trigger_limit,
            admit=runs.authorization.require_agreed,
            address=self._public_webhook,
        )
        self.triggers = self.event_sources.triggers
        self.service_dependencies = ServiceDependencies(
            settings,
            database,
            self.secrets,
            self.web,
            self.gateway,
            self.schedules,
            self.webhooks,
            self.logins,
            self.socket_mode.state,
            self.files,
            self.address_for_others,
            self.keys.current.derive,
            self.integrations,
            self.browsers,
            self.waits,
            self.databases,
            full_storage=self.quotas.full_storage,
        )

        # a restored home is paused before anything here can start a run
        runs.registry.paused_at = database.write_blocking(pausing.pause_if_restored)
        self.dispatcher = RunDispatcher(runs, ServiceRunner(runs, self.services, self.service_dependencies))
        self.waits.join(self.dispatcher.background, self.alerts.questions.channels.require)
        self.dispatcher.join(CalledRuns(runs, self.waits, grace=settings.waiting_grace))
        replay_runner = ReplayRunner(self.dispatcher)
        self.replays = ReplayVerdicts(self.recordings, self.catalog, replay_runner)
        self.tests = RecordedTests(self.catalog, replay_runner)
        self.scheduler = Scheduler(runs, self.dispatcher.background, self.alerts.watcher.wake)
        self.webhook_dispatcher = WebhookDispatcher(database, self.dispatcher, self.alerts.watcher.wake)
        self.event_sources.join(self.dispatcher, self.alerts.watcher.wake)
        self.alerts.start_by(self.dispatcher.start)
        self.audit_forwarders = make_forwarders(settings, database, self.executor, self.web, self.secrets)
        lasting = [
            *self.alerts.loops(),
            SealLoop(database),
            LagLoop(database.measures),
            self.open_requests,
            *self.audit_forwarders,
        ]
        self.trigger_loops = TriggerLoops(
            database, runs.registry, self.dispatcher.background, self.scheduler, self.webhook_dispatcher,
            self.socket_mode, self.event_sources, self.waits.suspended, lasting,
        )  # fmt: skip

        if database.shared:
            self.replica = Replica(runs, self.dispatcher.background, self.events, ttl=settings.replica_ttl)
        else:
            self.replica = None

    def _connect_events(self) -> None:
        """Let each part listen to the events of others that concern it."""
        listen = self.events.subscribe
        listen(EnvironmentLost, lambda event: self.forget(event.service_id))
        listen(RunLeft, lambda event: self.browsers.run_ended(event.run_id))
        listen(RunLeft, lambda event: self.waits.left(event.run_id))
        listen(SchedulesChanged, lambda _: self.scheduler.wake())
        listen(DeliveryReceived, lambda _: self.webhook_dispatcher.wake())
        listen(WebhooksChanged, lambda _: self.webhook_dispatcher.wake())
        listen(WebhooksChanged, lambda _: self.socket_mode.wake())
        listen(SecretsChangedElsewhere, lambda _: self.secrets.changed_elsewhere())

    def _publisher(self, event: object) -> Callable[[], None]:
        """Return a function that publishes this event."""
        return partial(self.events.publish, event)

    def _links(self, kind: LinkKind, lifetime: float = LIFETIME) -> Links:
        """Make one-time links of a kind, whose changes the pages of people follow."""
        changed = self._publisher(WaitingPagesChanged())
        return Links(kind, self.database, self._vault, lifetime=lifetime, on_change=changed)

    def availability(self) -> Availability:
        """Describe whether the address of this runtime lasts, and how the runtime is started again."""
        return availability(self._hosting, self.base_url, awaits_events=self.trigger_loops.awaits_events)

    def _fail_chain(self, run_id: str, error: CodewordsError) -> None:
        self._runs.registry.fail_chain(run_id, error)

    def _fail_run(self, run_id: str, error: CodewordsError) -> None:
        if run := self._runs.registry.active.get(run_id):
            run.fail(error)

    def _require_chrome(self, caller: Caller) -> None:
        self.authorities.of(caller).require_chrome()

    def address_for_others(self) -> str:
        """Return the address for people and senders outside: the configured one, else the bound one."""
        return (self.settings.public_url or self.base_url).rstrip("/")

    def _public_webhook(self, endpoint: str) -> str | None:
        """The address of an endpoint that a sender on the internet reaches; None where none does."""
        if not self.settings.public_url:
            return None
        return self.webhooks.url_of(endpoint)

    def forget(self, service_id: str) -> None:
        """Drop cached versions and prepared sandboxes of a service whose live version has changed."""
        self.catalog.forget(service_id)
        self.supply.forget(service_id)

    async def tell_changed(self, owner: str, service_id: str) -> None:
        """Announce a change of a workflow to those who list the owner's workflows, or the tools made of them."""
        self.announcements.announce(owner, "workflows")
        if await self.database.read(published.has, service_id):
            self.announcements.announce(owner, "tools")

    @property
    def opened_driver(self) -> Driver | None:
        """The sandbox driver, once it was asked for."""
        return self._driver

    async def driver(self) -> Driver:
        """The sandbox driver, self-tested at the first call. Raises SandboxUnavailable, StorageFailed, each time anew."""
        if self._driver is None:
            async with self._driver_lock:
                # Another caller may have opened it while this one waited for the lock.
                if self._driver is None:
                    # A self-test that finds no room would prove no isolation, until the next start.
                    await asyncio.to_thread(self.disk.require)
                    self._driver = await self._open_driver(self.settings, self.egress, self._run_folder)
        return self._driver

    async def _environment_of(self, code: str) -> EnvironmentRef:
        """Build the environment of a program of ours, as those of workflows are."""
        return (await self.environments.ensure(parse_script(code))).ref

    async def _manifest_of(self, owner: str, script: Script) -> Manifest:
        """Derive the manifest of a version that was stored without one. Nobody had agreed to a Chrome then."""
        rules = await self.secrets.hosts_by_name(owner)
        manifest = await asyncio.to_thread(derive_manifest, script, rules)
        return manifest.model_copy(update={"browsers": ()})

    async def _isolation(self) -> str:
        try:
            return (await self.driver()).tier.id
        except CodewordsError:
            # The lowest level: a driver that can't be opened isolates nothing.
            return "D"

    def _on_egress_event(self, sandbox_id: str, event: EgressEvent) -> None:
        self.supply.on_egress(sandbox_id, event)
        self._headless.on_connection(sandbox_id, event)
        self.integrations.servers.packages.processes.on_connection(sandbox_id, event)
