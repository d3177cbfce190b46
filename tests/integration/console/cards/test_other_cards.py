"""The cards of deploys, of what waits for a person, of a workflow's input and of usage."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.console.cards.helpers import Host
from tests.integration.console.helpers import PROGRAM, Console
from tests.integration.console.look import VIOLATIONS, axe
from tests.support.browser_client import sign_in
from tests.support.runtime import workflow
from tests.support.waiting import until

_ASKING = PROGRAM.replace(
    'print("STEPLOG START answer", flush=True)',
    'print("STEPLOG START <b>answer</b>", flush=True)\n'
    '    if order.get("fetch"):\n'
    "        import urllib.request\n"
    '        urllib.request.urlopen("https://prices.example.com/")',
)
_ORDER = workflow(
    """
from pydantic import BaseModel, Field

class Order(BaseModel):
    name: str = Field(min_length=2)
    amount: int = Field(3, ge=1, le=10)

@app.post("/")
async def main(order: Order):
    print("Ordered by", order.name, flush=True)
    return {"ordered": order.amount}
""",
    title="Order <i>tea</i>",
)


@pytest.mark.requirement("cards:review")
@pytest.mark.requirement("cards:yes")
def test_a_deploy_is_reviewed_before_it_and_answered_in_the_console_only(
    host: Host, console: Console
) -> None:
    service = console.served.deploy(PROGRAM, "To review")
    Console(console.tab, console.served, service).run(lines=2)
    arguments = {"code": _ASKING, "workflow_id": service}
    card = host.show("deploy_workflow", arguments)
    card.sees("h1", "Nothing was deployed yet")
    card.sees(".question dd", "prices.example.com")
    card.sees(".difference .added", "<b>answer</b>")
    card.sees("section", "4 lines added, 1 removed")
    card.sees(".lines .added", "+ hosts prices.example.com")
    assert "same" in card.sees("section", "Behaviour")
    card.sees("section", "Cost")
    assert card.value("document.querySelectorAll('b').length") == 0

    card.click("button.primary", "Answer in the console")
    until(lambda: card.opened, "the question's page")
    question = str(card.seen("one.result.structuredContent.consent_url"))
    assert card.opened == [question]
    assert console.served.call("GET", f"/workflows/{service}")["version"] == 1
    assert "deploy_workflow" not in card.called

    with sign_in(console.served.url, console.served.key) as person:
        assert person.submit(question, {"answer": "agree"}).status_code == 200
    card.sees("[role=status]", "You answered")
    card.click("button", "Deploy it now")
    card.sees("h1", "To review: version 2 is live")
    assert console.served.call("GET", f"/workflows/{service}")["version"] == 2


@pytest.mark.requirement("cards:yes")
def test_a_card_that_calls_the_tool_without_an_answer_deploys_nothing(host: Host, console: Console) -> None:
    service = console.served.deploy(PROGRAM, "To refuse")
    arguments = {"code": _ASKING, "workflow_id": service}
    card = host.show("deploy_workflow", arguments)
    card.sees("h1", "Nothing was deployed yet")
    token = card.seen("one.result.structuredContent.confirm")
    forced = host.tab.value(
        f"host.client.callTool({{name: 'deploy_workflow', arguments: {{...{arguments}, confirm: '{token}'}}}})"
    )
    assert forced["structuredContent"]["status"] == "needs_consent"
    assert console.served.call("GET", f"/workflows/{service}")["version"] == 1


@pytest.mark.requirement("cards:inbox")
@pytest.mark.requirement("cards:yes")
def test_what_waits_opens_its_page_in_the_console(host: Host, console: Console) -> None:
    card = host.show("set_secret", {"name": "A_CARD_KEY"})
    card.sees("strong", "A_CARD_KEY")
    card.click("button", "Type it in the console")
    until(lambda: card.opened, "the page of the secret")
    [address] = card.opened
    everything = host.show("show_inbox", {})
    everything.sees("li strong", "A_CARD_KEY")
    console.tab.open(address)
    console.sees("h1", "A_CARD_KEY")


@pytest.mark.requirement("cards:inbox")
def test_what_was_answered_waits_no_longer(host: Host, console: Console) -> None:
    card = host.show("set_secret", {"name": "A_TYPED_KEY"})
    card.click("button", "Type it in the console")
    until(lambda: card.opened, "the page of the secret")
    [address] = card.opened
    with sign_in(console.served.url, console.served.key) as person:
        assert person.submit(address, {"value": "typed"}).status_code == 200
    card.sees("[role=status]", "waits no longer")


@pytest.mark.requirement("cards:inbox")
def test_a_connection_that_may_not_list_what_waits_shows_its_own_item(host: Host, console: Console) -> None:
    host.connect("/mcp/secrets")
    card = host.show("set_secret", {"name": "A_NARROW_KEY"})
    card.click("button", "Type it in the console")
    until(lambda: card.opened, "the page of the secret")
    assert card.opened == [card.seen("one.result.structuredContent.url")]


@pytest.mark.requirement("cards:form")
def test_a_form_checks_runs_and_shows_the_run(host: Host, console: Console) -> None:
    service = console.served.deploy(_ORDER, "Order <i>tea</i>")
    card = host.show("show_form", {"workflow_id": service})
    card.sees("h1", "Order <i>tea</i>")
    card.click("button.primary", "Run Order")
    card.sees(".hint .bad")
    assert card.called == ["read_workflow_card"]
    field = "document.querySelector('.run-form input[type=text], .run-form input:not([type])')"
    card.value(f"({field}.value = 'Ann', {field}.dispatchEvent(new Event('input', {{bubbles: true}})))")
    card.click("button.primary", "Run Order")
    card.sees("h1", "succeeded")
    assert '"ordered": 3' in card.sees(".given")
    card.sees(".log [role=option]", "Ordered by Ann")
    assert "run_workflow" in card.called
    card.click("button", "Back to the form")
    card.sees(".run-form")


@pytest.mark.requirement("cards:usage")
def test_usage_is_summed_by_day_and_workflow(host: Host, console: Console) -> None:
    console.run(lines=1)
    [of] = [
        one
        for one in console.served.call("GET", "/usage?by=workflow")["items"]
        if one["of"] == console.workflow
    ]
    card = host.show("show_usage", {"days": 7})
    card.sees("h1", "in 7 days")
    row = card.sees("tbody tr", "Page monitor")
    assert f"{of['runs']}" in row
    assert card.value("document.querySelectorAll('.day-bars li').length") == 7


@pytest.mark.requirement("cards:announced")
def test_a_host_that_announced_nothing_still_shows_cards_and_has_todays_texts(
    host: Host, console: Console
) -> None:
    names = host.connect(announce=False)
    assert not {"show_form", "show_inbox", "show_usage", "read_run_card", "read_workflow_card"} & set(names)
    card = host.show("run_workflow", {"workflow_id": console.workflow, "input": {"lines": 1}})
    card.sees("h1", "Page monitor succeeded")
    assert "card" not in card.seen("one.result.content[0].text")
    assert card.seen("one.result._meta['codewords/console']").startswith(console.served.url)


@pytest.mark.requirement("cards:host")
@pytest.mark.parametrize(
    ("tool", "arguments", "ready"),
    [
        ("run_workflow", {"input": {"lines": 12, "kind": "fail"}, "wait_seconds": 20}, ".failure .around"),
        ("deploy_workflow", {"code": _ASKING}, ".difference"),
        ("show_form", {}, ".run-form"),
        ("set_secret", {"name": "A_SEEN_KEY"}, "li button"),
        ("show_usage", {}, ".day-bars"),
    ],
    ids=["run", "deploy-review", "input-form", "inbox-item", "usage"],
)
def test_a_card_is_accessible_and_never_scrolls_sideways(
    host: Host, console: Console, tool: str, arguments: dict[str, Any], ready: str
) -> None:
    own = {} if tool in {"set_secret", "show_usage"} else {"workflow_id": console.workflow}
    card = host.show(tool, own | arguments)
    card.sees(ready)
    for width in (390, 700):
        console.tab.resize(width, 1200)
        for theme in ("light", "dark"):
            card.seen(f"one.bridge.sendHostContextChange({{theme: '{theme}'}})")
            until(
                lambda theme=theme: card.value("document.documentElement.dataset.theme") == theme,
                f"the {theme} theme",
            )
            assert card.value("document.documentElement.scrollWidth <= innerWidth"), width
            assert card.value(f"{axe()};{VIOLATIONS}") == [], (width, theme)
    assert console.tab.problems == []
