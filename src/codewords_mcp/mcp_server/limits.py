"""Limits of calls, tasks and subscriptions of an MCP server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Timeouts and intervals in seconds, and counts for one server."""

    call_timeout: float = 44.0
    """Limit for every tool call: chat hosts give up between 60 s and some minutes, some sooner."""
    work_timeout: float = 38.0
    """Time that a tool waits for background work before it returns a handle."""
    answer_timeout: float = 25.0
    """Time that a call waits for a person; the next call finds a decision made later on the page."""
    task_answer_timeout: float = 600.0
    """Time that a task waits for a person: as long as the page's URL is valid."""
    typing_timeout: float = 20.0
    """Time that `set_secret` waits for a person who has opened its page."""
    immediate_timeout: float = 0.5
    """Time within which a call gets its result directly, without a task."""
    heartbeat_interval: float = 2.0
    """Interval at which a server renews its tasks and takes what was sent to other replicas."""
    max_tasks: int = 200
    """Running tasks; further calls run without one."""
    max_watchers: int = 256
    """Runs that clients watch."""


DEFAULT_LIMITS: Final = ServerLimits()
