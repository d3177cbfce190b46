"""Snapshots that a hostile program made itself: they end its own runs, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.sandbox_programs import running
from tests.support.snapshots import again, ask, program

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:snapshots")]


FORGED = """
import json, struct

def forge():
    # The file for the snapshot is open in the process that takes it.
    for name in os.listdir("/proc/self/fd"):
        try:
            if "memfd" not in os.readlink(f"/proc/self/fd/{{name}}"):
                continue
        except OSError:
            continue
        fd = int(name)
        said = json.dumps({said}).encode()
        os.pwrite(fd, struct.pack("<q", len(said)) + said, 0)
        calls = b"".join(struct.pack("<8q", *call, *[0] * (8 - len(call))) for call in {calls})
        os.pwrite(fd, struct.pack("<q", len(calls)) + calls, (1 << 16) + 4096)
        os.ftruncate(fd, 4 << 20)
        os._exit(0)

if "REAL" not in os.environ:
    forge()

@app.get("/")
def index():
    return "plain"
"""
SAID: dict[str, Any] = {"files": [], "read": {}, "seconds": 9.0}
CALLS = {
    "nothing": [],
    "nonsense": [(9, 0, 1 << 46, 7, 0x32, -1, 0)],
    "mount": [(165, 0, 0, 0, 0, 0)],
    "namespace": [(272, 0x10000000)],
    "enter": [(308, 3, 0x20000000)],
    "trace": [(101, 16, 1, 0, 0)],
    "rights": [(126, 0, 0)],
    "kill-all": [(62, -1, 9)],
}
"""Calls of a snapshot that a program forged, by x86-64's numbers."""


@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS)
async def test_a_forged_snapshot_ends_its_own_run_and_is_used_no_more(
    driver: LocalDriver, environment: EnvironmentRef, calls: list[tuple[int, ...]]
) -> None:
    spec = program(environment, FORGED.format(said=SAID, calls=[*calls, (-1,)]), REAL="1")
    assert await driver.judge_snapshot(spec) == ()
    async with running(driver, again(spec)) as forged:
        assert (await forged.ended()).reason in {"exited", "signaled"}

    async def answers() -> bool:
        return (await ask(driver, again(spec)))[0] == "plain"

    assert await answers()
    assert (await ask(driver, program(environment, '@app.get("/")\ndef index():\n    return "another"\n')))[
        0
    ] == "another"


@pytest.mark.parametrize(
    "said",
    [
        [], {}, "x" * 100, {"files": "x", "read": {}, "seconds": 1}, {"files": [], "read": [], "seconds": 1},
        {"files": [], "read": {}, "seconds": "1"}, {"files": ["/x"] * 300, "read": {}, "seconds": 1},
        {"reasons": [{"a": 1}] * 1000},
    ],
)  # fmt: skip
async def test_what_a_snapshot_says_of_itself_is_refused_unless_it_has_its_form(
    driver: LocalDriver, environment: EnvironmentRef, said: Any
) -> None:
    spec = program(environment, FORGED.format(said=said, calls=[(-1,)]), REAL="1")
    assert await driver.judge_snapshot(spec)


async def test_a_file_that_is_not_there_any_more_is_a_plain_start(
    driver: LocalDriver, environment: EnvironmentRef
) -> None:
    spec = program(
        environment, FORGED.format(said=SAID | {"files": ["/env/gone.so"]}, calls=[(-1,)]), REAL="1"
    )
    assert await driver.judge_snapshot(spec) == ()
    assert (await ask(driver, again(spec)))[0] == "plain"
