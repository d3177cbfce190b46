"""A small facade in memory: what the door's own behaviour is tested against. The real runtime has its own tests."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.integration.mcp.fake_approvals import FakeApprovalApi
from tests.integration.mcp.fake_consents import BASE_URL, FakeConsentApi
from tests.integration.mcp.fake_integrations import FakeIntegrationApi
from tests.integration.mcp.fake_runs import FakeLogApi, FakeRunApi
from tests.integration.mcp.fake_secrets import FakeSecretApi
from tests.integration.mcp.fake_traces import FakeAuditApi, FakeMetricsApi, FakeTraceApi, FakeTracingApi
from tests.integration.mcp.fake_triggers import FakeTriggerApi
from tests.support.databases import open_database

from codewords_mcp.errors import Forbidden, NotFound, ValidationFailed
from codewords_mcp.runtime.api.authoring import AuthoringApi
from codewords_mcp.runtime.api.drafts import DraftApi
from codewords_mcp.runtime.api.published import PublishedApi
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.api.services import ServiceApi
from codewords_mcp.runtime.api.sessions import SessionApi
from codewords_mcp.runtime.api.tasks import TaskStore
from codewords_mcp.runtime.api.templates import TemplateApi
from codewords_mcp.runtime.api.workflows import WorkflowApi
from codewords_mcp.runtime.model.authoring import Brief, Diagnosis, Draft, Template
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.change_events import Announcements
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.publishing import PublishedTool
from codewords_mcp.runtime.model.run import LogLine, Run, RunError
from codewords_mcp.runtime.model.secret import SecretInfo
from codewords_mcp.runtime.model.service import ServiceInfo
from codewords_mcp.runtime.model.validation import Check, ValidationReport
from codewords_mcp.runtime.model.workflow import Consent, Deployment, Version, WorkflowDetail, WorkflowSummary
from codewords_mcp.runtime.store.database import Database

ANN = Caller(owner="ann", kind="admin", key_id="k-ann")
BOB = Caller(owner="bob", kind="user", key_id="k-bob")


FAILING = ValidationReport(
    all_passed=False,
    report="…",
    checks=[
        Check(id="parse", status="passed", message="The header is complete."),
        Check(
            id="syntax",
            status="failed",
            message="unexpected indent",
            line=12,
            column=5,
            fix="Remove 4 spaces.",
        ),
        Check(id="imports", status="note", message="`os` is used and never imported.", line=3),
    ],
)


class Gate:
    """Work that waits until the test lets it go, and tells when it was started and cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1
        self.started.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class FakeSessionApi(SessionApi):
    def __init__(self, fake: FakeRuntime) -> None:
        self._fake = fake

    async def open_page(self, owner: str, url: str) -> bool:
        return False


class FakeServiceApi(ServiceApi):
    def __init__(self, fake: FakeRuntime) -> None:
        self._fake = fake

    def question(self, *_args: Any, **_more: Any) -> None:
        return None

    async def list(self, caller: Caller) -> list[ServiceInfo]:
        return []


class FakePublishedApi(PublishedApi):
    def __init__(self, fake: FakeRuntime) -> None:
        self._fake = fake

    async def list(self, caller: Caller) -> list[PublishedTool]:
        return self._fake.published_tools if caller.owner == "ann" else []


class FakeTemplateApi(TemplateApi):
    def __init__(self, fake: FakeRuntime) -> None:
        self._fake = fake

    async def list(self, caller: Caller, *, query: str = "", category: str = "") -> list[Template]:
        return self._fake.stored_templates


class FakeAuthoringApi(AuthoringApi):
    def __init__(self, fake: FakeRuntime) -> None:
        self._fake = fake

    async def validate(
        self,
        caller: Caller,
        code: str,
        *,
        draft_id: str | None = None,
        start: bool = True,
        progress: Progress = no_progress,
    ) -> ValidationReport:
        await self._fake.pass_gate(progress)
        if "broken" in code:
            return FAILING
        return ValidationReport(
            all_passed=True, report="", checks=[Check(id="parse", status="passed", message="ok")]
        )

    async def diagnose(self, caller: Caller, run: Run) -> Diagnosis | None:
        return None

    async def brief(self, caller: Caller, description: str, constraints: str = "") -> Brief:
        return Brief(
            rules="One file.",
            template_id="greeting",
            template_code="print('hi')",
            next="edit_workflow(code=…)",
        )


class FakeWorkflowApi(WorkflowApi):
    def __init__(self, fake: FakeRuntime) -> None:
        self._fake = fake

    async def deploy(
        self,
        caller: Caller,
        *,
        code: str | None = None,
        template_id: str | None = None,
        draft_id: str | None = None,
        revision: int | None = None,
        name: str | None = None,
        service_id: str | None = None,
        base_version: int | None = None,
        description: str = "",
        public: bool | None = None,
        replay: bool = True,
        tests: bool = True,
        by: str = "",
        config: dict[str, str] | None = None,
        consent: Consent = Consent(),  # noqa: B008
        progress: Progress = no_progress,
    ) -> Deployment:
        if caller.kind == "run":
            raise Forbidden("A workflow may not deploy.")
        await self._fake.pass_gate(progress)
        code = code or "print('hi')"
        if "broken" in code:
            raise ValidationFailed(
                "1 check failed; nothing was deployed.", report=FAILING.model_dump(mode="json")
            )
        service_id = service_id or f"{name or 'workflow'}_{next(self._fake.ids):08x}"
        before = self._fake.live.get((caller.owner, service_id))
        live = Deployment(
            service_id=service_id,
            name=name or service_id,
            version=before.version + 1 if before else 1,
            version_id="v",
            url=f"{BASE_URL}/run/{service_id}/",
            description=description,
            created_at=datetime.now(UTC),
            isolation="A",
        )
        self._fake.live[caller.owner, service_id] = live
        self._fake.code[service_id] = code
        self._fake.announcements.announce(caller.owner, "workflows")
        return live

    async def get(
        self, caller: Caller, service_id: str, *, version: int | None = None, include_code: bool = False
    ) -> WorkflowDetail:
        live = self._fake.find_workflow(caller, service_id)
        return WorkflowDetail(
            service_id=service_id,
            name=live.name,
            description=live.description,
            url=live.url,
            version=live.version,
            routes=[{"method": "POST", "path": "/", "input": {"name": "string"}}],
            env=[{"name": "PORT", "default": None, "required": True, "provided": True}],
            dependencies=["fastapi==0.115.12"],
            versions=[Version(version=live.version, version_id="v", created_at=live.created_at, active=True)],
            last_runs=[run for run in self._fake.recorded.values() if run.service_id == service_id],
            code=self._fake.code[service_id] if include_code else None,
        )

    async def rollback(self, caller: Caller, service_id: str, version: int) -> Deployment:
        live = self._fake.find_workflow(caller, service_id).model_copy(update={"version": version})
        self._fake.live[caller.owner, service_id] = live
        return live

    async def list(
        self, caller: Caller, *, query: str = "", limit: int = 20, cursor: str | None = None
    ) -> Page[WorkflowSummary]:
        mine = [
            live
            for (owner, _), live in self._fake.live.items()
            if owner == caller.owner and query in live.name
        ]
        start = int(cursor or 0)
        items = [
            WorkflowSummary(
                service_id=w.service_id,
                name=w.name,
                version=w.version,
                url=w.url,
                description=w.description,
                updated_at=w.created_at,
            )
            for w in mine[start : start + limit]
        ]
        return Page(items=items, next_cursor=str(start + limit) if len(mine) > start + limit else None)


class FakeDraftApi(DraftApi):
    def __init__(self, fake: FakeRuntime) -> None:
        self._fake = fake

    async def list(self, caller: Caller) -> list[Draft]:
        return []


class FakeRuntime(Runtime):
    """Deploys what does not say "broken"; a workflow returns its input, or waits at `gate`."""

    base_url = "http://127.0.0.1:8765"  # type: ignore[assignment]

    def __init__(self) -> None:  # the real one opens a home
        self.gate: Gate | None = None
        self.crash: Exception | None = None
        self.log_text = "working"
        self.result: Any = None
        self.failure: RunError | None = None
        self.ids = itertools.count(1)
        self.live: dict[tuple[str, str], Deployment] = {}
        self.code: dict[str, str] = {}
        self.recorded: dict[str, Run] = {}
        self.ended: dict[str, asyncio.Event] = {}
        self.printed: dict[str, asyncio.Queue[LogLine | None]] = {}
        self.stored_secrets: dict[tuple[str, str], SecretInfo] = {}
        self.entries: dict[str, tuple[Caller, str]] = {}
        self.run_ids: dict[str, str] = {}
        self.questions: dict[str, tuple[str, str]] = {}
        self.answers: dict[str, bool] = {}
        self.published_tools: list[PublishedTool] = []
        self.stored_templates = [
            Template(
                id="greeting",
                title="Greeting",
                description="Says hello.",
                code="print('hi')",
                example_input={"name": "Ada"},
            )
        ]
        self.nobody_there = False
        self.said = Announcements()
        self._folder = Path(tempfile.mkdtemp(prefix="codewords-fake-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._database: Database | None = None
        self._book: TaskStore | None = None
        self.approvals = FakeApprovalApi()
        self.consents = FakeConsentApi(self)
        self.sessions = FakeSessionApi(self)
        self.services = FakeServiceApi(self)
        self.published = FakePublishedApi(self)
        self.templates = FakeTemplateApi(self)
        self.authoring = FakeAuthoringApi(self)
        self.workflows = FakeWorkflowApi(self)
        self.drafts = FakeDraftApi(self)
        self.runs = FakeRunApi(self)
        self.logs = FakeLogApi(self)
        self.traces = FakeTraceApi(self.recorded)
        self.audit, self.metrics, self.tracing = FakeAuditApi(), FakeMetricsApi(), FakeTracingApi()
        self.triggers = FakeTriggerApi()
        self.secrets = FakeSecretApi(self)
        self.integrations = FakeIntegrationApi()

    @property
    def tasks(self) -> TaskStore:
        """Over a real store, opened when it is needed."""
        if self._book is None:
            self._database = open_database(self._folder)
            weakref.finalize(self, self._database.close)
            self._book = TaskStore(self._database, "this")
        return self._book

    @property
    def announcements(self) -> Announcements:
        return self.said

    def restarted(self) -> None:
        """From now on this is another process with the same store."""
        assert self._database is not None
        self._book = TaskStore(self._database, "another")

    async def pass_gate(self, progress: Progress) -> None:
        if self.crash is not None:
            raise self.crash
        await progress(1, 2, "Building the environment")
        if self.gate is not None:
            await self.gate()

    def find_workflow(self, caller: Caller, service_id: str) -> Deployment:
        live = self.live.get((caller.owner, service_id))
        if live is None:
            raise NotFound("There is no workflow of that id.", hint="list_workflows lists yours.")
        return live

    @property
    def newest(self) -> str:
        """The id of the newest run."""
        return list(self.recorded)[-1]

    def finish(self, run_id: str, result: Any, status: str = "succeeded") -> None:
        failed = self.failure is not None
        self.recorded[run_id] = self.recorded[run_id].model_copy(
            update={
                "status": "failed" if failed else status,
                "completed_at": datetime.now(UTC),
                "response_status": 500 if failed else 200,
                "response_json": result,
                "error": self.failure,
            }
        )
        self.ended[run_id].set()

    def print(self, run_id: str, text: str) -> None:
        """A line that a running workflow prints."""
        line = LogLine(created_at="2026-01-02T00:00:00.000000Z", stream="stdout", message=text)
        self.printed.setdefault(run_id, asyncio.Queue()).put_nowait(line)
