"""Environments and the package cache that something damaged: noticed, built again, and named."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.runtime import ADMIN, ECHO, deploy, fetch, open_runtime

from codewords_mcp.cli.doctor.findings import runtime_findings
from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.api.runtime import Runtime

LITTLE = ECHO.replace('"uvicorn[standard]==0.34.2", "httpx==0.28.1"', '"uvicorn==0.34.2"')
"""A workflow of few packages: each test builds its environment in a home of its own."""

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("environments:damaged")]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of packages for these tests, which leave it as it was: they are fetched and compiled once."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture
async def runtime(tmp_path: Path, packages: Path) -> AsyncIterator[Runtime]:
    """Of a home that shares no environments with other tests."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "cache").symlink_to(packages)
    async with open_runtime(home) as opened:
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
    elif how == "same size":
        file = package / "routing.py"
        content = file.read_bytes()
        file.unlink()  # a new file, since the package cache shares its bytes
        file.write_bytes(b"#" + content[1:])
    else:
        shutil.rmtree(package)
        shutil.rmtree(next(package.parent.glob("fastapi-*.dist-info")))


async def test_a_folder_that_is_deleted_under_a_live_workflow_is_built_again_at_the_next_run(
    runtime: Runtime,
) -> None:
    echo = await deploy(runtime, LITTLE)
    assert (await fetch(runtime, echo, 1))[0] == 200
    lose(environment(runtime), "folder")
    for _ in range(2):
        assert (await fetch(runtime, echo, 1))[0] == 200


def findings(status: dict[str, Any]) -> list[str]:
    return [one.detail for one in runtime_findings(status) if one.id == "environment"]


@pytest.mark.parametrize("how", ["file", "package", "same size"])
async def test_doctor_builds_a_damaged_environment_of_a_live_workflow_again_and_names_it(
    runtime: Runtime, how: str
) -> None:
    echo = await deploy(runtime, LITTLE)
    folder = environment(runtime)
    lose(folder, how)
    status = await runtime.status.describe(ADMIN, deep=True)
    assert status["damaged_environments"] == {}
    assert list(status["rebuilt_environments"]) == [folder.name]
    (said,) = findings(status)
    assert folder.name in said
    assert "has been built again" in said
    assert ("fastapi" in said) is (how != "package")
    assert (await fetch(runtime, echo, 1))[0] == 200
    again = await runtime.status.describe(ADMIN, deep=True)
    assert again["damaged_environments"] == {}


async def test_a_damaged_environment_is_built_again_by_a_deploy_of_the_same_code(runtime: Runtime) -> None:
    echo = await deploy(runtime, LITTLE)
    lose(environment(runtime), "file")
    await deploy(runtime, LITTLE, service_id=echo)
    assert (await fetch(runtime, echo, 1))[0] == 200
    assert (await runtime.status.describe(ADMIN, deep=True))["damaged_environments"] == {}


async def test_a_damaged_environment_that_cannot_be_built_again_stays_and_is_named(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo = await deploy(runtime, LITTLE)
    folder = environment(runtime)
    lose(folder, "file")
    cache = runtime.settings.home / "cache" / "uv"
    shutil.move(cache, cache.with_name("uv-away"))
    with monkeypatch.context() as patch:
        patch.setenv("UV_OFFLINE", "1")
        patch.setenv("UV_FIND_LINKS", "")
        status = await runtime.status.describe(ADMIN, deep=True)
        assert list(status["damaged_environments"]) == [folder.name]
        assert status["rebuilt_environments"] == {}
        (said,) = findings(status)
        assert f"The environment {folder.name} is damaged: fastapi-" in said
        assert (folder / "environment.json").is_file()
        with pytest.raises(EnvironmentFailed, match=r"is damaged \(fastapi-.*could not be built again"):
            await fetch(runtime, echo, 1)
    shutil.rmtree(cache, ignore_errors=True)
    shutil.move(cache.with_name("uv-away"), cache)
    assert (await fetch(runtime, echo, 1))[0] == 200
    assert "has been built again" in findings(await runtime.status.describe(ADMIN, deep=True))[0]


async def test_a_damaged_package_cache_is_cleaned_and_not_blamed_on_the_workflow(tmp_path: Path) -> None:
    async with open_runtime(tmp_path / "with a cache of its own") as runtime:
        await deploy(runtime, LITTLE)
        shutil.rmtree(environment(runtime))
        cache = runtime.settings.home / "cache" / "uv" / "archive-v0"
        damaged = [path for path in cache.rglob("*") if path.is_file() and path.suffix in {".py", ""}]
        assert len(damaged) > 100
        for path in damaged:
            path.unlink()  # a new file, since environments share its bytes
            path.write_bytes(b"\x00 garbage")
        other = await deploy(runtime, LITTLE.replace("Echo", "Other"))
        assert (await fetch(runtime, other, 1))[0] == 200
        assert (await runtime.status.describe(ADMIN, deep=True))["damaged_environments"] == {}
