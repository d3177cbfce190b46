"""Marks of transactions on a database server, by which a repeated one finds that it was committed already.

A transaction's own mark is written together with its changes. A transaction whose commit is in doubt is repeated only if its
mark is missing. The server's transaction id would not do: after a crash the server reuses ids that it had not written to
disk. While the server has not noticed a lost connection, the statement waits for the first transaction.
"""

from __future__ import annotations

import itertools
import threading
import uuid
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

_SQL: Final = (
    "INSERT INTO marks (id, number, at) VALUES ({id}, {number}, now()) ON CONFLICT (id) DO UPDATE"
    " SET number = excluded.number, at = excluded.at WHERE marks.number < excluded.number"
)
_STATEMENT: Final = text(_SQL.format(id=":id", number=":number"))


class TransactionMark(NamedTuple):
    """The mark of one transaction, the same for each attempt at it."""

    id: str
    number: int

    def begin(self, connection: Connection, *, repeated: bool) -> bool:
        """Begin a transaction with its mark; False if the mark is there already.

        The mark is the first statement, so that a repeated transaction waits before it changes anything. The first time
        both go over in one round trip: the number is new, so the mark is.
        """
        if repeated:
            connection.exec_driver_sql("BEGIN")
            return connection.execute(_STATEMENT, self._asdict()).rowcount > 0

        # Only without parameters does the server take two statements at once. These are a number and a name made here.
        connection.exec_driver_sql("BEGIN; " + _SQL.format(id=f"'{self.id}'", number=self.number))
        return True


class TransactionMarks:
    """The marks of one process's transactions."""

    def __init__(self) -> None:
        self._name = uuid.uuid4().hex
        self._numbers = itertools.count(1)

    def next(self) -> TransactionMark:
        """The mark of a new transaction of this thread."""
        # By thread: those that write side by side must not take each other's mark for their own.
        return TransactionMark(f"{self._name}/{threading.get_ident()}", next(self._numbers))
