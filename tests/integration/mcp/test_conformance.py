"""The Model Context Protocol's own conformance suite against our real server, in both eras."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import anyio
import pytest
from tests.integration.mcp.conformance_server import A_MOMENT, add_everything, long_tools
from tests.integration.mcp.fake_runtime import ANN, FakeRuntime
from tests.support.mcp_clients import serving
from tests.support.npm import CONFORMANCE, OWN_NODE, installed, node

from codewords_mcp.cli.mcp_app import create_server
from codewords_mcp.mcp_server.limits import ServerLimits
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def _suite(folder: Path, url: str, out: Path, *which: str) -> tuple[int, str]:
    script = folder / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    code, told, err = await node(
        folder, str(script), "server", "--url", url, *which, "-o", str(out), program=str(folder / OWN_NODE)
    )
    return code, told + err


@pytest.mark.requirement("mcp:conformance")
@pytest.mark.requirement("tasks:conformance")
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_every_scored_requirement_of_the_suite_holds(
    revision: str, runtime: FakeRuntime, settings: Settings, tmp_path: Path
) -> None:
    folder = installed(*CONFORMANCE)
    server = create_server(
        runtime, settings, more=long_tools(), limits=ServerLimits(immediate_timeout=A_MOMENT / 5)
    )
    add_everything(server)
    async with serving(runtime, settings, {"": ANN}, server) as url:
        code, out = await _suite(folder, url, tmp_path, "--requirements", revision)
    scored, _, _ = out.partition("Not scored for")
    failed = [line for line in scored.splitlines() if line.startswith("\N{BALLOT X}")]
    unscored = {
        line.split()[1] for line in out.rpartition("Not scored for")[2].splitlines() if line.startswith("  ")
    }
    assert [line for line in failed if line.split()[1].rstrip(":") not in unscored] == [], _failures(tmp_path)
    assert code == 0, out
    assert scored.count("\N{CHECK MARK}") >= 28, "the suite has run"
    if revision == "2026-07-28":  # the suite does not score extensions; we do
        assert _statuses(tmp_path, "tasks-") == {"SUCCESS": 44, "SKIPPED": 1}, _failures(tmp_path)


@pytest.mark.requirement("skills:conformance")
async def test_every_check_of_the_skills_extension_holds(
    runtime: FakeRuntime, settings: Settings, tmp_path: Path
) -> None:
    folder = installed(*CONFORMANCE)
    async with serving(runtime, settings, {"": ANN}) as url, anyio.create_task_group() as together:
        for scenario in ("enumeration", "manifest", "directory"):
            which = (
                "--scenario",
                f"sep-2640-skills-{scenario}",
                "--spec-version",
                "2026-07-28",
                "--force",
            )
            together.start_soon(_suite, folder, url, tmp_path, *which)
    assert _statuses(tmp_path, "sep-2640") == {"SUCCESS": 39, "SKIPPED": 6}, _failures(tmp_path)


def _statuses(folder: Path, scenario: str) -> dict[str, int]:
    """How many checks of these scenarios ended how."""
    found = Counter[str]()
    for file in folder.glob(f"*{scenario}*/checks.json"):
        found.update(check["status"] for check in json.loads(file.read_text(encoding="utf-8")))
    return dict(found)


def _failures(folder: Path) -> str:
    """What the checks said that did not hold."""
    return "\n".join(
        f"{file.parent.name}: {check['id']}: {check.get('errorMessage')}"
        for file in folder.glob("*/checks.json")
        for check in json.loads(file.read_text(encoding="utf-8"))
        if check["status"] in {"FAILURE", "WARNING"}
    )
