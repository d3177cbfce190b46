"""Messages of questions: one to each person that a question is sent to.

A message is kept as long as its question: answers that come by it name it. It is sent when the question is asked, and
where the receiver's copy can be replaced, once more when the question is over.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, case, func, insert, null, select, update

from codewords_mcp.runtime.model.recipients import Recipient, RecipientChannel
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import question_messages, run_waits

OPENED, CLOSED = "opened", "closed"
"""Events of a message: the question is asked, or it is over."""
REPLACED: tuple[RecipientChannel, ...] = ("slack",)
"""Channels whose messages are replaced when the question is over."""
_ROWS = question_messages.c


class QuestionMessage(NamedTuple):
    """A message to one person. `reference` names it at the receiver, once it was sent."""

    id: str
    owner: str
    wait_id: str
    channel: RecipientChannel
    target: str
    event: str
    reference: str
    tries: int


_MESSAGE = select(*(_ROWS[name] for name in QuestionMessage._fields))


def add(connection: Connection, owner: str, wait_id: str, recipients: Iterable[Recipient]) -> None:
    """Let messages of a question wait, one for each recipient."""
    at = now()
    messages = [
        {
            "id": f"qm_{secrets.token_hex(12)}", "owner": owner, "wait_id": wait_id, "channel": one.channel,
            "target": one.target, "event": OPENED, "reference": "", "made_at": at, "due_at": at, "tries": 0, "problem": "",
        }
        for one in recipients
    ]  # fmt: skip
    if messages:
        connection.execute(insert(question_messages), messages)


def get(connection: Connection, message_id: str) -> QuestionMessage | None:
    """By id."""
    row = connection.execute(_MESSAGE.where(_ROWS.id == message_id)).first()
    return None if row is None else QuestionMessage(*row)


def take_due(connection: Connection, at: int, until: int, limit: int) -> list[QuestionMessage]:
    """Claim due messages until a time, after which another process may send those of a dead one."""
    query = _MESSAGE.where(_ROWS.due_at <= at).order_by(_ROWS.made_at, _ROWS.id).limit(limit)
    found = [QuestionMessage(*row) for row in connection.execute(query.with_for_update(skip_locked=True))]
    if found:
        claimed = _ROWS.id.in_([message.id for message in found])
        # Due again later and not removed: a process that dies while it sends leaves them to another
        # one.
        connection.execute(update(question_messages).where(claimed).values(due_at=until))
    return found


def next_due(connection: Connection) -> int | None:
    """The time of the next message, in µs."""
    return connection.execute(select(func.min(_ROWS.due_at))).scalar()


def settle(connection: Connection, message: QuestionMessage, reference: str, at: int) -> None:
    """Note that a message was sent. One whose question is over by now is replaced next."""
    values: dict[str, Any] = {
        "reference": reference, "sent_at": at, "tries": 0, "problem": "", "due_at": None,
    }  # fmt: skip
    if message.event == OPENED and message.channel in REPLACED:
        # The question may have ended while the message was on its way, when `close` found none to replace.
        # The lock makes either this see the end, or `close` see the message.
        status = select(run_waits.c.status).where(run_waits.c.id == message.wait_id).with_for_update()
        if connection.execute(status).scalar() != "open":
            values |= {"event": CLOSED, "due_at": at}
    connection.execute(update(question_messages).where(_ROWS.id == message.id).values(values))


def close(connection: Connection, wait_ids: Collection[str]) -> None:
    """Send no more messages of questions that are over, and replace those that were sent."""
    # A message that is on its way has no `sent_at` yet: `settle` lets it be replaced.
    replaced = and_(_ROWS.sent_at.is_not(None), _ROWS.channel.in_(REPLACED))
    statement = update(question_messages).where(_ROWS.wait_id.in_(wait_ids), _ROWS.event == OPENED)
    due_at = case((replaced, now()), else_=null())
    connection.execute(statement.values(event=CLOSED, due_at=due_at, tries=0))


def postpone(connection: Connection, message_id: str, due_at: int | None, tries: int, problem: str) -> None:
    """Send a message later, since a try failed; never, without a time."""
    values = {"due_at": due_at, "problem": problem, "tries": tries}
    connection.execute(update(question_messages).where(_ROWS.id == message_id).values(values))


def make_due(connection: Connection, at: int) -> None:
    """Send everything that waits now: the clock was set back, and times to come may be far."""
    connection.execute(update(question_messages).where(_ROWS.due_at > at).values(due_at=at))


class SentTo(NamedTuple):
    """A person whom a question was sent to, with the time in µs or what was wrong at the last try."""

    wait_id: str
    channel: RecipientChannel
    target: str
    sent_at: int | None
    problem: str


def of_waits(connection: Connection, wait_ids: Collection[str]) -> list[SentTo]:
    """The people whom these questions are sent to."""
    query = select(*(_ROWS[name] for name in SentTo._fields)).where(_ROWS.wait_id.in_(wait_ids))
    return [SentTo(*row) for row in connection.execute(query.order_by(_ROWS.made_at, _ROWS.id))]


def owners(connection: Connection, channel: RecipientChannel) -> list[str]:
    """Owners with an open question that was sent by this channel."""
    query = (
        select(_ROWS.owner)
        .join(run_waits, run_waits.c.id == _ROWS.wait_id)
        .where(_ROWS.channel == channel, run_waits.c.status == "open")
    )
    return list(connection.execute(query.distinct()).scalars())
