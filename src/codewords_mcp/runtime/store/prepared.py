"""Statements that every run executes, compiled once and given to SQLite's driver with parameters of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, CursorResult, Dialect, Insert, Select, Update

from codewords_mcp.runtime.store.audited_tables import AUDITED


class _Compiled(NamedTuple):
    """The text; the parameters in their order, each with its conversion for the driver; values of those that need none."""

    text: str
    parameters: list[tuple[str, Callable[[Any], Any] | None]]
    defaults: dict[str, Any]

    def convert(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The parameters of one execution."""
        every = {**self.defaults, **values}
        return tuple(
            [every[name] if convert is None else convert(every[name]) for name, convert in self.parameters]
        )


class Prepared:
    """An INSERT of whole rows, an UPDATE or a SELECT, without lists in its conditions.

    To find and convert the parameters of a row of many columns takes SQLAlchemy three times as long as SQLite takes to write it.
    On PostgreSQL, where a round trip takes longer than either, SQLAlchemy executes the statement. Rows that come back from
    SQLite have its types: a number for a boolean, text for JSON.
    """

    def __init__(
        self,
        statement: Insert | Update | Select[Any],
        note: Callable[[Connection, Mapping[str, Any]], None] | None = None,
    ) -> None:
        """`note` records a new row in the audit trail: the listener that does so sees no statement of the driver."""
        self._statement = statement
        self._note = note
        self._compiled: _Compiled | None = None
        table = None if isinstance(statement, Select) else getattr(statement.table, "name", "")
        audited = AUDITED.get(table or "")
        if audited is not None and (
            note is None if isinstance(statement, Insert) else not audited.created_only
        ):
            raise ValueError(f"What becomes of a {audited.noun} is audited.")

    def execute(self, connection: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Execute it with these values, by the names of its parameters. A column of an INSERT that is not named is NULL.

        Raises KeyError for another parameter without a value.
        """
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, values)
        compiled = self._for(connection.dialect)
        result = connection.exec_driver_sql(compiled.text, compiled.convert(values))
        if self._note is not None:
            self._note(connection, values)
        return result

    def execute_all(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert these rows, at least one."""
        if connection.dialect.name != "sqlite":
            connection.execute(self._statement, rows)
            return
        compiled = self._for(connection.dialect)
        connection.exec_driver_sql(compiled.text, [compiled.convert(values) for values in rows])
        if self._note is not None:
            for values in rows:
                self._note(connection, values)

    def _for(self, dialect: Dialect) -> _Compiled:
        if self._compiled is None:
            self._compiled = self._compile(dialect)
        return self._compiled

    def _compile(self, dialect: Dialect) -> _Compiled:
        statement, columns = self._statement, None
        if isinstance(statement, Insert):
            columns = [column.name for column in statement.table.columns]
        compiled = statement.compile(dialect=dialect, column_keys=columns)

        if compiled.post_compile_params:
            raise ValueError("A list is written out anew for each execution.")

        parameters: list[tuple[str, Callable[[Any], Any] | None]] = []
        defaults: dict[str, Any] = dict.fromkeys(columns or ())
        for name in compiled.positiontup or ():
            bound = compiled.binds[name]
            parameters.append((name, bound.type.dialect_impl(dialect).bind_processor(dialect)))
            if not bound.required:
                defaults[name] = bound.value

        return _Compiled(str(compiled), parameters, defaults)
