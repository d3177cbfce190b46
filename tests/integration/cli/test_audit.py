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

    def entries(command: str, *more: str) -> list[dict[str, object]]:
        done = shell("codewords", "audit", command, "--action", "budget.create", *more)
        return [json.loads(line) for line in done.out.splitlines()]

    # Sealed within a second.
    exported = until(lambda: entries("export"))
    assert all(str(entry["agent"]).startswith("codewords-cli/") for entry in exported)
    assert {entry["id"] for entry in entries("list", "--json")} == {entry["id"] for entry in exported}

    verified = shell("codewords", "audit", "verify", "--json")
    assert (verified.code, verified.json["problems"]) == (0, [])
    head = verified.json["head"]
    assert shell("codewords", "audit", "verify", "--head", head).code == 0
    foreign = shell("codewords", "audit", "verify", "--head", "0" * 64)
    assert foreign.code == 1
    assert "none of this chain" in foreign.out
