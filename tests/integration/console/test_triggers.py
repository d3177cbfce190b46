"""Triggers of event sources beside schedules: shown with their state, paused and deleted."""

from __future__ import annotations

import pytest
from tests.integration.console.helpers import Console
from tests.integration.console.look import look
from tests.support.runtime import ECHO

pytestmark = pytest.mark.slow


@pytest.mark.requirement("triggers:console")
def test_a_trigger_is_shown_paused_and_deleted_beside_schedules(console: Console) -> None:
    body = {
        "kind": "run_ended",
        "service_id": console.served.deploy(ECHO, "Echo"),
        "options": {"workflow": console.workflow},
    }
    console.served.call("POST", "/triggers", body)
    console.open("/console/schedules")
    console.sees("main td", "run_ended")
    look(console, "/console/schedules", ready="table")

    console.open("/console/schedules")
    console.click("main button[aria-label='Pause Echo']")
    console.sees("main td", "paused")
    console.click("main button[aria-label='Resume Echo']")
    # The home is shared with other tests of this folder: what they paused and made stays on the page.
    console.sees("main button[aria-label='Pause Echo']")
    console.click("main tr:has(button[aria-label='Pause Echo']) button.danger")
    console.click("dialog button.danger, dialog button.primary")
    console.waits("!document.querySelector('main').innerText.includes('run_ended')")
    kept = console.served.call("GET", "/triggers")["items"]
    assert [trigger for trigger in kept if trigger["service_id"] == body["service_id"]] == []
