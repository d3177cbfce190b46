"""Folders in which environments are built, and what collects those of builds that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.namespaces import skip_unless_unshared
from tests.support.waiting import until

from codewords_mcp.runtime.workflows.environments import folders

pytestmark = pytest.mark.anyio
_BUILDS = """
import asyncio, sys
from pathlib import Path
from codewords_mcp.runtime.workflows.environments import folders

async def build():
    root = Path(sys.argv[1])
    async with folders.unfinished(root) as work:
        print(work, flush=True)
        sys.stdin.readline()
        folders.write(work / "environment.json", "{}")
        folders.publish(work, root / "built")

asyncio.run(build())
"""


@contextmanager
def _building_in_another_container(root: Path) -> Generator[tuple[subprocess.Popen[str], Path]]:
    """A process whose id says nothing here, and the folder that it builds in."""
    rights = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    options = (*rights, "--pid", "--fork", "--kill-child")
    skip_unless_unshared(*options)
    command = (
        "unshare",
        *options,
        sys.executable,
        "-c",
        _BUILDS,
        str(root),
    )
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            assert process.stdout is not None
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


@pytest.mark.requirement("environments:collect")
async def test_a_build_in_another_container_is_left_alone_until_it_was_killed(tmp_path: Path) -> None:
    with _building_in_another_container(tmp_path) as (process, work):
        assert work.is_dir()
        assert folders.collect(tmp_path, set(), older_than=0) == 0
        assert work.is_dir()
        process.communicate("go on\n")
    assert [path.name for path in tmp_path.iterdir()] == ["built"]

    with _building_in_another_container(tmp_path) as (process, work):
        process.kill()
        (work / "part").write_text("", encoding="utf-8")

    def only_what_was_built() -> bool:
        folders.collect(tmp_path, {"built"}, older_than=0)
        return [path.name for path in tmp_path.iterdir()] == ["built"]

    # The kernel ends the child some time after its parent.
    until(only_what_was_built)


@pytest.mark.requirement("environments:atomic")
async def test_two_builds_of_one_process_have_a_folder_each_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with folders.unfinished(tmp_path) as one, folders.unfinished(tmp_path) as other:
            assert one != other
            folders.collect(tmp_path, set(), older_than=0)
            assert one.is_dir()
            assert other.is_dir()
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("environments:collect")
def test_what_was_not_removed_to_its_end_goes_with_the_next_look(tmp_path: Path) -> None:
    (tmp_path / ".tmp-half-removed" / "venv").mkdir(parents=True)
    (tmp_path / "locks").mkdir()
    folders.collect(tmp_path, set(), older_than=3600)
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]
