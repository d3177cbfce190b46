"""The server's part of the console: its files, the API by a person's session, and the changes as they happen."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest
from tests.support.browser_client import NAVIGATION, Browser, sign_in
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.served_runtime import start_runtime
from tests.support.waiting import until

from codewords_mcp.runtime.api import changes
from codewords_mcp.runtime.auth import session_state
from codewords_mcp.runtime.store import local_file

OWN = {"X-Codewords-Console": "1", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}


@pytest.fixture
def person(door: Door) -> Iterator[Browser]:
    """A browser in which the home's owner is signed in."""
    with sign_in(door.url, ADMIN_KEY) as browser:
        yield browser


def changing(door: Door) -> dict[str, str]:
    """Headers of a request of the console that changes something."""
    return OWN | {"Origin": door.url}


@pytest.mark.requirement("console:files")
def test_the_shell_loads_files_that_never_change_from_its_own_folder_only(
    door: Door, person: Browser
) -> None:
    shell = person.look(f"{door.url}/console/runs/some-run")
    assert shell.status_code == 200
    assert shell.text == person.look(door.url).text
    policy = shell.headers["content-security-policy"]
    assert f"script-src {door.url}/console/assets/;" in policy, "nothing that a workflow answers is a script"
    assert "unsafe" not in policy
    assert shell.headers["cache-control"] == "no-store"

    [script] = re.findall(r'src="([^"]+/app\.js)"', shell.text)
    with Browser() as anybody:
        packed = anybody.get(f"{door.url}{script}", headers={"Accept-Encoding": "gzip"})
        plain = anybody.get(f"{door.url}{script}", headers={"Accept-Encoding": "identity"})
        other = anybody.get(f"{door.url}/console/assets/0123456789abcdef/app.js")
        folder = f"{door.url}{script.removesuffix('app.js')}"
        outside = anybody.get(f"{folder}..%2f__init__.py")
        below = anybody.get(f"{folder}as-written/..%2f..%2f__init__.py")
        linked, by_itself = (
            anybody.get(f"{folder}parts/log.js"),
            anybody.get(f"{folder}as-written/parts/log.js"),
        )
    assert packed.content == plain.content
    assert packed.headers["content-encoding"] == "gzip"
    assert "immutable" in plain.headers["cache-control"]
    assert plain.headers["content-type"].startswith("text/javascript")
    assert other.status_code == outside.status_code == below.status_code == 404
    assert linked.status_code == 404, "it is in a script with others, and nothing has it twice"
    assert by_itself.status_code == 200
    assert "as-written/app.js" in person.look(f"{door.url}/console/runs?as-written").text


@pytest.mark.requirement("console:files")
def test_the_shell_is_for_people_who_are_signed_in(door: Door) -> None:
    with Browser() as stranger:
        assert stranger.look(f"{door.url}/console/secrets").status_code == 401
        assert "Sign in to codewords" in stranger.look(f"{door.url}/").text


@pytest.mark.requirement("console:session")
def test_the_console_asks_the_api_by_its_persons_session(door: Door, person: Browser) -> None:
    assert person.get(f"{door.url}/workflows", headers=OWN).status_code == 200
    made = person.put(f"{door.url}/secrets/BY_CONSOLE", json={"value": "v"}, headers=changing(door))
    assert made.status_code in {200, 201, 204}, made.text
    assert person.delete(f"{door.url}/secrets/BY_CONSOLE", headers=changing(door)).status_code in {200, 204}


@pytest.mark.requirement("console:session")
@pytest.mark.parametrize(
    "wrong",
    [
        {"X-Codewords-Console": None},
        {"Sec-Fetch-Site": None},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": None},
    ],
)
def test_no_other_page_acts_by_the_session(door: Door, person: Browser, wrong: dict[str, str | None]) -> None:
    """A page of another site, another port, a sandboxed frame, a form, or a program with the cookie and no more."""
    headers = {name: value for name, value in (changing(door) | wrong).items() if value is not None}
    refused = person.put(f"{door.url}/secrets/BY_ANOTHER", json={"value": "v"}, headers=headers)
    assert refused.status_code in {401, 403}, refused.text
    assert "BY_ANOTHER" not in person.get(f"{door.url}/secrets", headers=OWN).text


@pytest.mark.requirement("console:session")
def test_the_session_has_the_rights_of_its_key_and_ends_with_it(door: Door) -> None:
    key = door.make_key(owner="cara")
    with sign_in(door.url, key) as cara:
        assert cara.get(f"{door.url}/runs", headers=OWN).json()["items"] == []
        assert cara.get(f"{door.url}/keys", headers=OWN).status_code == 403, "an admin's route"
        assert cara.post(f"{door.url}/mcp", headers=changing(door)).status_code in {401, 403, 406, 400}

        with door.client() as admin:
            [key_id] = [one["id"] for one in admin.get("/keys").json()["items"] if one["owner"] == "cara"]
            admin.delete(f"/keys/{key_id}")
        assert cara.get(f"{door.url}/runs", headers=OWN).status_code == 401


@pytest.mark.requirement("console:session")
def test_browsers_that_are_signed_in_are_listed_and_signed_out(door: Door, person: Browser) -> None:
    with (
        sign_in(door.url, ADMIN_KEY) as lost,
        sign_in(door.url, door.make_key(owner="dan-of-the-list")) as dan,
    ):
        mine = person.get(f"{door.url}/sessions", headers=OWN).json()["items"]
        [current] = [one for one in mine if one["current"]]
        assert current["key_id"] is None, "the home's own key has no id, and its digest is no name"
        [other] = dan.get(f"{door.url}/sessions", headers=OWN).json()["items"]
        assert other["id"] not in {one["id"] for one in mine}
        foreign = person.delete(f"{door.url}/sessions/{other['id']}", headers=changing(door))
        assert foreign.status_code == 404

        theirs = lost.get(f"{door.url}/sessions", headers=OWN).json()["items"]
        [gone] = [one["id"] for one in theirs if one["current"]]
        assert person.delete(f"{door.url}/sessions/{gone}", headers=changing(door)).status_code == 204
        assert lost.get(f"{door.url}/runs", headers=OWN).status_code == 401
        assert dan.get(f"{door.url}/runs", headers=OWN).status_code == 200


@pytest.mark.requirement("console:session")
def test_a_link_of_another_site_leads_to_the_page_of_who_is_signed_in(door: Door, person: Browser) -> None:
    """The cookie is strict: a browser sends none with the link, and then loads the page again by itself."""
    with Browser() as without_cookie:
        led = without_cookie.get(f"{door.url}/", headers=NAVIGATION | {"Sec-Fetch-Site": "cross-site"})
        assert led.headers["refresh"] == "0"
        again = without_cookie.get(f"{door.url}/", headers=NAVIGATION | {"Sec-Fetch-Site": "same-origin"})
    assert "refresh" not in again.headers, "who is not signed in is asked, once"
    assert again.status_code == 401


@pytest.mark.requirement("console:workflow-pages")
def test_what_a_workflow_answers_is_sandboxed_on_the_consoles_origin(
    door: Door, http: httpx.Client, probe: str
) -> None:
    answer = http.get(f"/run/{probe}/")
    assert "sandbox" in answer.headers.get_list("content-security-policy")


@pytest.mark.requirement("console:events")
def test_changes_are_told_as_they_happen_and_to_their_owner_only(
    door: Door, http: httpx.Client, person: Browser, probe: str
) -> None:
    told: list[tuple[str, dict[str, str]]] = []
    others: list[tuple[str, dict[str, str]]] = []
    started = threading.Barrier(3)
    dan = sign_in(door.url, door.make_key(owner="dan"))

    def follow(browser: Browser, events: list[tuple[str, dict[str, str]]]) -> None:
        quiet = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
        with browser.stream("GET", f"{door.url}/events", headers=quiet) as stream:
            assert stream.status_code == 200
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert next(lines).startswith(":"), "the answer begins before the first change"
            started.wait(60)
            kind = ""
            for line in lines:
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    events.append((kind, json.loads(line.removeprefix("data: "))))
                    if kind == "secrets":
                        return

    pages = [threading.Thread(target=follow, args=of) for of in ((person, told), (dan, others))]
    for page in pages:
        page.start()
    started.wait(60)

    run_id = http.post(f"/run/{probe}/", json={}).headers["x-request-id"]
    until(lambda: any(data.get("status") in {"succeeded", "failed"} for _, data in told))
    http.post("/secrets/WAITS/entry")
    until(lambda: any(kind == "inbox" for kind, _ in told))
    http.put("/secrets/ENDS_IT", json={"value": "v"})
    for page in pages:
        page.join(60)
        assert not page.is_alive()

    assert {"id": run_id, "service_id": probe, "status": "succeeded"} in [
        data for kind, data in told if kind == "run"
    ]
    assert not [data for kind, data in others if kind == "run"], "of another owner's run nothing is told"


@pytest.mark.requirement("console:events")
def test_events_need_the_consoles_own_page(door: Door, person: Browser) -> None:
    for site in ("cross-site", "same-site", "none"):
        assert person.get(f"{door.url}/events", headers={"Sec-Fetch-Site": site}).status_code == 403
    with Browser() as stranger:
        assert (
            stranger.get(f"{door.url}/events", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 401
        )


@pytest.mark.requirement("console:events")
def test_an_owner_has_a_bounded_number_of_open_pages(door: Door) -> None:
    """The oldest ends, and its browser connects anew."""
    with ExitStack() as open_pages:
        # One connection a page, as browsers have: each client keeps its own.
        oldest = _follow(door, open_pages)
        # Kept, since an iterator that nobody holds hangs up.
        others = [_follow(door, open_pages) for _ in range(changes.MAX_FOLLOWERS)]
        assert len(others) == changes.MAX_FOLLOWERS
        assert ": still here" in list(oldest), "it ended"


@pytest.mark.requirement("console:events")
def test_open_pages_hold_up_no_runtime_that_ends(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with (
        start_runtime(home) as served,
        httpx.Client(timeout=60, trust_env=False) as http,
        http.stream("GET", f"{served.url}/events", headers={"Authorization": served.key}) as stream,
    ):
        lines = stream.iter_lines()
        next(lines)
        os.kill(served.pid, signal.SIGTERM)
        list(lines)
        served.wait()

    log = (home / "serve.log").read_text(encoding="utf-8")
    assert "graceful shutdown exceeded" not in log
    assert "Exception" not in log


def _follow(door: Door, open_pages: ExitStack) -> Iterator[str]:
    """The lines of `/events`, the first of which has come."""
    http = open_pages.enter_context(door.client())
    lines = open_pages.enter_context(http.stream("GET", "/events")).iter_lines()
    next(lines)
    return lines


@pytest.mark.requirement("console:files")
def test_files_are_the_same_compressed(door: Door, person: Browser) -> None:
    shell = person.look(f"{door.url}/").text
    [style] = re.findall(r'href="([^"]+/app\.css)"', shell)
    with door.connect() as wire:
        wire.raw.sendall(
            f"GET {style} HTTP/1.1\r\nHost: 127.0.0.1:{door.port}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        while piece := wire.raw.recv(65536):
            answer += piece
    _, _, body = answer.partition(b"\r\n\r\n")
    assert gzip.decompress(body) == person.get(f"{door.url}{style}").content


@pytest.mark.requirement("console:answers")
def test_the_answer_of_a_run_is_a_page_in_the_consoles_frame_only(
    door: Door, http: httpx.Client, person: Browser, probe: str
) -> None:
    run_id = http.post(f"/run/{probe}/", json={"page": "<h1>"}).headers["x-request-id"]
    until(lambda: http.get(f"/request/{run_id}").json()["responseContent"])
    url = f"{door.url}/console/answers/{run_id}"
    frame = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}
    shown = person.get(url, headers=frame)
    assert shown.status_code == 200
    assert "<h1>" in shown.text
    assert shown.headers["content-type"].startswith("text/html")
    policy = shown.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert "frame-ancestors 'self'" in policy

    for wrong in (
        {"Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert person.get(url, headers=frame | wrong).status_code == 403
    assert person.get(f"{door.url}/console/answers/none", headers=frame).status_code == 404
    with Browser() as stranger:
        assert stranger.get(url, headers=frame).status_code == 401
    with sign_in(door.url, door.make_key(owner="dan")) as dan:
        assert dan.get(url, headers=frame).status_code == 404


def _pass(door: Door, cookie: str, seconds: float) -> None:
    """Let the token of a cookie's session become so much older."""
    key, _, _ = cookie.partition(".")
    with closing(sqlite3.connect(door.settings.home / local_file.NAME)) as database, database:
        [(text,)] = database.execute("SELECT value FROM service_values WHERE key = ?", (key,))
        state = json.loads(text)
        state["rotated"] -= int(seconds * 1e6)
        database.execute("UPDATE service_values SET value = ? WHERE key = ?", (json.dumps(state), key))
    # A session is remembered for a second, in which time never passes so fast.
    door.runtime._container.page_sessions.forget()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.requirement("pages:sessions-end")
def test_the_next_cookie_comes_with_an_answer_and_tabs_go_on(door: Door, person: Browser) -> None:
    [(name, value)] = person.cookies.items()
    first = {"Cookie": f"{name}={value}"}
    with Browser() as other:

        def ask(cookie: dict[str, str]) -> httpx.Response:
            # Without a jar, which would keep what comes with the answer.
            other.cookies.clear()
            return other.get(f"{door.url}/workflows", headers=OWN | cookie)

        _pass(door, value, session_state.ROTATE_AFTER)
        answers = [person.get(f"{door.url}/workflows", headers=OWN), ask(first)]
        # Each says the seconds that are left: of two answers these may differ.
        [cookie] = {re.sub(r"Max-Age=\d+; ", "", answer.headers["set-cookie"]) for answer in answers}
        assert "; HttpOnly; " in cookie
        assert cookie.endswith("; Path=/; SameSite=Strict")
        assert f"{name}={person.cookies[name]}" != first["Cookie"]

        assert person.get(f"{door.url}/workflows", headers=OWN).status_code == 200
        assert ask(first).status_code == 200, "another tab's request was on its way"
        _pass(door, value, session_state.GRACE + 1)
        assert ask(first).status_code == 401, "a thief's"
    assert person.get(f"{door.url}/workflows", headers=OWN).status_code == 401, "it ended for both"


@pytest.mark.requirement("console:events")
def test_a_browser_that_is_signed_out_is_told_so_and_nothing_more(
    door: Door, http: httpx.Client, person: Browser
) -> None:
    quiet = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
    with person.stream("GET", f"{door.url}/events", headers=quiet) as stream:
        lines = stream.iter_lines()
        next(lines)
        with Browser(cookies=dict(person.cookies)) as same:
            same.submit(f"{door.url}/sign-out")
        http.put("/secrets/AFTER_IT", json={"value": "v"})
        rest = list(lines)
    assert "event: signed-out" in rest
    assert "event: secrets" not in rest
