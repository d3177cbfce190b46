"""The question of a run that may be resumed: which writes were carried out, and which were not."""

from __future__ import annotations

from datetime import datetime

from codewords_mcp.runtime.model.base import Model


class UnknownWriteInfo(Model):
    """A write that a run asks about. `number` counts from 1 in the question, `attempt` is the one that sent it.

    `body` is cut; `reason` completes "this write …"; `sent_at` is None where it is not on record.
    """

    number: int
    attempt: int
    method: str
    address: str
    body: str
    bytes: int | None
    reason: str
    sent_at: datetime | None


class ResumeQuestion(Model):
    """The writes that a run asks about. `resumed_by`: the run that goes on since the question was answered."""

    run_id: str
    service_id: str
    writes: list[UnknownWriteInfo]
    resumed_by: str | None = None
