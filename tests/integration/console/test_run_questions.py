"""A run's question in the console's inbox: what it asks as text, fields, and a button for each answer."""

from __future__ import annotations

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


def asked(console: Console, service: str, title: str) -> tuple[str, str]:
    """(run, question) of a run that asks."""
    question = ask(
        title,
        details=f"Invoice 2041 of Example Ltd.\nDue on Friday. {HOSTILE}",
        options=["pay", "reject"],
        fields=FIELDS,
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
