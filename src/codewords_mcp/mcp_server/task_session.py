"""The session of a tool call that became a task (SEP-2663)."""

from __future__ import annotations

from typing import Any

from mcp_types import ClientCapabilities


class TaskSession:
    """The session of a tool in a task, since its request's session may be over.

    Progress becomes the task's message. `leaving`: this process stops and another continues the task,
    so a cancelled tool must not cancel its run.
    """

    def __init__(self, task_id: str, capabilities: ClientCapabilities | None) -> None:
        self.task_id = task_id
        self.client_capabilities = capabilities
        self.can_send_request = False
        self.message: str | None = None
        self.leaving = False

    async def report_progress(self, _: float, __: float | None = None, message: str | None = None) -> None:
        """Store the message; a task has no progress notifications."""
        self.message = message


def task_of(ctx: Any) -> TaskSession | None:
    """Return the task that a tool runs in; None in a plain call."""
    session = ctx.session
    if isinstance(session, TaskSession):
        return session
    return None
