"""A question to a person, as the HTTP API shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.questions import OpenQuestion
from codewords_mcp.runtime.model.run_wait import ApprovalInfo
from codewords_mcp.runtime.model.workflow import DeployChanges


class QuestionRow(Model):
    """Items of one kind that are asked for: hosts, a field of a call, writes that are sent."""

    kind: str
    items: list[str]


class QuestionInfo(Model):
    """A question that waits for a person's answer.

    `title` is the question, `about` leads to its `rows`, `asker` names who asked and how. `changes` is what a deploy changes
    beside the live version; `diff` the code's difference, also where there is no live version. `yes` and `no` say what an
    answer does. `service_id` is the workflow that it is about. A question of a run has `run_id`, `options` in the place of yes
    and no, and a JSON Schema of the `fields` that a person may fill in.
    """

    title: str
    about: str
    asker: str = ""
    rows: list[QuestionRow] = Field(default_factory=list[QuestionRow])
    diff: str = ""
    changes: DeployChanges | None = None
    service_id: str | None = None
    yes: str = ""
    no: str = ""
    run_id: str | None = None
    details: str = ""
    options: list[str] = Field(default_factory=list[str])
    fields: dict[str, Any] | None = None
    default: str | None = None
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, question: OpenQuestion) -> Self:
        """Show an open question."""
        wording = question.wording
        return cls(
            title=wording.title,
            about=wording.about,
            asker=wording.asker,
            rows=[QuestionRow(kind=kind, items=items) for kind, items in question.rows],
            diff=question.diff,
            changes=question.changes,
            service_id=question.service_id or None,
            yes=wording.yes,
            no=wording.no,
            created_at=question.created_at,
            expires_at=question.expires_at,
        )

    @classmethod
    def of_run(cls, question: ApprovalInfo) -> Self:
        """Show an open question of a run."""
        return cls(
            title=question.title,
            about="",
            asker=f"the workflow {question.service_id}",
            service_id=question.service_id,
            run_id=question.run_id,
            details=question.details,
            options=question.options,
            fields=question.fields,
            default=question.default,
            created_at=question.created_at,
            expires_at=question.due_at,
        )


class QuestionAnswer(Model):
    """The answer, and a sentence of what follows from it. `agreed` is of a yes or no, `answer` of a run's question."""

    agreed: bool | None = None
    answer: str | None = None
    message: str
