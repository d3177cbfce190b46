"""What reading a script shows without running it."""

from __future__ import annotations

import pytest
from tests.unit.workflows.helpers import APP, script

from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.script_facts import ScriptFacts


def look(body: str) -> ScriptFacts:
    return parse_script(script(body)).facts


def notes(body: str, one: str) -> list[Check]:
    return [note for note in look(APP + body).notes if note.id == one]


@pytest.mark.requirement("workflows:app")
@pytest.mark.parametrize(
    ("body", "app"),
    [
        ("from fastapi import FastAPI\nservice = FastAPI()\n", "service"),
        ("import fastapi\napp: fastapi.FastAPI = fastapi.FastAPI()\n", "app"),
        ("from fastapi import FastAPI\ndef make():\n    return FastAPI()\n", None),
    ],
)
def test_the_app_is_found_by_its_name(body: str, app: str | None) -> None:
    looked = look(body)
    assert looked.app == app
    assert looked.mentions_fastapi


@pytest.mark.requirement("workflows:app")
def test_a_script_without_fastapi_has_no_sign_of_it() -> None:
    assert not look("from flask import Flask\napp = Flask(__name__)\n").mentions_fastapi


@pytest.mark.requirement("workflows:dialect")
def test_each_spelling_of_the_guide_is_noted_once_at_its_first_place() -> None:
    body = "async def f(client):\n    await client.run(service_id='a', data={})\n    await client.run(service_id='b', data={})\n"
    [note] = notes(body, "dialect")
    assert (note.status, note.line, note.column) == ("note", 15, 38)


@pytest.mark.requirement("workflows:dialect")
def test_the_public_spelling_gets_no_note() -> None:
    body = "async def f(client):\n    await client.run(service_id='pipedream', inputs={'app': 'slack', 'action': 'x'})\n"
    assert notes(body, "dialect") == []


@pytest.mark.requirement("workflows:hash")
@pytest.mark.parametrize(
    "line",
    [
        'key = f"x_{hash(url)}"',
        'redis.set(f"x_{hash(url)}", 1)',
        "cache[hash(url)] = 1",
        "snapshot_id = str(hash(url))",
    ],
)
def test_hash_in_a_key_of_stored_state_is_warned_of(line: str) -> None:
    [warning] = notes(f"url = ''\nredis = cache = None\n{line}\n", "hash")
    assert warning.status == "warning"
    assert warning.line == 16
    assert "hashlib" in (warning.fix or "")


@pytest.mark.requirement("workflows:hash")
@pytest.mark.parametrize(
    "line", ["same = hash(url) == hash(other)", "return_value = hash", "object.__hash__(url)"]
)
def test_hash_elsewhere_is_nobodys_business(line: str) -> None:
    assert notes(f"url = other = ''\n{line}\n", "hash") == []


@pytest.mark.requirement("workflows:look_steps")
def test_announced_steps_are_found_in_order() -> None:
    assert look(
        APP + 'print("STEPLOG START fetch")\nprint("STEPLOG START send.mail")\nprint("STEPLOG START fetch")\n'
    ).steps == ("fetch", "send.mail")


@pytest.mark.requirement("workflows:cookies")
@pytest.mark.parametrize(
    "line",
    [
        'response.set_cookie("session", "1")', 'seen = request.cookies.get("session")', "def main(session: str = Cookie()): ...",
        "app.add_middleware(SessionMiddleware, secret_key='x')",
    ],
)  # fmt: skip
def test_code_that_uses_cookies_is_told_that_none_arrive(line: str) -> None:
    [note] = notes(f"app = FastAPI()\n{line}\n{line}\n", "cookies")
    assert (note.status, bool(note.line)) == ("note", True)
    assert "without cookies" in note.message


@pytest.mark.requirement("workflows:cookies")
def test_a_script_without_cookies_is_not_told_of_them() -> None:
    assert notes('app = FastAPI()\nselector = "#accept-cookies"\nfind(cookies=1)\n', "cookies") == []
