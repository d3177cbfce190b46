"""Keys that members make for themselves: with at most the rights of their role, listed and revoked by them alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.auth.people import HOME_KEY, Person, Site, serving_site
from tests.support.runtime import ECHO
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.requirement("members:own-keys")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving_site(tmp_path_factory.mktemp("own-keys")) as found:
        yield found


@pytest.fixture
def people(site: Site) -> Iterator[Any]:
    """Invites and joins members, who are gone after the test."""
    made: list[Person] = []

    def join(name: str, role: str) -> Person:
        made.append(Person(site, name, role))
        return made[-1]

    yield join
    for person in made:
        person.leave()


def _status(site: Site, key: str, method: str, path: str, body: Any = None) -> int:
    with site.door.client(key) as http:
        return http.request(method, path, json=body).status_code


def test_a_key_may_do_what_the_role_allows_and_follows_it(site: Site, people: Any) -> None:
    grace = people("grace", "author")
    made = grace.ask("POST", "/me/keys", {}).json()
    assert (made["member"], made["owner"], made["kind"]) == (grace.id, "local", "user")
    assert _status(site, made["key"], "POST", "/drafts", {"code": ECHO, "check": False}) == 200
    assert _status(site, made["key"], "GET", "/members") == 403
    site.home.put("/members/grace", json={"role": "viewer"})
    assert _status(site, made["key"], "POST", "/drafts", {"code": ECHO, "check": False}) == 403
    assert _status(site, made["key"], "GET", "/workflows") == 200
    [entry] = until(
        lambda: site.home.get("/audit", params={"action": "key.create", "target": made["id"]}).json()[
            "items"
        ],
        "the entry",
    )
    assert entry["actor"] == "grace"


def test_scopes_are_at_most_those_of_the_role(people: Any) -> None:
    runner = people("rudi", "runner")
    assert runner.ask("POST", "/me/keys", {"scopes": ["read"]}).json()["scopes"] == ["read"]
    for scopes in (["write"], ["read", "deploy"], ["audit"], ["metrics"]):
        refused = runner.ask("POST", "/me/keys", {"scopes": scopes})
        assert refused.status_code == 403, scopes
        assert "The role runner has no scope" in refused.json()["error"]["message"]
    assert runner.ask("POST", "/me/keys", {"scopes": ["admin"]}).status_code in {400, 403}
    assert runner.ask("POST", "/me/keys", {"scopes": []}).status_code == 400
    assert runner.ask("POST", "/me/keys", {"kind": "admin"}).status_code == 400


def test_only_a_key_without_limits_of_its_own_makes_another(site: Site, people: Any) -> None:
    grace, admin = people("grace", "author"), people("boss", "admin")
    whole = grace.ask("POST", "/me/keys", {}).json()["key"]
    assert _status(site, whole, "POST", "/me/keys", {}) == 201
    limited = [
        grace.ask("POST", "/me/keys", {"scopes": ["read", "run", "deploy", "write"]}).json()["key"],
        grace.ask("POST", "/me/keys", {"expires_in": 3600}).json()["key"],
        *(
            site.home.post("/keys", json={"member": "grace"} | more).json()["key"]
            for more in ({"one_time": True}, {"models": ["gpt-4o*"]}, {"toolsets": ["runs"]})
        ),
        site.home.post("/keys", json={"member": "boss"}).json()["key"],
    ]
    for key in limited:
        assert _status(site, key, "POST", "/me/keys", {}) == 403
    # Nor does it end others.
    kept = grace.ask("GET", "/me/keys").json()["items"][0]["id"]
    assert _status(site, limited[0], "DELETE", f"/me/keys/{kept}") == 403
    assert _status(site, whole, "DELETE", f"/me/keys/{kept}") == 204
    assert admin.ask("POST", "/me/keys", {}).json()["kind"] == "admin"


def test_members_list_and_revoke_their_own_alone(site: Site, people: Any) -> None:
    one, other = people("one", "viewer"), people("other", "viewer")
    made = one.ask("POST", "/me/keys", {}).json()
    listed = one.ask("GET", "/me/keys").json()["items"]
    assert [key["id"] for key in listed] == [made["id"]]
    assert "key" not in listed[0]
    assert other.ask("GET", "/me/keys").json()["items"] == []
    assert other.ask("DELETE", f"/me/keys/{made['id']}").status_code == 404
    assert one.ask("DELETE", f"/me/keys/{site.home.post('/keys', json={}).json()['id']}").status_code == 404
    assert one.ask("DELETE", f"/me/keys/{made['id']}").status_code == 204
    assert _status(site, made["key"], "GET", "/me") == 401


def test_who_is_no_person_of_the_home_has_none(site: Site) -> None:
    site.home.post("/members", json={"name": "ci", "role": "runner", "kind": "service"})
    service = site.home.post("/keys", json={"member": "ci"}).json()["key"]
    tenant = site.door.make_key(owner="tenant", kind="admin")
    for key in (HOME_KEY, service, tenant):
        for method, path in (("GET", "/me/keys"), ("POST", "/me/keys"), ("DELETE", "/me/keys/x")):
            assert _status(site, key, method, path, None if method == "GET" else {}) == 403
    site.home.delete("/members/ci")
