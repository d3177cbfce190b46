"""Processes are in the cgroup that limits them, and nobody gets a hold of cgroups by that."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.sandboxes.helpers import Opened
from tests.support.processes import descendants
from tests.support.sandbox_programs import HELLO, fork_server, report, running, specification

from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:begins-in-its-cgroup")]

CURIOUS = """
import errno, os

tops, tried = [], {}


def attempt(name, folder):
    try:
        os.close(os.open(name, os.O_WRONLY, dir_fd=folder))
        tried[name] = "opened"
    except OSError as error:
        tried[name] = errno.errorcode[error.errno]


def contents(path, folder):
    fd = os.open(path, os.O_RDONLY, dir_fd=folder)
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


def look():
    for folder in range(64):
        if os.path.isdir(f"/proc/self/fd/{folder}"):
            tops.append(contents("../" * 20, folder))
            for name in ("cgroup.procs", "cgroup.kill", "memory.max", "pids.max", "cgroup.subtree_control"):
                attempt(name, folder)
                for group in contents(".", folder):
                    attempt(f"{group}/{name}", folder)


look()
os.register_at_fork(before=look)
"""
"""Tries, in the fork server and when it forks, what can be done by the folders that are open there."""


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
    code = """
import json, os, tenacity
own = [fd for fd in range(1024) if os.path.isdir(f"/proc/self/fd/{fd}")]
print(json.dumps([tenacity.tops, tenacity.tried, own]))
"""
    async with opened(tmp_path / "run", True) as driver:
        await fork_server(driver, spoilt)
        seen: tuple[list[list[str]], dict[str, str], list[int]] = await report(
            driver, specification(spoilt, code)
        )

    tops, tried, own = seen
    # The folders are looked at when it imports packages, and when it forks the program.
    assert len(tops) > 1
    assert [top for top in tops if top != ["groups", "root", "sandboxes"]] == []
    assert set(tried.values()) <= {"EROFS", "EACCES", "ENOENT", "ENOTDIR"}
    assert own == [], "no folder is left open to the program"
