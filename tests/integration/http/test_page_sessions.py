"""Pages on which something is agreed, typed or connected: only a person who is signed in gets to see and send them."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from tests.support.browser_client import NAVIGATION, OPENED, Browser, sign_in
from tests.support.http_runtime import ADMIN_KEY, Door

from codewords_mcp.errors import ConsentNeeded, TooBusy, Unauthenticated
from codewords_mcp.runtime.api import sessions as session_calls
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.auth import peers, session_store, sessions, wrong_keys
from codewords_mcp.runtime.model.call_questions import of_call
from codewords_mcp.runtime.model.workflow import Consent

pytestmark = [pytest.mark.requirement("pages:sessions")]
SAME = {"Sec-Fetch-Site": "same-origin"}


def ask(door: Door, text: str, owner: str = "local") -> str:
    """The address of a question's page, as an assistant gets it."""

    async def put(runtime: Runtime) -> str:
        consents = runtime._container.consents  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(ConsentNeeded) as needed:
            await consents.settle(of_call(owner, "slack-send", {"text": text}, None), Consent())
        return needed.value.url

    return door.ask(put)


def whose(door: Door, person: Browser) -> str:
    """The owner as whom a browser is signed in: bob's question is shown to bob alone."""
    url = ask(door, "whose", owner="bob")
    return "bob" if person.look(url).status_code == 200 else "local"


@pytest.fixture
def stranger() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture(params=["consent", "secret", "chrome", "connect"])
def page(request: pytest.FixtureRequest, door: Door, http: httpx.Client) -> str:
    """The address of each kind of page."""
    match request.param:
        case "consent":
            return ask(door, "by kind")
        case "secret":
            return http.post("/secrets/BY_KIND/entry").json()["url"]
        case "chrome":
            return http.post("/browser/pair").json()["url"]
        case _:
            return f"{door.url}/connect/any"


def test_an_address_alone_shows_nothing_of_its_page_and_takes_no_answer(page: str, stranger: Browser) -> None:
    shown = stranger.look(page)
    assert shown.status_code == 401
    assert "Sign in to codewords" in shown.text
    assert "codewords open" in shown.text
    assert not re.search("slack|BY_KIND|Load unpacked", shown.text)
    answer = stranger.submit(page, {"answer": "agree", "value": "x"})
    assert answer.status_code == 401
    assert "basic" not in shown.headers.get("www-authenticate", "").lower(), "no dialog hides the page"


def test_a_key_in_a_header_is_no_session(page: str) -> None:
    """A program with a key has the HTTP API; a page is for a browser in which a person signed in."""
    with Browser(headers={"Authorization": f"Bearer {ADMIN_KEY}", "X-API-Key": ADMIN_KEY}) as program:
        assert program.look(page).status_code == 401


def test_without_a_session_nothing_was_agreed(door: Door, stranger: Browser) -> None:
    url = ask(door, "not agreed")
    assert stranger.submit(url, {"answer": "agree"}).status_code == 401
    with sign_in(door.url, ADMIN_KEY) as person:
        assert "Agree" in person.look(url).text, "the question is still open"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "OWN"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "OWN", "Sec-Fetch-Site": "same-site"},
        {"Origin": "OWN", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "OWN", "Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost:PORT", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://127.0.0.1:PORT", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1:PORT.evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://app.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/consents/x", "/secrets/enter/x", "/connect/x", "/browser/pair/x", "/login/x", "/sign-in", "/sign-in/x", "/sign-in/here", "/sign-out"]
)  # fmt: skip
def test_a_form_that_does_not_say_that_it_comes_from_its_own_page_is_refused(
    door: Door, path: str, headers: dict[str, str]
) -> None:
    """Beside each page, whatever it does: with a session, so that nothing else refuses it."""
    own = {
        name: value.replace("OWN", door.url).replace("PORT", str(urlsplit(door.url).port))
        for name, value in headers.items()
    }
    with sign_in(door.url, ADMIN_KEY) as person:
        refused = person.post(f"{door.url}{path}", data={"answer": "agree"}, headers=own)
    assert refused.status_code == 403, refused.text


def test_a_person_of_another_owner_neither_sees_nor_answers_the_question(door: Door) -> None:
    url = ask(door, "of the home's owner")
    with sign_in(door.url, door.make_key(owner="bob")) as bob:
        for answer in (bob.look(url), bob.submit(url, {"answer": "agree"})):
            assert answer.status_code == 403
            assert "another owner" in answer.text
            assert "slack" not in answer.text
    with sign_in(door.url, ADMIN_KEY) as person:
        assert "Agree" in person.look(url).text


def test_every_kind_of_page_is_its_owners(door: Door, http: httpx.Client) -> None:
    urls = [
        ask(door, "whose"),
        http.post("/secrets/WHOSE/entry").json()["url"],
        http.post("/browser/pair").json()["url"],
    ]
    with sign_in(door.url, door.make_key(owner="bob")) as bob:
        assert [bob.look(url).status_code for url in urls] == [403, 403, 403]


@pytest.mark.requirement("pages:sign-in")
def test_a_sign_in_address_works_once_and_leads_to_the_page(door: Door, stranger: Browser) -> None:
    url = ask(door, "lead me")
    address = door.sign_in_address(url)
    first = stranger.get(address, headers=OPENED)
    assert (first.status_code, first.headers["location"]) == (303, url.removeprefix(door.url))
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert f"codewords_session_{urlsplit(door.url).port}" in cookie
    assert "Agree" in stranger.look(url).text
    with Browser() as other:
        replayed = other.look(address)
        assert replayed.status_code == 404
        assert other.look(url).status_code == 401


@pytest.mark.requirement("pages:sign-in")
@pytest.mark.parametrize(
    "headers",
    [
        NAVIGATION | {"Sec-Fetch-Site": "cross-site"},
        NAVIGATION | {"Sec-Fetch-Site": "same-site"},
        OPENED | {"Sec-Purpose": "prefetch;prerender"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "image"},
        {},
    ],
)
def test_a_sign_in_address_that_the_person_did_not_open_themselves_signs_nobody_in(
    door: Door, stranger: Browser, headers: dict[str, str]
) -> None:
    """A link on a page, a preview of a mail program, a prefetch: it shows who would be signed in, and a button."""
    address = door.sign_in_address()
    shown = stranger.get(address, headers=headers)
    assert shown.status_code == 200
    assert "As <b>local" in shown.text
    assert not stranger.cookies
    assert stranger.head(address).status_code == 200
    assert stranger.submit(address).status_code == 303, "the button does it"


@pytest.mark.requirement("pages:sign-in")
def test_a_browser_that_is_signed_in_is_not_made_another_owners_without_a_click(door: Door) -> None:
    address = door.sign_in_address(key=door.make_key(owner="bob"))
    with sign_in(door.url, ADMIN_KEY) as person:
        shown = person.look(address)
        assert "signed in as <b>local</b> now" in shown.text
        assert whose(door, person) == "local"
        assert person.submit(address).status_code == 303
        assert whose(door, person) == "bob"


@pytest.mark.requirement("pages:sign-in")
@pytest.mark.parametrize(
    "page", ["https://evil.example/", "//evil.example/", "/\\evil.example", "/a/../b", "/x?y=1", "/%2f%2fevil", "/x\r\nSet-Cookie: a=b", "/" + "a" * 400]
)  # fmt: skip
def test_signing_in_leads_to_a_path_of_this_runtime_only(
    door: Door, http: httpx.Client, stranger: Browser, page: str
) -> None:
    made = http.post("/sign-ins", json={"page": page})
    assert made.status_code in {400, 404}, made.text
    typed = stranger.submit(f"{door.url}/sign-in", {"key": ADMIN_KEY, "to": page})
    assert typed.status_code == 400
    assert "location" not in typed.headers


@pytest.mark.requirement("pages:sign-in")
def test_a_key_that_is_typed_signs_in_and_leads_back(door: Door, stranger: Browser) -> None:
    url = ask(door, "typed")
    form = stranger.look(url).text
    assert f'name="to" value="{url.removeprefix(door.url)}"' in form
    wrong = stranger.submit(f"{door.url}/sign-in", {"key": "cwk-wrong", "to": "/"})
    assert wrong.status_code == 401
    assert 'role="alert"' in wrong.text
    assert "cwk-wrong" not in wrong.text
    right = stranger.submit(f"{door.url}/sign-in", {"key": ADMIN_KEY, "to": url.removeprefix(door.url)})
    assert (right.status_code, right.headers["location"]) == (303, url.removeprefix(door.url))
    assert "Agree" in stranger.look(url).text


@pytest.mark.requirement("pages:sign-in")
def test_keys_that_answer_for_no_person_do_not_sign_in(
    door: Door, http: httpx.Client, stranger: Browser
) -> None:
    one_time = door.make_key(one_time=True)
    keys = [
        one_time,
        door.make_key(scopes=["read", "run"]),
        door.make_key(toolsets=["runs"]),
        "",
        "x" * 600,
        "é",
    ]
    for key in keys:
        answer = stranger.submit(f"{door.url}/sign-in", {"key": key, "to": "/"})
        assert answer.status_code in {401, 403}, (key, answer.text)
        assert not stranger.cookies
    with door.client(one_time) as program:
        assert program.get("/status").status_code == 200, "typing it did not spend it"
    with door.client(door.make_key(scopes=["read"])) as reader:
        assert reader.post("/sign-ins", json={}).status_code == 403


@pytest.mark.requirement("pages:wrong-keys")
def test_wrong_keys_of_one_address_shut_out_that_address_only_and_for_a_minute(
    door: Door, stranger: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [time.monotonic() + 1000]
    counted = wrong_keys.WrongKeys(lambda: clock[0])
    monkeypatch.setattr(door.runtime._container.page_sessions, "_wrong_keys", counted)  # pyright: ignore[reportPrivateUsage]

    def status(key: str, address: str) -> int:
        # uvicorn believes a proxy on this machine
        headers = {"X-Forwarded-For": address}
        answer = stranger.submit(f"{door.url}/sign-in", {"key": key, "to": "/"}, headers=headers)
        return answer.status_code

    for mine, also_mine, another in (
        ("192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
    ):
        tried = [status(f"cwk-{number}", mine) for number in range(wrong_keys.MAX_PER_ADDRESS)]
        assert tried == [401] * wrong_keys.MAX_PER_ADDRESS
        assert status(ADMIN_KEY, mine) == status(ADMIN_KEY, also_mine) == 429
        assert status(ADMIN_KEY, another) == 303, "nobody else is shut out"
        clock[0] += wrong_keys.WINDOW_S + 1
        assert status(ADMIN_KEY, mine) == 303


@pytest.mark.requirement("pages:wrong-keys")
def test_wrong_keys_of_many_addresses_have_a_wide_limit_of_all_together() -> None:
    clock = [0.0]
    counted = wrong_keys.WrongKeys(lambda: clock[0])
    for number in range(wrong_keys.MAX_TOTAL):
        with counted.attempt("192.0.2.1"):
            pass  # a right key does not count
        with pytest.raises(Unauthenticated), counted.attempt(f"10.0.{number // 5}.1"):
            raise Unauthenticated("wrong")
    with pytest.raises(TooBusy), counted.attempt("192.0.2.1"):
        pytest.fail("it may not be tried")
    clock[0] += wrong_keys.WINDOW_S
    with counted.attempt("192.0.2.1"):
        pass


@pytest.mark.requirement("pages:wrong-keys")
def test_keys_that_are_tried_at_once_are_counted_from_their_start() -> None:
    counted = wrong_keys.WrongKeys()
    with ExitStack() as at_once:
        for _ in range(wrong_keys.MAX_PER_ADDRESS):
            at_once.enter_context(counted.attempt("192.0.2.1"))
        with pytest.raises(TooBusy), counted.attempt("192.0.2.1"):
            pytest.fail("it may not be tried")


def test_a_session_ends_with_its_key_by_signing_out_and_by_signing_in_anew(
    door: Door, http: httpx.Client
) -> None:
    key = door.make_key(owner="carol")
    url = ask(door, "ends", owner="carol")
    with sign_in(door.url, key) as carol:
        before = dict(carol.cookies)
        assert "Agree" in carol.look(url).text
        carol.look(door.sign_in_address(key=key))
        assert dict(carol.cookies) != before, "each sign-in is a session of its own"
        with Browser(cookies=before) as thief:
            assert thief.look(url).status_code == 401, "the one before has ended"
        [key_id] = [one["id"] for one in http.get("/keys").json()["items"] if one["owner"] == "carol"]
        http.delete(f"/keys/{key_id}")
        assert carol.look(url).status_code == 401
    with sign_in(door.url, ADMIN_KEY) as person:
        kept = dict(person.cookies)
        assert person.submit(f"{door.url}/sign-out").status_code == 200
        with Browser(cookies=kept) as thief:
            assert thief.look(door.url).status_code == 401


def test_a_session_is_known_to_every_runtime_of_the_database(door: Door) -> None:
    async def elsewhere(runtime: Runtime) -> str | None:
        other = sessions.PageSessions(runtime._container.database, runtime._container.keyring)  # pyright: ignore[reportPrivateUsage]
        found = await other.find(token, os.getuid())
        return found and found.caller.owner

    with sign_in(door.url, ADMIN_KEY) as person:
        [token] = [value for _, value in person.cookies.items()]
        assert door.ask(elsewhere) == "local"


def test_several_sessions_of_one_name_are_none(door: Door, stranger: Browser) -> None:
    """Another port of this host can set a cookie of ours; it must not choose who is signed in."""
    with sign_in(door.url, ADMIN_KEY) as person:
        [(name, value)] = person.cookies.items()
    both = {"Cookie": f"{name}=other; {name}={value}"}
    assert stranger.look(door.url, **both).status_code == 401
    assert stranger.look(door.url, Cookie=f"{name}={value}").status_code == 200


def test_a_session_alone_opens_pages_and_no_route_of_the_api(door: Door) -> None:
    with sign_in(door.url, ADMIN_KEY) as person:
        for path in ("/workflows", "/keys", "/run/send_email", "/mcp", "/secrets", "/waiting"):
            assert person.get(f"{door.url}{path}", headers=SAME).status_code == 401, path
        for path in ("/", "/docs", "/openapi.json"):
            assert person.look(f"{door.url}{path}").status_code == 200
            assert person.submit(f"{door.url}{path}").status_code in {401, 405}


def test_what_waits_for_a_person_is_listed_to_them_alone(door: Door, http: httpx.Client) -> None:
    url = http.post("/secrets/LISTED_HERE/entry").json()["url"]
    ask(door, "another's", owner="bob")
    listed = {one["path"]: one["title"] for one in http.get("/waiting").json()["items"]}
    assert listed[url.removeprefix(door.url)] == "Type the value of LISTED_HERE"
    with door.client(door.make_key(owner="bob")) as bob:
        theirs = bob.get("/waiting").json()["items"]
    assert {one["kind"] for one in theirs} == {"consent"}
    assert not {one["path"] for one in theirs} & listed.keys()


def test_behind_tls_the_origin_is_the_public_one_and_the_cookie_is_for_https_only(door: Door) -> None:
    """The proxy speaks plain HTTP to the runtime and passes the name on."""
    with Browser(base_url=door.url, headers={"Host": "public.example"}) as browser:
        form = {"key": ADMIN_KEY, "to": "/"}
        plain = {"Origin": "http://public.example", "Sec-Fetch-Site": "same-origin"}
        assert browser.post("/sign-in", data=form, headers=plain).status_code == 403
        done = browser.post("/sign-in", data=form, headers=plain | {"Origin": "https://public.example"})
    assert done.status_code == 303
    assert done.headers["set-cookie"].startswith("__Host-codewords_session=")
    assert "; secure" in done.headers["set-cookie"].lower()


def test_localhost_and_127_0_0_1_are_two_origins_with_sessions_of_their_own(door: Door) -> None:
    url = ask(door, "which name").replace("127.0.0.1", "localhost")
    with sign_in(door.url, ADMIN_KEY) as person:
        assert person.look(url).status_code == 401
        there = url.partition("/consents/")[0]
        typed = person.submit(f"{there}/sign-in", {"key": ADMIN_KEY, "to": url.removeprefix(there)})
        assert typed.status_code == 303
        assert "Agree" in person.look(url).text


@pytest.mark.requirement("pages:sign-in")
def test_a_process_of_another_user_of_the_machine_cannot_use_an_address_that_it_read(
    door: Door, stranger: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that a browser was started with stands in the list of processes."""
    address = door.sign_in_address()

    monkeypatch.setattr(peers, "uid_of", _another_users)
    assert stranger.look(address).status_code == 404
    monkeypatch.undo()
    assert stranger.look(address).status_code == 200


def _another_users(_peer: peers.Peer) -> int:
    return 12345


@pytest.mark.requirement("pages:sign-in")
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Forwarded-For": "192.0.2.9"}, {"X-Forwarded-Proto": "https"}, {"Host": "public.example"}],
)
def test_what_a_request_says_of_itself_does_not_hide_whose_process_sends_it(
    door: Door, stranger: Browser, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """uvicorn believes a proxy on this machine, and so everybody there, whom it connects for."""
    address, asked = door.sign_in_address(), list[peers.Peer]()

    def noted(peer: peers.Peer) -> int:
        asked.append(peer)
        return 12345

    monkeypatch.setattr(peers, "uid_of", noted)
    assert stranger.look(address, **headers).status_code == 404
    assert [(one.remote[0], one.own[1]) for one in asked] == [("127.0.0.1", urlsplit(door.url).port or 0)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")
def test_a_session_is_worth_nothing_to_another_user_of_the_machine(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser sends its cookie to every port of 127.0.0.1, also to one on which another user listens."""
    url = ask(door, "of another user")
    typed, opened = Browser(), sign_in(door.url, ADMIN_KEY)
    with typed, opened:
        assert typed.submit(f"{door.url}/sign-in", {"key": ADMIN_KEY, "to": "/"}).status_code == 303
        monkeypatch.setattr(session_calls, "uid_of", _another_users)
        for person in (typed, opened):
            for headers in ({}, {"X-Forwarded-For": "192.0.2.9"}):
                assert person.look(url, **headers).status_code == 401
                assert person.look(door.url, **headers).status_code == 401
            assert person.submit(url, {"answer": "agree"}).status_code == 401
        monkeypatch.undo()
        for person in (typed, opened):
            assert "Agree" in person.look(url).text


@pytest.mark.requirement("pages:sessions")
def test_sign_ins_of_one_owner_keep_nobody_else_from_signing_in(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key is enough to make sign-in addresses, so that no number of them may refuse others."""
    monkeypatch.setattr(session_store, "MAX_SESSIONS", 6)
    monkeypatch.setattr(session_store, "MAX_PER_OWNER", 4)
    greedy = door.make_key(owner="ann")

    with sign_in(door.url, ADMIN_KEY) as person, Browser() as browser:
        addresses = [door.sign_in_address(key=greedy) for _ in range(7)]
        browsers = [sign_in(door.url, greedy) for _ in range(5)]
        for number in range(3):
            others = door.make_key(owner=f"other-{number}")
            assert "/sign-in/" in door.sign_in_address(key=others)
            sign_in(door.url, others).close()
        assert person.look(door.url).status_code == 200, "who has less keeps it"
        assert browser.look(addresses[0]).status_code == 404, "their own oldest has ended"
        assert browsers[0].look(door.url).status_code == 401
        assert browsers[-1].look(door.url).status_code == 200
        for one in browsers:
            one.close()
