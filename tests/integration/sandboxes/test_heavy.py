"""Large packages that fork servers import: programs find them as if they had imported them themselves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.sandboxes.helpers import Opened
from tests.integration.workflows.helpers import open_environments
from tests.support.runtime import warm_folder
from tests.support.sandbox_programs import fork_server, report, running, specification

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.workflows.script import parse_script

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("sandbox:heavy-imports")]
_HEADER = """# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn==0.34.2", "numpy==2.3.5", "pandas==2.3.3", "playwright==1.65.2"]
# ///
"""
_LOOKS = """
    import json, os, sys
    there = sorted({"numpy", "pandas", "playwright.async_api"} & set(sys.modules))
    threads = len(os.listdir("/proc/self/task"))
    import numpy, pandas
    large = numpy.ones((700, 700))
    total = float((large @ large).sum())
    mean = float(pandas.DataFrame({"a": [1.0, 2.0, 6.0]})["a"].mean())
    print(json.dumps([there, threads, total, mean, numpy.random.random(), numpy.random.default_rng().random()]))
"""


@pytest.fixture
async def large() -> EnvironmentRef:
    environments = open_environments(warm_folder())
    try:
        return (await environments.ensure(parse_script(_HEADER))).ref
    finally:
        await environments.close()


@pytest.fixture
async def driver(opened: Opened, large: EnvironmentRef, tmp_path: Path) -> AsyncIterator[LocalDriver]:
    async with opened(tmp_path / "run", True) as local:
        await fork_server(local, large)
        yield local


async def test_a_program_has_large_packages_from_its_start_and_random_numbers_of_its_own(
    driver: LocalDriver, large: EnvironmentRef
) -> None:
    first, second = [await report(driver, specification(large, _LOOKS)) for _ in range(2)]
    assert first[:4] == [["numpy", "pandas", "playwright.async_api"], 1, 700.0**3, 3.0]
    assert first[4] != second[4]
    assert first[5] != second[5]


async def test_a_variable_that_such_a_package_reads_at_import_is_read(
    driver: LocalDriver, large: EnvironmentRef
) -> None:
    spec = specification(large, _LOOKS, env={"OPENBLAS_NUM_THREADS": "1"})
    there, _, total, *_ = await report(driver, spec)
    assert (there, total) == ([], 700.0**3)


_SERVES = """
worked = 0
for number in range(4_000_000):
    worked += number % 7

import os
import numpy
from fastapi import FastAPI

app = FastAPI()
forks = []
os.register_at_fork(after_in_child=lambda: forks.append(1))
DOES

@app.get("/")
async def index():
    return [forks, numpy.random.random()]

import uvicorn
uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""


@pytest.mark.requirement("sandbox:snapshots")
async def test_a_snapshot_has_no_random_numbers_of_numpy(driver: LocalDriver, large: EnvironmentRef) -> None:
    own = "numpy.random.default_rng", "numpy.random.RandomState"
    shared = (
        "numpy.random.random",
        "numpy.random.rand",
        "import pandas; pandas.DataFrame({'a': [1, 2]}).sample",
    )
    cases = {f"{call}()": "takes random numbers at import" for call in own}
    cases |= {
        f"{call}()": "takes or seeds numbers of numpy.random"
        for call in (*shared, "numpy.random.seed(7) or int")
    }
    for does, why in cases.items():
        spec = specification(large, _SERVES.replace("DOES", does), network=False)
        reasons = await driver.judge_snapshot(replace(spec, snapshot=frozenset({"PORT"})))
        assert reasons, does
        assert why in "; ".join(reasons)

    spec = replace(
        specification(large, _SERVES.replace("DOES", ""), network=False), snapshot=frozenset({"PORT"})
    )
    assert await driver.judge_snapshot(spec) == ()
    answers: list[list[Any]] = []
    for number in range(3):
        async with running(driver, replace(spec, id=f"numpy-{number}")) as program:
            answers.append(json.loads((await program.ask("GET"))[1]))
    assert [forks for forks, _ in answers] == [[1]] * 3
    assert len({drawn for _, drawn in answers}) == 3
