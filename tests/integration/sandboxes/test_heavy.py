"""Large packages that fork servers import: programs find them as if they had imported them themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.sandboxes.helpers import Opened
from tests.integration.workflows.helpers import open_environments
from tests.support.runtime import warm_folder
from tests.support.sandbox_programs import fork_server, report, specification

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.workflows.script import parse_script

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("sandbox:heavy-imports")]
_HEADER = """# /// script
# requires-python = "==3.11.*"
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
