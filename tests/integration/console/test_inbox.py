"""The inbox: each thing is opened and answered where it is, with what exactly is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.integration.console.helpers import Console
from tests.integration.console.look import look
from tests.support.background_runs import with_options
from tests.support.runtime import workflow

HOSTILE = "<img src=x onerror=hacked=1>"
BEFORE = workflow('@app.get("/")\nasync def f():\n    return "before"\n', title="Asks")
AFTER = workflow(
    'import httpx\n@app.get("/")\nasync def f(url: str):\n    return (await httpx.AsyncClient().get(url)).text\n',
    title="Asks",
)
MAILS = with_options(
    workflow(
        """
import httpx, os

@app.post("/")
async def act():
    key = {"Authorization": os.environ["CODEWORDS_API_KEY"]}
    mail = {"to": "inbox@example.com", "subject": "Held", "text": "Hello"}
    async with httpx.AsyncClient(base_url=os.environ["CODEWORDS_RUNTIME_URI"], headers=key) as client:
        (await client.post("/run/send_email/", json=mail)).raise_for_status()
    return {"sent": 1}
""",
        title="Mails",
    ),
    'services = ["send_email"]',
)


def asked(console: Console, body: dict[str, Any]) -> str:
    """Deploy what needs a yes; the token of the question."""
    head = {"Authorization": console.served.key}
    answer = httpx.post(f"{console.served.url}/deploy", json=body, headers=head, timeout=300, trust_env=False)
    assert answer.status_code == 403, answer.text
    return str(answer.json()["error"]["confirm"])


@pytest.fixture(scope="module")
def live(signed_in: Console) -> str:
    """A workflow whose next version asks for more."""
    return signed_in.served.deploy(BEFORE, "Asks for more")


@pytest.fixture
def token(console: Console, live: str) -> Iterator[str]:
    """An open question about its next version."""
    found = asked(console, {"code": AFTER, "service_id": live})
    yield found
    head = {"X-Codewords-Console": "1"}
    console.tab.value(answering(found, head, agreed=False))


def answering(token: str, head: dict[str, str], *, agreed: bool) -> str:
    """A script that answers a question as another tab does; gives the status."""
    sent = {
        "method": "POST",
        "headers": {**head, "Content-Type": "application/json"},
        "body": json.dumps({"agreed": agreed}),
    }
    return f"fetch('/questions/{token}', {json.dumps(sent)}).then((answer) => answer.status)"


@pytest.mark.requirement("inbox:in-place")
def test_a_deploys_question_opens_in_place_with_its_differences_above_the_buttons(
    console: Console, live: str, token: str
) -> None:
    console.open("/console/inbox")
    console.sees("main li", "Asks for more")
    console.tab.value("document.querySelector('main li button[aria-expanded]').focus()")
    console.tab.press("Enter")
    console.waits(f"location.search === '?item={token}'")
    console.sees(".opened .actions button", "No, don't deploy it")
    order = console.tab.value("[...document.querySelectorAll('.opened h3')].map((one) => one.innerText)")
    assert order[:4] == ["Code", "Permissions", "Behaviour", "Cost"]
    beside = """(([title, button]) => title.top < button.bottom && button.top < title.bottom)(
        ['.open > .what', '.open > button'].map((one) => document.querySelector(one).getBoundingClientRect()))"""
    assert console.tab.value(beside), "the title and the button that closes are in one row"
    assert '-    return "before"' in console.sees(".opened .difference")
    console.sees(".opened .changed-permissions", "+ hosts any host of the internet")
    console.waits(
        "document.querySelector('.opened > .actions').compareDocumentPosition(document.querySelector('.opened dl'))"
        " === Node.DOCUMENT_POSITION_PRECEDING"
    )

    console.tab.press("Escape")
    console.waits("!document.querySelector('.opened') && document.activeElement.matches('[aria-expanded]')")
    console.tab.press("Enter")
    console.sees(".opened .actions button", "may be deployed")
    console.tab.value("history.back()")
    console.waits("!document.querySelector('.opened')")
    console.tab.value("history.forward()")
    console.sees(".opened .actions button", "may be deployed")
    console.click(".opened .actions button", "may be deployed")
    console.sees("main [role=status]", "Deploying again makes it live")
    console.waits("document.activeElement.getAttribute('role') === 'status'")
    console.waits(f"!document.querySelector('.opened') && !document.body.innerHTML.includes('{token}')")
    console.sees("main [role=status] a", "Open Asks for more")
    assert console.served.deploy(AFTER, "Asks for more", allow=False, service_id=live) == live
    console.served.call("POST", f"/workflows/{live}/rollback", {"version": 1})


@pytest.mark.requirement("inbox:in-place")
def test_what_another_tab_answered_is_told_where_it_was_open(console: Console) -> None:
    body = {"code": AFTER, "name": f"Two tabs {HOSTILE}"}
    asked(console, {"code": AFTER, "name": "Waits below it"})
    token = asked(console, body)
    look(console, f"/console/inbox?item={token}", ready=".opened .actions button")
    # The name of a workflow is text here too.
    assert console.tab.value("document.querySelectorAll('main img').length") == 0
    assert console.tab.value("window.hacked") is None

    assert console.tab.value(answering(token, {}, agreed=True)) == 401
    key = {"Authorization": console.served.key, "X-Codewords-Console": "1"}
    assert console.tab.value(answering(token, key, agreed=True)) == 403
    console.sees(".opened .actions button", "No, don't deploy it")
    own = {"X-Codewords-Console": "1"}
    assert console.tab.value(answering(token, own, agreed=False)) == 200
    console.sees("main [role=status]", "This waits no longer")
    assert console.tab.value(answering(token, own, agreed=True)) == 404
    console.click("main [role=status] a", "Show all")
    console.waits("location.search === '' && !document.querySelector('.opened')")


@pytest.mark.requirement("inbox:in-place")
def test_held_writes_are_sent_where_they_are_listed(console: Console) -> None:
    mails = console.served.deploy(MAILS, "Mails of the inbox")
    head = {"Authorization": console.served.key, "Codewords-Dry-Run": "yes"}
    ran = httpx.post(
        f"{console.served.url}/run/{mails}/", json={}, headers=head, timeout=120, trust_env=False
    )
    assert ran.status_code == 200, ran.text
    run_id = ran.headers["x-request-id"]
    console.open(f"/console/inbox?item={run_id}")
    console.sees(".opened .held", "send_email")
    console.click(".opened button", "Run for real and send exactly this write")
    console.sees("dialog", "inbox@example.com")
    console.click("dialog button", "Agree, and send exactly this write")
    console.waits(f"/runs\\/[0-9a-f-]+$/.test(location.pathname) && !location.pathname.endsWith('{run_id}')")
    console.sees("main h1", "succeeded")
