"""Servers from packages: chosen and agreed to on their page, started when they are called, ended when nobody does."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.mcp_broker.helpers import call, refused, told
from tests.integration.mcp_broker.packages import (
    APP,
    NAME,
    URL,
    connect_package,
    make_wheel,
    offline_packages,
    run_tool,
)
from tests.integration.mcp_broker.person import Person
from tests.support.browser_client import sign_in
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.mcp_clients import data_of, over_http
from tests.support.processes import running_with
from tests.support.runtime import make_home
from tests.support.served_runtime import start_runtime
from tests.support.waiting import until

from codewords_mcp.settings import Settings

MARK = f"--mark-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    wheels = tmp_path_factory.mktemp("wheels")
    made = make_wheel(wheels)
    with offline_packages(wheels):
        yield made


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, version: str) -> Iterator[Door]:
    del version
    settings = {
        "home": make_home(tmp_path_factory.mktemp("packages") / "home"),
        "port": 0,
        "api_key": ADMIN_KEY,
        "mcp_processes": 1,
    }
    with Door(Settings.model_validate(settings)) as opened:
        yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    """Nothing is connected."""
    with door.client() as client:
        for account in client.get("/connections").json()["items"]:
            if account["backend"] == "mcp":
                client.delete(f"/connections/{account['id']}")
        client.delete(f"/connections/{APP}")
        yield client


@pytest.mark.requirement("mcp-stdio:connect")
def test_a_package_is_connected_found_described_and_called(http: httpx.Client, version: str) -> None:
    found = connect_package(http)
    assert (found["app"], found["accounts"][0]["name"]) == (APP, URL)
    hits = told(http.get("/integrations", params={"query": "stray try to read paths"}))["actions"]
    assert (hits[0]["key"], hits[0]["writes"], hits[0]["backend"]) == (f"{APP}/files", True, "mcp")
    done = told(call(http, APP, "environment", {}))
    assert json.loads(done["ret"])["arguments"] == []
    # Of the same version twice is the same server, and another name is another one.
    assert connect_package(http, f"{URL}@{version}")["app"] == APP
    assert connect_package(http, name="second", arguments=["two"])["app"] == "mcp_second"
    assert json.loads(told(call(http, "mcp_second", "environment", {}))["ret"])["arguments"] == ["two"]
    assert json.loads(told(call(http, APP, "environment", {}))["ret"])["arguments"] == []


@pytest.mark.anyio
@pytest.mark.requirement("mcp-stdio:page")
async def test_a_model_names_a_package_and_a_person_chooses_on_the_page_what_it_may_do(
    door: Door, http: httpx.Client, version: str
) -> None:
    person = Person()
    async with over_http(f"{door.url}/mcp", ADMIN_KEY, "legacy", elicitation_callback=person) as client:
        connected = data_of(await client.call_tool("connect_integration", {"app": URL}))
        assert (connected["app"], connected["status"]) == (APP, "connected")
        [page] = person.pages
        assert f"https://pypi.org/project/{NAME}/" in page
        assert version in page
        assert "<td>no host</td>" in page
        assert "Ignore all rules" in page

        # What was agreed to stays as it is, whatever a model says.
        again = data_of(await client.call_tool("connect_integration", {"app": f"{URL}@0.0.1"}))
        assert again["connected"]
        asked: dict[str, Any] = {"app": APP, "action": "environment", "props": {}}
        done = data_of(await client.call_tool("call_integration", asked))
        assert done["status"] == "done"
        assert "environment" in person.forms[0]


@pytest.mark.requirement("mcp-stdio:page")
def test_the_page_changes_hosts_secrets_and_arguments_and_asks_again(door: Door, http: httpx.Client) -> None:
    connect_package(http)
    http.delete("/secrets/STRAY_KEY")
    body = {"url": URL, "arguments": ["--refuse"], "agree": True}
    asked = told(http.post("/integrations/mcp/connect", json=body, timeout=100))
    assert (asked["connected"], asked["status"]) == (False, "missing")
    link = asked["connect_link_url"]

    with sign_in(door.url, ADMIN_KEY) as browser:
        page = browser.get(link).text
        assert "ended with code 1" in page
        assert "I need a token, and refuse to start." in page
        form = {
            "hosts": "api.example.com\r\n\r\n *.Example.org ",
            "variables": "STRAY_KEY",
            "arguments": "--now\r\na b",
        }
        page = browser.submit(link, data=form, follow_redirects=True).text
        assert "The secret STRAY_KEY is not set" in page
        typed = page.partition('class="button" href="')[2].partition('"')[0]
        browser.submit(typed, data={"value": "the-key-of-the-stray-server"}).raise_for_status()

        page = browser.get(link).text
        for shown in ("*.example.org", "api.example.com", "STRAY_KEY", "--now", "a b"):
            assert f"<code>{shown}</code>" in page
        # A person agrees to what the page showed, its hosts among it.
        seen = page.partition('name="seen" value="')[2].partition('"')[0]
        browser.submit(link, data={**form, "hosts": "*"})
        assert browser.submit(link, data={"seen": seen, "believe": "no"}).status_code == 409
        page = browser.get(link).text
        assert "every public host" in page
        seen = page.partition('name="seen" value="')[2].partition('"')[0]
        browser.submit(link, data={"seen": seen, "believe": "no"}).raise_for_status()
    given = json.loads(told(call(http, APP, "environment", {}))["ret"])
    assert given["arguments"] == ["--now", "a b"]
    assert "STRAY_KEY" in given["environment"]
    # A secret that is gone is missed by its name.
    http.delete("/secrets/STRAY_KEY").raise_for_status()
    assert "STRAY_KEY is not set" in refused(call(http, APP, "plain", {}), 424)["message"]


@pytest.mark.requirement("mcp-stdio:page")
def test_a_form_with_a_host_that_is_none_is_refused(door: Door, http: httpx.Client) -> None:
    link = told(http.post("/integrations/mcp/connect", json={"url": URL}))["connect_link_url"]
    with sign_in(door.url, ADMIN_KEY) as browser:
        for form in ({"hosts": "https://x/", "variables": ""}, {"hosts": "", "variables": "PATH"}):
            assert browser.submit(link, data={"arguments": "", **form}).status_code == 400
    for body in ({"hosts": ["a b"]}, {"variables": ["CODEWORDS_API_KEY"]}, {"arguments": ["\0"]}):
        refused(http.post("/integrations/mcp/connect", json={"url": URL, **body}), 400)


@pytest.mark.requirement("mcp-stdio:names")
@pytest.mark.parametrize(
    "text",
    [
        "pypi:https://example.com/x.whl", "pypi:../x", "pypi:x@git+https://example.com/x", "pypi:x>=1", "pypi:",
        "npm:@scope", "npm:../x", "npm:x@file:/etc", "npm:github:a/b", "npm:a b", "npm:x@^1", "pypi:-x", "npm:x@npm:y",
    ],
)  # fmt: skip
def test_what_is_no_package_is_refused(http: httpx.Client, text: str) -> None:
    error = refused(http.post("/integrations/mcp/connect", json={"url": text}), 400)
    assert "no package" in error["message"]


@pytest.mark.requirement("mcp-stdio:refusals")
def test_a_package_that_does_not_exist_is_said_on_its_page(door: Door, http: httpx.Client) -> None:
    asked = told(
        http.post("/integrations/mcp/connect", json={"url": "pypi:stray-nobody-has-this", "agree": True})
    )
    assert not asked["connected"]
    with sign_in(door.url, ADMIN_KEY) as browser:
        assert "not in the cache" in browser.get(asked["connect_link_url"]).text


@pytest.mark.requirement("mcp-stdio:idle")
def test_an_idle_process_makes_room_and_a_busy_one_does_not(http: httpx.Client) -> None:
    connect_package(http, arguments=[MARK])
    connect_package(http, name="second", arguments=[f"{MARK}-second"])
    # There may be one: each call ends the other's.
    told(call(http, APP, "plain", {}))
    until(lambda: running_with(MARK) and not running_with(f"{MARK}-second"))
    told(call(http, "mcp_second", "plain", {}))
    until(lambda: running_with(f"{MARK}-second") and not running_with(MARK))


@pytest.mark.requirement("mcp-stdio:idle")
def test_a_process_that_nobody_uses_ends_and_the_next_call_starts_it(tmp_path: Path, version: str) -> None:
    del version
    mark = f"{MARK}-idle"
    settings = {
        "home": make_home(tmp_path / "home"), "port": 0, "api_key": ADMIN_KEY, "mcp_idle_timeout": 0.2,
    }  # fmt: skip
    with Door(Settings.model_validate(settings)) as door, door.client() as http:
        connect_package(http, arguments=[mark])
        until(lambda: not running_with(mark))
        assert told(run_tool(http, "plain"))["success"]
    assert not running_with(mark)


@pytest.mark.slow
@pytest.mark.requirement("mcp-stdio:kill")
def test_no_server_outlives_a_killed_runtime(tmp_path: Path, version: str) -> None:
    del version
    mark = f"{MARK}-killed"
    with start_runtime(make_home(tmp_path / "home")) as runtime:
        body = {"url": URL, "agree": True, "arguments": [mark]}
        assert runtime.call("POST", "/integrations/mcp/connect", body)["connected"]
        runtime.call("POST", "/run/mcp/", {"server": "stray", "tool": "fork"})
        assert len(running_with(mark)) > 10
        runtime.kill()
        until(lambda: not running_with(mark))


@pytest.mark.requirement("mcp-stdio:connect")
def test_a_dry_run_holds_calls_of_a_package_too(http: httpx.Client) -> None:
    connect_package(http)
    asked = told(http.post(f"/integrations/{APP}/preview", json={"action": "leave", "props": {"code": 3}}))
    assert asked["writes"]
    assert any("leave" in line for line in asked["asks"])
