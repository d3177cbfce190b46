"""A person's way from an empty home to a workflow in use, by the console alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.integration.console.helpers import DESKTOP, Console
from tests.support.chromium import tab
from tests.support.runtime import make_home
from tests.support.served_runtime import start_runtime

_NAME = "My First CodeWords Workflow"
_LINE = '    return GreetingResponse(message=f"Hello {request.name}!")'
_BROKEN = '    return GreetingResponse(message=f"Hello {request.name[99]}!")'
_MENDED = '    return GreetingResponse(message=f"Good morning {request.name}!")'
_SHIFT = 8
_ENTER = """(() => {
    const field = document.querySelector(%s);
    field.value = %s;
    field.dispatchEvent(new Event('input', {bubbles: true}));
    field.dispatchEvent(new Event('change', {bubbles: true}));
})()"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The page of a home in which nothing is yet, as its one-time address opens it."""
    folder = tmp_path_factory.mktemp("journey")
    with (
        start_runtime(make_home(folder / "home")) as served,
        tab(folder / "profile", width=DESKTOP[0], height=DESKTOP[1]) as page,
    ):
        page.open(served.call("POST", "/sign-ins", {"page": "/console"})["url"])
        yield Console(page, served, "")


def _enter(console: Console, selector: str, text: str) -> None:
    console.waits(f"document.querySelector({json.dumps(selector)})")
    console.tab.value(_ENTER % (json.dumps(selector), json.dumps(text)))


def _replace_line(console: Console, text: str) -> None:
    """Write a text in place of the line that the editor's cursor is in."""
    console.waits("document.activeElement.classList.contains('cm-content')")
    for key, code, modifiers in (("Home", 36, 0), ("End", 35, _SHIFT)):
        for kind in ("rawKeyDown", "keyUp"):
            console.tab.do(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, modifiers=modifiers
            )
    console.tab.do("Input.insertText", text=text)


def _deploy(console: Console, version: int, *, agree: bool) -> None:
    """Save the draft on the page, read its review, and press the button below it."""
    console.click(".head button", "Save")
    console.sees(".head button", "Check again")
    console.click(".tabs a", "Deploy")
    words = f"eploy version {version} of {_NAME}"
    pressed = console.sees("main button.primary", words)
    assert pressed.startswith("Agree") is agree, console.sees("main")
    console.click("main button.primary", words)
    console.sees("main h1", f"Version {version} of {_NAME} is live")


def _run_by_form(console: Console, service_id: str, name: str) -> None:
    console.open(f"/console/workflows/{service_id}", _NAME)
    _enter(console, "[id='fieldinput/name']", name)
    console.click(".run-form .actions button", "Run")
    console.waits("location.pathname.startsWith('/console/runs/')")


@pytest.mark.requirement("console:first", "console:journey")
def test_a_person_goes_from_nothing_to_a_workflow_in_use_without_a_terminal(empty: Console) -> None:
    console = empty

    # Connect a chat host, deploy a template, run it: each is on the first page.
    console.sees("main h1", "Run your first workflow")
    console.sees(".snippet", "claude mcp add")
    console.click("main button", "Deploy “Greeting”")
    console.click("main button", "Run it with its example")
    console.sees("main h1", f"{_NAME} succeeded")
    console.sees(".answer", "Hello Ada!")
    service_id = console.served.call("GET", "/workflows")["items"][0]["service_id"]

    # Run it by its form, and see how the run went.
    _run_by_form(console, service_id, "Grace")
    console.sees("main h1", f"{_NAME} succeeded")
    console.sees(".answer", "Hello Grace!")
    console.sees(".timeline", "sandbox")

    # Break it: the review of the deploy says so, and takes a yes to exactly that.
    code = console.served.call("GET", f"/workflows/{service_id}?code=1")["code"]
    line = code.splitlines().index(_LINE) + 1
    console.open(f"/console/drafts/new?workflow={service_id}&line={line}", _NAME)
    _replace_line(console, _BROKEN)
    _deploy(console, 2, agree=True)

    # The failed run leads to its line in the editor.
    _run_by_form(console, service_id, "Grace")
    console.sees("main h1", "IndexError")
    console.click("main a", f"Edit the code at line {line}")
    _replace_line(console, _MENDED)
    _deploy(console, 3, agree=False)
    _run_by_form(console, service_id, "Grace")
    console.sees(".answer", "Good morning Grace!")

    # Roll back.
    console.open(f"/console/workflows/{service_id}?tab=versions", _NAME)
    console.click("main button[aria-label='Make live: version 1']")
    console.click("dialog button", "Make version 1 live")
    console.sees(".facts", "version 1")
    assert console.served.call("POST", f"/run/{service_id}/", {"name": "Ada"}) == {"message": "Hello Ada!"}

    # Let it run by itself.
    console.open(f"/console/workflows/{service_id}?tab=starts", _NAME)
    console.click("main button", "New trigger")
    _enter(console, "dialog textarea", '{"name": "everybody"}')
    console.click("dialog button", f"Let {_NAME} run by itself")
    console.sees("main", "@daily")
    console.open("/console/schedules", f"{_NAME} runs")

    # Type a secret's value, on a page of its own.
    console.open("/console/secrets", "No secrets")
    console.click("main button", "Add a secret")
    _enter(console, "dialog input", "PRICES_TOKEN")
    console.click("dialog button", "Type the value of PRICES_TOKEN")
    console.waits("document.activeElement.id === 'value'")
    console.tab.do("Input.insertText", text="typed by hand")
    console.tab.value("document.querySelector('form button').click()")
    console.sees("body", "PRICES_TOKEN is stored")
    console.open("/console/secrets", "1 secret")

    # Agree to what a template reaches.
    reading = next(
        one
        for one in console.served.call("GET", "/templates")["items"]
        if one["services"] == ["webpage_to_markdown"] and not one["missing"]
    )
    console.open(f"/console/templates?q={reading['title']}", "to start from")
    console.click(".gallery .card button", "Deploy")
    console.sees("dialog .permissions", "webpage_to_markdown")
    console.click("dialog button", "Agree")
    console.sees(".gallery a", "Open")

    # Read what it all cost.
    console.open("/console/usage", "5 runs")
    assert console.tab.problems == []
