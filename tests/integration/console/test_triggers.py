"""Triggers of event sources beside schedules: added by a form, shown with their state, paused and deleted."""

from __future__ import annotations

import json

import pytest
from tests.integration.console.helpers import DESKTOP, PHONE, Console
from tests.integration.console.look import look, violations
from tests.support.runtime import ECHO, workflow

pytestmark = pytest.mark.slow
STRICT = workflow(
    """
from pydantic import BaseModel

class Order(BaseModel):
    number: int

@app.post("/")
async def main(order: Order):
    return {"number": order.number}
"""
)


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
    console.waits("!document.querySelector(\"main button[aria-label='Pause Echo']\")")
    kept = console.served.call("GET", "/triggers")["items"]
    assert [trigger for trigger in kept if trigger["service_id"] == body["service_id"]] == []


def _enter(console: Console, field: str, text: str) -> None:
    """Enter a text into a field of the form, or choose it."""
    selector = f"dialog [id='fieldoptions/{field}'], dialog select[name='{field}']"
    console.waits(f"document.querySelector({json.dumps(selector)})")
    console.tab.value(
        f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.value = {json.dumps(text)};"
        "for (const kind of ['input', 'change']) one.dispatchEvent(new Event(kind, {bubbles: true})); })()"
    )


@pytest.mark.requirement("triggers:console")
def test_a_trigger_of_any_kind_is_added_by_a_form_of_its_options(console: Console) -> None:
    service_id = console.served.deploy(STRICT, "Takes a number")
    console.open(f"/console/workflows/{service_id}?tab=starts", "Takes a number")
    console.sees("main", "Nothing starts it by itself.")
    console.click("main button", "New trigger")
    kinds = {one["kind"] for one in console.served.call("GET", "/triggers/kinds")["items"]}
    console.sees("dialog option", "RSS")
    offered = "[...document.querySelectorAll(\"dialog select[name='kind'] option\")].map((one) => one.value)"
    assert set(console.tab.value(offered)) == kinds

    _enter(console, "kind", "run_ended")
    console.click("dialog button", "Let Takes a number run by itself")
    console.sees("dialog .bad", "This is needed.")
    _enter(console, "workflow", "nothing_0a1b2c3d")
    console.click("dialog button", "Let Takes a number run by itself")
    console.sees("dialog [role=alert]", "None of your workflows has the id")
    for size in (PHONE, DESKTOP):
        for dark in (False, True):
            console.tab.resize(*size, dark=dark)
            assert violations(console) == [], (size, dark)
            assert (
                console.tab.value(
                    "document.querySelector('dialog').scrollWidth - document.querySelector('dialog').clientWidth"
                )
                <= 0
            )

    console.run()
    _enter(console, "workflow", console.workflow)
    console.click("dialog button", "Show the newest item")
    console.sees("dialog pre", console.workflow)
    assert console.served.call("GET", f"/triggers?service_id={service_id}")["items"] == []
    console.click("dialog button", "Let Takes a number run by itself")
    console.sees("dialog [role=status]", "the workflow refuses the newest item")
    console.click("dialog button[aria-label='Close']")
    console.sees("main .rows", "run_ended")

    console.click("main button", "New trigger")
    _enter(console, "kind", "plain")
    console.click("dialog button", "Let Takes a number run by itself")
    console.sees("main .rows", f"{console.served.url}/webhook/")
    added = console.served.call("GET", f"/triggers?service_id={service_id}")["items"]
    assert {trigger["kind"] for trigger in added} == {"plain", "run_ended"}
    for trigger in added:
        console.served.call("DELETE", f"/triggers/{trigger['id']}")


@pytest.mark.requirement("triggers:console", "console:plain-remedies")
def test_a_refused_trigger_says_why_in_words_where_a_person_looks(console: Console) -> None:
    service_id = console.served.deploy(STRICT, "Takes a number at a time")
    console.tab.resize(1280, 800)
    console.open(f"/console/workflows/{service_id}?tab=starts", "Takes a number at a time")
    console.click("main button", "New trigger")
    _enter(console, "kind", "schedule")
    _enter(console, "cron", "0 25 * * 9")
    console.click("dialog button", "Let Takes a number at a time run by itself")
    refusal = console.sees("dialog [role=alert]", "is not a valid hour")
    assert "`" not in refusal
    assert console.tab.value("document.querySelector('dialog .problem pre').innerText") == "0 25 * * 9\n  ^^"
    for selector in ("dialog .problem", "dialog .actions button.primary"):
        inside = f"(() => {{ const box = document.querySelector('{selector}').getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight; }})()"
        console.waits(inside)

    _enter(console, "cron", "@daily")
    console.click("dialog button", "Let Takes a number at a time run by itself")
    refusal = console.sees("dialog [role=alert]", "The input does not fit the workflow")
    assert "GET /" not in refusal
    assert "page shows its routes" in refusal
