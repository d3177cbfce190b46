"""The API explorer and the services: forms that are sent as the person's session."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from urllib.parse import quote

import pytest
from tests.integration.console.helpers import PROGRAM, Console
from tests.integration.console.look import look
from tests.support.runtime import workflow
from tests.support.waiting import until

_PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
_HOSTILE = "<img src=x onerror=hacked=1>'\"$(touch x)\u202e"


def _page(operation: str) -> str:
    return f"/console/api?op={quote(operation)}"


def _type(console: Console, label: str, text: str) -> None:
    """Type a text into the field of this label."""
    script = f"""(() => {{ const label = [...document.querySelectorAll("label")].find(one => one.innerText.startsWith({json.dumps(label)}));
        const field = label && document.getElementById(label.htmlFor); if (!field) return false;
        field.value = {json.dumps(text)}; field.dispatchEvent(new Event("input", {{bubbles: true}})); return true; }})()"""
    until(lambda: console.tab.value(script), f"the field {label}")


def _snippets(console: Console) -> tuple[str, str]:
    """The request for a terminal and for Python."""
    console.tab.value("document.querySelectorAll('.run-form details').forEach(one => one.open = true)")
    curl, python = console.tab.value(
        "[...document.querySelectorAll('.run-form .snippet pre')].map(one => one.textContent)"
    )
    return curl, python


def _run(console: Console, *command: str) -> Any:
    """What a command prints that has the key in its environment."""
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin"} | console.served.environment(), capture_output=True, encoding="utf-8", check=True
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.requirement("console:explorer")
def test_a_route_is_found_filled_in_and_sent(console: Console) -> None:
    console.open("/console/api?q=workflows%20list", "operation")
    console.click(".rows a", "List workflows")
    console.sees("main h1", "List workflows")
    _type(console, "Query", "Page monitor")
    console.click(".run-form button.primary", "query=Page+monitor")
    assert "status 200" in console.sees(".answer h2")
    console.sees(".answer", console.workflow)
    console.sees(".facts[role=status]", "ms")
    console.tab.value("document.querySelector('.below details').open = true")
    console.sees(".below dl.mono", "application/json")


@pytest.mark.requirement("console:explorer")
def test_the_snippets_send_the_same_request_and_have_no_key(console: Console) -> None:
    console.open(_page("GET /workflows"))
    _type(console, "Query", "Page 'monitor'")
    curl, python = _snippets(console)
    assert "$CODEWORDS_API_KEY" in curl
    assert "CODEWORDS_API_KEY" in python
    assert console.served.key not in curl + python
    expected = console.served.call("GET", "/workflows?query=Page%20%27monitor%27")
    assert _run(console, "bash", "-c", curl + " --silent --noproxy '*'") == expected
    assert _run(console, sys.executable, "-c", python) == expected


@pytest.mark.requirement("console:explorer")
def test_an_error_is_shown_as_any_other_answer(console: Console) -> None:
    console.open(_page("GET /workflows/{service_id}"))
    console.click(".run-form button.primary")
    console.sees(".run-form .bad", "This is needed.")
    _type(console, "Service id", "no such workflow")
    console.click(".run-form button.primary", "Send GET /workflows/no%20such%20workflow")
    assert "status 404" in console.sees(".answer h2")
    console.sees(".answer", "There is no workflow of that id.")


@pytest.mark.requirement("console:explorer-asks")
def test_a_deletion_says_what_it_deletes_and_asks_twice(console: Console) -> None:
    doomed = console.served.deploy(PROGRAM, "Doomed")
    console.open(_page("DELETE /workflows/{service_id}"))
    _type(console, "Service id", doomed)
    console.click(".run-form button.danger", f"Send DELETE /workflows/{doomed}")
    console.sees("dialog .asked", f"DELETE /workflows/{doomed}")
    console.click("dialog button", "Don't send it")
    assert console.served.call("GET", f"/workflows/{doomed}")["service_id"] == doomed
    console.click(".run-form button.danger")
    console.click("dialog button.danger", f"Send DELETE /workflows/{doomed}")
    # The runtime's own question: the form said neither `confirm` nor `allow`.
    console.click("dialog button.primary", "Agree")
    console.sees(".answer h2", "status 204")
    assert doomed not in json.dumps(console.served.call("GET", "/workflows?limit=100"))


@pytest.mark.requirement("console:explorer-asks")
def test_a_secret_is_sent_but_stands_in_no_snippet_and_no_question(console: Console) -> None:
    console.open(_page("PUT /secrets/{name}"))
    _type(console, "Name", "EXPLORED_KEY")
    _type(console, "Value", "hunter2-of-the-test")
    assert "hunter2" not in "".join(_snippets(console))
    console.click(".run-form button.danger", "Send PUT /secrets/EXPLORED_KEY")
    console.sees("dialog .asked", "EXPLORED_KEY")
    assert "hunter2" not in console.tab.value("document.body.innerText")
    console.click("dialog button.danger")
    console.sees(".answer h2", "status 20")
    names = [secret["name"] for secret in console.served.call("GET", "/secrets")["items"]]
    assert "EXPLORED_KEY" in names
    console.served.call("DELETE", "/secrets/EXPLORED_KEY")


@pytest.mark.requirement("console:explorer")
def test_a_stream_is_shown_as_it_comes_and_can_be_stopped(console: Console) -> None:
    console.open(_page("GET /events"))
    console.click(".run-form button.primary")
    console.sees(".answer h2", "status 200")
    console.sees(".answer pre")
    console.click(".run-form button", "Stop")
    console.sees(".below", "Stopped")


@pytest.mark.requirement("console:explorer")
def test_a_workflow_is_called_at_its_root_and_leads_to_its_run(console: Console) -> None:
    console.open(_page("ANY /run/{service_id}/{path}"))
    _type(console, "Service id", console.workflow)
    _type(console, "Input", '{"lines": 1}')
    console.click(".run-form button.danger", f"Send POST /run/{console.workflow}/")
    console.click("dialog button.danger")
    console.sees(".answer", "asked")
    console.sees(".facts[role=status] a[href*='/console/runs/']")


@pytest.mark.requirement("console:explorer")
def test_a_file_is_sent_and_a_picture_comes_back(console: Console) -> None:
    room = console.served.call("POST", "/file?filename=dot.png")
    up, down = (room[name].rpartition("/file/")[2] for name in ("upload_uri", "download_uri"))
    console.open(_page("PUT /file/{token}"))
    _type(console, "Token", up)
    console.tab.value(
        f"""(() => {{ const files = new DataTransfer(), field = document.querySelector("input[type=file]");
        files.items.add(new File([Uint8Array.from(atob("{_PICTURE}"), one => one.charCodeAt(0))], "dot.png", {{type: "image/png"}}));
        field.files = files.files; field.dispatchEvent(new Event("change", {{bubbles: true}})); }})()"""
    )
    assert "--data-binary '@dot.png'" in _snippets(console)[0]
    console.click(".run-form button.danger")
    console.click("dialog button.danger")
    console.sees(".answer h2", "status 20")
    console.open(_page("GET /file/{token}"))
    _type(console, "Token", down)
    console.click(".run-form button.primary")
    console.waits("document.querySelector('.answer img.picture')?.naturalWidth === 1")


@pytest.mark.requirement("console:explorer-asks")
def test_a_service_asks_before_it_writes_and_reads_at_once(console: Console) -> None:
    console.open("/console/services/send_email")
    console.click(".run-form button", "Fill in the example")
    console.click(".run-form button.danger")
    console.sees("dialog .facts-list", "service: send_email")
    console.click("dialog button", "Don't send it")
    console.click(".tabs a", "Show what was not sent")
    console.click(".run-form button.primary", "Send POST /run/send_email/outbox")
    console.sees(".answer h2", "status 200")
    console.sees(".facts[role=status] a[href*='/console/runs/']")


@pytest.mark.requirement("console:services")
def test_services_are_found_by_words_and_say_what_they_need(console: Console) -> None:
    used = workflow(
        'import httpx, os\n@app.post("/")\nasync def main():\n'
        '    async with httpx.AsyncClient() as client:\n'
        '        await client.post(os.environ["CODEWORDS_RUNTIME_URI"] + "/run/hunter/count", json={"domain": "example.org"})\n',
        title="Counts addresses",
    )  # fmt: skip
    service_id = console.served.deploy(used, "Counts addresses")
    console.open("/console/services?q=mail%20takes", "1 service")
    console.sees(".gallery .unset", "needs HUNTER_API_KEY")
    console.sees(".gallery .tag", "used by 1 workflow")
    console.click(".gallery a", "Open")
    console.sees("main h1", "Hunter")
    console.sees(f"a[href='/console/workflows/{service_id}']", "Counts addresses")
    console.click(".card button", "Enter")
    console.waits("location.pathname.startsWith('/secrets/enter/')")


@pytest.mark.requirement("console:keys")
def test_search_finds_operations(console: Console) -> None:
    console.open("/console")
    console.tab.press("/")
    console.waits("document.activeElement?.type === 'search'")
    console.tab.do("Input.insertText", text="outbox")
    console.sees("[role=option][aria-selected=true]", "POST /run/send_email/outbox")
    console.tab.press("Enter")
    console.waits("location.pathname + location.search === '/console/services/send_email?op=%2Foutbox'")
    console.sees(".tabs [aria-current]", "Show what was not sent")


@pytest.mark.requirement("console:text-is-data")
def test_what_is_typed_is_text_in_the_question_the_address_and_the_snippets(console: Console) -> None:
    console.open(_page("DELETE /workflows/{service_id}"))
    _type(console, "Service id", _HOSTILE)
    curl, _ = _snippets(console)
    assert _run(console, "bash", "-c", curl + " --silent --noproxy '*'")["error"]["code"]
    console.click(".run-form button.danger")
    console.sees("dialog .asked", "DELETE /workflows/%3Cimg")
    console.click("dialog button.danger")
    console.sees(".answer h2", "status 40")
    assert console.tab.value("window.hacked") is None
    assert console.tab.value("document.querySelectorAll('main img').length") == 0


@pytest.mark.requirement("console:pages")
def test_an_operation_and_its_answer_fit_phones_and_desktops(console: Console) -> None:
    look(console, _page("POST /deploy"), "Deploy")
