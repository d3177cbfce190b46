"""Members of a home: invited, signed in, changed and removed, as the API, MCP, pages and the audit trail hold it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.browser_client import Browser
from tests.support.http_runtime import Door
from tests.support.runtime import ECHO, make_home
from tests.support.waiting import until

from codewords_mcp.errors import Conflict, ConsentNeeded
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.auth import members
from codewords_mcp.runtime.model.call_questions import of_call
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.slow
HOME = Caller("local", "admin")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    settings = Settings.model_validate(
        {"home": make_home(tmp_path_factory.mktemp("members") / "home"), "port": 0, "api_key": "cwk-home"}
    )
    with Door(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def home(door: Door) -> Iterator[httpx.Client]:
    """A client with the home's own key."""
    with door.client("cwk-home") as http:
        yield http


@pytest.fixture(scope="module")
def echo(home: httpx.Client) -> str:
    deployed = home.post("/deploy", json={"code": ECHO, "name": "Echo", "allow": True})
    return str(deployed.json()["service_id"])


class Guest:
    """A member who followed the link of an invitation, at a browser."""

    def __init__(self, door: Door, home: httpx.Client, name: str, role: str) -> None:
        self.name = name
        self.home = home
        invited = home.post("/members", json={"name": name, "role": role})
        assert invited.status_code == 201, invited.text
        self.id = invited.json()["member"]["id"]
        self.url = invited.json()["url"]
        self.browser = Browser(base_url=door.url)
        self.own = {"Origin": door.url, "Sec-Fetch-Site": "same-origin", "X-Codewords-Console": "1"}

    def join(self) -> Guest:
        joined = self.browser.submit(self.url)
        assert joined.status_code == 303, joined.text
        return self

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """As the console asks."""
        return self.browser.request(method, path, json=body, headers=self.own)


@pytest.fixture
def guest(door: Door, home: httpx.Client) -> Iterator[Any]:
    """Invites and joins members, who are gone after the test."""
    made: list[Guest] = []

    def invite(name: str, role: str, *, joins: bool = True) -> Guest:
        made.append(Guest(door, home, name, role))
        return made[-1].join() if joins else made[-1]

    yield invite
    for one in made:
        # The last owner stays.
        home.delete(f"/members/{one.id}")
        one.browser.close()


@pytest.mark.requirement("members:invite")
def test_who_follows_the_link_is_the_member_with_the_rights_of_the_role(guest: Any, echo: str) -> None:
    grace = guest("grace", "runner", joins=False)
    shown = grace.browser.look(grace.url)
    assert "grace" in shown.text
    assert "runner" in shown.text
    grace.join()
    me = grace.ask("GET", "/me").json()
    assert (me["owner"], me["member"]["name"], me["member"]["role"]) == ("local", "grace", "runner")
    assert grace.ask("POST", f"/run/{echo}/", {"a": 1}).status_code == 200
    refused = grace.ask("PUT", "/secrets/TOKEN", {"value": "x"})
    assert refused.status_code == 403
    assert "the role runner" in refused.json()["error"]["message"]


@pytest.mark.requirement("members:invite")
def test_a_link_works_once_and_a_new_one_ends_it(guest: Any, home: httpx.Client) -> None:
    ada = guest("ada", "viewer")
    first = home.post("/members/ada/invitation", json={}).json()["url"]
    second = home.post("/members/ada/invitation", json={}).json()["url"]
    with Browser() as browser:
        assert "no longer works" in browser.submit(ada.url).text
        assert browser.submit(first).status_code == 404
        assert browser.submit(second).status_code == 303
    assert home.post("/members/ada/invitation", json={}).json()["member"]["joined_at"]


@pytest.mark.requirement("members:invite")
def test_a_link_is_over_after_a_week(door: Door, guest: Any) -> None:
    late = guest("late", "viewer", joins=False)

    async def peek(runtime: Runtime) -> None:
        container = runtime._container  # pyright: ignore[reportPrivateUsage]
        after = members.Members(
            container.database, container.keyring, lambda: int((1 << 52) + members.INVITATION_TTL * 1e6)
        )
        with pytest.raises(Exception, match="is over"):
            await after.peek(late.url.rpartition("/")[2])

    door.ask(peek)
    late.join()


@pytest.mark.requirement("members:invite")
def test_a_foreign_form_or_a_token_that_is_none_joins_nobody(guest: Any, door: Door) -> None:
    eve = guest("eve", "author", joins=False)
    with Browser(headers={}) as foreign:
        refused = foreign.post(
            eve.url, headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        )
        assert refused.status_code == 403
        assert foreign.submit(f"{door.url}/join/{'x' * 43}").status_code == 404
        assert foreign.submit(f"{door.url}/join/short").status_code == 404
    eve.join()


@pytest.mark.requirement("members:invite")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "", "role": "viewer"}, 400),
        ({"name": "Two Words", "role": "viewer"}, 400),
        ({"name": "x" * 65, "role": "viewer"}, 400),
        ({"name": "<b>", "role": "viewer"}, 400),
        ({"name": "king", "role": "king"}, 400),
        ({"name": "robot", "role": "owner", "kind": "service"}, 400),
        ({"name": "x"}, 400),
    ],
)
def test_names_and_roles_that_are_none_are_refused(home: httpx.Client, body: Any, status: int) -> None:
    assert home.post("/members", json=body).status_code == status


@pytest.mark.requirement("members:invite")
def test_a_name_is_taken_once(guest: Any, home: httpx.Client) -> None:
    guest("twice", "viewer")
    assert home.post("/members", json={"name": "twice", "role": "owner"}).status_code == 409


@pytest.mark.requirement("members:roles")
def test_a_changed_role_counts_from_the_next_request_on(guest: Any, home: httpx.Client, door: Door) -> None:
    joan = guest("joan", "author")
    key = home.post("/keys", json={"member": "joan"}).json()["key"]
    with door.client(key) as http:
        assert http.post("/drafts", json={"code": ECHO, "check": False}).status_code == 200
        assert home.put("/members/joan", json={"role": "viewer"}).json()["role"] == "viewer"
        assert http.post("/drafts", json={"code": ECHO, "check": False}).status_code == 403
        assert joan.ask("POST", "/drafts", {"code": ECHO, "check": False}).status_code == 403
        assert http.get("/workflows").status_code == 200
        home.put("/members/joan", json={"role": "author"})
        assert http.post("/drafts", json={"code": ECHO, "check": False}).status_code == 200


@pytest.mark.requirement("members:roles")
def test_an_admin_manages_no_owner_and_makes_none(guest: Any, home: httpx.Client) -> None:
    admin, owner = guest("adam", "admin"), guest("olga", "owner")
    for method, path, body in (
        ("POST", "/members", {"name": "new", "role": "owner"}),
        ("PUT", "/members/adam", {"role": "owner"}),
        ("PUT", "/members/olga", {"role": "viewer"}),
        ("DELETE", "/members/olga", None),
        ("POST", "/members/olga/invitation", {}),
        ("POST", "/keys", {"member": "olga", "kind": "admin"}),
        ("POST", "/keys", {"owner": "another"}),
        ("POST", "/secrets/rotate-key", {}),
    ):
        assert admin.ask(method, path, body).status_code == 403, path
    assert admin.ask("POST", "/members", {"name": "new", "role": "admin"}).status_code == 201
    assert admin.ask("DELETE", "/members/new").status_code == 200
    # A key that a member makes is that member's own, with no more rights.
    made = owner.ask("POST", "/keys", {"kind": "admin"}).json()
    assert made["member"] == owner.id
    assert owner.ask("POST", "/keys", {"owner": "another", "kind": "admin"}).status_code == 403
    assert owner.ask("POST", "/keys", {"owner": "another"}).json()["member"] is None
    assert home.get("/members").status_code == 200


@pytest.mark.requirement("members:last-owner")
def test_the_last_owner_is_neither_removed_nor_demoted(guest: Any, home: httpx.Client) -> None:
    last = guest("last", "owner")
    guest("invited", "owner", joins=False)
    for one in home.get("/members").json()["items"]:
        if one["role"] == "owner" and one["joined_at"] and one["name"] != "last":
            assert home.delete(f"/members/{one['id']}").status_code == 200
    for refused in (
        home.delete("/members/last"),
        home.put("/members/last", json={"role": "admin"}),
        last.ask("DELETE", "/members/last"),
        last.ask("PUT", "/members/last", {"role": "viewer"}),
    ):
        assert refused.status_code == 409
        assert "last owner" in refused.json()["error"]["message"]
    guest("second", "owner")
    assert home.put("/members/last", json={"role": "admin"}).status_code == 200
    assert home.delete("/members/second").status_code == 409
    home.put("/members/last", json={"role": "owner"})


@pytest.mark.requirement("members:last-owner")
def test_of_two_owners_who_remove_each_other_at_once_one_stays(guest: Any, door: Door) -> None:
    guest("owner-a", "owner")
    guest("owner-b", "owner")

    async def both(runtime: Runtime) -> list[Any]:
        names = [
            one.name for one in await runtime.members.list(HOME) if one.role == "owner" and one.joined_at
        ]
        return await asyncio.gather(
            *(runtime.members.remove(HOME, name) for name in names), return_exceptions=True
        )

    outcomes = door.ask(both)
    assert len([one for one in outcomes if isinstance(one, Conflict)]) == 1


@pytest.mark.requirement("members:removal")
def test_keys_and_sessions_of_a_removed_member_end_at_once(
    guest: Any, home: httpx.Client, door: Door
) -> None:
    gone = guest("gone", "author")
    key = gone.home.post("/keys", json={"member": "gone"}).json()["key"]
    link = home.post("/members/gone/invitation", json={}).json()["url"]
    with door.client(key) as http:
        sign_in = http.post("/sign-ins", json={}).json()["url"]
        assert http.get("/workflows").status_code == 200
        removed = home.delete("/members/gone").json()
        assert (removed["keys"], removed["sessions"]) == (1, 1)
        assert http.get("/workflows").status_code == 401
    assert gone.ask("GET", "/workflows").status_code == 401
    with Browser() as browser:
        assert browser.look(sign_in).status_code == 404
        assert browser.submit(link).status_code == 404
    assert home.delete("/members/gone").status_code == 404
    again = guest("gone", "viewer")
    assert again.id != gone.id
    with door.client(key) as http:
        assert http.get("/workflows").status_code == 401


@pytest.mark.requirement("members:removal")
def test_a_page_that_follows_changes_is_told_that_its_member_was_removed(
    guest: Any, home: httpx.Client
) -> None:
    gone = guest("follower", "viewer")
    with gone.browser.stream("GET", "/events", headers={"Sec-Fetch-Site": "same-origin"}) as events:
        lines = events.iter_lines()
        next(lines)
        home.delete("/members/follower")
        assert any(line == "event: signed-out" for line in lines)


@pytest.mark.requirement("members:removal")
def test_runs_and_schedules_of_a_removed_member_go_on_as_the_homes(
    guest: Any, home: httpx.Client, echo: str
) -> None:
    gone = guest("worker", "author")
    run = gone.ask("POST", f"/run_async/{echo}/", {"a": 1}).json()
    scheduled = gone.ask("POST", "/schedules", {"service_id": echo, "cron": "0 9 * * *"}).json()
    home.delete("/members/worker")
    run_id = run.get("request_id") or run["run_id"]

    def ended() -> bool:
        return (
            home.get(f"/runs/{run_id}/diagnosis").status_code == 200
            and home.get(f"/result/{run_id}").status_code == 200
        )

    until(ended, "the run ends")
    assert home.get(f"/schedules/{scheduled['id']}").json()["paused"] is False
    home.delete(f"/schedules/{scheduled['id']}")


@pytest.mark.requirement("members:removal")
def test_an_agreement_that_was_given_and_not_used_counts_no_more(
    guest: Any, home: httpx.Client, door: Door
) -> None:
    """An answer does not say whose it was, so every open question of the home is asked anew."""
    gone = guest("agreed", "author")
    question = of_call("local", "slack-send", {"text": "x"}, None)

    async def ask(runtime: Runtime) -> str:
        consents = runtime._container.consents  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(ConsentNeeded) as needed:
            await consents.settle(question, Consent())
        return needed.value.confirm

    token = door.ask(ask)
    assert gone.ask("POST", f"/questions/{token}", {"agreed": True}).status_code == 200
    home.delete("/members/agreed")
    assert door.ask(ask) != token


@pytest.mark.requirement("members:roles")
def test_a_runner_agrees_to_nothing_for_the_home(guest: Any, door: Door) -> None:
    runner = guest("rudi", "runner")

    async def ask(runtime: Runtime) -> str:
        consents = runtime._container.consents  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(ConsentNeeded) as needed:
            await consents.settle(of_call("local", "slack-send", {"text": "runner"}, None), Consent())
        return needed.value.confirm

    token = door.ask(ask)
    refused = runner.ask("POST", f"/questions/{token}", {"agreed": True})
    assert refused.status_code == 403
    assert runner.browser.look(f"{door.url}/consents/{token}").status_code == 403


@pytest.mark.requirement("members:sessions")
def test_members_see_their_own_sessions_and_admins_all_of_the_home(guest: Any, home: httpx.Client) -> None:
    one, other, admin = guest("one", "viewer"), guest("other", "viewer"), guest("boss", "admin")
    own = one.ask("GET", "/sessions").json()["items"]
    assert [(session["member"], session["current"]) for session in own] == [("one", True)]
    theirs = other.ask("GET", "/sessions").json()["items"][0]["id"]
    assert one.ask("DELETE", f"/sessions/{theirs}").status_code == 404
    assert {"one", "other", "boss"} <= {s["member"] for s in admin.ask("GET", "/sessions").json()["items"]}
    assert {"one", "other", "boss"} <= {s["member"] for s in home.get("/sessions").json()["items"]}
    assert admin.ask("DELETE", f"/sessions/{theirs}").status_code == 204
    assert other.ask("GET", "/me").status_code == 401
    assert one.ask("DELETE", f"/sessions/{own[0]['id']}").status_code == 204
    assert one.ask("GET", "/me").status_code == 401


@pytest.mark.requirement("members:service")
def test_a_service_account_has_keys_and_no_sessions(home: httpx.Client, door: Door, echo: str) -> None:
    added = home.post("/members", json={"name": "ci", "role": "runner", "kind": "service"}).json()
    assert added["url"] is None
    assert home.post("/members/ci/invitation", json={}).status_code == 409
    key = home.post("/keys", json={"member": "ci"}).json()["key"]
    with door.client(key) as http:
        assert http.post(f"/run/{echo}/", json={"a": 1}).status_code == 200
        assert http.post("/sign-ins", json={}).status_code == 403
        assert http.get("/me").json()["member"]["kind"] == "service"
        assert home.put("/members/ci", json={"role": "owner"}).status_code == 400
        home.delete("/members/ci")
        assert http.get("/me").status_code == 401


@pytest.mark.requirement("members:audit")
def test_the_trail_names_the_member_who_did_it(guest: Any, home: httpx.Client) -> None:
    mary = guest("mary", "author")
    mary.ask("PUT", "/secrets/OF_MARY", {"value": "hidden"})
    mary.ask("DELETE", "/budgets/total")

    def entries(action: str, **more: str) -> list[Any]:
        return home.get("/audit", params={"action": action, **more}).json()["items"]

    [stored] = until(lambda: entries("secret.create", target="OF_MARY"), "the entry")
    assert (stored["actor"], stored["owner"], stored["key_id"], stored["front_door"]) == (
        "mary", "local", mary.id, "console",
    )  # fmt: skip
    refused = until(lambda: entries("refuse", actor="mary"), "the refusal")
    assert refused[0]["operation"] == "DELETE /budgets/{scope}"
    added = [entry for entry in entries("member.create") if entry["after"]["name"] == "mary"]
    assert added[0]["after"]["role"] == "author"
    home.put("/members/mary", json={"role": "viewer"})
    changed = entries("member.change", target=mary.id)[0]
    assert (changed["before"], changed["after"]) == ({"role": "author"}, {"role": "viewer"})
    joined = entries("member.join", target=mary.id)[0]
    assert (joined["actor"], joined["front_door"]) == ("mary", "http")
    assert not any("hash" in str(entry["after"]) for entry in entries("member"))
    home.delete("/secrets/OF_MARY", params={"allow": "true"})


@pytest.mark.requirement("members:alone")
def test_a_home_without_members_is_one_persons_as_ever(home: httpx.Client, door: Door) -> None:
    assert home.get("/me").json() == {
        "owner": "local", "kind": "admin", "scopes": None, "toolsets": None, "member": None
    }  # fmt: skip
    other = door.make_key(owner="tenant")
    with door.client(other) as http:
        assert http.get("/members").status_code == 403
        assert http.get("/me").json()["member"] is None
    tenant_admin = door.make_key(owner="tenant", kind="admin")
    with door.client(tenant_admin) as http:
        assert http.get("/members").status_code == 403
        assert http.post("/members", json={"name": "x", "role": "viewer"}).status_code == 403
