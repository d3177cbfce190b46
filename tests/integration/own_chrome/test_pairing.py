"""How a Chrome is paired, taken over from, forgotten, and found again."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from tests.integration.own_chrome.chrome import Chrome, press, until
from tests.integration.own_chrome.helpers import dial, say
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.mcp_clients import in_process
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, environment, wait_until_up
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller

HERE = "document.querySelector('#here').innerText.match(/[0-9.]+:[0-9]+/)?.[0]"


def code_of(http: httpx.Client) -> str:
    return http.post("/browser/pair").json()["url"].rpartition("/")[2]


def closed(wire: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed):
        wire.recv(timeout=120)
    assert wire.close_code is not None
    return wire.close_code


async def connected_to(runtime: Runtime) -> str | None:
    """The process that the store says."""
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    await container.database.drained()
    return await container.database.read(lambda c: c.execute(text("SELECT executor FROM browsers")).scalar())


@pytest.fixture
def forgotten(http: httpx.Client) -> None:
    http.delete("/browser")


@pytest.mark.requirement("chrome:refused")
def test_nothing_but_the_extension_connects(door: Door) -> None:
    for origin in (None, "http://127.0.0.1:3000", door.url, f"chrome-extension://{'a' * 32}"):
        with pytest.raises(InvalidStatus) as refused:
            dial(door, origin)
        assert refused.value.response.status_code == 403, origin
    with pytest.raises(InvalidStatus) as elsewhere:
        dial(door, Host="evil.example")
    assert elsewhere.value.response.status_code == 421


@pytest.mark.requirement("chrome:refused")
@pytest.mark.usefixtures("forgotten")
def test_a_token_that_is_none_and_a_page_that_was_used_open_nothing(door: Door, http: httpx.Client) -> None:
    code = code_of(http)
    with dial(door) as wire:
        token = say(wire, pair=code)["token"]
        assert http.get("/browser").json()["connected"] is True
    for proof in (
        {"pair": code},
        {"pair": "x" * 32},
        {"token": "cwb-" + "0" * 64},
        {"token": ADMIN_KEY},
        {},
        {"token": 7},
    ):
        with dial(door) as wire:
            wire.send(json.dumps({"hello": 1} | proof))
            assert closed(wire) == 4001, proof
    for nonsense in ("{", "[]", '"hello"', "{}"):
        with dial(door) as wire:
            wire.send(nonsense)
            assert closed(wire) == 1008
    with dial(door) as wire:
        wire.send(json.dumps({"hello": 2, "token": token}))
        assert closed(wire) == 4003
    with dial(door) as wire:
        assert "token" not in say(wire, token=token), "a token is shown once"

    async def look(runtime: Runtime) -> str:
        container = runtime._container  # pyright: ignore[reportPrivateUsage]
        return str(
            await container.database.read(lambda c: c.execute(text("SELECT hash FROM browsers")).scalar())
        )

    assert token.removeprefix("cwb-") not in door.ask(look)


@pytest.mark.requirement("chrome:one")
@pytest.mark.usefixtures("forgotten")
def test_the_newest_wins_and_the_other_is_told(door: Door, http: httpx.Client) -> None:
    with dial(door) as first, dial(door) as second:
        old = say(first, pair=code_of(http))["token"]
        new = say(second, pair=code_of(http))["token"]
        assert closed(first) == 4002
        with dial(door) as again:
            again.send(json.dumps({"hello": 1, "token": old}))
            assert closed(again) == 4001
        with dial(door) as twin:
            say(twin, token=new)
            assert closed(second) == 4002
            assert http.get("/browser").json()["connected"] is True
            assert door.ask(connected_to), "who came last is connected, whoever left after it"
            assert http.delete("/browser").json() == {"forgotten": True}
            assert closed(twin) == 4001
    found = http.get("/browser").json()
    assert (found["paired"], found["connected"]) == (False, False)
    assert found["remedy"]["action"] == "pair_browser"
    assert http.delete("/browser").json() == {"forgotten": False}


@pytest.mark.requirement("chrome:one")
@pytest.mark.usefixtures("forgotten")
def test_each_owner_has_their_own(door: Door, http: httpx.Client) -> None:
    with door.client(door.make_key(owner="somebody")) as theirs, dial(door) as wire:
        say(wire, pair=code_of(theirs))
        assert theirs.get("/browser").json()["connected"] is True
        assert http.get("/browser").json()["paired"] is False


@pytest.mark.slow
@pytest.mark.requirement("chrome:pair")
@pytest.mark.usefixtures("forgotten")
def test_a_person_pairs_by_the_page_and_forgets(door: Door, http: httpx.Client, unpaired: Chrome) -> None:
    url = http.post("/browser/pair").json()["url"]
    signed_in = http.post("/sign-ins", json={"page": url.removeprefix(door.url)}).json()["url"]
    page = unpaired.page(signed_in, width=1000, height=800)
    assert "Load unpacked" in str(page.value("document.body?.innerText"))
    assert unpaired.pair("http://127.0.0.1/else").startswith("That is not the address of a pairing page")
    assert unpaired.pair(url.replace("127.0.0.1", "192.0.2.1")).startswith("Over a network")
    icon = unpaired.icon(url)
    until(lambda: door.url in f"http://{icon.value(HERE)}", "the icon to know the page")
    press(icon, "#pair")
    until(
        lambda: "Your Chrome is paired" in str(page.value("document.body?.innerText")), "the page to tell it"
    )
    found = http.get("/browser").json()
    assert found["connected"] is True
    assert "on Linux" in found["browser"]

    assert http.delete("/browser").json() == {"forgotten": True}
    popup = unpaired.popup()
    state = "document.querySelector('#state').textContent"
    until(lambda: popup.value(state) == "The runtime has forgotten this Chrome", "the popup to tell it")
    assert unpaired.pair(http.post("/browser/pair").json()["url"]).startswith("Connected to")
    press(popup, "#forget")
    until(lambda: popup.value(state) == "Not paired with a runtime", "it to forget")
    until(lambda: not http.get("/browser").json()["paired"], "the runtime to forget too")


@contextmanager
def serving(home: Path, port: int) -> Generator[tuple[subprocess.Popen[bytes], ServedRuntime]]:
    """A runtime at a port of its own, which a test may kill."""
    log = home / "serve.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "codewords_mcp", "serve", "--port", str(port)],
            env=environment(home), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        yield process, wait_until_up(process, home, log)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.requirement("chrome:found-again")
@pytest.mark.needs("chromium")
def test_a_chrome_finds_its_runtime_again_after_it_was_killed(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    chrome = Chrome(tmp_path)
    try:
        with serving(home, port) as (process, runtime):
            assert chrome.pair(runtime.call("POST", "/browser/pair")["url"]).startswith("Connected to")
            popup = chrome.popup()
            state = "document.querySelector('#state').textContent"
            process.send_signal(signal.SIGKILL)
            until(lambda: "No runtime answers" in popup.value(state), "the popup to tell it")
        with serving(home, port) as (_, runtime):
            found = runtime.call("GET", "/browser?wait_seconds=30")
            assert found["connected"] is True, found
            until(lambda: popup.value(state).startswith("Connected to"), "the popup to tell it")
    finally:
        chrome.stop()


@pytest.mark.requirement("chrome:agreed")
@pytest.mark.usefixtures("forgotten")
def test_a_model_acts_in_it_by_workflows_only(door: Door, http: httpx.Client) -> None:
    async def call(runtime: Runtime) -> str:
        async with in_process(runtime, door.settings, Caller("local", "admin"), "2026-07-28") as client:
            answer = await client.call_tool("run_workflow", {"workflow_id": "chrome_extension", "input": {}})
        return str(answer.content)

    with dial(door) as wire:
        say(wire, pair=code_of(http))
        assert "for workflows only that they agreed to" in door.ask(call)
    http.delete("/browser")
    assert "for workflows only" not in door.ask(call)
