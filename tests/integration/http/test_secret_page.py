"""The page on which a person types a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from tests.support.browser_client import Browser, sign_in
from tests.support.http_runtime import ADMIN_KEY, Door

from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.secret import SecretForm

pytestmark = [pytest.mark.requirement("http:secret-page")]


@pytest.fixture
def browser(door: Door) -> Iterator[Browser]:
    """A person's, who is signed in."""
    with sign_in(door.url, ADMIN_KEY) as client:
        yield client


def link(http: httpx.Client, name: str = "PROBE_SECRET") -> str:
    """A new one-time link."""
    return http.post(f"/secrets/{name}/entry").json()["url"]


def test_what_is_typed_reaches_the_workflow_and_nobody_else(
    http: httpx.Client, browser: Browser, door: Door, probe: str
) -> None:
    url = link(http)
    assert url.startswith(f"{door.url}/secrets/enter/")
    page = browser.get(url)
    assert page.status_code == 200
    assert "PROBE_SECRET" in page.text
    assert "Probe" in page.text or probe in page.text
    assert 'type="password"' in page.text
    done = browser.submit(url, {"value": "typed by hand", "lines": ""})
    assert done.status_code == 200
    assert "PROBE_SECRET is stored" in done.text
    assert "typed by hand" not in done.text
    assert http.get(f"/run/{probe}/secret").json() == {"length": len("typed by hand")}
    http.delete("/secrets/PROBE_SECRET")


def test_a_link_works_once(http: httpx.Client, browser: Browser) -> None:
    url = link(http, "ONCE")
    assert browser.submit(url, {"value": "a"}).status_code == 200
    for answer in (browser.get(url), browser.submit(url, {"value": "b"}), browser.get(url + "x")):
        assert answer.status_code == 404
        assert "This link no longer works" in answer.text
        assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (b"value=&lines=", "The value is empty."),
        (b"", "The value is empty."),
        (b"value=a&lines=b", "Both fields hold a value."),
        (b"value=%00", ""),
        (b"&".join([b"a=1"] * 50), "The form did not arrive whole."),
        (b"\xff=\xff", "The form did not arrive whole."),
    ],
)
def test_a_value_that_cannot_be_stored_gets_the_form_again(
    http: httpx.Client, browser: Browser, form: bytes, sentence: str
) -> None:
    url = link(http, "AGAIN")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = browser.submit(url, form, headers=headers)
    assert answer.status_code == 400
    assert sentence in answer.text
    assert 'role="alert"' in answer.text
    assert browser.submit(url, {"value": "good"}).status_code == 200, "the link is still good"


def test_a_form_that_is_too_large_is_refused(http: httpx.Client, browser: Browser) -> None:
    answer = browser.submit(link(http, "LARGE"), {"value": "x" * (1 << 19)})
    assert answer.status_code == 413
    assert "codewords secrets set" in answer.text


def test_lines_keep_their_breaks(http: httpx.Client, browser: Browser, probe: str) -> None:
    answer = browser.submit(link(http), {"value": "", "lines": "one\r\ntwo"})
    assert answer.status_code == 200
    assert http.get(f"/run/{probe}/secret").json() == {"length": len("one\ntwo")}
    http.delete("/secrets/PROBE_SECRET")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:9"},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "https://127.0.0.1"},
        {"Sec-Fetch-Site": ""},
        {"Sec-Fetch-Site": "none"},
        {"Origin": ""},
    ],
)
def test_another_site_cannot_send_the_form(
    http: httpx.Client, browser: Browser, headers: dict[str, str]
) -> None:
    url = link(http, "CROSS")
    assert browser.submit(url, {"value": "x"}, headers=headers).status_code == 403
    assert "CROSS" not in http.get("/secrets").text


def test_the_page_is_sealed_off(http: httpx.Client, browser: Browser) -> None:
    page = browser.get(link(http, "SEALED"))
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script|https?://|@import|url\(", page.text)


def test_names_of_workflows_are_text_on_the_page(
    door: Door, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = door.ask(lambda runtime: runtime.secrets.create_link(Caller("local", "admin"), "SHOWN"))

    async def peek(_: Caller, nonce: str) -> SecretForm:
        users = [f"<b>{number}</b>" for number in range(30)]
        return SecretForm(name="SHOWN", users=users, hosts=[], places=[])

    monkeypatch.setattr(door.runtime.secrets, "peek_link", peek)
    page = browser.get(url).text
    assert "<b>" not in page
    assert "&lt;b&gt;19&lt;/b&gt;" in page
    assert "and 10 more" in page
