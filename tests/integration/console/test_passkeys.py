"""Passkeys in a real browser, with its own virtual authenticator: added in the console, used to sign in, revoked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.console.helpers import DESKTOP, PHONE, Console, signed_in_console
from tests.integration.console.look import look, violations
from tests.support.chromium import tab

from codewords_testing.pipedream import LoopbackConnect

pytestmark = pytest.mark.requirement("passkeys:browser")
PAGE = "/console/members"
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True,
    "automaticPresenceSimulation": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory, broker: LoopbackConnect) -> Iterator[Console]:
    """A home of its own, for its members."""
    with signed_in_console(tmp_path_factory.mktemp("passkeys"), broker) as console:
        yield console


@pytest.fixture
def grace(signed_in: Console, tmp_path: Path) -> Iterator[Console]:
    """A member in a browser of her own at `localhost`, since browsers keep passkeys for names."""
    served = replace(signed_in.served, url=signed_in.served.url.replace("127.0.0.1", "localhost"))
    url = served.call("POST", "/members", {"name": "grace", "role": "author"})["url"]
    with tab(tmp_path / "grace", width=DESKTOP[0], height=DESKTOP[1]) as page:
        page.do("WebAuthn.enable")
        page.do("WebAuthn.addVirtualAuthenticator", options=AUTHENTICATOR)
        page.open(url.replace("127.0.0.1", "localhost"))
        member = Console(page, served, signed_in.workflow)
        member.click("main button")
        member.waits("location.pathname === '/console'")
        yield member
    served.call("DELETE", "/members/grace")


def _add(console: Console, name: str) -> None:
    console.open(PAGE)
    console.click("main button", "Add a passkey")
    console.waits("document.activeElement?.maxLength === 64")
    console.tab.do("Input.insertText", text=name)
    console.tab.press("Enter")
    console.sees("main .rows", name)
    console.waits("!document.querySelector('dialog')")


def _sign_out(console: Console) -> None:
    console.open(PAGE)
    console.click("main button", "Sign out")
    console.sees("h1", "You are signed out")


def _passkeys(console: Console) -> list[dict[str, Any]]:
    return list(console.served.call("GET", "/passkeys")["items"])


def test_a_passkey_is_added_signs_in_and_is_revoked(grace: Console) -> None:
    _add(grace, "Laptop")
    assert grace.tab.problems == []
    _sign_out(grace)

    grace.tab.open(f"{grace.served.url}{PAGE}")
    grace.click("a.button", "Sign in by a passkey")
    # The browser asks at once, and its virtual authenticator says yes.
    grace.waits(f"location.pathname === '{PAGE}'")
    grace.sees("main h1", "You are grace, author")
    grace.sees("main .rows", "last used")

    grace.click("main button[aria-label='Revoke Laptop']")
    grace.click("dialog button", "Revoke Laptop")
    grace.waits("!document.querySelector('[aria-label=\"Revoke Laptop\"]')")
    assert _passkeys(grace) == []
    _sign_out(grace)
    grace.tab.open(f"{grace.served.url}/sign-in/passkey?to={PAGE}")
    grace.sees("h1", "You are not signed in")
    grace.sees("p", "This passkey is of no member here")


def test_the_page_says_so_where_a_browser_has_no_passkey(grace: Console) -> None:
    _sign_out(grace)
    for size in (PHONE, DESKTOP):
        for dark in (False, True):
            grace.tab.resize(*size, dark=dark)
            grace.tab.open(f"{grace.served.url}/sign-in/passkey")
            grace.sees("[role=alert]", "No passkey was used")
            assert violations(grace) == []
            assert (
                grace.tab.value("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                <= 0
            )
    assert grace.tab.problems == []


def test_two_passkeys_are_named_and_listed_on_phones_and_desktops(grace: Console) -> None:
    _add(grace, "Laptop")
    # The first authenticator has one of this member already.
    grace.tab.do("WebAuthn.disable")
    grace.tab.do("WebAuthn.enable")
    grace.tab.do("WebAuthn.addVirtualAuthenticator", options=AUTHENTICATOR)
    _add(grace, "Phone")
    grace.click("main button[aria-label='Rename Laptop']")
    grace.waits("document.activeElement?.value === 'Laptop'")
    assert violations(grace) == []
    grace.tab.value("document.activeElement.select()")
    grace.tab.do("Input.insertText", text="Desk")
    grace.tab.press("Enter")
    grace.sees("main .rows", "Desk")
    assert {one["name"] for one in _passkeys(grace)} == {"Desk", "Phone"}
    look(grace, PAGE, "You are grace", ready="[aria-label='Revoke Desk']")


def test_an_authenticator_that_has_one_makes_no_second(grace: Console) -> None:
    _add(grace, "Laptop")
    grace.click("main button", "Add a passkey")
    grace.waits("document.activeElement?.maxLength === 64")
    grace.tab.do("Input.insertText", text="Again")
    grace.tab.press("Enter")
    grace.sees("dialog [role=alert]", "has a passkey of yours already")
    assert len(_passkeys(grace)) == 1


def test_without_verification_of_the_user_none_is_made(grace: Console) -> None:
    grace.tab.do("WebAuthn.disable")
    grace.tab.do("WebAuthn.enable")
    grace.tab.do("WebAuthn.addVirtualAuthenticator", options=AUTHENTICATOR | {"isUserVerified": False})
    grace.open(PAGE)
    grace.click("main button", "Add a passkey")
    grace.waits("document.activeElement?.maxLength === 64")
    grace.tab.do("Input.insertText", text="Laptop")
    grace.tab.press("Enter")
    grace.sees("dialog [role=alert]", "The browser made no passkey")
    assert _passkeys(grace) == []
