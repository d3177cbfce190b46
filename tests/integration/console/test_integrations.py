"""Apps, their accounts and their actions, with a stand-in for the broker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.console.helpers import Console
from tests.integration.console.look import look
from tests.support.runtime import workflow

from codewords_testing.pipedream import LoopbackConnect

_USER = "codewords-local"
_ACTION = "/console/integrations/google_sheets?action=google_sheets-add-single-row"
_PROGRAM = workflow(
    '@app.post("/")\nasync def main(request: Request):\n    return {}\n',
    env=("PIPEDREAM_GOOGLE_SHEETS_ACCESS",),
    title="Rows to sheets",
)


@pytest.fixture
def project(console: Console, broker: LoopbackConnect) -> Iterator[LoopbackConnect]:
    """The home has a project of the broker, in which nobody has connected anything."""
    for name, value in broker.credentials.items():
        console.served.call("PUT", f"/secrets/{name}", {"value": value})
    broker.forget_accounts()
    broker.runs.clear()
    yield broker
    broker.forget_accounts()
    for name in broker.credentials:
        console.served.call("DELETE", f"/secrets/{name}")


@pytest.mark.requirement("console:integrations")
def test_without_a_broker_it_is_said_what_works_and_what_to_do(console: Console) -> None:
    console.open("/console/integrations", "No account connected")
    console.sees(".attention", "Only actions that need no broker can be run")
    console.sees(".gallery", "Slack")
    console.click(".attention button", "PIPEDREAM_CLIENT_ID")
    console.waits("location.pathname.startsWith('/secrets/enter/')")
    console.open("/console/integrations/stripe", "Stripe")
    console.click("main button", "Connect Stripe")
    console.sees(".problem", "stripe needs a Pipedream project, and none is configured.")


@pytest.mark.requirement("console:integrations")
def test_an_account_is_connected_by_the_brokers_page_and_disconnected(
    console: Console, project: LoopbackConnect
) -> None:
    console.open("/console/integrations?q=refund")
    console.click(".rows a", "Create Refund")
    console.sees("main h1", "Stripe")
    console.click("main button", "Connect Stripe")
    console.waits("location.pathname.startsWith('/connect/')")
    console.click("a.button", "Go on to Pipedream")
    console.click("button", "Connect")
    console.sees("h1", "stripe is connected")
    console.click("a", "see what it can do")
    console.sees("main td", "stripe account")
    console.sees("main td .good", "works")
    console.click("main td button", "Disconnect")
    console.sees("dialog", "No workflow uses this app.")
    console.click("dialog button.danger", "Disconnect stripe account")
    console.sees("main button", "Connect Stripe")
    assert console.served.call("GET", "/connections")["items"] == []


@pytest.mark.requirement("console:integrations")
def test_an_account_says_whether_it_works_and_who_uses_it(console: Console, project: LoopbackConnect) -> None:
    project.connect_account(_USER, "google_sheets", name="<b>ann</b>")
    dead = project.connect_account(_USER, "slack_v2", name="Team")
    service_id = console.served.deploy(_PROGRAM, "Rows to sheets")
    nightly: dict[str, Any] = {"service_id": service_id, "name": "nightly", "cron": "0 0 * * *", "input": {}}
    schedule = console.served.call("POST", "/schedules", nightly)
    project.revoke(dead)
    look(console, "/console/integrations", "2 accounts connected", ready="main td")
    console.open("/console/integrations", "2 accounts connected")
    console.sees("main td", "schedule nightly")
    console.sees("main td", "<b>ann</b>")
    console.sees("main td .bad", "needs to be connected again")
    console.sees(f"main td a[href='/console/workflows/{service_id}']", "Rows to sheets")
    console.click("main td button", "Connect again")
    console.waits("location.pathname.startsWith('/connect/')")
    console.served.call("DELETE", f"/schedules/{schedule['id']}")


@pytest.mark.requirement("console:actions")
def test_an_action_lists_values_and_dependent_fields_and_asks_before_it_runs(
    console: Console, project: LoopbackConnect
) -> None:
    account = project.connect_account(_USER, "google_sheets")
    console.open(_ACTION, "Google Sheets")
    console.click(".run-form button", "Show the values of sheetId")
    console.sees("option", "Customers")
    _choose(console, "Customers")
    _choose(console, "Yes")
    console.click(".run-form button", "Show the fields that depend on these values")
    console.sees("label", "col_name")
    console.tab.value(
        "(() => { const field = document.getElementById('fieldinput/col_name'); field.value = 'Ann';"
        " field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    console.click(".run-form button.danger", "Send POST /integrations/google_sheets/call")
    console.sees("dialog .facts-list", "sheetId: “sheet-2”")
    assert project.runs == []
    console.click("dialog button.danger")
    console.sees(".answer h2", "status 200")
    (run,) = project.runs
    assert run.props["col_name"] == "Ann"
    assert run.props["googleSheets"] == {"authProvisionId": account}


@pytest.mark.requirement("console:actions")
def test_an_action_of_an_app_that_is_not_connected_says_so(
    console: Console, project: LoopbackConnect
) -> None:
    console.open("/console/integrations/stripe?action=stripe-create-refund", "Stripe")
    console.sees("label", "Charge")
    console.tab.value(
        "(() => { const field = document.getElementById('fieldinput/charge'); field.value = 'ch_1';"
        " field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    console.click(".run-form button.danger")
    console.sees(".run-form .problem", "The account of stripe is missing, so nothing was run.")
    assert project.runs == []


@pytest.mark.requirement("console:pages")
def test_an_app_and_an_action_fit_phones_and_desktops(console: Console, project: LoopbackConnect) -> None:
    project.connect_account(_USER, "google_sheets", name="a_very_long_name_of_an_account_" * 4)
    look(console, _ACTION, "Google Sheets")


def _choose(console: Console, name: str) -> None:
    """Choose an option of this name."""
    console.tab.value(
        f"(() => {{ const option = [...document.querySelectorAll('option')].find(one => one.innerText === '{name}');"
        " const field = option.closest('select'); field.value = option.value; field.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
