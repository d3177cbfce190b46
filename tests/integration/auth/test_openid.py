"""Sign-in of people at an OpenID Connect issuer: a certified one, and one that forges tokens."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from tests.integration.auth.certified_provider import SECRET, go_through, provider, rotate_keys, set_groups
from tests.integration.auth.forging_issuer import CLIENT, Forge, ForgingIssuer
from tests.integration.auth.people import begin, come_back
from tests.support.browser_client import NAVIGATION, Browser
from tests.support.http_runtime import Door
from tests.support.runtime import make_home
from tests.support.waiting import until

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.openid import OpenIdIssuer
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.slow
ROLES = {"staff": "viewer", "builders": "author", "chiefs": "owner"}
CONSOLE = {"Sec-Fetch-Site": "same-origin", "X-Codewords-Console": "1"}


def settings_of(folder: Path, issuer: str, **more: Any) -> Settings:
    return Settings.model_validate(
        {
            "home": make_home(folder / "home"), "port": 0, "api_key": "cwk-home", "oidc_issuer": issuer,
            "oidc_client_id": CLIENT, "oidc_roles": ROLES, **more,
        }
    )  # fmt: skip


# a certified provider


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, str]]:
    folder = tmp_path_factory.mktemp("openid")
    # The provider knows where it leads back to, and the runtime its issuer: one port is chosen before both.
    with httpx.Client() as _, ForgingIssuer() as chosen:
        port = int(chosen.issuer.rpartition(":")[2])
    with provider(f"http://127.0.0.1:{port}/oidc/callback") as issuer:
        settings = settings_of(
            folder, issuer, oidc_client_secret=SECRET, oidc_scopes="openid profile", port=port
        )
        with Door(settings) as door:
            yield door, issuer


def sign_in(door: Door, browser: Browser, login: str) -> httpx.Response:
    """Go through the provider's pages as a person does, until this runtime answers."""
    return go_through(
        browser,
        door.settings.oidc_issuer or "",
        f"{door.url}/oidc/sign-in",
        login,
        lambda url: url.startswith(door.url) and "/oidc/" not in url,
    )


@pytest.mark.requirement("openid:sign-in")
def test_a_person_signs_in_at_a_certified_provider_and_gets_the_role_of_their_groups(
    served: tuple[Door, str],
) -> None:
    door, issuer = served
    set_groups(issuer, "grace", "staff", "builders", "unknown")
    with Browser() as browser:
        assert sign_in(door, browser, "grace").status_code == 303
        me = browser.get(f"{door.url}/me", headers=CONSOLE).json()
    assert (me["member"]["name"], me["member"]["role"], me["owner"]) == ("grace", "author", "local")


@pytest.mark.requirement("openid:groups")
def test_groups_are_read_anew_at_each_sign_in_and_without_one_a_member_ends(served: tuple[Door, str]) -> None:
    door, issuer = served
    set_groups(issuer, "ada", "builders")
    with Browser() as browser, Browser() as later, Browser() as last, door.client("cwk-home") as home:
        sign_in(door, browser, "ada")
        set_groups(issuer, "ada", "staff")
        sign_in(door, later, "ada")
        roles = {one["name"]: one["role"] for one in home.get("/members").json()["items"]}
        assert roles["ada"] == "viewer"
        # A session from before has the new role too.
        assert browser.get(f"{door.url}/me", headers=CONSOLE).json()["member"]["role"] == "viewer"
        key = home.post("/keys", json={"member": "ada"}).json()["key"]
        set_groups(issuer, "ada")
        assert sign_in(door, last, "ada").status_code == 403
        assert "ada" not in {one["name"] for one in home.get("/members").json()["items"]}
        assert browser.get(f"{door.url}/me", headers=CONSOLE).status_code == 401
        with door.client(key) as program:
            assert program.get("/workflows").status_code == 401


@pytest.mark.requirement("openid:sign-in")
def test_a_provider_may_change_its_keys_and_a_sign_out_ends_the_session_there_too(
    served: tuple[Door, str],
) -> None:
    door, issuer = served
    set_groups(issuer, "grace", "staff")
    with Browser() as browser:
        assert sign_in(door, browser, "grace").status_code == 303
        rotate_keys(issuer)
    with Browser() as browser:
        # Keys are fetched again at most every ten seconds.
        until(lambda: sign_in(door, browser, "grace").status_code == 303, "the new key")
        signed_out = browser.submit(f"{door.url}/sign-out")
        assert browser.get(f"{door.url}/me", headers=CONSOLE).status_code == 401
        leaving = re.search(rf'{issuer}/session/end[^"]*', unescape(signed_out.text))
        assert leaving, signed_out.text
        asked = browser.get(leaving[0], headers=NAVIGATION)
        form = dict(re.findall(r'name="(\w+)" value="(\w*)"', asked.text)) | {"logout": "yes"}
        ended = browser.post(f"{issuer}/session/end/confirm", data=form)
        assert ended.is_redirect, ended.text
        # Who signs in again is asked who he is.
        again = browser.get(f"{door.url}/oidc/sign-in", headers=NAVIGATION, follow_redirects=True)
        assert 'name="login"' in again.text


@pytest.mark.requirement("members:audit")
def test_the_trail_names_the_person_whom_the_issuer_made_changed_and_ended(served: tuple[Door, str]) -> None:
    door, issuer = served
    with Browser() as browser, door.client("cwk-home") as home:
        for groups in (["staff"], ["builders"], []):
            set_groups(issuer, "joan", *groups)
            sign_in(door, browser, "joan")
        entries = home.get("/audit?action=member&limit=100").json()["items"]
    of_joan = [entry for entry in entries if entry["actor"] == "joan"]
    assert [entry["action"] for entry in reversed(of_joan)] == [
        "member.create",
        "member.change",
        "member.delete",
    ]
    assert all(entry["key_id"] == of_joan[0]["target"] for entry in of_joan), (
        "the member's id, of no later namesake"
    )


@pytest.mark.requirement("openid:groups")
def test_who_is_in_no_group_of_the_home_is_no_member(served: tuple[Door, str]) -> None:
    door, issuer = served
    set_groups(issuer, "eve", "others")
    with Browser() as browser, door.client("cwk-home") as home:
        assert sign_in(door, browser, "eve").status_code == 403
        assert "eve" not in {one["name"] for one in home.get("/members").json()["items"]}


# an issuer that forges


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, ForgingIssuer]]:
    with ForgingIssuer() as issuer:
        settings = settings_of(tmp_path_factory.mktemp("forged"), issuer.issuer)
        with Door(settings) as door:
            yield door, issuer


def is_signed_in(door: Door, browser: Browser) -> bool:
    return browser.get(f"{door.url}/me", headers=CONSOLE).status_code == 200


def with_claims(**changed: Any) -> Forge:
    return lambda issuer, claims: issuer.sign({**claims, **changed})


def at(name: str, seconds: int) -> Forge:
    return lambda issuer, claims: issuer.sign({**claims, name: int(time.time()) + seconds})


FORGED: dict[str, Forge] = {
    "another audience": with_claims(aud="another"),
    "two audiences and another party": with_claims(aud=[CLIENT, "another"], azp="another"),
    "two audiences and no party": with_claims(aud=[CLIENT, "another"]),
    "another issuer": with_claims(iss="https://evil.example"),
    "the issuer with a slash": lambda issuer, claims: issuer.sign({**claims, "iss": f"{issuer.issuer}/"}),
    "no algorithm": lambda _issuer, claims: jwt.encode(claims, "", algorithm="none"),
    "the public key as a secret": lambda issuer, claims: _hs256(issuer.public_pem(), claims),
    "another key of the same name": lambda issuer, claims: issuer.sign(claims, key=issuer.other_key),
    "a key that is not published": lambda issuer, claims: issuer.sign(
        claims, key=issuer.other_key, kid="second"
    ),
    "over for a minute": at("exp", -60),
    "not before a minute": at("nbf", 60),
    "issued in a minute": at("iat", 60),
    "without an end": with_claims(exp=None),
    "without a subject": with_claims(sub=None),
    "without an audience": with_claims(aud=None),
    "another sign-in's": with_claims(nonce="another"),
    "without a nonce": with_claims(nonce=None),
    "no token": lambda _issuer, _claims: "",
    "half a token": lambda issuer, claims: issuer.sign(claims).rpartition(".")[0],
    "changed after it was signed": lambda issuer, claims: _changed(issuer.sign(claims)),
}


def _hs256(secret: bytes, claims: dict[str, Any]) -> str:
    # PyJWT refuses to sign with such a secret, a forger does not.
    import base64
    import hashlib
    import hmac
    import json

    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    signed = (
        part(json.dumps({"alg": "HS256", "kid": "first"}).encode()) + b"." + part(json.dumps(claims).encode())
    )
    return (signed + b"." + part(hmac.digest(secret, signed, hashlib.sha256))).decode()


def _changed(token: str) -> str:
    head, _, rest = token.partition(".")
    claims, _, signature = rest.partition(".")
    return f"{head}.{claims[:-4]}AAAA.{signature}"


@pytest.mark.requirement("openid:tokens")
@pytest.mark.parametrize("name", FORGED)
def test_a_token_that_is_not_right_signs_nobody_in(forged: tuple[Door, ForgingIssuer], name: str) -> None:
    door, issuer = forged
    issuer.forge = FORGED[name]
    with Browser() as browser:
        refused = come_back(door.url, browser, state=begin(door.url, issuer, browser), code="x")
        assert refused.status_code == 401
        assert not is_signed_in(door, browser)


@pytest.mark.requirement("openid:sign-in")
def test_a_right_answer_counts_in_the_browser_that_began_and_once(forged: tuple[Door, ForgingIssuer]) -> None:
    door, issuer = forged
    issuer.forge = with_claims()
    with Browser() as browser, Browser() as other:
        state = begin(door.url, issuer, browser)
        assert come_back(door.url, other, state=state, code="x").status_code == 401
        for query in (
            {"state": "another", "code": "x"},
            {"code": "x"},
            {"state": state},
            {"state": state, "error": "no"},
            {"state": state, "code": "x", "iss": "https://evil.example"},
        ):
            assert come_back(door.url, browser, **query).status_code == 401
        done = come_back(door.url, browser, state=state, code="x")
        assert (done.status_code, done.headers["location"]) == (303, "/console")
        assert is_signed_in(door, browser)
        assert come_back(door.url, browser, state=state, code="x").status_code == 401


@pytest.mark.requirement("openid:sign-in")
def test_a_sign_in_leads_to_a_path_of_this_runtime_only(forged: tuple[Door, ForgingIssuer]) -> None:
    door, issuer = forged
    with Browser() as browser:
        assert browser.get(f"{door.url}/oidc/sign-in", params={"to": "//evil.example"}).status_code == 400
        led = browser.get(f"{door.url}/oidc/sign-in", params={"to": "/console/runs"})
        issuer.nonce = parse_qs(urlsplit(led.headers["location"]).query)["nonce"][0]
        issuer.forge = with_claims()
        state = parse_qs(urlsplit(led.headers["location"]).query)["state"][0]
        assert come_back(door.url, browser, state=state, code="x").headers["location"] == "/console/runs"
        signed_out = browser.submit(f"{door.url}/sign-out")
        assert f"{issuer.issuer}/end?client_id={CLIENT}" in unescape(signed_out.text)
        assert not is_signed_in(door, browser)
        shown = browser.look(f"{door.url}/console")
        assert "/oidc/sign-in" in shown.text


@pytest.mark.requirement("openid:groups")
def test_a_name_that_is_taken_or_odd_becomes_another_and_takes_over_nobody(
    forged: tuple[Door, ForgingIssuer],
) -> None:
    door, issuer = forged
    with door.client("cwk-home") as home, Browser() as browser:
        home.post("/members", json={"name": "root", "role": "owner"})
        issuer.forge = with_claims(sub="another-root", preferred_username="Root")
        come_back(door.url, browser, state=begin(door.url, issuer, browser), code="x")
        me = browser.get(f"{door.url}/me", headers=CONSOLE).json()["member"]
        assert (me["name"], me["role"]) == ("root-2", "viewer")
        issuer.forge = with_claims(sub="odd", preferred_username="<Ünï code>")
        come_back(door.url, browser, state=begin(door.url, issuer, browser), code="x")
        assert re.fullmatch(
            r"[a-z0-9][a-z0-9._+@-]*", browser.get(f"{door.url}/me", headers=CONSOLE).json()["member"]["name"]
        )


@pytest.mark.requirement("openid:groups")
def test_the_last_owner_stays_one_and_does_not_sign_in_without_a_group(
    forged: tuple[Door, ForgingIssuer],
) -> None:
    door, issuer = forged
    with door.client("cwk-home") as home, Browser() as browser:
        issuer.forge = with_claims(sub="chief", preferred_username="chief", groups=["chiefs"])
        come_back(door.url, browser, state=begin(door.url, issuer, browser), code="x")
        issuer.forge = with_claims(sub="chief", preferred_username="chief", groups=["staff"])
        come_back(door.url, browser, state=begin(door.url, issuer, browser), code="x")
        assert browser.get(f"{door.url}/me", headers=CONSOLE).json()["member"]["role"] == "owner"
        issuer.forge = with_claims(sub="chief", groups=[])
        with Browser() as later:
            assert (
                come_back(door.url, later, state=begin(door.url, issuer, later), code="x").status_code == 403
            )
        assert "chief" in {one["name"] for one in home.get("/members").json()["items"]}


@pytest.mark.requirement("openid:tokens")
@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"authorization_endpoint": None},
        {"jwks_uri": "http://evil.example/keys"},
    ],
)
def test_metadata_of_another_issuer_or_without_protection_signs_nobody_in(
    tmp_path: Path, metadata: Any
) -> None:
    with ForgingIssuer() as issuer:
        issuer.metadata = metadata
        with Door(settings_of(tmp_path, issuer.issuer)) as door, Browser() as browser:
            assert browser.get(f"{door.url}/oidc/sign-in").status_code == 501


@pytest.mark.requirement("openid:tokens")
def test_settings_that_cannot_work_are_told_at_the_start(tmp_path: Path) -> None:
    for issuer, client in (("http://issuer.example", "x"), ("https://issuer.example", None)):
        settings = Settings.model_validate(
            {"home": tmp_path, "oidc_issuer": issuer, "oidc_client_id": client}
        )
        with pytest.raises(InvalidInput, match="CODEWORDS_OIDC_ISSUER"):
            OpenIdIssuer(settings)
