"""Landlock keeps what the protocol promises: chosen by root, and as the way out of an ordinary user without namespaces."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.conformance.ordinary_user import report_once

from codewords_mcp.runtime.sandboxes.base import Capability, Driver, EnvironmentRef, Tier
from codewords_mcp.runtime.sandboxes.landlock.confinement import Landlock
from codewords_mcp.testing.sandboxes import ConformanceCheck, Context, Outcome, drivers, open_context
from codewords_mcp.testing.sandboxes.for_pytest import holds, judge, parametrize

_only_root = pytest.mark.needs("root")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.requirement("sandbox:conformance", "sandbox:landlock"),
    pytest.mark.skipif(bool(Landlock().missing()), reason=Landlock().missing()),
]


class Claims(Driver):
    """The most that Landlock claims, with a cgroup and as an ordinary user."""

    tier = Tier("C", "")
    capabilities = frozenset(
        {
            Capability.EGRESS_RULES,
            Capability.EXACT_MEMORY_LIMIT,
            Capability.EXACT_PROCESS_LIMIT,
            Capability.UNPRIVILEGED_USER,
        }
    )


class ClaimsHere(Claims):
    """The most that Landlock claims for the user of these tests: root stays root in its sandboxes."""

    capabilities = Claims.capabilities - (
        {Capability.UNPRIVILEGED_USER} if os.geteuid() == 0 else frozenset()
    )


@pytest.fixture(scope="session")
async def context(environment: EnvironmentRef) -> AsyncIterator[Context]:
    async with open_context(drivers.landlock, environment) as context:
        yield context


@pytest.fixture(scope="module")
def report(environment: EnvironmentRef, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return report_once(environment, tmp_path_factory, namespaces=False)


@parametrize(driver=ClaimsHere)
async def test_landlock_holds(check: ConformanceCheck, context: Context) -> None:
    await holds(check, context)


@_only_root
def test_without_namespaces_the_local_driver_falls_back_to_landlock(report: dict[str, Any]) -> None:
    assert report["tier"] == "C"
    assert Capability.UNPRIVILEGED_USER in report["capabilities"]
    assert not {Capability.PRIVATE_ROOT, Capability.UNIX_SOCKETS} & set(report["capabilities"])


@_only_root
@parametrize(driver=Claims)
def test_landlock_holds_for_an_ordinary_user(check: ConformanceCheck, report: dict[str, Any]) -> None:
    seen = next(outcome for outcome in report["outcomes"] if outcome["id"] == check.id)
    judge(Outcome(check, seen["status"], seen["reason"], seen["seconds"]))
