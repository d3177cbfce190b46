"""Things that a running workflow waits for: the answer of a person, a request to its address, a time, or another run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.recipients import Recipient, RecipientChannel

WAITING_SERVICES: Final = frozenset({"approvals", "wait"})
"""Library services whose calls may last for days. Runs of workflows that may call them keep a journal."""
WaitKind = Literal["question", "time", "webhook", "run"]
WaitStatus = Literal["new", "open", "answered", "timed_out", "withdrawn"]
"""`new`: an address that nobody waits for yet. `withdrawn`: the run did not wait for it any longer."""


@dataclass(frozen=True, slots=True)
class NewWait:
    """A wait that a call begins. `seconds` from now; `question` is that of an approval: `details`, `options`, `fields`,
    `default`. `recipients` are sent the question. `wait_id` is the address of a wait for a webhook.
    """

    kind: WaitKind
    title: str
    seconds: float
    question: dict[str, Any]
    recipients: tuple[Recipient, ...] = ()
    wait_id: str = ""


@dataclass(frozen=True, slots=True)
class RunWait:
    """A wait of a run. `answer` has `answer` and `fields`, or the request to an address.

    `closed_by` is the person, None for the deadline; `closed_from` is where they answered.
    """

    id: str
    kind: WaitKind
    owner: str
    run_id: str
    service_id: str
    title: str
    question: dict[str, Any]
    created_at: datetime
    due_at: datetime
    status: WaitStatus
    answer: dict[str, Any] | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    closed_from: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it was answered, or its time has come."""
        return self.status in {"answered", "timed_out"}


class NotifiedPerson(Model):
    """A person whom a question was sent to. `sent_at` is empty before that; `problem` says why the last try failed."""

    channel: RecipientChannel
    target: str
    sent_at: datetime | None = None
    problem: str = ""


class ApprovalInfo(Model):
    """A question that a run asks or has asked a person, with its answer.

    `fields` is a JSON Schema of an object. `answer` is one of `options`. `answered_by` is the person; None where the deadline
    answered by the default. `answered_from` is where they answered: a browser, a chat, an e-mail. `notified` are the people whom
    it was sent to beside the inbox, where a run's questions are listed.
    """

    id: str
    run_id: str
    service_id: str
    title: str
    details: str = ""
    options: list[str] = Field(default_factory=list[str])
    fields: dict[str, Any] | None = None
    default: str | None = None
    status: WaitStatus
    created_at: datetime
    due_at: datetime
    answer: str | None = None
    answered_fields: dict[str, Any] | None = None
    answered_at: datetime | None = None
    answered_by: str | None = None
    answered_from: str | None = None
    notified: list[NotifiedPerson] = Field(default_factory=list[NotifiedPerson])

    @classmethod
    def of(cls, wait: RunWait, notified: Sequence[NotifiedPerson] = ()) -> ApprovalInfo:
        """Show a question."""
        question, answer = wait.question, wait.answer or {}
        return cls(
            id=wait.id,
            run_id=wait.run_id,
            service_id=wait.service_id,
            title=wait.title,
            details=question.get("details", ""),
            options=question.get("options", []),
            fields=question.get("fields"),
            default=question.get("default"),
            status=wait.status,
            created_at=wait.created_at,
            due_at=wait.due_at,
            answer=answer.get("answer"),
            answered_fields=answer.get("fields"),
            answered_at=wait.closed_at,
            answered_by=wait.closed_by,
            answered_from=wait.closed_from,
            notified=list(notified),
        )


@dataclass(frozen=True, slots=True)
class SentQuestion:
    """A question as one person got it. `option` is the one that their link answers; None for any of them."""

    question: ApprovalInfo
    workflow: str
    recipient: Recipient
    option: str | None


@dataclass(frozen=True, slots=True)
class PersonAnswer:
    """The answer of a person: an option, values of the fields, and where it was given.

    `by` names the person; None for the owner of the run.
    """

    answer: str
    fields: dict[str, Any]
    source: str
    by: str | None = None
