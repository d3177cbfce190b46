"""Alerts in the console: on Home and in the inbox, with their run, until a person answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.console.helpers import Console, signed_in_console
from tests.integration.console.look import look
from tests.support.waiting import until

from codewords_testing.pipedream import LoopbackConnect


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory, broker: LoopbackConnect) -> Iterator[Console]:
    """A home of its own, whose inbox has nothing of other tests."""
    with signed_in_console(tmp_path_factory.mktemp("alerts"), broker) as console:
        yield console


@pytest.mark.requirement("alerts:shown")
def test_a_scheduled_run_that_failed_is_on_home_and_in_the_inbox_until_it_is_dismissed(
    console: Console,
) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    body = {"service_id": console.workflow, "at": soon, "input": {"kind": "fail"}}
    console.served.call("POST", "/schedules", body)
    [alert] = until(lambda: console.served.call("GET", "/alerts")["items"])

    look(console, "/console", "needs you", ready=".rows.offers")
    look(console, "/console/inbox", "needs you", ready=".rows.offers")
    title = console.sees(".rows.offers li", "Page monitor")
    assert "500" in title
    assert console.tab.value(f"document.querySelector('a[href={json.dumps(alert['path'])}]').innerText")

    console.tab.value("[...document.querySelectorAll('button')].find(b => b.innerText == 'I know').click()")
    console.sees(".rows.offers li", "you know of it")
    console.sees("main h1", "Nothing needs you")
    console.tab.value("[...document.querySelectorAll('button')].find(b => b.innerText == 'Dismiss').click()")
    console.waits("!document.querySelector('.rows.offers li')")
    assert console.served.call("GET", "/alerts")["items"] == []
