"""What is proved about this machine's isolation, and what is said where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from codewords_mcp.runtime.sandboxes.base import Capability, Driver
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.runtime.sandboxes.landlock.confinement import Landlock
from codewords_mcp.settings import Settings

DENYING = Path(__file__).parents[2] / "support" / "without_namespaces.py"
pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:tier")]


async def test_the_self_test_names_a_tier_with_its_facts(driver: Driver) -> None:
    assert driver.tier.id in {"A", "B"}
    assert any("forbidden acts" in fact for fact in driver.tier.facts)
    assert (driver.tier.id == "A") == (Capability.EXACT_MEMORY_LIMIT in driver.capabilities)
    assert driver.tier.id == "A" or driver.tier.fix  # of A too where starts could be quicker


async def test_a_finding_is_kept_for_this_boot_and_believed(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "run" / "tier.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept["tier"]["title"] = "As kept"
    path.write_text(json.dumps(kept), encoding="utf-8")
    again = await open_driver(Settings(home=tmp_path), None, tmp_path / "run")
    await again.close()
    assert again.tier.title == "As kept"


@pytest.mark.parametrize("text", ["", "{}", "[1]", "not json", '{"key": "of another boot", "tier": {}}'])
async def test_a_finding_that_is_not_ours_is_tried_again(driver: Driver, tmp_path: Path, text: str) -> None:
    (tmp_path / "run" / "tier.json").write_text(text, encoding="utf-8")
    again = await open_driver(Settings(home=tmp_path), None, tmp_path / "run")
    await again.close()
    assert again.tier == driver.tier


POWERLESS = """
import asyncio, json, sys
from pathlib import Path
from codewords_mcp.errors import SandboxUnavailable
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, SandboxSpec
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.settings import Settings

async def main():
    home = Path(sys.argv[1])
    driver = await open_driver(Settings(home=home), None, home / "run")
    try:
        await driver.start(SandboxSpec("x", EnvironmentRef(home, home, "3.11"), "", {}))
    except SandboxUnavailable as error:
        print(json.dumps([driver.tier.id, error.message, error.hint, (home / "run" / "tier.json").exists()]))
    await driver.close()
asyncio.run(main())
"""


async def test_a_machine_that_cannot_isolate_is_refused_with_the_way_out(tmp_path: Path) -> None:
    command = [sys.executable, DENYING, "--without-landlock", sys.executable, "-c", POWERLESS, tmp_path]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=True)
    tier, message, hint, kept = json.loads(done.stdout.splitlines()[-1])
    assert tier == "D"
    assert "Operation not permitted" in message
    assert "CODEWORDS_SANDBOX=process" in hint
    assert not kept
    # What this machine does not allow is no failure of a sandbox.
    assert "sandbox setup failed in a self-test" in done.stdout
    assert "[error" not in done.stdout


BARE_ROOT = """
import ctypes, os, sys
for capability in range(64):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
TIER = """
import asyncio, sys
from pathlib import Path
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.settings import Settings

async def main():
    home = Path(sys.argv[1])
    driver = await open_driver(Settings(home=home), None, home / "run")
    print(driver.tier.id)
    await driver.close()
asyncio.run(main())
"""


@pytest.mark.requirement("sandbox:landlock")
@pytest.mark.needs("root")
@pytest.mark.skipif(bool(Landlock().missing()), reason=Landlock().missing())
async def test_root_without_capabilities_as_in_a_bare_container_is_isolated_by_landlock(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", BARE_ROOT, DENYING, sys.executable, "-c", TIER, tmp_path]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "C"
