"""The hosts that a task in words names, by which a browser may go there."""

from __future__ import annotations

import pytest

from codewords_mcp.runtime.services.web_automation_agent import (
    _hosts_named_in,  # pyright: ignore[reportPrivateUsage]
)

pytestmark = pytest.mark.requirement("services:web-agent")


@pytest.mark.parametrize(
    ("task", "hosts"),
    [
        ("Look at example.com, then shop.example.org.", {"example.com", "shop.example.org"}),
        ("(see https://example.com/a?b=c)", {"example.com"}),
        ("Write to ann@example.com; wait... then go on.", set[str]()),
        ("", set[str]()),
    ],
)
def test_each_host_is_named_whole(task: str, hosts: set[str]) -> None:
    assert _hosts_named_in(task) == hosts


@pytest.mark.timeout(120)
@pytest.mark.parametrize("word", ["a", "@", "http", "a@"])
def test_a_long_task_holds_nobody_up(word: str) -> None:
    """The runtime does nothing else while it looks for hosts, at each step."""
    for _ in range(50):
        assert not _hosts_named_in((word * 20_000)[:20_000])
