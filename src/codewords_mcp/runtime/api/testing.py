"""Tests of workflows that are recorded runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import Conflict, InvalidInput, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.recordings import STORED_WITHIN
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.model.testing import TestedRun, TestReport
from codewords_mcp.runtime.recording.codec import DamagedRecording
from codewords_mcp.runtime.recording.document import from_document
from codewords_mcp.runtime.recording.expectations import missing_fields, read_expectations
from codewords_mcp.runtime.runs.catalog import NO_WORKFLOW, Servable
from codewords_mcp.runtime.runs.recorded_tests import RecordedTest, TestOrder

MAX_TESTS: Final = 200
"""Tests of one workflow."""
SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class TestRequest:
    """The tests of a workflow, or exported recordings, to be tried on its live version, a version, a draft or other code.

    `faults` tries them under faults too; without tests of its own, on the workflow's latest good recordings.
    """

    __test__ = False

    workflow: str | None = None
    version: int | None = None
    draft: str | None = None
    code: str | None = None
    documents: Sequence[JsonValue] = ()
    expect: Sequence[str] = ()
    faults: bool = False
    seed: int = 0
    seconds: float = SECONDS


class TestingApi:
    """Tests made of recorded runs: make one, list them, run them."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._recordings = container.recordings

    async def list(self, caller: Caller, workflow: str) -> list[RecordingInfo]:
        """The tests of a workflow, the latest first. Raises NotFound."""
        refuse_run(caller, "read tests")
        await self._container.deployments.own(caller, workflow)
        return await self._recordings.recent(caller.owner, workflow, MAX_TESTS, tests=True)

    async def add(self, caller: Caller, run_id: str, expect: Sequence[str] = ()) -> TestedRun:
        """Make a recorded run a test. It is kept as long as it is one.

        Raises NotFound; InvalidInput for what cannot be expected; Conflict where a replay of its own version breaks the
        expectation already: it would fail by chance.
        """
        refuse_run(caller, "make tests")
        await self._container.dispatcher.left(run_id, STORED_WITHIN)
        info = await self._info(caller, run_id)
        if info.mode == "dry_run":
            raise InvalidInput("A dry run is no test: its writes were held, and answered by stand-ins.")
        expected = read_expectations(expect)
        recording = await self._recordings.load(caller.owner, run_id)
        if missing := missing_fields(recording.response, expected):
            raise InvalidInput(f"The answer of this run has no {', '.join(missing)}.")
        if info.expect is None and len(await self.list(caller, info.service_id)) >= MAX_TESTS:
            raise Conflict(
                f"A workflow has at most {MAX_TESTS} tests.",
                remedy=Remedy(RemedyAction.REMOVE_TESTS, {"workflow": info.service_id}),
            )

        container = self._container
        servable = await container.catalog.version(caller.owner, info.service_id, info.version)
        # Numbers of versions count within one home.
        if servable is None or info.imported:
            servable = await container.catalog.find(caller, info.service_id)
        test = RecordedTest(recording, expected, info.imported)
        tested = (await container.tests.run(TestOrder(caller, servable, [test], SECONDS)))[0]
        if tested.outcome != "passed":
            raise Conflict(
                f"This run is no test yet: version {servable.version} does not repeat it. {'; '.join(tested.lines[:5])}.",
                hint="Expect less of it: --expect status, --expect writes, or a field as --expect '$.total'.",
            )
        await self._recordings.expect(caller.owner, run_id, expected)
        return tested

    async def remove(self, caller: Caller, run_id: str) -> None:
        """Make a test an ordinary recording again. Raises NotFound."""
        refuse_run(caller, "remove tests")
        if (await self._info(caller, run_id)).expect is None:
            raise NotFound("This run is no test.")
        await self._recordings.expect(caller.owner, run_id, None)

    async def run(self, caller: Caller, request: TestRequest, progress: Progress = no_progress) -> TestReport:
        """Run the tests. Nothing is sent. Cancelling this ends them.

        Raises NotFound, InvalidInput, InvalidScript, EnvironmentFailed.
        """
        refuse_run(caller, "run tests")
        began = time.monotonic()
        if not 0 < request.seconds <= 3600:
            raise InvalidInput("The time for all tests is 1 to 3600 seconds.")
        servable, name = await self._subject(caller, request)
        tests = await self._tests(caller, request)

        runner = self._container.tests
        tested = await runner.run(TestOrder(caller, servable, tests, request.seconds), progress)
        report = TestReport(of=name, tests=tested, seed=request.seed)
        if request.faults:
            tests = tests or await self._good_runs(caller, request)
            left = max(1.0, request.seconds - (time.monotonic() - began))
            order = TestOrder(caller, servable, tests, left)
            faulted = await runner.run_with_faults(order, request.seed, progress)
            report = report.model_copy(update={"faulted": faulted})
        return report.model_copy(update={"seconds": time.monotonic() - began})

    async def _info(self, caller: Caller, run_id: str) -> RecordingInfo:
        found = await self._recordings.recent(caller.owner, None, 1, run_id=run_id)
        if not found:
            raise NotFound("There is no recording of this run.", remedy=Remedy(RemedyAction.LIST_RECORDINGS))
        return found[0]

    async def _subject(self, caller: Caller, request: TestRequest) -> tuple[Servable, str]:
        """(the code that is tested, its name)."""
        if sum(one is not None for one in (request.version, request.draft, request.code)) > 1:
            raise InvalidInput("Tests are run on a version, on a draft or on other code, not on several.")
        container, workflow = self._container, request.workflow
        if workflow is not None:
            await container.deployments.own(caller, workflow)
        if request.draft is not None:
            draft = await container.drafts.get(caller, request.draft)
            service_id = workflow or draft.workflow_id or NO_WORKFLOW
            servable = await container.catalog.draft(caller.owner, service_id, draft.code)
            return servable, f"{draft.id} revision {draft.revision}"
        if request.code is not None:
            servable = await container.catalog.draft(caller.owner, workflow or NO_WORKFLOW, request.code)
            return servable, "the file"

        if workflow is None:
            raise InvalidInput("Tests need a workflow, a draft or code.")
        if request.version is None:
            found: Servable | None = await container.catalog.find(caller, workflow)
        else:
            found = await container.catalog.version(caller.owner, workflow, request.version)
        if found is None:
            raise NotFound(f"This workflow has no version {request.version}.")
        return found, f"version {found.version}"

    async def _tests(self, caller: Caller, request: TestRequest) -> list[RecordedTest]:
        expected = read_expectations(request.expect)
        tests: list[RecordedTest] = []
        for document in request.documents[:MAX_TESTS]:
            try:
                tests.append(RecordedTest(from_document(document), expected, imported=True))
            except DamagedRecording as error:
                raise InvalidInput(f"A recording cannot be read: {error}.") from None
        if request.workflow is None:
            return tests
        return tests + [
            RecordedTest(
                await self._recordings.load(caller.owner, info.run_id), info.expect or (), info.imported
            )
            for info in await self.list(caller, request.workflow)
        ]

    async def _good_runs(self, caller: Caller, request: TestRequest) -> list[RecordedTest]:
        """The latest good run of each form of input, where there are no tests to have faults in."""
        if request.workflow is None:
            return []
        infos = await self._recordings.recent(
            caller.owner, request.workflow, MAX_TESTS, status="succeeded", ordinary=True
        )
        shapes: dict[str, RecordingInfo] = {}
        for info in infos:
            if not info.obstacle:
                shapes.setdefault(info.shape, info)
        return [
            RecordedTest(await self._recordings.load(caller.owner, info.run_id), (), info.imported)
            # Each has up to fifty faults, and each fault is a replay.
            for info in list(shapes.values())[:3]
        ]
