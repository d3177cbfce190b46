"""The page of the audit trail: entries with what changed, filters in the address, verification and export."""

from __future__ import annotations

import json

import pytest
from tests.integration.console.helpers import Console
from tests.integration.console.look import look
from tests.support.waiting import until

HOSTILE = "A <img src=x onerror=alert(1)> \u202egnp.exe"
_DOWNLOADS = """
window.saved = [];
const create = URL.createObjectURL;
URL.createObjectURL = blob => { blob.text().then(text => window.saved.push(text)); return create(blob); };
true
"""


@pytest.mark.requirement("audit:page")
def test_the_audit_page_shows_who_did_what_and_what_changed(console: Console) -> None:
    console.served.call("PUT", "/secrets/AUDITED_SECRET", {"value": "never-to-be-shown"})
    console.served.call("PUT", "/budgets/home", {"usd": 5.0, "period": "day"})
    console.served.call("PUT", "/budgets/home", {"usd": 7.5, "period": "day"})
    console.run()
    look(console, "/console/audit", "of the audit trail", ready="table tbody tr")

    console.open("/console/audit", "of the audit trail")
    console.sees("tbody a.noun", "AUDITED_SECRET")
    console.click("details.audit summary", "budget.change")
    console.sees("details.audit[open] del", "5")
    console.sees("details.audit[open] ins", "7")
    console.click("details.audit summary", "secret.create")
    console.sees("details.audit[open] dd", "not kept")
    assert "never-to-be-shown" not in console.tab.value("document.body.innerText")


@pytest.mark.requirement("audit:page")
def test_filters_are_in_the_address_and_a_hostile_one_is_text(console: Console) -> None:
    console.served.call("PUT", "/secrets/FILTERED_SECRET", {"value": "x"})
    console.open("/console/audit?action=secret&target=FILTERED_SECRET", "entry of the audit trail")
    assert console.tab.value("document.querySelector('select[name=action]').value") == "secret"
    console.sees("tbody a.noun", "FILTERED_SECRET")

    console.tab.value(
        "(() => { const field = document.querySelector('input[name=target]');"
        f" field.value = {json.dumps(HOSTILE)}; field.dispatchEvent(new Event('change')); }})()"
    )
    console.sees("main h1", "No entry of the audit trail matches")
    console.waits("new URLSearchParams(location.search).get('target')?.startsWith('A <img')")
    console.click("a.clear")
    console.sees("main h1", "of the audit trail")
    console.waits("location.search === ''")


@pytest.mark.requirement("audit:page")
def test_the_chain_is_verified_and_exported_from_the_page(console: Console) -> None:
    console.served.call("PUT", "/secrets/EXPORTED_SECRET", {"value": "x"})
    until(lambda: console.served.call("GET", "/audit/verification")["unsealed"] == 0, "the seal")
    console.open("/console/audit?action=secret&target=EXPORTED_SECRET", "of the audit trail")
    console.click("button", "Verify the chain")
    console.sees("[role=status] h2", "Unbroken")
    assert len(console.sees("[role=status] pre")) == 64

    console.tab.value(_DOWNLOADS)
    console.click("button", "Download as JSON lines")
    console.waits("window.saved.length")
    [line] = console.tab.value("window.saved[0]").splitlines()
    assert json.loads(line)["target"] == "EXPORTED_SECRET"
    assert console.tab.problems == []


@pytest.mark.requirement("audit:page")
def test_settings_lead_to_the_audit_page(console: Console) -> None:
    console.open("/console/settings")
    console.click("main a", "Audit trail")
    console.sees("main h1", "of the audit trail")
