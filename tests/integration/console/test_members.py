"""The page of members: who shares the home, with what role, their sessions and keys, as each role sees and changes it."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.console.helpers import DESKTOP, PHONE, Console, signed_in_console
from tests.integration.console.look import look, violations
from tests.support.chromium import tab

from codewords_mcp.runtime.auth.roles import ROLES
from codewords_testing.pipedream import LoopbackConnect

pytestmark = pytest.mark.requirement("console:members")
PAGE = "/console/members"


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory, broker: LoopbackConnect) -> Iterator[Console]:
    """A home of its own, since members are counted."""
    with signed_in_console(tmp_path_factory.mktemp("members"), broker) as console:
        yield console


@pytest.fixture(autouse=True)
def nobody_else(signed_in: Console) -> Iterator[None]:
    """Remove the members of a test. The last owner only makes room for the next test's."""
    yield
    for one in _members(signed_in):
        if one["role"] != "owner":
            signed_in.served.call("DELETE", f"/members/{one['id']}")


def _members(console: Console) -> list[dict[str, Any]]:
    return list(console.served.call("GET", "/members")["items"])


def _names(console: Console) -> set[str]:
    return {one["name"] for one in _members(console)}


def _invited(console: Console, name: str, role: str) -> str:
    return str(console.served.call("POST", "/members", {"name": name, "role": role})["url"])


@contextmanager
def _joined(console: Console, folder: Path, url: str) -> Generator[Console]:
    """Another browser, whose person followed the link of an invitation."""
    with tab(folder / "member", width=DESKTOP[0], height=DESKTOP[1]) as page:
        member = Console(page, replace(console.served), console.workflow)
        page.open(url)
        member.click("main button")
        member.waits("location.pathname === '/console'")
        yield member


def _type(console: Console, selector: str, text: str) -> None:
    console.tab.value(f"document.querySelector({json.dumps(selector)}).focus()")
    console.tab.do("Input.insertText", text=text)


def _choose(console: Console, role: str) -> None:
    console.tab.value(f"document.querySelector('dialog input[value={role}]').click()")


def test_the_page_fits_phones_and_desktops_with_and_without_members(console: Console) -> None:
    look(console, PAGE, "This home is one person's")
    _invited(console, "grace.brewster-murray.hopper@computing.example.com", "author")
    console.served.call("POST", "/members", {"name": "ci", "role": "runner", "kind": "service"})
    console.served.call("POST", "/keys", {"member": "ci"})
    look(console, PAGE, "members of this home", ready="tbody tr")


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("dark", [False, True])
def test_its_dialogs_break_no_rule_of_accessibility(
    console: Console, size: tuple[int, int], dark: bool
) -> None:
    _invited(console, "grace", "author")
    console.tab.resize(*size, dark=dark)
    for label in ("Make a sign-in link for", "Change role of", "Remove"):
        console.open(PAGE)
        console.click(f"main button[aria-label='{label} grace']")
        console.sees("dialog h2", "grace")
        assert violations(console) == []
        assert (
            console.tab.value(
                "document.querySelector('dialog').scrollWidth - document.querySelector('dialog').clientWidth"
            )
            <= 0
        )
        console.tab.press("Escape")
        console.waits("!document.querySelector('dialog')")
    console.click("main button", "Invite")
    console.sees("dialog label", "Name")
    assert violations(console) == []


def test_who_is_invited_gets_a_link_that_is_shown_once_and_joins(console: Console, tmp_path: Path) -> None:
    console.open(PAGE, "This home")
    # By keys alone: the button, the name, the role, and Enter.
    console.tab.value(
        "[...document.querySelectorAll('main button')].find((one) => one.innerText === 'Invite').focus()"
    )
    console.tab.press("Enter")
    _type(console, "dialog input:not([type])", "grace")
    _choose(console, "runner")
    console.sees("dialog button.primary", "Add grace as runner")
    console.tab.value("document.querySelector('dialog input:not([type])').focus()")
    console.tab.press("Enter")
    console.sees("dialog h2", "The link for grace")
    url = console.sees("dialog pre")
    assert "/join/" in url
    console.tab.press("Escape")
    console.sees("main h1", "1 member of this home")
    console.sees("tbody td", "invited")
    assert "/join/" not in console.tab.value("document.documentElement.outerHTML")

    with _joined(console, tmp_path, url) as grace:
        console.sees("tbody td", "joined")
        console.click("main button[aria-label='Make a sign-in link for grace']")
        console.click("dialog button.primary")
        assert console.sees("dialog pre", "/join/") != url
        console.tab.press("Escape")
        console.sees("tbody td", "a new link ends")
        grace.open(PAGE, "You are grace, runner")
        console.click("main button[aria-label='Change role of grace']")
        _choose(console, "author")
        console.click("dialog button", "Make grace author")
        grace.open(PAGE, "You are grace, author")

        key = console.served.call("POST", "/keys", {"member": "grace"})["key"]
        console.open(PAGE)
        console.sees("main", "Chrome on Linux of grace")
        console.click("main button[aria-label='Remove grace']")
        console.sees("dialog p", "1 key and 1 session end at once")
        console.sees("dialog li", "stay and go on")
        console.click("dialog button", "Remove grace")
        console.sees("main h1", "This home is one person's")
        grace.sees(".banner", "You are signed out")
        with pytest.raises(AssertionError, match="401"):
            replace(console.served, key=key).call("GET", "/me")


def test_a_session_of_a_member_is_ended_and_own_ones_stay(console: Console, tmp_path: Path) -> None:
    with _joined(console, tmp_path, _invited(console, "ada", "viewer")) as ada:
        ada.open(PAGE)
        console.open(PAGE)
        console.click("main button[aria-label='End this session: Chrome on Linux of ada']")
        ada.sees(".banner", "You are signed out")
        console.waits(
            "![...document.querySelectorAll('main button')].some((one) => one.ariaLabel?.includes('Linux of ada'))"
        )
        console.open("/console")


def test_the_refusal_to_remove_the_last_owner_is_in_words(console: Console, tmp_path: Path) -> None:
    with _joined(console, tmp_path, _invited(console, "olga", "owner")) as olga:
        olga.open(PAGE, "member")
        olga.sees("tbody td", "you")
        olga.click("main button[aria-label='Remove olga']")
        olga.click("dialog button", "Remove olga")
        olga.sees("dialog [role=alert]", "olga is the last owner of the home, which needs one.")
        olga.click("dialog button", "Keep the member")
        olga.click("main button[aria-label='Change role of olga']")
        _choose(olga, "viewer")
        olga.click("dialog button", "Make olga viewer")
        olga.sees("dialog [role=alert]", "olga is the last owner")
    assert "olga" in _names(console)


@pytest.mark.parametrize("role", ["viewer", "runner", "author"])
def test_who_is_no_admin_sees_the_own_account_only(console: Console, tmp_path: Path, role: str) -> None:
    with _joined(console, tmp_path, _invited(console, "vera", role)) as vera:
        vera.open(PAGE, f"You are vera, {role}")
        vera.sees("main h2", "Browsers signed in")
        shown = vera.tab.value("document.querySelector('main').innerText")
        assert "Invite" not in shown
        assert "Owners" not in shown
        vera.waits("document.querySelectorAll('main .rows > li').length === 1")
        vera.click("main button", "Make a key")
        vera.click("dialog button.primary", "Make a key for vera")
        key = vera.sees("dialog pre")
        assert replace(console.served, key=key).call("GET", "/me")["member"]["role"] == role
        vera.tab.press("Escape")
        vera.click("main button", "Revoke")
        vera.click("dialog button.danger")
        vera.sees("main .tag", "revoked")
        asks = "fetch('/members', {headers: {'X-Codewords-Console': '1'}}).then((answer) => answer.status)"
        assert vera.tab.value(asks) == 403


@pytest.mark.requirement("members:own-keys")
def test_an_own_key_has_the_rights_and_the_time_that_were_chosen(console: Console, tmp_path: Path) -> None:
    with _joined(console, tmp_path, _invited(console, "nora", "author")) as nora:
        nora.open(PAGE, "You are nora, author")
        nora.click("main button", "Make a key")
        nora.sees("dialog legend", "It may")
        assert nora.tab.value("document.querySelectorAll('dialog [name=scope]').length") == 0
        nora.tab.value("document.querySelector('dialog [name=all]').click()")
        offered = "[...document.querySelectorAll('dialog [name=scope]')].map((one) => one.value)"
        nora.waits(f"{offered}.length > 0")
        assert nora.tab.value(offered) == ["read", "run", "deploy", "write"], (
            "what the role has, as the API names it"
        )
        for scope in ("deploy", "read"):
            nora.tab.value(f"document.querySelector('dialog [value={scope}]').click()")
        nora.waits("document.querySelectorAll('dialog [name=scope]:checked').length === 1")
        nora.tab.value(
            "(() => { const field = document.querySelector('dialog select'); field.value = '2592000';"
            " field.dispatchEvent(new Event('change')); })()"
        )
        nora.click("dialog button.primary", "Make a key for nora")
        key = nora.sees("dialog pre")
        me = replace(console.served, key=key).call("GET", "/me")
        assert (me["member"]["name"], me["scopes"]) == ("nora", ["deploy"])
        nora.tab.press("Escape")
        nora.sees("td", "deploy")
        asks = "fetch('/me/keys', {headers: {'X-Codewords-Console': '1'}}).then((answer) => answer.json())"
        [made] = nora.tab.value(asks)["items"]
        lifetime = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
        assert round(lifetime.total_seconds()) == 30 * 86_400


def test_an_admin_is_offered_roles_up_to_the_own_one(console: Console, tmp_path: Path) -> None:
    with _joined(console, tmp_path, _invited(console, "adam", "admin")) as adam:
        adam.open(PAGE, "member")
        adam.click("main button", "Invite")
        adam.sees("dialog label", "Name")
        offered = "[...document.querySelectorAll('dialog [name=role]')].map((one) => one.value)"
        assert adam.tab.value(offered) == ["viewer", "runner", "author", "admin"]


def test_a_service_account_is_added_and_gets_a_key(console: Console) -> None:
    console.open(PAGE)
    console.click("main button", "Invite")
    console.sees("dialog label", "Name")
    _type(console, "dialog input:not([type])", "ci")
    console.tab.value("document.querySelector('dialog input[type=checkbox]').click()")
    console.waits("!document.querySelector('dialog input[value=owner]')")
    _choose(console, "runner")
    console.click("dialog button", "Add ci as runner")
    console.sees("dialog [role=status]", "ci is there")
    console.tab.press("Escape")
    console.sees("tbody td", "service account")
    console.waits("!document.querySelector('[aria-label=\"Make a sign-in link for ci\"]')")

    console.click("main button", "Make a key")
    console.sees("dialog select", "ci, runner")
    console.tab.value(
        "(() => { const field = document.querySelector('dialog select'); field.value = 'ci';"
        " field.dispatchEvent(new Event('change')); })()"
    )
    console.click("dialog button", "Make a key for ci")
    key = console.sees("dialog pre")
    assert replace(console.served, key=key).call("GET", "/me")["member"]["name"] == "ci"
    console.tab.press("Escape")
    console.sees("td", "what the role allows")


def test_the_roles_are_told_as_the_access_table_has_them(console: Console) -> None:
    console.open(PAGE)
    console.click("main button", "Invite")
    console.sees("dialog label", "Name")
    told = console.tab.value(
        "[...document.querySelectorAll('dialog .roles label')].map((one) => [one.querySelector('input').value, one.querySelector('.dim').innerText])"
    )
    assert dict(told) == {role: rights.description for role, rights in ROLES.items()}
