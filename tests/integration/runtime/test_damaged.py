"""Environments and the package cache that something damaged: noticed, built again, and named."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.workshop import ECHO, deploy, fetch, open_runtime

from codewords_mcp.cli._findings import runtime_findings
from codewords_mcp.runtime.runtime import Runtime

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("environments:damaged")]


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    """Of a home that shares no environments with other tests."""
    async with open_runtime(tmp_path / "home") as opened:
        yield opened


def environment(runtime: Runtime) -> Path:
    (folder,) = [one.parent for one in (runtime.settings.home / "environments").glob("*/environment.json")]
    return folder


def lose(folder: Path, how: str) -> None:
    (package,) = (folder / "venv" / "lib").glob("python*/site-packages/fastapi")
    if how == "folder":
        shutil.rmtree(folder)
    elif how == "file":
        (package / "routing.py").unlink()
    else:
        shutil.rmtree(package)
        shutil.rmtree(next(package.parent.glob("fastapi-*.dist-info")))


async def test_a_folder_that_is_deleted_under_a_live_workflow_is_built_again_at_the_next_run(
    runtime: Runtime,
) -> None:
    echo = await deploy(runtime, ECHO)
    assert (await fetch(runtime, echo, 1))[0] == 200
    lose(environment(runtime), "folder")
    for _ in range(2):
        assert (await fetch(runtime, echo, 1))[0] == 200


@pytest.mark.parametrize("how", ["file", "package"])
async def test_what_is_missing_is_named_and_a_deploy_of_the_same_code_cures_it(
    runtime: Runtime, how: str
) -> None:
    echo = await deploy(runtime, ECHO)
    folder = environment(runtime)
    lose(folder, how)
    status = await runtime.status(deep=True)
    assert list(status["damaged_environments"]) == [folder.name]
    (finding,) = [one for one in runtime_findings(status) if one.id == "environment"]
    assert folder.name in finding.detail
    assert ("fastapi" in finding.detail) is (how == "file")
    await deploy(runtime, ECHO, service_id=echo)
    assert (await fetch(runtime, echo, 1))[0] == 200
    assert (await runtime.status(deep=True))["damaged_environments"] == {}


async def test_a_damaged_package_cache_is_cleaned_and_not_blamed_on_the_workflow(runtime: Runtime) -> None:
    await deploy(runtime, ECHO)
    shutil.rmtree(environment(runtime))
    cache = runtime.settings.home / "cache" / "uv" / "archive-v0"
    damaged = [path for path in cache.rglob("*") if path.is_file() and path.suffix in {".py", ""}]
    assert len(damaged) > 100
    for path in damaged:
        path.unlink()  # a new file, since environments share its bytes
        path.write_bytes(b"\x00 garbage")
    other = await deploy(runtime, ECHO.replace("Echo", "Other"))
    assert (await fetch(runtime, other, 1))[0] == 200
    assert (await runtime.status(deep=True))["damaged_environments"] == {}
