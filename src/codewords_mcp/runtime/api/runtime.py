"""The runtime's API: small parts by subject, one `Runtime` for a home."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from codewords_mcp.runtime.api.alerts import AlertApi
from codewords_mcp.runtime.api.approvals import ApprovalApi
from codewords_mcp.runtime.api.audit import AuditApi
from codewords_mcp.runtime.api.authoring import AuthoringApi
from codewords_mcp.runtime.api.browsers import BrowserApi
from codewords_mcp.runtime.api.changes import ChangeApi
from codewords_mcp.runtime.api.configuration import ConfigurationApi
from codewords_mcp.runtime.api.connections import ConnectionApi
from codewords_mcp.runtime.api.consents import ConsentApi
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.deploy_checks import DeployChecks
from codewords_mcp.runtime.api.deploy_gate import DeployGate
from codewords_mcp.runtime.api.drafts import DraftApi
from codewords_mcp.runtime.api.dry_runs import DryRunApi
from codewords_mcp.runtime.api.files import FileApi
from codewords_mcp.runtime.api.integrations import IntegrationApi
from codewords_mcp.runtime.api.keys import KeyApi
from codewords_mcp.runtime.api.lifecycle import close_container, drain_container, open_container
from codewords_mcp.runtime.api.logs import LogApi
from codewords_mcp.runtime.api.maintenance import maintain
from codewords_mcp.runtime.api.members import MemberApi
from codewords_mcp.runtime.api.metrics import MetricsApi
from codewords_mcp.runtime.api.models import BudgetApi, ModelApi
from codewords_mcp.runtime.api.open_requests import OpenRequests
from codewords_mcp.runtime.api.own_keys import OwnKeyApi
from codewords_mcp.runtime.api.passkeys import PasskeyApi
from codewords_mcp.runtime.api.published import PublishedApi
from codewords_mcp.runtime.api.queries import QueryApi
from codewords_mcp.runtime.api.quotas import QuotaApi
from codewords_mcp.runtime.api.recordings import RecordingApi
from codewords_mcp.runtime.api.replays import ReplayApi
from codewords_mcp.runtime.api.resumed_runs import ResumeApi
from codewords_mcp.runtime.api.reviews import ReviewApi
from codewords_mcp.runtime.api.runs import RunApi
from codewords_mcp.runtime.api.schedules import ScheduleApi
from codewords_mcp.runtime.api.secrets import SecretApi
from codewords_mcp.runtime.api.served_drafts import ServedDraftApi
from codewords_mcp.runtime.api.services import ServiceApi
from codewords_mcp.runtime.api.sessions import SessionApi
from codewords_mcp.runtime.api.status import StatusApi
from codewords_mcp.runtime.api.tasks import TaskStore
from codewords_mcp.runtime.api.templates import TemplateApi
from codewords_mcp.runtime.api.test_gate import TestGate
from codewords_mcp.runtime.api.testing import TestingApi
from codewords_mcp.runtime.api.traces import TraceApi
from codewords_mcp.runtime.api.tracing import TracingApi
from codewords_mcp.runtime.api.triggers import TriggerApi
from codewords_mcp.runtime.api.validation import ScriptValidator
from codewords_mcp.runtime.api.webhooks import WebhookApi
from codewords_mcp.runtime.api.workflows import WorkflowApi
from codewords_mcp.runtime.auth.sandbox_access import SandboxAccess
from codewords_mcp.runtime.model.availability import Hosting
from codewords_mcp.runtime.model.change_events import Announcements
from codewords_mcp.runtime.recording.recording_session import RecorderRegistry
from codewords_mcp.runtime.sandboxes.drivers import OpenDriver, open_driver
from codewords_mcp.settings import Settings


class Runtime:
    """The runtime of one home. Open it with `Runtime.open(settings)`; all methods are for that event loop.

    Every method raises `CodewordsError` subclasses only; what is not the caller's is `NotFound`.
    """

    def __init__(self, settings: Settings, container: Container) -> None:
        self.settings = settings
        self._container = container
        self.services = ServiceApi(container)
        self.connections = ConnectionApi(container)
        self.integrations = IntegrationApi(container)
        validator = self._validator = ScriptValidator(container, self.services, self.connections)
        self.templates = TemplateApi(container, self.services)
        self.runs = RunApi(container)
        self.queries = QueryApi(container)
        self.approvals = ApprovalApi(container, self.runs)
        self.dry_runs = DryRunApi(container, self.runs)
        self.resumes = ResumeApi(container, self.runs)
        self.logs = LogApi(container)
        self.recordings = RecordingApi(container)
        self.traces = TraceApi(container)
        self.replays = ReplayApi(container)
        self.tests = TestingApi(container)
        gate = DeployGate(container, self.replays)
        checks = DeployChecks(container, validator, gate, TestGate(container, self.tests))
        self.workflows = WorkflowApi(container, checks, self.templates, self.runs, gate)
        self.reviews = ReviewApi(container, checks)
        self.drafts = DraftApi(container, validator, self.templates)
        self.served_drafts = ServedDraftApi(container)
        self.authoring = AuthoringApi(container, validator, self.services)
        self.configuration = ConfigurationApi(container)
        self.files = FileApi(container)
        self.keys = KeyApi(container)
        self.members = MemberApi(container)
        self.passkeys = PasskeyApi(container)
        self.own_keys = OwnKeyApi(container)
        self.schedules = ScheduleApi(container)
        self.secrets = SecretApi(container)
        self.models = ModelApi(container)
        self.budgets = BudgetApi(container)
        self.quotas = QuotaApi(container)
        self.webhooks = WebhookApi(container)
        self.triggers = TriggerApi(container, self.schedules, self.webhooks, self.runs)
        self.browsers = BrowserApi(container)
        self.consents = ConsentApi(container)
        self.alerts = AlertApi(container)
        self.audit = AuditApi(container)
        self.metrics = MetricsApi(container)
        self.tracing = TracingApi(container)
        self.published = PublishedApi(container)
        self.sessions = SessionApi(container)
        self.status = StatusApi(container, self.secrets, self.quotas)
        self.changes = ChangeApi(container)

    @property
    def tasks(self) -> TaskStore:
        """Calls that outlast their request."""
        return self._container.tasks

    @property
    def announcements(self) -> Announcements:
        """Change events of workflows and tools, as they happen."""
        return self._container.announcements

    @property
    def sandbox_access(self) -> SandboxAccess:
        """The access of sandboxes to this runtime."""
        return self._container.sandbox_access

    @property
    def open_requests(self) -> OpenRequests:
        """Requests that are open by keys and sessions that can end."""
        return self._container.open_requests

    @property
    def recorders(self) -> RecorderRegistry:
        """The recorders of the runs that go on."""
        return self._container.gateway.recorders

    @property
    def base_url(self) -> str:
        """The URL by which people reach this runtime: `http://127.0.0.1:8765`, no trailing slash. `serve` sets it once bound."""
        return self._container.base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        self._container.base_url = url

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        hosting: Hosting = Hosting(),  # noqa: B008  # immutable
        open_driver: OpenDriver = open_driver,
    ) -> AsyncGenerator[Runtime]:
        """Open the home: migrate the store, mark runs that a crash left as `interrupted`, open the sandbox driver.

        Raises StorageFailed if the home cannot be written, is damaged, or is of a newer version.
        """
        container = await open_container(settings, hosting, open_driver)
        maintenance = asyncio.create_task(maintain(container, settings))

        try:
            yield cls(settings, container)
        finally:
            # First: a round of it writes to the store that closes next.
            maintenance.cancel()
            await asyncio.gather(maintenance, return_exceptions=True)
            await close_container(container)

    def announce_end(self) -> None:
        """Be not ready from now on, so that balancers send requests elsewhere. All that comes is still answered."""
        self._container.readiness.announce_end()

    async def drain(self) -> None:
        """See `drain_container`. Pages that follow the changes of the home are let go."""
        self.changes.close()
        await drain_container(self._container)

    async def stop_answering(self) -> None:
        """Stop the runs that a caller waits for, with an error to the caller, and start no more of them."""
        await self._container.dispatcher.stop_answering()

    @property
    def awaits_schedule(self) -> bool:
        """Whether a schedule, trigger or webhook may start a run: such a runtime does not end for want of callers."""
        return self._container.trigger_loops.awaits_events

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last run or validation ended, 0 while one goes on."""
        dispatcher = self._container.dispatcher
        if dispatcher.active or dispatcher.submissions or self._validator.active:
            return 0.0
        return time.monotonic() - dispatcher.last_activity
