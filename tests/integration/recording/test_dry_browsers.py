"""Agents that act in a browser are writes: a dry run holds them."""

from __future__ import annotations

import pytest
from tests.integration.recording.helpers import RecordingGround, calling
from tests.integration.runtime.helpers import deployed
from tests.support.runtime import ADMIN, fetch

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.requirement("runs:dry-run")
async def test_what_agents_would_do_in_a_browser_is_held(ground: RecordingGround) -> None:
    tool = 'services = ["web_automation_agent", "chrome_extension"]'
    acting = await deployed(ground.runtime, calling(tool, title="Acts in a browser"))
    buy = {"url": f"{ground.url}/shop", "instructions": "Buy the blue one"}
    click = {"actions": [{"type": "click", "selector": "#buy"}]}
    calls = [["POST", "/run/web_automation_agent/", buy], ["POST", "/run/chrome_extension/", click]]
    status, body, run_id = await fetch(ground.runtime, acting, {"calls": calls}, mode="dry_run")
    assert status == 200, body
    await ground.recording(run_id)
    listed = await ground.runtime.dry_runs.get(ADMIN, run_id)
    assert [(one.address, one.state) for one in listed.writes] == [
        ("web_automation_agent", "held"),
        ("chrome_extension", "held"),
    ]
    assert "Buy the blue one" in listed.writes[0].body
    assert ground.host.asked == []
