"""Everything that the deletion of a workflow removes, pauses and cancels, in numbers and in words."""

from __future__ import annotations

from pydantic import computed_field

from codewords_mcp.common.counts import counted
from codewords_mcp.runtime.model.base import Model


class Deletion(Model):
    """Numbers of what goes with a workflow. `triggers` of event sources are paused, `waiting` runs are cancelled."""

    versions: int
    databases: int = 0
    schedules: int = 0
    webhooks: int = 0
    triggers: int = 0
    waiting: int = 0

    @computed_field
    @property
    def removed(self) -> str:
        """The parts that are removed, as in "2 versions, the data of 1 database and 3 schedules"."""
        parts = [counted(self.versions, "version")]
        if self.databases:
            parts.append("the data of " + counted(self.databases, "database"))
        if self.schedules:
            parts.append(counted(self.schedules, "schedule"))
        if self.webhooks:
            parts.append(counted(self.webhooks, "webhook"))

        if len(parts) == 1:
            return parts[0]
        return f"{', '.join(parts[:-1])} and {parts[-1]}"

    @computed_field
    @property
    def paused(self) -> str:
        """The triggers that are paused; "" for none."""
        if not self.triggers:
            return ""
        if self.triggers == 1:
            verbs = "starts it or waits"
        else:
            verbs = "start it or wait"
        return f"{counted(self.triggers, 'trigger')} that {verbs} for its runs"

    @computed_field
    @property
    def cancelled(self) -> str:
        """The runs that are cancelled; "" for none."""
        if not self.waiting:
            return ""
        waits = "waits" if self.waiting == 1 else "wait"
        return f"{counted(self.waiting, 'run')} that {waits} for an answer, a request or a time"
