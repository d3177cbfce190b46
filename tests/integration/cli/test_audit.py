"""`codewords audit`: who did what, from where."""

from __future__ import annotations

import json

import pytest
from tests.integration.cli.terminal import Shell
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.requirement("audit:command")
def test_the_trail_is_listed_exported_and_verified(shell: Shell) -> None:
    assert shell("codewords", "budgets", "set", "home", "5", "--json").code == 0
    listed = shell("codewords", "audit", "list", "--action", "budget").out
    assert all(text in listed for text in ("local", "budget.create", "home/total", "http 127.0.0.1"))

    def exported() -> list[dict[str, object]]:
        done = shell("codewords", "audit", "export", "--action", "budget.create")
        return [json.loads(line) for line in done.out.splitlines()]

    # Sealed within a second.
    [entry] = until(exported)
    assert str(entry["agent"]).startswith("codewords-cli/")
    [line] = shell("codewords", "audit", "list", "--action", "budget", "--json").out.splitlines()
    assert json.loads(line)["id"] == entry["id"]

    verified = shell("codewords", "audit", "verify", "--json")
    assert (verified.code, verified.json["problems"]) == (0, [])
    head = verified.json["head"]
    assert shell("codewords", "audit", "verify", "--head", head).code == 0
    foreign = shell("codewords", "audit", "verify", "--head", "0" * 64)
    assert foreign.code == 1
    assert "none of this chain" in foreign.out
