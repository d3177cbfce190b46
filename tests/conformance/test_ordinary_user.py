"""The local driver keeps every promise for an ordinary user, as it does for root."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.ordinary_user import report_once

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.testing.sandboxes import ConformanceCheck, Outcome
from codewords_mcp.testing.sandboxes.for_pytest import judge, parametrize

pytestmark = [
    pytest.mark.slow,
    pytest.mark.deep("tests that ran as root, once more"),
    pytest.mark.timeout(400),
    pytest.mark.requirement("sandbox:conformance", "sandbox:ordinary-user"),
    pytest.mark.needs("root"),
]


@pytest.fixture(scope="module")
def outcomes(environment: EnvironmentRef, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The suite's report by id."""
    report = report_once(environment, tmp_path_factory, namespaces=True)
    return {outcome["id"]: outcome for outcome in report["outcomes"]}


@parametrize()
def test_the_local_driver_holds_for_an_ordinary_user(
    check: ConformanceCheck, outcomes: dict[str, Any]
) -> None:
    seen = outcomes[check.id]
    judge(Outcome(check, seen["status"], seen["reason"], seen["seconds"]))
