"""A run's question in the console's inbox: what it asks as text, fields, and a button for each answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.integration.approvals.helpers import ask, asking
from tests.integration.console.helpers import Console
from tests.integration.console.look import look
from tests.support.waiting import until

HOSTILE = "<img src=x onerror=hacked=1>"
FIELDS = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "minLength": 3, "description": "Why you decide so."},
        "budget": {"enum": ["travel", "office"], "default": "office"},
    },
    "required": ["reason"],
}


@pytest.fixture(scope="module")
def service(signed_in: Console) -> str:
    return signed_in.served.deploy(asking("Asks in the console"), "Asks in the console")


def asked(
    console: Console, service: str, title: str, fields: dict[str, Any] | None = FIELDS
) -> tuple[str, str]:
    """(run, question) of a run that asks."""
    question = ask(
        title,
        details=f"Invoice 2041 of Example Ltd.\nDue on Friday. {HOSTILE}",
        options=["pay", "reject"],
        **({"fields": fields} if fields else {}),
        timeout="3d",
    )
    head = {"Authorization": console.served.key}
    started = httpx.post(
        f"{console.served.url}/run_async/{service}/",
        json={"steps": [[question]]}, headers=head, timeout=60, trust_env=False,
    )  # fmt: skip
    run_id = str(started.json()["request_id"])
    until(lambda: console.served.call("GET", f"/runs/{run_id}/approvals")["items"], "the question")
    return run_id, str(console.served.call("GET", f"/runs/{run_id}/approvals")["items"][0]["id"])


@pytest.mark.requirement("approvals:console")
def test_a_person_answers_a_runs_question_in_the_inbox(console: Console, service: str) -> None:
    run_id, question = asked(console, service, "Pay the invoice of 1,450 EUR?")
    look(console, f"/console/inbox?item={question}", ready=".opened .actions button")
    console.open("/console/inbox")
    console.sees("main li strong", "Pay the invoice of 1,450 EUR?")
    console.tab.value("document.querySelector('main li button[aria-expanded]').focus()")
    console.tab.press("Enter")
    console.sees(".opened .details", "Due on Friday. <img")
    assert console.tab.value("document.querySelectorAll('main img').length") == 0
    buttons = "[...document.querySelectorAll('.opened .actions button')].map((one) => one.innerText)"
    assert console.tab.value(buttons) == ["Pay", "Reject"]

    console.click(".opened .actions button", "Pay")
    console.waits("document.activeElement.getAttribute('aria-invalid') === 'true'")
    console.tab.value(
        "((one) => { one.value = 'It is right'; one.dispatchEvent(new Event('input', {bubbles: true})); })(document.activeElement)"
    )
    console.click(".opened .actions button", "Pay")
    console.sees("main [role=status]", "goes on with this answer")
    console.sees("main [role=status] a", "Open the run that goes on")
    until(lambda: console.record(run_id)["status"] == "succeeded", "the end of the run")
    (kept,) = console.served.call("GET", f"/runs/{run_id}/approvals")["items"]
    assert (kept["answer"], kept["answered_fields"]) == (
        "pay",
        {"reason": "It is right", "budget": "office"},
    )
    assert kept["answered_from"].startswith("Chrome")


KINDS: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "no fields": (None, {}),
    "optional fields": ({"type": "object", "properties": {"note": {"type": "string"}}}, {}),
    "a choice": ({"type": "object", "properties": {"budget": {"enum": ["travel", "office"]}}}, {}),
    "a default": (
        {"type": "object", "properties": {"sum": {"type": "integer", "default": 3}}, "required": ["sum"]},
        {"sum": 3},
    ),
    "a file": (
        {"type": "object", "properties": {"bill": {"type": "string", "format": "uri"}}, "required": ["bill"]},
        {"bill": "https://example.com/bill.pdf"},
    ),
}


@pytest.mark.requirement("approvals:console", "console:no-dead-button")
@pytest.mark.parametrize("kind", KINDS)
def test_a_question_of_each_kind_is_answered_or_says_why_not(
    signed_in: Console, service: str, kind: str
) -> None:
    fields, answered = KINDS[kind]
    run_id, question = asked(signed_in, service, f"A question with {kind}", fields)
    signed_in.open(f"/console/inbox?item={question}")
    needed = [name for name in answered if kind == "a file"]
    if needed:
        signed_in.click(".opened .actions button", "Pay")
        signed_in.sees(".opened [role=alert]", "1 field needs another value")
        # The focus follows in the next frame.
        signed_in.waits("document.activeElement.getAttribute('aria-invalid') === 'true'")
        enter = "((field) => { field.value = %r; field.dispatchEvent(new Event('input', {bubbles: true})); })(document.activeElement)"
        signed_in.tab.value(enter % answered[needed[0]])
    signed_in.click(".opened .actions button", "Pay")
    signed_in.sees("main [role=status]", "goes on with this answer")
    until(lambda: signed_in.record(run_id)["status"] == "succeeded", "the end of the run")
    (kept,) = signed_in.served.call("GET", f"/runs/{run_id}/approvals")["items"]
    assert (kept["answer"], kept["answered_fields"] or {}) == ("pay", answered)


@pytest.mark.requirement("approvals:console", "console:true-charts")
def test_a_run_that_asks_is_shown_waiting_and_is_answered_on_its_own_page(
    signed_in: Console, service: str
) -> None:
    run_id, _ = asked(signed_in, service, "Answer beside the log?", None)
    signed_in.open(f"/console/runs/{run_id}")
    signed_in.sees("main h1", "waits for your answer")
    signed_in.sees("main .attention h2", "Answer beside the log?")

    # Neither chart counts it as succeeded.
    today = signed_in.served.call("GET", "/usage?by=day")["items"][0]
    others = today["runs"] - today["succeeded"] - today["failed"]
    assert others >= 1
    for page in ("/console/usage", f"/console/workflows/{service}?tab=history"):
        signed_in.open(page)
        signed_in.waits("document.querySelector('.chart svg')")
        signed_in.tab.value("document.querySelector('.chart [role=img]').focus()")
        signed_in.tab.press("End")
        reading = signed_in.sees(".chart .reading", "Waiting, running or cancelled")
        assert not reading.endswith(" 0")
        if page == "/console/usage":
            assert f"Succeeded {today['succeeded']} · Failed {today['failed']} · " in reading

    signed_in.open(f"/console/runs/{run_id}")
    signed_in.click("main .attention button", "Pay")
    until(lambda: signed_in.record(run_id)["status"] == "succeeded", "the end of the run")
    signed_in.sees("main h1", "succeeded")
