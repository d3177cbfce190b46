"""A person signs in at an MCP server by OAuth 2.1; the tokens are sealed, refreshed, and survive a start anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.mcp_broker.helpers import ServedMcp, call, refused, served, told
from tests.integration.mcp_broker.oauth import OAuthMcp
from tests.support.browser_client import Browser, sign_in
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings

pytestmark = pytest.mark.requirement("mcp-broker:sign-in")


@pytest.fixture(scope="module")
def oauth() -> OAuthMcp:
    return OAuthMcp()


@pytest.fixture(scope="module")
def signed(oauth: OAuthMcp) -> Iterator[ServedMcp]:
    with served(oauth.app) as running:
        yield running


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, signed: ServedMcp) -> Settings:
    return Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("oauth") / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "egress_allow_private": [f"127.0.0.1:{signed.port}"],
        }
    )


def connect(http: httpx.Client, signed: ServedMcp) -> str:
    """The page of a connection that needs a sign-in."""
    body = {"url": signed.url, "name": "signed", "agree": True}
    found = told(http.post("/integrations/mcp/connect", json=body))
    assert (found["status"], found["connected"]) == ("missing", False)
    return str(found["connect_link_url"])


def go_on(browser: Browser, page_url: str) -> httpx.Response:
    """Press the button of the page, and follow the browser to the authorization server and back."""
    page = browser.get(page_url).text
    assert "Go on to sign in" in page
    onward = browser.get(f"{page_url}/go", headers={"Sec-Fetch-Site": "same-origin"})
    assert onward.status_code == 303, onward.text
    back = httpx.get(onward.headers["location"])
    return browser.get(back.headers["location"])


def agree(browser: Browser, page_url: str) -> None:
    page = browser.get(page_url).text
    assert "Connect it, and" in page, page[page.index("<main") :]
    seen = page.partition('name="seen" value="')[2].partition('"')[0]
    browser.submit(page_url, data={"seen": seen, "believe": "yes"}).raise_for_status()


def test_a_person_signs_in_by_the_page_and_tokens_are_refreshed_also_after_a_start_anew(
    settings: Settings, oauth: OAuthMcp, signed: ServedMcp
) -> None:
    authorization = oauth.authorization
    authorization.token_ttl = 1
    with Door(settings) as door, door.client() as http:
        page_url = connect(http, signed)
        with sign_in(door.url, ADMIN_KEY) as browser:
            done = go_on(browser, page_url)
            assert (done.status_code, done.headers["location"]) == (303, page_url.removeprefix(door.url))
            agree(browser, page_url)

        [client] = authorization.clients.values()
        assert client["redirect_uris"] == [f"{door.url}/connect/callback"]
        asked = authorization.requests[0]
        assert (asked["code_challenge_method"], asked["resource"], asked["scope"]) == (
            "S256",
            signed.url,
            "notes",
        )
        assert told(call(http, "mcp_signed", "search_notes", {"query": "milk"}))["ret"] == {
            "result": ["buy milk"]
        }
        tokens = {*authorization.access, *authorization.refresh}

    # The tokens are expired by now; they are sealed in the database.
    for file in Path(settings.home).rglob("*"):
        if file.is_file() and not file.is_symlink() and file.stat().st_size < 50 << 20:
            content = file.read_bytes()
            assert not [token for token in tokens if token.encode() in content], file

    authorization.access.clear()
    authorization.token_ttl = 3600
    with Door(settings) as door, door.client() as http:
        assert told(call(http, "mcp_signed", "search_notes", {"query": "milk"}))["ret"] == {
            "result": ["buy milk"]
        }
        assert [form["grant_type"] for form in authorization.requests if "grant_type" in form][
            -1
        ] == "refresh_token"
        assert len(authorization.clients) == 1

        # What was withdrawn there is told, with the page to sign in again.
        authorization.access.clear()
        authorization.refresh.clear()
        error = refused(call(http, "mcp_signed", "search_notes", {"query": "milk"}), 424)
        assert "sign-in has ended" in error["message"]
        again = told(http.post("/integrations/mcp_signed/connect", json={}))
        assert again["status"] == "unhealthy"
        with sign_in(door.url, ADMIN_KEY) as browser:
            assert go_on(browser, again["connect_link_url"]).status_code == 303
        assert told(call(http, "mcp_signed", "search_notes", {"query": "milk"}))["ret"] == {
            "result": ["buy milk"]
        }


@pytest.mark.requirement("mcp-broker:sign-in-anywhere")
def test_a_sign_in_that_one_runtime_began_is_ended_by_another_and_once(
    settings: Settings, oauth: OAuthMcp, signed: ServedMcp
) -> None:
    oauth.authorization.token_ttl = 3600
    with Door(settings) as door, door.client() as http:
        http.delete("/connections/mcp_signed")
        page_url = connect(http, signed)
        with sign_in(door.url, ADMIN_KEY) as browser:
            onward = browser.get(f"{page_url}/go", headers={"Sec-Fetch-Site": "same-origin"})
        back = httpx.get(onward.headers["location"]).headers["location"]
        url = door.url

    # Another process on the same home, at an address that may be another one.
    with Door(settings) as door, door.client() as http, sign_in(door.url, ADMIN_KEY) as browser:
        done = browser.get(back.replace(url, door.url))
        assert (done.status_code, done.headers["location"]) == (303, page_url.removeprefix(url))
        assert browser.get(back.replace(url, door.url)).status_code == 404
        agree(browser, page_url.replace(url, door.url))
        found = told(call(http, "mcp_signed", "search_notes", {"query": "milk"}))["ret"]
        assert found == {"result": ["buy milk"]}


def test_a_refusal_and_a_forged_way_back_sign_nobody_in(
    settings: Settings, oauth: OAuthMcp, signed: ServedMcp
) -> None:
    with Door(settings) as door, door.client() as http:
        http.delete("/connections/mcp_signed")
        page_url = connect(http, signed)
        with sign_in(door.url, ADMIN_KEY) as browser:
            oauth.authorization.refuses = True
            refusal = go_on(browser, page_url)
            oauth.authorization.refuses = False
            assert (refusal.status_code, "refused there" in refusal.text) == (400, True)

            onward = browser.get(f"{page_url}/go", headers={"Sec-Fetch-Site": "same-origin"})
            back = httpx.get(onward.headers["location"]).headers["location"]
            forged = browser.get(back.replace("state=", "state=x"))
            assert forged.status_code == 404
            other = http.post("/keys", json={"owner": "another", "scopes": ["read", "write", "run"]})
            if other.status_code == 200:
                with sign_in(door.url, other.json()["key"]) as stranger:
                    assert stranger.get(back).status_code == 404
            wrong_issuer = browser.get(back.replace("iss=http", "iss=https"))
            assert wrong_issuer.status_code == 502
        assert not told(http.post("/integrations/mcp_signed/connect", json={}))["connected"]


def test_without_a_public_address_there_is_no_client_document(settings: Settings) -> None:
    with Door(settings) as door, door.client(None) as http:
        assert http.get("/oauth/client.json").status_code == 404
