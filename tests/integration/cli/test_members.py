"""`codewords members` and `codewords sessions`."""

from __future__ import annotations

import re

import pytest
from tests.integration.cli.terminal import Shell
from tests.support.browser_client import Browser

pytestmark = [pytest.mark.slow, pytest.mark.requirement("members:command")]


def test_members_are_invited_changed_and_removed_and_their_sessions_ended(shell: Shell) -> None:
    invited = shell("codewords", "members", "invite", "grace", "--role", "runner")
    assert invited.code == 0
    link = invited.out.strip().splitlines()[-1]
    # A time says its zone itself, which is the machine's.
    assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d \w+:", invited.err + invited.out)
    assert "invited" in shell("codewords", "members", "list").out
    with Browser() as browser:
        assert browser.submit(link).status_code == 303

    assert "the role author" in shell("codewords", "members", "role", "grace", "author").out
    listed = shell("codewords", "members", "list", "--json").json
    assert [(one["name"], one["role"]) for one in listed] == [("grace", "author")]
    [session] = shell("codewords", "sessions", "list", "--json").json
    assert session["member"] == "grace"
    assert "grace" in shell("codewords", "sessions", "list").out
    assert shell("codewords", "sessions", "revoke", session["id"]).code == 0
    assert shell("codewords", "sessions", "list", "--json").json == []

    assert "/join/" in shell("codewords", "members", "invite", "grace").out
    assert shell("codewords", "members", "add-service", "ci", "--role", "runner").code == 0
    assert shell("codewords", "keys", "create", "--member", "ci").out.startswith("cwk-")
    assert "1 key," in shell("codewords", "members", "remove", "ci").out
    assert shell("codewords", "members", "remove", "grace", "--json").json["name"] == "grace"
    assert shell("codewords", "members", "remove", "grace").code == 2


@pytest.mark.requirement("quotas:command")
def test_quotas_are_set_listed_and_deleted(shell: Shell) -> None:
    made = shell("codewords", "quotas", "set", "sales", "--concurrency", "5", "--storage", "20GB")
    assert "sales: at most 5 at once, 20 GB stored" in made.out
    assert shell("codewords", "quotas", "set", "*", "--runs-per-hour", "100").code == 0
    listed = shell("codewords", "quotas", "list").out
    assert "0 of 5" in listed
    assert "each other owner" in listed
    assert [one["owner"] for one in shell("codewords", "quotas", "list", "--json").json] == ["*", "sales"]
    assert shell("codewords", "quotas", "set", "sales", "--memory", "much").code == 2
    assert "is deleted" in shell("codewords", "quotas", "delete", "sales").out
    assert shell("codewords", "quotas", "delete", "sales").code == 2
    assert shell("codewords", "quotas", "delete", "*").code == 0


def test_a_member_makes_lists_and_revokes_own_keys_and_sees_own_passkeys(shell: Shell) -> None:
    assert shell("codewords", "members", "invite", "ada", "--role", "runner").code == 0
    first = shell("codewords", "keys", "create", "--member", "ada").out.strip()
    url = shell("codewords", "endpoint", "--json").json["url"]
    ada = Shell(shell.home, {"CODEWORDS_RUNTIME_URL": url, "CODEWORDS_API_KEY": first})
    made = ada("codewords", "keys", "create", "--own", "--scope", "read", "--json").json
    assert made["scopes"] == ["read"]
    assert ada("codewords", "keys", "create", "--own", "--scope", "write").code != 0
    listed = ada("codewords", "keys", "list", "--own", "--json").json
    assert [key["scopes"] for key in listed] == [None, ["read"]]
    assert ada("codewords", "keys", "revoke", "--own", made["id"]).code == 0
    assert ada("codewords", "keys", "list").code != 0
    assert ada("codewords", "members", "passkeys", "list", "--json").json == []
    assert ada("codewords", "members", "passkeys", "rename", "none", "Phone").code == 2
    assert ada("codewords", "members", "passkeys", "revoke", "none").code == 2
    assert shell("codewords", "members", "remove", "ada").code == 0
