"""`codewords open`: the one-time address that signs a person's browser in, and what waits for them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.integration.cli.terminal import Shell
from tests.support.browser_client import Browser
from tests.support.runtime import ECHO

pytestmark = [pytest.mark.requirement("pages:open")]


def test_open_prints_a_one_time_address_that_leads_to_what_waits(empty: Shell) -> None:
    empty.extra["CODEWORDS_PORT"] = "0"
    nothing = empty("codewords", "open")
    assert nothing.code == 0, nothing.err
    assert "Nothing waits for you." in nothing.out
    asked = empty("codewords", "browser", "pair", "--no-open", "--wait", "0", "--json").json
    told = empty("codewords", "open")
    assert "Pair a Chrome" in told.out
    [address] = [line for line in told.out.splitlines() if "/sign-in/" in line]
    with Browser() as browser:
        assert "Pair this Chrome" in browser.look(address.strip()).text
        assert browser.look(address.strip()).status_code == 404, "it works once"
    for page in (
        asked["url"],
        asked["url"].rpartition("/")[2],
        "/browser/pair/" + asked["url"].rpartition("/")[2],
    ):
        found = empty("codewords", "open", page, "--json").json
        with Browser() as browser:
            assert str(browser.look(found["url"]).url) == asked["url"]
    assert empty("codewords", "stop").code == 0


def test_open_refuses_a_page_that_is_none(shell: Shell) -> None:
    assert shell("codewords", "open", "no-such-token").code == 2
    led = shell("codewords", "open", "https://evil.example/consents/x", "--json").json
    assert "/sign-in/" in led["url"]
    assert "evil" not in led["url"]


def test_on_a_desktop_open_starts_the_browser_and_prints_no_address(shell: Shell, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    browser = tmp_path / "browser.sh"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {seen}\n', encoding="utf-8")
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    desktop = {
        "DISPLAY": ":0",
        "BROWSER": str(browser),
        "CODEWORDS_OPEN_BROWSER": "auto",
        "SSH_CONNECTION": "",
    }
    sitting = Shell(shell.home, shell.extra | desktop)
    done = sitting("codewords", "open", "/")
    assert done.code == 0, done.err
    assert "It is open in your browser" in done.out
    assert "/sign-in/" not in done.out
    assert "/sign-in/" in seen.read_text(encoding="utf-8")
    printed = sitting("codewords", "open", "/", "--print")
    assert "/sign-in/" in printed.out


@pytest.mark.requirement("origins:session")
def test_open_leads_to_the_own_page_of_a_workflow_that_is_named(shell: Shell, tmp_path: Path) -> None:
    program = tmp_path / "counter.py"
    program.write_text(ECHO, encoding="utf-8")
    deployed = shell("codewords", "deploy", str(program), "--name", "Page of mine", "--json").json
    label = deployed["service_id"].replace("_", "-")
    for name in ("Page of mine", deployed["service_id"]):
        url = shell("codewords", "open", name, "--json").json["url"]
        assert f"//{label}.localhost:" in url
        assert "/.codewords/open/" in url
