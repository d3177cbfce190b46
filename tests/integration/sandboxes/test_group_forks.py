"""Processes are in the cgroup that limits them, and nobody gets a hold of cgroups by that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.sandboxes.helpers import Opened
from tests.support.processes import descendants
from tests.support.sandbox_programs import HELLO, fork_server, report, running, specification

from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:begins-in-its-cgroup")]

CURIOUS = """
import errno, os

folders, tried = [], {}


def attempt(name, path, folder, flags=os.O_RDONLY):
    try:
        fd = os.open(path, flags, dir_fd=folder)
        tried[name] = sorted(os.listdir(fd)) if flags == os.O_RDONLY else "opened"
        os.close(fd)
    except OSError as error:
        tried[name] = errno.errorcode[error.errno]


for folder in range(64):
    if os.path.isdir(f"/proc/self/fd/{folder}"):
        folders.append(folder)
        attempt("inside", ".", folder)
        attempt("above", "..", folder)
        attempt("far above", "../" * 20, folder)
        for name in ("cgroup.procs", "cgroup.kill", "memory.max", "pids.max", "cgroup.subtree_control"):
            attempt(name, name, folder, os.O_WRONLY)
            for group in tried["inside"]:
                attempt(f"{group}/{name}", f"{group}/{name}", folder, os.O_WRONLY)
"""
"""Tries, in the fork server, what can be done by the folders that are open there."""


def groups_of(process: int) -> str:
    return Path(f"/proc/{process}/cgroup").read_text(encoding="utf-8")


async def test_every_process_of_a_sandbox_is_in_its_cgroup(
    driver: Driver, environment: EnvironmentRef
) -> None:
    async with running(driver, specification(environment, HELLO)) as program:
        assert await program.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
        name = program.local.isolation.resources.folders.top.name
        assert (program.local.group is not None) == (driver.tier.id == "A")
        for root in program.local.roots:
            for process in descendants(root):
                assert (f"/{name}\n" in groups_of(process)) == (driver.tier.id == "A")


@pytest.mark.parametrize("spoilt", [CURIOUS], ids=["curious"], indirect=True)
async def test_a_fork_server_can_neither_write_to_cgroups_nor_reach_the_host_by_them(
    opened: Opened, spoilt: EnvironmentRef, tmp_path: Path
) -> None:
    code = "import json, tenacity\nprint(json.dumps([tenacity.folders, tenacity.tried]))"
    async with opened(tmp_path / "run", True) as driver:
        await fork_server(driver, spoilt)
        seen: tuple[list[int], dict[str, Any]] = await report(driver, specification(spoilt, code))

    folders, tried = seen
    assert len(folders) == 1
    assert tried.pop("above") == tried.pop("far above") == ["groups", "root", "sandboxes"]
    tried.pop("inside")
    assert set(tried.values()) <= {"EROFS", "ENOENT"}
