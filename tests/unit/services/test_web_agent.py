"""Where the web agent's model may lead its browser."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from codewords_mcp.runtime.services.web_automation_agent import AgentInput, _Agent  # pyright: ignore[reportPrivateUsage]


@pytest.mark.requirement("authority:targets")
@pytest.mark.parametrize(
    ("instructions", "url", "may"),
    [
        ("Look at example.com.", "https://example.com/a", True),
        ("Look at HTTPS://Example.com/shop?x=1, please", "https://example.com/", True),
        ("Compare (docs.example.com) with it", "https://docs.example.com:8443/", True),
        ("Look at example.com.", "https://le.com/", False),
        ("Look at example.com.", "https://com/", False),
        ("Look at shop.example.com", "https://example.com/", False),
        ("Look at example.com", "https://example.com.evil.example/", False),
        ("Write to ann@example.com", "https://example.com/", False),
        ("Say hello", "https://start.example/b", True),
        ("Say hello", "https://e/", False),
        ("Say hello", "about:blank", False),
        ("Say hello", "https://[::1", False),
    ],
)
def test_the_agent_goes_to_hosts_that_the_task_names_whole(instructions: str, url: str, may: bool) -> None:
    task = AgentInput(url="https://start.example/", instructions=instructions)
    agent = _Agent(cast("Any", SimpleNamespace()), task, ("openai", "m"), cast("Any", None))
    assert agent._may_go(url) is may  # pyright: ignore[reportPrivateUsage]
