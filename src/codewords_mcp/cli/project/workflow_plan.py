"""The plan of a workflow: its changes in their order, its conflict, and what stops a push."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from codewords_mcp.cli._client import Json
from codewords_mcp.cli.project.file import FolderWorkflow
from codewords_mcp.cli.project.live import LiveWorkflow

Action = Literal["add", "change", "remove"]
Subject = Literal["code", "module", "name", "schedule", "trigger", "config", "workflow", "permission"]
MARKS: dict[Action, str] = {"add": "+", "change": "~", "remove": "-"}


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One line of a plan. `before` is the record at the runtime, `after` the entry of the file, None where there is none.

    `held`: a removal that only `--prune` makes.
    """

    action: Action
    subject: Subject
    item: str
    detail: str = ""
    before: Any = None
    after: Any = None
    held: bool = False

    def record(self) -> Json:
        """The change as JSON."""
        return {
            "action": self.action, "subject": self.subject, "item": self.item, "detail": self.detail, "held": self.held,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class VersionConflict:
    """The live version is not the one that the folder began from. Differences are drawn, "" where unknown."""

    live_version: int
    base_version: int | None
    live_changes: str
    own_changes: str


@dataclass(slots=True)
class WorkflowPlan:
    """The changes of one workflow. `problems` are sentences that stop a push, `notes` those that do not."""

    workflow: FolderWorkflow
    live: LiveWorkflow | None
    changes: list[PlannedChange] = field(default_factory=list[PlannedChange])
    conflict: VersionConflict | None = None
    problems: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    @property
    def title(self) -> str:
        """The workflow in a line: its file, and its name and id."""
        declared = self.workflow.declared
        return f"{declared.file} → {declared.title}" + (f" ({self.live.id})" if self.live else " (new)")

    @property
    def deploys(self) -> bool:
        """Whether a new version is made."""
        return any(change.subject in {"code", "module"} for change in self.changes)

    @property
    def to_do(self) -> list[PlannedChange]:
        """The changes that a push makes."""
        return [change for change in self.changes if not change.held and change.subject != "permission"]

    def record(self) -> Json:
        """The plan of this workflow as JSON."""
        conflict = self.conflict
        return {
            "file": self.workflow.declared.file,
            "name": self.workflow.declared.title,
            "service_id": self.live.id if self.live else None,
            "live_version": self.live.version if self.live else None,
            "changes": [change.record() for change in self.changes],
            "problems": self.problems,
            "notes": self.notes,
            "conflict": None if conflict is None else {
                "live_version": conflict.live_version, "base_version": conflict.base_version,
                "live_changes": conflict.live_changes, "own_changes": conflict.own_changes,
            },
        }  # fmt: skip


def shortened(value: Any, most: int = 60) -> str:
    """A value in a line of a plan, cut to `most` characters."""
    if isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False)
    if len(text) <= most:
        return text
    return text[: most - 1] + "…"
