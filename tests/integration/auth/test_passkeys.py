"""Passkeys over HTTP: registered, used, revoked, and forged in every way that the specification names."""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from tests.integration.auth.people import HOME_KEY, Person, Site, serving_site
from tests.support.authenticator import Authenticator, encoded
from tests.support.browser_client import Browser
from tests.support.http_runtime import Door
from tests.support.postgres import Postgres
from tests.support.runtime import make_home
from tests.support.waiting import until

from codewords_mcp.errors import Conflict, Unauthenticated
from codewords_mcp.runtime.auth import passkey_ceremonies
from codewords_mcp.runtime.auth.passkey_ceremonies import Ceremonies
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.slow
_OPTIONS = re.compile(r'data-options="([^"]*)"')


def authenticator(site: Site) -> Authenticator:
    return Authenticator(site.url, "localhost")


def options_of(person: Person) -> dict[str, Any]:
    answered = person.ask("POST", "/passkeys/options", {})
    assert answered.status_code == 200, answered.text
    return dict(answered.json())


def add(
    person: Person, passkey: Authenticator, options: dict[str, Any] | None = None, name: str = "Laptop"
) -> httpx.Response:
    made = passkey.create(options or options_of(person))
    return person.ask("POST", "/passkeys", {"name": name, "credential": made})


def begin(site: Site, browser: Browser) -> dict[str, Any]:
    """Open the page to sign in by a passkey; the options that it gives to the browser."""
    shown = browser.look(f"{site.url}/sign-in/passkey?to=/console/runs")
    assert shown.status_code == 200, shown.text
    found = _OPTIONS.search(shown.text)
    assert found
    return dict(json.loads(html.unescape(found[1])))


def answer(site: Site, browser: Browser, credential: Any, to: str = "/console/runs") -> httpx.Response:
    """Send what the page's form sends."""
    text = credential if isinstance(credential, str) else json.dumps(credential)
    return browser.submit(f"{site.url}/sign-in/passkey", {"credential": text, "to": to})


def entries(site: Site, action: str, **more: str) -> list[Any]:
    return list(site.home.get("/audit", params={"action": action, **more}).json()["items"])


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    url = None
    if request.param == "postgresql":
        url = cast("Postgres", request.getfixturevalue("postgres")).migrated_url()
    with serving_site(tmp_path_factory.mktemp("passkeys"), url) as found:
        yield found


@pytest.fixture
def grace(site: Site) -> Iterator[Person]:
    person = Person(site, "grace")
    yield person
    person.leave()


@pytest.fixture
def stranger(site: Site) -> Iterator[Browser]:
    """A browser in which nobody is signed in."""
    with Browser(base_url=site.url) as browser:
        yield browser


@pytest.mark.requirement("passkeys:register", "passkeys:sign-in")
def test_a_member_signs_in_by_a_passkey_without_a_name(site: Site, grace: Person, stranger: Browser) -> None:
    passkey = replace(authenticator(site), count=1)
    options = options_of(grace)
    assert options["rp"] == {"id": "localhost", "name": "codewords"}
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    added = add(grace, passkey, options)
    assert added.status_code == 201, added.text
    assert (added.json()["name"], added.json()["member"], added.json()["site"]) == (
        "Laptop",
        "grace",
        "localhost",
    )

    asked = begin(site, stranger)
    assert not asked.get("allowCredentials")
    signed_in = answer(site, stranger, passkey.get(asked))
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/console/runs")
    own = {"Origin": site.url, "Sec-Fetch-Site": "same-origin", "X-Codewords-Console": "1"}
    assert stranger.get("/me", headers=own).json()["member"]["name"] == "grace"
    [listed] = grace.ask("GET", "/passkeys").json()["items"]
    assert listed["used_at"]
    [entry] = until(lambda: entries(site, "passkey.sign_in", target=listed["id"]), "the entry")
    assert (entry["actor"], entry["outcome"]) == ("grace", "done")
    [created] = entries(site, "passkey.create", target=listed["id"])
    assert created["after"]["name"] == "Laptop"
    assert {"credential_id", "public_key"} <= set(created["hidden"])


@pytest.mark.requirement("passkeys:sign-in")
def test_the_page_runs_its_own_script_only_and_is_framed_by_nobody(site: Site, stranger: Browser) -> None:
    shown = stranger.look(f"{site.url}/sign-in/passkey")
    policy = shown.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert stranger.look(f"{site.url}/sign-in/passkey?to=https://evil.example").status_code == 400
    cookie = shown.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


_FORGED: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "http://localhost:1"},
    "a foreign origin": {"origin": "https://evil.example"},
    "another rpId": {"rp_id": "evil.example"},
    "no user verification": {"verified": False},
    "a frame of another origin": {"cross_origin": True},
}


@pytest.mark.requirement("passkeys:forged")
@pytest.mark.parametrize("forged", _FORGED.values(), ids=_FORGED.keys())
def test_a_forged_registration_or_sign_in_is_refused(
    site: Site, grace: Person, stranger: Browser, forged: dict[str, Any]
) -> None:
    passkey = authenticator(site)
    assert add(grace, replace(passkey, **forged)).status_code == 401
    assert grace.ask("GET", "/passkeys").json()["items"] == []

    assert add(grace, passkey).status_code == 201
    refused = answer(site, stranger, replace(passkey, **forged).get(begin(site, stranger)))
    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers
    assert until(lambda: entries(site, "refuse"), "the entry")[0]["operation"] == "POST /sign-in/passkey"
    assert answer(site, stranger, passkey.get(begin(site, stranger))).status_code == 303


@pytest.mark.requirement("passkeys:forged")
def test_a_challenge_counts_once_for_its_own_browser_and_its_own_ceremony(
    site: Site, grace: Person, stranger: Browser
) -> None:
    passkey = authenticator(site)
    options = options_of(grace)
    assert add(grace, passkey, options).status_code == 201
    # Spent, by another credential as well.
    assert add(grace, authenticator(site), options).status_code == 401

    asked = begin(site, stranger)
    shown = passkey.get(asked)
    with Browser(base_url=site.url) as other:
        begin(site, other)
        assert answer(site, other, shown).status_code == 401
    with Browser(base_url=site.url) as without:
        assert answer(site, without, shown).status_code == 401
    # What is bound to a session is no sign-in, and the other way round.
    assert answer(site, stranger, passkey.get(options_of(grace))).status_code == 401
    assert add(grace, authenticator(site), asked | {"user": options_of(grace)["user"]}).status_code == 401
    assert answer(site, stranger, passkey.get({"challenge": encoded(b"made up")})).status_code == 401

    cookies = dict(stranger.cookies)
    assert answer(site, stranger, shown).status_code == 303
    with Browser(base_url=site.url, cookies=cookies) as replaying:
        assert answer(site, replaying, shown).status_code == 401


@pytest.mark.requirement("passkeys:forged")
def test_a_challenge_is_over_after_its_time() -> None:
    passkey = Authenticator("http://localhost", "localhost")
    site = passkey_ceremonies.Site("localhost", passkey.origin)
    ceremonies, later = Ceremonies("a key"), Ceremonies("a key", ttl=-1)
    made = passkey.create(ceremonies.registration_options(site, "m_1", "grace", [], "session"))
    with pytest.raises(Unauthenticated):
        later.check_registration(site, made, "session")
    key = ceremonies.check_registration(site, made, "session").public_key
    shown = passkey.get(ceremonies.sign_in_options(site, "cookie"))
    with pytest.raises(Unauthenticated):
        later.check_sign_in(site, shown, "cookie", key)
    with pytest.raises(Unauthenticated):
        Ceremonies("another key").check_sign_in(site, shown, "cookie", key)
    assert ceremonies.check_sign_in(site, shown, "cookie", key).user == "m_1"


@pytest.mark.requirement("passkeys:copied")
def test_a_counter_that_has_not_grown_is_refused_and_on_record(
    site: Site, grace: Person, stranger: Browser
) -> None:
    passkey = replace(authenticator(site), count=7)
    added = add(grace, passkey).json()
    copied = replace(passkey)
    assert answer(site, stranger, passkey.get(begin(site, stranger))).status_code == 303
    with Browser(base_url=site.url) as thief:
        refused = answer(site, thief, copied.get(begin(site, thief)))
        assert refused.status_code == 403
        assert "copy" in refused.text
        assert "codewords_session" not in str(refused.headers)
    [entry] = until(lambda: entries(site, "passkey.copy", target=added["id"]), "the entry")
    assert (entry["actor"], entry["outcome"]) == ("grace", "refused")


@pytest.mark.requirement("passkeys:forged")
def test_another_key_user_or_credential_signs_nobody_in(site: Site, grace: Person, stranger: Browser) -> None:
    passkey = authenticator(site)
    assert add(grace, passkey).status_code == 201
    other = replace(authenticator(site), user=passkey.user)
    assert answer(site, stranger, other.get(begin(site, stranger))).status_code == 401
    wrong_key = replace(other, credential_id=passkey.credential_id)
    assert answer(site, stranger, wrong_key.get(begin(site, stranger))).status_code == 401
    wrong_user = replace(passkey, user=b"m_somebody")
    assert answer(site, stranger, wrong_user.get(begin(site, stranger))).status_code == 401


@pytest.mark.requirement("passkeys:forged")
@pytest.mark.parametrize(
    "credential",
    [
        "", "x", "[]", "{}", '{"id": 1}', '{"id": "AA"}', '{"id": "AA", "response": []}', "[" * 5000,
        '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {"clientDataJSON": "e30"}}',
        '{"id": "é", "rawId": "é", "type": "x", "response": {"clientDataJSON": "AA", "authenticatorData": "AA", "signature": ""}}',
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused(
    site: Site, grace: Person, stranger: Browser, credential: str
) -> None:
    begin(site, stranger)
    assert answer(site, stranger, credential).status_code in {400, 401}
    try:
        body = json.loads(credential)
    except (ValueError, RecursionError):
        return
    assert grace.ask("POST", "/passkeys", {"name": "x", "credential": body}).status_code in {400, 401}


@pytest.mark.requirement("passkeys:forged")
def test_each_part_of_an_answer_that_is_damaged_is_refused(
    site: Site, grace: Person, stranger: Browser
) -> None:
    passkey = authenticator(site)
    made = passkey.create(options_of(grace))
    for part in ("clientDataJSON", "attestationObject"):
        for damaged in ("", "AA", made["response"][part][:-8], "AAAA" + made["response"][part], None, 7, [1]):
            broken = made | {"response": made["response"] | {part: damaged}}
            assert grace.ask("POST", "/passkeys", {"name": "x", "credential": broken}).status_code == 401, (
                damaged
            )
    assert grace.ask("POST", "/passkeys", {"name": "x", "credential": made}).status_code == 201
    shown = passkey.get(begin(site, stranger))
    for part in ("clientDataJSON", "authenticatorData", "signature", "userHandle"):
        for damaged in ("", "AA", shown["response"][part][:-8], "AAAA" + shown["response"][part], 7, [1]):
            broken = shown | {"response": shown["response"] | {part: damaged}}
            assert answer(site, stranger, broken).status_code == 401, (part, damaged)
    assert answer(site, stranger, shown).status_code == 303


@pytest.mark.requirement("passkeys:forged")
def test_a_form_of_another_page_signs_nobody_in(site: Site, grace: Person, stranger: Browser) -> None:
    passkey = authenticator(site)
    assert add(grace, passkey).status_code == 201
    shown = json.dumps(passkey.get(begin(site, stranger)))
    refused = stranger.post(
        f"{site.url}/sign-in/passkey",
        data={"credential": shown, "to": "/console"},
        headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    )
    assert refused.status_code == 403


@pytest.mark.requirement("passkeys:list")
def test_several_passkeys_are_named_listed_and_revoked(site: Site, grace: Person, stranger: Browser) -> None:
    laptop, phone = authenticator(site), authenticator(site)
    first = add(grace, laptop).json()
    options = options_of(grace)
    assert [one["id"] for one in options["excludeCredentials"]] == [encoded(laptop.credential_id)]
    assert add(grace, phone, options, "Phone").status_code == 201
    assert add(grace, phone, name="Again").status_code == 409
    renamed = grace.ask("PUT", f"/passkeys/{first['id']}", {"name": "Old laptop"})
    assert renamed.json()["name"] == "Old laptop"
    assert [one["name"] for one in grace.ask("GET", "/passkeys").json()["items"]] == ["Old laptop", "Phone"]
    for name in ("", " ", "x" * 65, "a\nb"):
        assert grace.ask("PUT", f"/passkeys/{first['id']}", {"name": name}).status_code == 400

    assert grace.ask("DELETE", f"/passkeys/{first['id']}").status_code == 204
    assert grace.ask("DELETE", f"/passkeys/{first['id']}").status_code == 404
    assert answer(site, stranger, laptop.get(begin(site, stranger))).status_code == 401
    assert answer(site, stranger, phone.get(begin(site, stranger))).status_code == 303
    [gone] = until(lambda: entries(site, "passkey.delete", target=first["id"]), "the entry")
    assert gone["actor"] == "grace"


@pytest.mark.requirement("passkeys:list")
def test_members_change_their_own_and_admins_those_of_whom_they_manage(site: Site, grace: Person) -> None:
    own = add(grace, authenticator(site)).json()["id"]
    other, admin, owner = Person(site, "other"), Person(site, "boss", "admin"), Person(site, "olga", "owner")
    try:
        assert other.ask("GET", "/passkeys").json()["items"] == []
        assert other.ask("DELETE", f"/passkeys/{own}").status_code == 404
        assert other.ask("PUT", f"/passkeys/{own}", {"name": "mine"}).status_code == 404
        of_owner = add(owner, authenticator(site)).json()["id"]
        assert {own, of_owner} <= {one["id"] for one in admin.ask("GET", "/passkeys").json()["items"]}
        assert admin.ask("DELETE", f"/passkeys/{of_owner}").status_code == 403
        assert admin.ask("DELETE", f"/passkeys/{own}").status_code == 204
        assert site.home.delete(f"/passkeys/{of_owner}").status_code == 204
    finally:
        for person in (other, admin, owner):
            person.leave()


@pytest.mark.requirement("passkeys:removal")
def test_a_removed_members_passkey_signs_nobody_in(site: Site, stranger: Browser) -> None:
    gone = Person(site, "gone")
    passkey = authenticator(site)
    assert add(gone, passkey).status_code == 201
    asked = begin(site, stranger)
    options = options_of(gone)
    assert site.home.delete("/members/gone").json()["passkeys"] == 1
    assert answer(site, stranger, passkey.get(asked)).status_code == 401
    assert add(gone, authenticator(site), options).status_code == 401
    # A later member of the same name has nothing of it.
    again = Person(site, "gone")
    assert again.ask("GET", "/passkeys").json()["items"] == []
    assert answer(site, stranger, passkey.get(begin(site, stranger))).status_code == 401
    site.home.delete("/members/gone")
    for person in (gone, again):
        person.browser.close()


@pytest.mark.requirement("passkeys:register")
def test_only_a_members_console_registers(site: Site, grace: Person) -> None:
    key = site.home.post("/keys", json={"member": "grace"}).json()["key"]
    with site.door.client(key) as http:
        assert http.post("/passkeys/options", json={}).status_code == 403
        assert http.post("/passkeys", json={"name": "x", "credential": {}}).status_code == 403
        assert http.get("/passkeys").json()["items"] == []
    assert site.home.post("/passkeys/options", json={}).status_code == 403
    foreign = grace.ask(
        "POST", "/passkeys/options", {}, **{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    )
    assert foreign.status_code == 403
    with site.door.client(site.door.make_key(owner="tenant")) as http:
        assert http.get("/passkeys").status_code == 403
    with site.door.client(site.door.make_key(owner="tenant", kind="admin")) as http:
        assert http.get("/passkeys").status_code == 403
        assert http.delete("/passkeys/x").status_code == 403


@pytest.mark.requirement("passkeys:site")
def test_at_an_address_without_a_name_the_page_says_where_passkeys_work(site: Site) -> None:
    with Browser(base_url=site.door.url) as browser:
        told = browser.look(f"{site.door.url}/sign-in/passkey")
    assert told.status_code == 409
    assert f"http://localhost:{site.door.port}/console" in told.text


@pytest.mark.requirement("passkeys:site")
@pytest.mark.parametrize(
    ("origin", "public_url", "rp_id"),
    [
        ("http://localhost:8765", None, "localhost"),
        ("https://flows.example.com", "https://flows.example.com", "flows.example.com"),
        ("https://flows.example.com:8443", "https://flows.example.com:8443", "flows.example.com"),
        ("http://flows.example.com", None, None),
        ("http://evil.localhost:8765", None, None),
        ("http://127.0.0.1:8765", None, None),
        ("https://192.0.2.1", "https://192.0.2.1", None),
        ("http://[::1]:8765", "https://flows.example.com", None),
    ],
)
def test_passkeys_are_for_names_over_https_and_localhost(
    origin: str, public_url: str | None, rp_id: str | None
) -> None:
    if rp_id is not None:
        assert passkey_ceremonies.site_of(origin, public_url) == passkey_ceremonies.Site(rp_id, origin)
        return
    with pytest.raises(Conflict, match="for names only") as refused:
        passkey_ceremonies.site_of(origin, public_url)
    assert (public_url or "http") in (refused.value.hint or "")


@pytest.mark.requirement("passkeys:package")
def test_without_the_package_the_error_says_how_to_add_it(
    site: Site, grace: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "webauthn", None)
    refused = grace.ask("POST", "/passkeys/options", {})
    assert refused.status_code == 501
    assert "codewords-mcp[passkeys]" in refused.text
    # What is kept is listed all the same, so that it can be revoked.
    assert grace.ask("GET", "/passkeys").status_code == 200


@pytest.mark.requirement("passkeys:package")
def test_beside_an_issuer_there_are_none(tmp_path: Path) -> None:
    settings = {
        "home": make_home(tmp_path / "home"), "port": 0, "api_key": HOME_KEY, "oidc_issuer": "https://issuer.example.com",
        "oidc_client_id": "codewords",
    }  # fmt: skip
    with Door(Settings.model_validate(settings)) as door:
        site = Site(door)
        person = Person(site, "grace")
        refused = person.ask("POST", "/passkeys/options", {})
        assert (refused.status_code, "the issuer" in refused.json()["error"]["hint"]) == (409, True)
        with Browser(base_url=site.url) as stranger:
            assert stranger.look(f"{site.url}/sign-in/passkey").status_code == 409
            assert "passkey" not in stranger.look(f"{site.url}/console").text
        person.browser.close()
        site.home.close()


@pytest.mark.requirement("passkeys:sign-in")
def test_the_page_that_asks_who_one_is_leads_to_passkeys_once_somebody_has_one(
    site: Site, grace: Person, stranger: Browser
) -> None:
    for passkey in site.home.get("/passkeys").json()["items"]:
        assert site.home.delete(f"/passkeys/{passkey['id']}").status_code == 204
    offered = 'href="/sign-in/passkey?to=%2Fconsole%2Fruns"'
    assert offered not in stranger.look(f"{site.url}/console/runs").text
    assert add(grace, authenticator(site)).status_code == 201
    assert offered in stranger.look(f"{site.url}/console/runs").text


@pytest.mark.requirement("passkeys:register")
def test_a_session_by_a_limited_key_adds_and_revokes_none(site: Site, grace: Person) -> None:
    """It would else have all rights of the member at the next sign-in."""
    passkey = add(grace, authenticator(site)).json()["id"]
    limited = site.home.post("/keys", json={"member": "grace", "scopes": ["read"]}).json()["key"]
    typed = grace.browser.submit(f"{site.url}/sign-in", {"key": limited, "to": "/console"})
    assert typed.status_code == 303, typed.text
    assert grace.ask("GET", "/me").json()["scopes"] == ["read"]
    assert grace.ask("POST", "/passkeys/options", {}).status_code == 403
    assert grace.ask("POST", "/passkeys", {"name": "x", "credential": {}}).status_code == 403
    assert grace.ask("DELETE", f"/passkeys/{passkey}").status_code == 403
    assert grace.ask("POST", "/me/keys", {}).status_code == 403
