"""Hostile programs in runs that go on from a snapshot: they get what they get in any other sandbox, nothing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.attacks import catalog
from tests.attacks.bundle import bundle
from tests.attacks.probes import Group, Result
from tests.attacks.runner import LIMITS, Hostile, Stage, judge
from tests.attacks.scenarios import company
from tests.attacks.targets import ground
from tests.support.sandbox_programs import fork_server

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Limits, SandboxSpec
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.requirement("attacks:held", "sandbox:snapshots"),
]

RESTORED = """
import os, sys
from fastapi import FastAPI

app = FastAPI()
forks = []
os.register_at_fork(after_in_child=lambda: forks.append(os.getpid()))
worked = sum(number * number for number in range(3_000_000))

def __after_restore__():
    print("# forks", forks, flush=True)
    exec(compile({programs!r}[os.environ["ROLE"]], "/app/main.py", "exec"), sys.modules["__main__"].__dict__)
    sys.exit(0)

import uvicorn
uvicorn.run(app, host="0.0.0.0", port=8000)
"""
"""Is one of several programs, where a run goes on from its snapshot."""


class RestoredStage(Stage):
    """One on which programs are runs from snapshots: those of `TOGETHER` from the same."""

    TOGETHER = ("victim", "neighbours", "poison", "inherited")

    def spec(self, program: str, limits: Limits = LIMITS, **facts: Any) -> SandboxSpec:
        """See `Stage`."""
        plain = super().spec(program, limits, **facts)
        names = self.TOGETHER if program in self.TOGETHER else (program,)
        code = RESTORED.format(programs={name: bundle(name) for name in names})
        return replace(plain, code=code, env={**plain.env, "ROLE": program}, snapshot=frozenset({"PORT"}))

    @asynccontextmanager
    async def playing(self, spec: SandboxSpec) -> AsyncGenerator[Hostile]:
        """See `Stage`."""
        async with super().playing(spec) as hostile:
            yield hostile
        assert "# forks [2]" in hostile.stdout


@pytest.fixture(scope="module")
async def stage(
    environment: EnvironmentRef, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Stage, LocalDriver]]:
    folder = tmp_path_factory.mktemp("attacks")
    (folder / "run").mkdir()
    async with ground(folder) as around:
        driver = await LocalDriver.open(around.egress, folder / "run", max_warm=0)
        try:
            if driver.tier.id == "D":
                pytest.skip("no isolation here")
            await fork_server(driver, environment)
            facts = {**around.facts, "run_dir": str(folder / "run")}
            yield RestoredStage(driver, environment, "fork", facts), driver
        finally:
            await driver.close()


@pytest.mark.parametrize("group", catalog.ALONE, ids=lambda group: group.name)
async def test_attempts_of_a_run_that_goes_on_from_a_snapshot_are_held(
    stage: tuple[Stage, LocalDriver], group: Group
) -> None:
    played, driver = stage
    spec = played.spec(group.name)
    assert await driver.judge_snapshot(spec) == ()
    async with played.playing(spec) as hostile:
        with contextlib.suppress(TimeoutError):
            await hostile.ended()
    results = judge(group, hostile, await hostile.sandbox.wait(), "fork")
    assert len(results) == len(group.attempts)
    assert [(one.id, one.saw) for one in results if not one.held] == []


@pytest.mark.parametrize("happens", [company.beside, company.after], ids=["beside", "after"])
async def test_runs_of_one_snapshot_get_nothing_of_each_other(
    stage: tuple[Stage, LocalDriver], happens: Callable[[Stage], Awaitable[list[Result]]]
) -> None:
    played, driver = stage
    assert await driver.judge_snapshot(played.spec("victim")) == ()
    results = await happens(played)
    assert len(results) > 10
    assert [(one.id, one.saw) for one in results if not one.held] == []
