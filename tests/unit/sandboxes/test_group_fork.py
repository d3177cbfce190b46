"""A fork straight into a cgroup is a fork like Python's own, and falls back to that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.namespaces import skip_unless_unshared

pytestmark = pytest.mark.requirement("sandbox:begins-in-its-cgroup")

FORK = """
import asyncio, json, os, random, signal, subprocess, sys, threading
from codewords_mcp.runtime.sandboxes.namespaces.inside.group_fork import fork_in, fork_numbered

hooks = []
os.register_at_fork(
    before=lambda: hooks.append("before"),
    after_in_child=lambda: hooks.append("child"),
    after_in_parent=lambda: hooks.append("parent"),
)
shared, signalled = random.getstate(), []
signal.signal(signal.SIGUSR1, lambda *_: signalled.append(os.getpid()))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
ours, theirs = os.pipe()
number = int(sys.argv[2])
pid, entered = (fork_numbered(number), False) if number else fork_in(sys.argv[1] or None)

if pid == 0:
    own_hooks = hooks[-2:]

    async def program():
        process = await asyncio.create_subprocess_exec("true")
        return await process.wait()

    # Before there is a thread: one that ends still holds locks of the C library for a moment.
    again, entered_again = fork_in(sys.argv[1] or None)
    if again == 0:
        os._exit(7)
    thread = threading.Thread(target=signalled.append, args=(0,))
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGUSR1)
    seen = {
        "own": [os.getpid(), threading.get_native_id(), threading.main_thread() is threading.current_thread()],
        "group": open("/proc/self/cgroup", encoding="utf-8").read(),
        "hooks": own_hooks,
        "random": random.getstate() != shared,
        "signalled": signalled,
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "programs": [subprocess.run(["echo", "hi"], capture_output=True, encoding="utf-8").stdout, asyncio.run(program())],
        "again": [entered_again, os.waitstatus_to_exitcode(os.waitpid(again, 0)[1])],
        "folders": [fd for fd in range(64) if os.path.isdir(f"/proc/self/fd/{fd}")],
    }
    os.write(theirs, json.dumps(seen).encode())
    os._exit(3)

os.close(theirs)
with open(ours, "rb") as pipe:
    seen = json.loads(pipe.read())
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
blocked = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))
print(json.dumps({"pid": pid, "entered": entered, "status": status, "hooks": hooks[-2:], "blocked": blocked, "child": seen}))
"""


@pytest.fixture
def folder() -> Iterator[Path | None]:
    """A cgroup of v2 without limits; None where this user can make none."""
    folder = _writable()
    if folder is None:
        yield None
        return
    made = folder / f"codewords-test-{os.getpid()}"
    made.mkdir()
    yield made
    made.rmdir()


def _writable() -> Path | None:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    mounted = [Path(line.split(" ")[4]) for line in lines if " - cgroup2 " in line]
    own = [
        line[4:]
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        if line.startswith("0::/")
    ]
    for folder in (mount / path for mount in mounted for path in own):
        if os.access(folder / "cgroup.procs", os.W_OK):
            return folder
    return None


def fork(group: str, number: int = 0, *, inside: Sequence[str] = ()) -> dict[str, Any]:
    """Have a process fork into a group, or into a child of a number; its report. `inside`: what starts the process."""
    command = [*inside, sys.executable, "-c", FORK, group, str(number)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def is_a_right_fork(seen: dict[str, Any]) -> None:
    child = seen["child"]
    assert (seen["status"], child["own"]) == (3, [seen["pid"], seen["pid"], True])
    assert seen["hooks"] == ["before", "parent"]
    assert child["hooks"] == ["before", "child"]
    assert child["random"], "random numbers are its own"
    assert child["signalled"] == [0, seen["pid"]], "threads and handlers work"
    assert child["blocked"] == seen["blocked"] == [signal.SIGUSR2]
    assert child["programs"] == ["hi\n", 0]
    assert child["folders"] == [], "no descriptor of a group is left open"


def test_a_fork_without_a_group_is_an_ordinary_one() -> None:
    seen = fork("")
    is_a_right_fork(seen)
    assert not seen["entered"]
    assert seen["child"]["again"] == [False, 7]


def test_a_fork_into_a_group_begins_there_and_is_like_any_other(folder: Path | None) -> None:
    seen = fork(str(folder or "/nowhere"))
    is_a_right_fork(seen)
    assert seen["entered"] == (folder is not None)
    assert seen["child"]["again"] == [folder is not None, 7]
    if folder is not None:
        assert folder.name in seen["child"]["group"]


@pytest.mark.parametrize("place", ["/nowhere", "/", "/proc/self"])
def test_where_the_kernel_refuses_the_group_the_fork_is_an_ordinary_one(place: str) -> None:
    seen = fork(place)
    is_a_right_fork(seen)
    assert not seen["entered"]


def test_a_fork_that_chooses_the_childs_number_is_like_any_other() -> None:
    """Kernels without CONFIG_CHECKPOINT_RESTORE have no other way to give a fork server its number."""
    options = ("--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
    skip_unless_unshared(*options)
    seen = fork("", 31_000, inside=["unshare", *options])
    is_a_right_fork(seen)
    assert seen["pid"] == 31_000
