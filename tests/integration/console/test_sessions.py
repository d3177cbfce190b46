"""Sessions at the console: two browsers, one that is signed out under an open page, and a runtime that is killed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.console.helpers import DESKTOP, PROGRAM, Console
from tests.support.chromium import tab
from tests.support.runtime import make_home, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

_PUBLIC = workflow('@app.post("/")\nasync def run():\n    return {"done": True}\n', title="Open").replace(
    "# ///\n", '# [tool.codewords]\n# hosts = ["api.example.com"]\n# ///\n', 1
)
_BANNER = "document.querySelector('.banner')"


def address(served: ServedRuntime, page: str = "/") -> str:
    """A one-time address that signs the home's owner in."""
    return str(served.call("POST", "/sign-ins", {"page": page})["url"])


@pytest.mark.requirement("console:sessions")
def test_one_browser_ends_the_session_of_another_whose_page_stays(console: Console, tmp_path: Path) -> None:
    workflow = f"/console/workflows/{console.workflow}"
    with tab(tmp_path / "profile", width=DESKTOP[0], height=DESKTOP[1]) as lost:
        other = Console(lost, console.served, console.workflow)
        lost.open(address(console.served, workflow))
        other.sees("main h1")
        other.click("main button", "JSON")
        other.waits("document.querySelector('main textarea')")
        lost.value("document.querySelector('main textarea').focus()")
        lost.do("Input.insertText", text="half an input")

        console.open("/console/members")
        console.sees(".tag", "This browser")
        console.sees("main", "Chrome on Linux")
        run_id = console.run()
        console.open("/console/runs")
        console.waits(f"document.querySelector('[data-row=\"{run_id}\"]')")

        console.open("/console/members")
        console.click("main button", "End this session")
        other.sees(".banner", "You are signed out")
        assert "half an input" in lost.value("document.querySelector('main textarea').value")
        assert lost.value("document.querySelector('.banner a').target") == "_blank"

        # In a new tab of that browser, and back.
        lost.do("Target.createTarget", url=address(console.served))
        script = "fetch('/sessions', {headers: {'X-Codewords-Console': '1'}}).then((answer) => answer.status)"
        until(lambda: lost.value(script) == 200, "it is signed in again")
        lost.do("Page.bringToFront")
        other.waits(f"!{_BANNER}")
        assert "half an input" in lost.value("document.querySelector('main textarea').value")


@pytest.mark.requirement("console:back")
def test_a_page_comes_back_when_its_runtime_was_killed_and_started_again(tmp_path: Path) -> None:
    """In a home of its own: the port is the home's, so the page finds it again."""
    home = make_home(tmp_path / "home")
    with tab(tmp_path / "profile", width=DESKTOP[0], height=DESKTOP[1]) as page:
        with start_runtime(home) as first:
            console = Console(page, first, first.deploy(PROGRAM, "Page monitor"))
            page.open(address(first, "/console/runs"))
            console.sees("main")
            first.kill()
            console.waits(f"{_BANNER}?.innerText.includes('runtime')")
            # Its code is not here yet.
            console.click("nav a", "Usage")
            console.waits("location.pathname === '/console/usage'")
        with start_runtime(home) as again:
            assert again.url == first.url
            console.waits(f"!{_BANNER}")
            console.sees("main h1", "0 runs")
            console.click("nav a", "Runs")
            run_id = again.call("POST", f"/run_async/{console.workflow}/", {})["request_id"]
            console.waits(f"document.querySelector('[data-row=\"{run_id}\"]')")


@pytest.mark.requirement("console:agreement")
def test_anothers_public_workflow_is_run_by_its_form_after_its_person_agreed(
    console: Console, tmp_path: Path
) -> None:
    served = console.served
    public = served.deploy(_PUBLIC, "For everybody", public=True)
    key = served.call("POST", "/keys", {"owner": "eve", "kind": "user"})["key"]
    with tab(tmp_path / "profile", width=DESKTOP[0], height=DESKTOP[1]) as page:
        eve = Console(page, replace(served, key=key), public)
        page.open(eve.served.call("POST", "/sign-ins", {"page": f"/console/workflows/{public}"})["url"])
        eve.sees("main h1", "For everybody")
        eve.sees("main header", "Published by local")
        tabs = page.value("[...document.querySelectorAll('.tabs a')].map((tab) => tab.innerText)")
        assert tabs == ["Run", "Permissions", "Use it"]

        eve.click("main button", "Run For everybody")
        assert "api.example.com" in eve.sees("dialog .permissions")
        eve.click("dialog button", "Decline")
        eve.sees("main [role=alert]", "You declined; nothing was run.")
        assert eve.served.call("GET", "/runs")["items"] == []

        eve.click("main button", "Run For everybody")
        eve.click("dialog button", "Agree, and run For everybody")
        eve.sees("main h1", "succeeded")
        eve.click("main button", "Run again")
        eve.waits("document.querySelector('main h1')?.innerText.includes('succeeded')")

        # A later version reaches more: the same question stands before a run of what is on record.
        served.deploy(_PUBLIC.replace("api.example.com", "b.example.com"), "For everybody", service_id=public)
        eve.click("main button", "Run again")
        assert "b.example.com" in eve.sees("dialog .permissions")
        eve.click("dialog button", "Decline")
        eve.sees("main [role=alert]", "You declined")


@pytest.mark.requirement("console:foreign")
def test_every_address_with_an_id_says_that_there_is_none_and_has_a_way_on(
    console: Console, tmp_path: Path
) -> None:
    served, run_id = console.served, console.run()
    draft = served.call("POST", "/drafts", {"code": PROGRAM, "name": "A draft of the home"})["draft"][
        "draft_id"
    ]
    deleted = served.deploy(_PUBLIC, "Deleted")
    of_deleted = served.call("POST", f"/run_async/{deleted}/")["request_id"]
    served.call("GET", f"/result/{of_deleted}")
    served.call("DELETE", f"/workflows/{deleted}", {"allow": True})
    gone = served.call("POST", "/drafts", {"code": PROGRAM, "name": "Deleted too"})["draft"]["draft_id"]
    served.call("DELETE", f"/drafts/{gone}")

    tabs = ("", "?tab=code", "?tab=versions", "?tab=starts", "?tab=reach", "?tab=use")
    for path in (
        "runs/none", "runs/%zz", "runs/a%2Fb", "workflows/none", f"workflows/{deleted}", "drafts/dr_none", f"drafts/{gone}",
        "services/none", "api?op=none", "inbox?item=none", f"drafts/new?workflow={deleted}",
        "drafts/new?template=none", "integrations/none", "nothing/here",
    ):  # fmt: skip
        _says_none(console, path)
    console.open(f"/console/runs/{of_deleted}", "succeeded")

    key = served.call("POST", "/keys", {"owner": "dan", "kind": "user"})["key"]
    with tab(tmp_path / "profile", width=DESKTOP[0], height=DESKTOP[1]) as page:
        dan = Console(page, replace(served, key=key), console.workflow)
        page.open(dan.served.call("POST", "/sign-ins", {"page": "/"})["url"])
        dan.waits("location.pathname === '/'")
        for path in (
            f"runs/{run_id}", *(f"workflows/{console.workflow}{tab}" for tab in tabs), f"drafts/{draft}",
            f"drafts/{draft}?tab=deploy", f"drafts/new?workflow={console.workflow}",
        ):  # fmt: skip
            said = _says_none(dan, path)
            assert "Page monitor" not in said
            assert "A draft of the home" not in said


def _says_none(console: Console, path: str) -> str:
    """All that the page of an address says, which must be that there is nothing, with a link or button that leads on."""
    console.tab.open(f"{console.served.url}/console/{path}")
    until(
        lambda: re.search(
            "There is no.*|.*no longer.*",
            console.tab.value("document.querySelector('main')?.innerText ?? ''"),
        ),
        f"{path} says that there is nothing",
    )
    assert "GET /" not in console.sees("main"), path
    assert console.tab.value("Boolean(document.querySelector('main a, main button'))"), path
    return console.sees("main")
