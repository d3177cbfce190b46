"""The Model Context Protocol's own conformance suite against our real server, in both eras."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codewords_mcp.server import create_server
from codewords_mcp.settings import Settings

from .connecting import serving
from .everything import add_everything
from .fake import ANN, FakeRuntime
from .npm import CONFORMANCE, OWN_NODE, installed, node

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.requirement("mcp:conformance")
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_every_scored_requirement_of_the_suite_holds(
    revision: str, runtime: FakeRuntime, settings: Settings, tmp_path: Path
) -> None:
    folder = installed(*CONFORMANCE)
    server = create_server(runtime, settings)
    add_everything(server)
    script = folder / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    async with serving(runtime, settings, {"": ANN}, server) as url:
        code, out, err = await node(
            folder, str(script), "server", "--url", url, "--requirements", revision, "-o", str(tmp_path),
            program=str(folder / OWN_NODE),
        )  # fmt: skip
    scored, _, _ = out.partition("Not scored for")
    failed = [line for line in scored.splitlines() if line.startswith("\N{BALLOT X}")]
    unscored = {
        line.split()[1] for line in out.rpartition("Not scored for")[2].splitlines() if line.startswith("  ")
    }
    assert [line for line in failed if line.split()[1].rstrip(":") not in unscored] == [], _failures(tmp_path)
    assert code == 0, out + err
    assert scored.count("\N{CHECK MARK}") >= 28, "the suite has run"


def _failures(folder: Path) -> str:
    """What the checks said that did not hold."""
    return "\n".join(
        f"{file.parent.name}: {check['id']}: {check.get('errorMessage')}"
        for file in folder.glob("*/checks.json")
        for check in json.loads(file.read_text(encoding="utf-8"))
        if check["status"] == "FAILURE"
    )
