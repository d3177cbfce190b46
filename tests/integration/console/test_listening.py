"""What listens and what it heard, on the page of schedules; and the members in the settings."""

from __future__ import annotations

import pytest
from tests.integration.console.helpers import PROGRAM, Console
from tests.integration.console.look import look
from tests.support.waiting import until

_EVENT = {"type": "app_mention", "text": "hello", "channel": "C1"}


@pytest.mark.requirement("console:triggers")
def test_a_trigger_shows_what_it_hears_and_delivers_again(console: Console) -> None:
    listening = console.served.deploy(PROGRAM, "Listens")
    console.open("/console/schedules")
    console.sees("main", "Nothing listens.")
    asked = {"service_path": f"{listening}/", "event_type": "app_mention", "channel": "C1"}
    console.served.call("POST", "/run/slack_trigger/register", asked)
    console.sees("main td", "Slack: app_mention in C1")
    console.sees("main td", "not connected: SLACK_APP_TOKEN is not set")
    console.served.call("POST", "/run/slack_trigger/simulate", {"event": _EVENT})
    until(lambda: _runs(console) == 1, "the run of the event")
    console.sees("main td[data-label='Last event']", "app_mention")
    console.click("main button", "Deliver again")
    until(lambda: _runs(console) == 2, "the run of the second delivery")
    console.click("main button[aria-label^='Pause the webhook']", "Pause")
    console.sees("main td[data-label='State']", "paused")
    console.served.call("POST", "/run/slack_trigger/simulate", {"event": _EVENT | {"text": "again"}})
    console.sees("main td[data-label='Outcome']", "Not started: paused")
    assert _runs(console) == 2
    look(console, "/console/schedules")
    console.click("main button[aria-label^='Resume the webhook']", "Resume")
    console.sees("main td[data-label='State']", "not connected")
    console.click("main td[data-label=''] button[aria-label^='Delete the webhook']", "Delete")
    console.click("dialog button.danger")
    console.sees("main", "Nothing listens.")


def _runs(console: Console) -> int:
    deliveries = console.served.call("GET", "/webhooks/deliveries")["items"]
    return sum(len(delivery["runs"]) for delivery in deliveries)


@pytest.mark.requirement("console:members")
def test_members_are_listed_and_all_keys_of_one_are_revoked(console: Console) -> None:
    for kind in ("admin", "user"):
        console.served.call("POST", "/keys", {"owner": "ann<i>", "kind": kind})
    console.open("/console/members")
    console.sees("main td", "ann<i>")
    console.sees("main td", "2 valid")
    console.sees("main td[data-label='Keys may']", "everything")
    console.click("main button[aria-label='Revoke all keys of ann<i>']")
    console.sees("dialog", "2 keys are refused from now on.")
    console.click("dialog button.danger", "Revoke all keys of ann<i>")
    console.sees("main td", "0 valid, 2 ended")
    keys = [key for key in console.served.call("GET", "/keys")["items"] if key["owner"] == "ann<i>"]
    assert [key["revoked"] for key in keys] == [True, True]
    assert console.tab.value("document.querySelectorAll('main i').length") == 0
