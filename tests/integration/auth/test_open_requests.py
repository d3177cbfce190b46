"""What is open when a right is taken away: streams, calls and websockets of keys and sessions end, those of others go on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.integration.auth.openings import (
    KEY,
    Ended,
    Opener,
    client,
    console_stream,
    deploy,
    log,
    mcp_call,
    mcp_stream,
    opened,
    sse,
    synchronous_run,
    two_replicas,
    websocket,
)
from tests.support.browser_client import Browser
from tests.support.http_runtime import Door
from tests.support.postgres import Postgres
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.requirement("members:open-requests")]
_names = (f"guest-{number}" for number in itertools.count(1))


class Guest(Opener):
    """A member with the role author: a key, and a browser that is signed in. `urls` are those of the replicas, one or two.

    What the guest opens is at the first; `take` asks the last one.
    """

    def __init__(self, urls: list[str], stack: ExitStack) -> None:
        self.name = next(_names)
        home = stack.enter_context(client(urls[-1], KEY))
        invited = home.post("/members", json={"name": self.name, "role": "author"})
        assert invited.status_code == 201, invited.text
        self.browser = stack.enter_context(Browser(base_url=urls[0]))
        link = invited.json()["url"].replace(urls[-1], urls[0])
        assert self.browser.submit(link).status_code == 303
        made = home.post("/keys", json={"member": self.name, "kind": "user"})
        super().__init__(urls[0], made.json()["key"], home, stack)
        self.key_id = made.json()["id"]
        self.pages = self.browser
        self.own = {"Origin": self.url, "Sec-Fetch-Site": "same-origin", "X-Codewords-Console": "1"}

    def take(self, what: str) -> None:
        """Take a right away: remove the member, revoke the key, end the session, or lower the role."""
        if what == "member":
            done = self.home.delete(f"/members/{self.name}")
        elif what == "key":
            done = self.home.delete(f"/keys/{self.key_id}")
        elif what == "session":
            [session] = [s for s in self.home.get("/sessions").json()["items"] if s["member"] == self.name]
            done = self.home.delete(f"/sessions/{session['id']}")
        else:
            done = self.home.put(f"/members/{self.name}", json={"role": "viewer"})
        assert done.is_success, done.text


BY_KEY, BY_SESSION = (mcp_stream, mcp_call, sse, websocket, log), (synchronous_run, console_stream)
CASES = [
    *((opens, what) for opens in BY_KEY for what in ("member", "key", "role")),
    *((opens, what) for opens in BY_SESSION for what in ("member", "session", "role")),
]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    home = make_home(tmp_path_factory.mktemp("open requests") / "home")
    with Door(Settings.model_validate({"home": home, "port": 0, "api_key": KEY})) as door:
        yield [door.url]


@pytest.fixture(scope="module")
def two(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    folder = tmp_path_factory.mktemp("open requests of two")
    with two_replicas(folder, postgres) as urls:
        yield urls


@pytest.fixture(scope="module")
def of_one(one: list[str]) -> str:
    return deploy(one[0])


@pytest.fixture(scope="module")
def of_two(two: list[str]) -> str:
    return deploy(two[0])


def check(urls: list[str], workflow_id: str, opens: Callable[[Opener, str], Ended], what: str) -> None:
    with ExitStack() as stack:
        other, guest = Guest(urls, stack), Guest(urls, stack)
        session = other.initialize()
        ended = opens(guest, workflow_id)
        guest.take(what)
        ended()
        assert other.ping(session) == 200, "another member's goes on"
        if what == "role":
            assert guest.http.get("/me").json()["member"]["role"] == "viewer"


@pytest.mark.parametrize(("opens", "what"), CASES)
def test_it_ends_with_the_right_by_which_it_was_opened(
    one: list[str], of_one: str, opens: Callable[[Opener, str], Ended], what: str
) -> None:
    check(one, of_one, opens, what)


@pytest.mark.parametrize(
    ("opens", "what"),
    [(mcp_stream, "member"), (websocket, "key"), (console_stream, "session"), (mcp_call, "role")],
)
def test_it_ends_where_another_replica_takes_the_right_away(
    two: list[str], of_two: str, opens: Callable[[Opener, str], Ended], what: str
) -> None:
    check(two, of_two, opens, what)


def test_a_console_hears_that_it_is_signed_out(one: list[str]) -> None:
    with ExitStack() as stack:
        guest = Guest(one, stack)
        lines = opened(guest, guest.browser, "/events", **guest.own)
        guest.take("session")
        assert "event: signed-out" in lines()


def test_a_key_that_ends_with_its_time_ends_what_is_open(one: list[str]) -> None:
    with ExitStack() as stack:
        guest = Guest(one, stack)
        made = guest.home.post("/keys", json={"member": guest.name, "kind": "user", "expires_in": 3})
        http = stack.enter_context(client(guest.url, made.json()["key"]))
        opened(guest, http, "/sse", Accept="text/event-stream")()


def test_whoever_takes_the_own_right_away_is_told_that_it_was_done(one: list[str]) -> None:
    with ExitStack() as stack:
        guest = Guest(one, stack)
        [session] = guest.browser.get("/sessions", headers=guest.own).json()["items"]
        assert guest.browser.delete(f"/sessions/{session['id']}", headers=guest.own).is_success
        assert guest.browser.get("/me", headers=guest.own).status_code == 401
