"""The recorded tests of a workflow at its deploys: a version that fails one needs a person's consent."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.testing import TestingApi, TestRequest
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.plain_text import item
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.questions import with_failed_tests
from codewords_mcp.runtime.model.testing import TestedRun
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.deploy_review import DeployReview

GATE_SECONDS: Final = 15.0
"""Seconds that a deploy waits for tests. One for which no time was left cannot be told, and does not ask."""
CHECK_ID: Final = "tests"
_LINE: Final = 300
_CACHED: Final = 64


class TestGate:
    """Runs tests on versions that are to be deployed. A deploy that is repeated with its consent gets the same results."""

    __test__ = False

    def __init__(self, container: Container, tests: TestingApi) -> None:
        self._container = container
        self._tests = tests
        self._found: OrderedDict[tuple[str, ...], list[TestedRun]] = OrderedDict()

    async def look(
        self, caller: Caller, review: DeployReview, progress: Progress, *, run_tests: bool
    ) -> DeployReview:
        """The review with the outcome of the tests, and its question with those that fail."""
        if review.target is None or review.live is None:
            return review
        tests = await self._tests.list(caller, review.target.id)
        if not tests:
            return review
        if not run_tests:
            text = "Deployed without its recorded tests, as was asked."
            return review.with_check(Check(id=CHECK_ID, status="note", message=text))

        # With what each test expects, so that a changed expectation is tried anew.
        key = (review.target.id, review.version.code_hash, *(f"{one.run_id} {one.expect}" for one in tests))
        try:
            found = self._found.get(key) or await self._run(caller, review, review.target.id, progress)
        except CodewordsError as error:
            text = f"Recorded tests were not run: {error.message}"
            return review.with_check(Check(id=CHECK_ID, status="warning", message=text))
        self._found[key] = found
        while len(self._found) > _CACHED:
            self._found.popitem(last=False)
        return _with_results(review, review.live, found)

    async def _run(
        self, caller: Caller, review: DeployReview, service_id: str, progress: Progress
    ) -> list[TestedRun]:
        request = TestRequest(service_id, code=review.plan.request.code, seconds=GATE_SECONDS)
        return (await self._tests.run(caller, request, progress)).tests


def _with_results(review: DeployReview, live: int, found: list[TestedRun]) -> DeployReview:
    counts = {
        outcome: sum(one.outcome == outcome for one in found)
        for outcome in ("passed", "failed", "cannot tell")
    }
    total = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    status = "passed" if counts["passed"] == len(found) else "warning"
    review = review.with_check(Check(id=CHECK_ID, status=status, message=f"Recorded tests: {total}."))
    failed = [one for one in found if one.outcome == "failed"]
    if not failed:
        return review
    lines = [item(f"{one.run_id}: {'; '.join(one.lines)}", _LINE) for one in failed]
    runs = [one.run_id for one in failed]
    return replace(review, question=with_failed_tests(review.question, review.name, live, lines, runs))
