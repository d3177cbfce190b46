"""The table of faults, as a person reads it."""

from __future__ import annotations

from typing import Any

import pytest

from codewords_mcp.cli._test_report import fault_row
from codewords_mcp.runtime.model.replay import FaultReport

pytestmark = pytest.mark.requirement("testing:faults", "testing:obeyed-injection")


def row(**more: Any) -> list[str]:
    facts: dict[str, Any] = {"kind": "429", "where": "GET a.example/x", "outcome": "handled", "status": 200}
    return fault_row(FaultReport(**(facts | more)).model_dump())


def test_retries_are_counted_and_a_crash_has_its_place() -> None:
    assert row() == ["429", "GET a.example/x", "handled", "no", "-"]
    assert [row(retries=number)[3] for number in (1, 2)] == ["once", "2 times"]
    crashed = row(outcome="crashed", status=500, at="step sum, line 52: KeyError", field="total")
    assert crashed[1:3] == [
        "GET a.example/x `total`",
        "crashed (500) at step sum, line 52: KeyError",
    ]
    assert row(kind="timeout", outcome="crashed", status=504)[2] == "waits without a limit"


def test_writes_and_refused_hosts_under_an_obeyed_instruction_are_named() -> None:
    found = row(
        kind="injection",
        new_writes=["POST b.example/y"],
        missing_writes=["POST c.example/z"],
        refused=["collector.example"],
        followed_injection=True,
    )
    assert found[4].split("; ") == [
        "POST b.example/y",
        "FOLLOWED the hidden instruction",
        "would have called collector.example, which its manifest refuses",
        "not any more: POST c.example/z",
    ]
