"""A question to a person, as the HTTP API shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.questions import OpenQuestion
from codewords_mcp.runtime.model.workflow import DeployChanges


class QuestionRow(Model):
    """Items of one kind that are asked for: hosts, a field of a call, writes that are sent."""

    kind: str
    items: list[str]


class QuestionInfo(Model):
    """A question that waits for a person's answer.

    `title` is the question, `about` leads to its `rows`, `asker` names who asked and how. `changes` is what a deploy changes
    beside the live version; `diff` the code's difference, also where there is no live version. `yes` and `no` say what an
    answer does. `service_id` is the workflow that it is about.
    """

    title: str
    about: str
    asker: str = ""
    rows: list[QuestionRow] = Field(default_factory=list[QuestionRow])
    diff: str = ""
    changes: DeployChanges | None = None
    service_id: str | None = None
    yes: str
    no: str
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


class QuestionAnswer(Model):
    """The answer, and a sentence of what follows from it."""

    agreed: bool
    message: str
