"""The pages of workflows and templates: what they show, and what they do to a workflow."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.approvals.helpers import ask, asking
from tests.integration.console.helpers import Console
from tests.integration.console.look import look
from tests.support.runtime import workflow
from tests.support.waiting import until

_ONE = workflow('@app.post("/")\nasync def main(request: Request):\n    return {"said": "one"}\n')
_TWO = _ONE.replace('"one"', '"two <b>\\u202e</b>"')


@pytest.fixture(scope="session")
def versioned(signed_in: Console) -> str:
    """A workflow with two versions."""
    service_id = signed_in.served.deploy(_ONE, "Versioned <i>one</i>")
    signed_in.served.deploy(_TWO, "Versioned <i>one</i>", service_id=service_id, replay=False)
    return service_id


def _live(console: Console, service_id: str) -> int:
    return int(console.served.call("GET", f"/workflows/{service_id}")["version"])


@pytest.mark.requirement("console:workflow")
def test_workflows_are_found_by_their_names(console: Console, versioned: str) -> None:
    console.open("/console/workflows", "workflows")
    console.sees(".workflow-rows", "Versioned <i>one</i>")
    console.open("/console/workflows?q=versioned", "1 workflow found")
    console.open("/console/workflows?q=nothing-like-it", "0 workflows found")
    console.click("main button", "Show all workflows")
    console.sees(".workflow-rows", "Page monitor")
    assert console.tab.value("document.querySelectorAll('main i').length") == 0
    assert versioned


@pytest.mark.requirement("console:workflow", "deploy:deployers")
def test_two_versions_are_compared_and_going_back_says_what_it_does(console: Console, versioned: str) -> None:
    console.open(f"/console/workflows/{versioned}?tab=versions", "Versioned")
    console.sees(".difference .added", "two")
    console.sees("main td", "by the home's own key of local")
    assert console.sees(".difference .removed", '"one"').startswith("-")
    console.click("main button[aria-label='Make live: version 1']")
    console.sees("dialog", "use version 1 at once instead of version 2")
    console.click("dialog button", "Make version 1 live")
    until(lambda: [1] if _live(console, versioned) == 1 else [], "version 1 to be live")
    console.sees(".facts", "version 1")


@pytest.mark.requirement("console:workflow")
def test_code_permissions_and_snippets_are_shown(console: Console, versioned: str) -> None:
    console.open(f"/console/workflows/{versioned}?tab=code&version=2", "Versioned")
    console.sees(".code pre", "async def main")
    console.open(f"/console/workflows/{versioned}?tab=reach", "Versioned")
    console.sees("main", "reaches nothing")
    console.open(f"/console/workflows/{versioned}?tab=use", "Versioned")
    console.sees(".snippet", f"/run/{versioned}/")
    console.open(f"/console/workflows/{versioned}?tab=starts", "Versioned")
    console.sees("main", "Nothing starts it by itself.")


@pytest.mark.requirement("console:workflow-history")
def test_what_runs_did_took_and_cost_is_drawn_by_day(console: Console) -> None:
    code = '@app.post("/")\nasync def main(request: Request):\n    return 1 / (await request.json())["by"]\n'
    service_id = console.served.deploy(workflow(code), "Drawn")
    path = f"/console/workflows/{service_id}?tab=history"
    console.open(path, "Drawn")
    console.sees("main p", "No run in this time.")
    for by in (1, 2, 0):
        run_id = console.served.call("POST", f"/run_async/{service_id}/", {"by": by})["request_id"]
        until(lambda run_id=run_id: console.record(run_id)["completedAt"], "the run's end")

    cells = "[...document.querySelectorAll('main tbody td')].map(cell => cell.innerText.trim())"
    until(lambda: console.tab.value(cells)[1:3] == ["3", "1"], "three runs, one of them failed")
    console.tab.value("document.querySelector('.chart [role=img]').focus()")
    console.tab.press("End")
    console.sees(".chart .reading", "Succeeded 2 · Failed 1")
    look(console, path, "Drawn", ".chart svg rect")


@pytest.mark.requirement("console:workflow")
def test_code_beside_a_version_that_is_not_there_says_so(console: Console, versioned: str) -> None:
    console.open(f"/console/workflows/{versioned}?tab=code&against=99", "Versioned")
    console.sees(".problem", "99")


@pytest.mark.requirement("console:pages")
@pytest.mark.parametrize("tab", ["run", "code", "versions", "history", "starts", "reach", "use"])
def test_each_part_of_the_page_fits_phones_and_desktops(console: Console, versioned: str, tab: str) -> None:
    look(console, f"/console/workflows/{versioned}?tab={tab}", "Versioned")


@pytest.mark.requirement("console:workflow")
def test_deleting_says_what_goes_and_does_it(console: Console) -> None:
    service_id = console.served.deploy(_ONE, "To be deleted")
    console.open(f"/console/workflows/{service_id}", "To be deleted")
    console.click("main button", "Delete")
    console.sees("dialog", "Gone for good: 1 version.")
    console.click("dialog button", "Delete To be deleted")
    console.waits("location.pathname === '/console/workflows'")
    listed = console.served.call("GET", "/workflows?limit=100")["items"]
    assert service_id not in [one["service_id"] for one in listed]


@pytest.mark.requirement("approvals:delete")
def test_deleting_says_how_many_runs_wait_and_which_triggers_stop(console: Console) -> None:
    service_id = console.served.deploy(asking("Waits"), "Waits")
    kinds: dict[str, dict[str, Any]] = {
        "schedule": {"cron": "0 5 * * *", "input": {"steps": []}},
        "plain": {},
        "run_ended": {"workflow": console.workflow},
    }
    for kind, options in kinds.items():
        console.served.call("POST", "/triggers", {"kind": kind, "service_id": service_id, "options": options})
    body = {"steps": [[ask("Go on?", timeout="3d")]]}
    run_id = str(console.served.call("POST", f"/run_async/{service_id}/", body)["request_id"])
    until(
        lambda: console.served.call("GET", f"/workflows/{service_id}/deletion")["waiting"], "a run that waits"
    )

    console.open(f"/console/workflows/{service_id}", "Waits")
    console.click("main button", "Delete")
    lead = console.sees("dialog p", "Gone for good: 1 version, 1 schedule and 1 webhook.")
    assert "Cancelled: 1 run that waits for an answer, a request or a time. Paused: 1 trigger" in lead
    console.click("dialog button", "Delete Waits")
    console.waits("location.pathname === '/console/workflows'")
    assert console.record(run_id)["status"] == "cancelled"


@pytest.mark.requirement("console:templates")
def test_a_template_is_deployed_after_its_question_is_agreed_to(console: Console) -> None:
    template = next(
        one
        for one in console.served.call("GET", "/templates")["items"]
        if one["services"] == ["webpage_to_markdown"] and not one["missing"]
    )
    console.open(f"/console/templates?q={template['title']}", "to start from")
    console.click(".gallery .card button", "Deploy")
    console.sees("dialog .permissions", "webpage_to_markdown")
    before = console.served.call("GET", "/workflows?limit=100")["items"]
    console.click("dialog button", "Agree")
    console.click(".gallery a", "Open")
    console.sees("main h1", template["title"])
    assert len(console.served.call("GET", "/workflows?limit=100")["items"]) == len(before) + 1


@pytest.mark.requirement("console:workflow")
def test_each_route_of_a_workflow_has_snippets(console: Console) -> None:
    routes = workflow(
        '@app.get("/items/{name}")\nasync def item(name: str, most: int = 3):\n    return {"name": name, "most": most}\n'
    )
    two = console.served.deploy(routes, "Two routes")
    console.open(f"/console/workflows/{two}?tab=use", "Two routes")
    console.sees(".snippet", f"/run/{two}/items/")
    console.sees(".snippet", "route GET /items/{name}")
    console.sees(".snippet", "most=3")
