"""`codewords alerts`: what failed while nobody waited for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.cli.terminal import Shell
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.requirement("alerts:shown")
def test_alerts_are_listed_with_their_run_and_put_away(shell: Shell, slow: str) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    made = shell("codewords", "schedules", "create", slow, "--at", soon, "--path", "/teapot", "--json")
    assert made.code == 0, made.err
    [alert] = until(lambda: shell("codewords", "alerts", "list", "--json").json)
    listed = shell("codewords", "alerts", "list").out
    assert all(text in listed for text in (alert["id"], alert["run_id"], "418"))

    assert "acknowledged" in shell("codewords", "alerts", "ack", alert["id"]).out
    assert shell("codewords", "alerts", "dismiss", alert["id"], "--json").json["status"] == "dismissed"
    assert shell("codewords", "alerts", "list").out == ""
    [over] = shell("codewords", "alerts", "list", "--all", "--json").json
    assert over["id"] == alert["id"]
    assert shell("codewords", "alerts", "dismiss", "al_none").code == 2
