"""Entries of changes, written in the transaction that makes them.

A listener of the engine sees each statement that changes an audited table. It reads the rows before and after, and
collects an entry for each row that differs. `Database` writes the collected entries before the commit, all by one
statement. So no code that changes such a table can leave the entry out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, Delete, Engine, Insert, Update, and_, event, insert, select
from sqlalchemy.engine import CursorResult

from codewords_mcp.runtime.model.audit import AuditedOperation, AuditOutcome
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller
from codewords_mcp.runtime.store.audit_subjects import names_a_thing
from codewords_mcp.runtime.store.audited_tables import AUDITED, AuditedTable
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.prepared import Prepared
from codewords_mcp.runtime.store.tables import audit_entries

Row = dict[str, Any]
Params = Mapping[str, Any]
_COLLECTED, _OPERATION, _BEFORE = "audit_collected", "audit_operation", "audit_before"
_MAX_TARGET, _MAX_AGENT, _MAX_ADDRESS, _MAX_NAME, _MAX_ID = 200, 200, 64, 120, 40
_MAX_DETAIL: Final = 16_384
"""Characters of what an entry holds of a row. Longer values are cut, and named."""
_INSERT = Prepared(insert(audit_entries))
_ENCODE: Final = json.JSONEncoder(default=str, separators=(",", ":")).encode
_DML: Final = (Insert, Update, Delete)


def listen(engine: Engine) -> None:
    """Collect the entries of all changes that this engine makes."""
    event.listen(engine, "before_execute", _before)
    event.listen(engine, "after_execute", _after)


def begin(connection: Connection) -> None:
    """Begin to collect the entries of a transaction."""
    connection.info[_COLLECTED] = []


def flush(connection: Connection) -> int:
    """Write the collected entries; to be called before the commit. Returns their number."""
    collected: list[Row] = connection.info.pop(_COLLECTED, [])
    if collected:
        _INSERT.execute_all(connection, collected)
    return len(collected)


def attribute(connection: Connection, operation: AuditedOperation | None) -> None:
    """Name the operation that the following statements belong to."""
    connection.info[_OPERATION] = operation


def act_as(connection: Connection, caller: Caller) -> None:
    """Name the actor of the statements that follow, where the operation began without one: somebody who signs in."""
    operation: AuditedOperation | None = connection.info.get(_OPERATION)
    if operation is not None and operation.caller is None:
        operation.caller = caller


class EndedOperation(NamedTuple):
    """An operation that is over. `error` is the code of its failure, "" without one. `mark` hashes a subject's text."""

    operation: AuditedOperation
    action: str
    outcome: AuditOutcome
    error: str
    mark: Callable[[str, str], str]


def add_unless_recorded(connection: Connection, ended: Sequence[EndedOperation]) -> None:
    """Add entries of operations themselves, unless changes of their own are recorded."""
    for operation, action, outcome, error, mark in ended:
        # Asked here, in the order of writes: changes that the operation left to be written are known by now.
        if operation.recorded and outcome != "refused":
            continue
        detail = {"error": error} if error else {}
        target = operation.target or _named(connection, operation, outcome, mark)
        _collect(connection, operation, action, "", target, detail, outcome=outcome)


def _named(
    connection: Connection,
    operation: AuditedOperation,
    outcome: AuditOutcome,
    mark: Callable[[str, str], str],
) -> str:
    """The subject of an operation: texts that name a thing of the home, and marks of all others.

    An operation that was done has found what it named, but for an app, of which nobody has the whole list. One that was
    not may have been called with anything, such as a secret's value in place of its name.
    """
    owner = operation.caller and operation.caller.owner
    parts: list[str] = []
    for kind, text in operation.subject:
        is_found = outcome == "done" and kind != "app"
        if is_found or names_a_thing(connection, owner, kind, text):
            parts.append(text)
        else:
            parts.append(mark(kind, text))
    return "/".join(parts)


def _before(
    connection: Connection,
    statement: object,
    multiparams: Sequence[Params],
    params: Params,
    _options: Mapping[str, Any],
) -> None:
    if not isinstance(statement, _DML):
        return
    audited = AUDITED.get(getattr(statement.table, "name", ""))
    if audited is None:
        return

    if audited.created_only or type(statement) is Insert:
        # Only the inserts of a dialect can meet a row that is there.
        return
    if isinstance(statement, Update) and not _concerns(audited, statement, params):
        return

    if isinstance(statement, Insert):
        found = [
            row
            for values in _values_of(statement, multiparams, params)
            for row in _rows(connection, audited, _same_key(audited, values), {})
        ]
    else:
        # The same condition and parameters as the statement, so the same rows.
        sets = multiparams or (params,)
        found = [row for each in sets for row in _rows(connection, audited, statement.whereclause, each)]

    connection.info[_BEFORE] = found


def _after(
    connection: Connection,
    statement: object,
    multiparams: Sequence[Params],
    params: Params,
    _options: Mapping[str, Any],
    result: CursorResult[Any],
) -> None:
    if not isinstance(statement, _DML):
        return
    audited = AUDITED.get(getattr(statement.table, "name", ""))
    if audited is None:
        return

    before: list[Row] | None = connection.info.pop(_BEFORE, None)
    if isinstance(statement, Insert):
        # Zero: the row was there, and the statement leaves it as it is. Drivers say -1 of many rows at once.
        if result.rowcount != 0:
            _note_new(connection, audited, _values_of(statement, multiparams, params), before or [])
    elif before:
        if isinstance(statement, Delete):
            _note(connection, audited, [(row, None) for row in before])
        else:
            _note(
                connection,
                audited,
                [
                    (row, found)
                    for row in before
                    for found in _rows(connection, audited, _same_key(audited, row), {})
                ],
            )


def note(
    connection: Connection, action: str, owner: str, target: str, facts: Mapping[str, str], *, whole: bool
) -> None:
    """Collect the entry of something that no change of an audited table tells.

    `whole`: the operation that goes on is no more than that, so it gets no other entry.
    """
    operation: AuditedOperation | None = connection.info.get(_OPERATION)
    _collect(connection, operation, action, owner, target, {"after": dict(facts)})
    if whole and operation is not None:
        operation.recorded = True


def note_new_run(connection: Connection, row: Params) -> None:
    """Collect the entry of a new run, whose statement the listener has not seen."""
    _note_new(connection, AUDITED["runs"], [row], [])


def _note_new(
    connection: Connection, audited: AuditedTable, values: Sequence[Params], before: Sequence[Row]
) -> None:
    known = {tuple(row[name] for name in audited.key): row for row in before}
    for row in values:
        if not audited.includes(row):
            continue
        there = known.get(tuple(row.get(name) for name in audited.key)) if known else None
        _note(connection, audited, [(there, row)])


def _note(
    connection: Connection, audited: AuditedTable, pairs: Iterable[tuple[Params | None, Params | None]]
) -> None:
    operation: AuditedOperation | None = connection.info.get(_OPERATION)
    for before, after in pairs:
        row = after or before or {}
        verb, detail = _difference(audited, before, after)
        if not detail:
            continue

        # The owner has a column of its own in the entry.
        key = [str(row[name]) for name in audited.key if name != "owner" and row.get(name)]
        owner = str(row.get("owner") or "")
        _collect(connection, operation, f"{audited.noun}.{verb}", owner, "/".join(key) or owner, detail)
        if operation is not None:
            operation.recorded = True


def _difference(audited: AuditedTable, before: Params | None, after: Params | None) -> tuple[str, Row]:
    """Compare a row. Returns the verb of its entry and the entry's fields, none where nothing of the row changed."""
    if before is None or after is None:
        row = after or before or {}
        verb, part = ("delete", "before") if after is None else ("create", "after")
        names = [name for name in audited.compared if row.get(name) is not None]
        detail: Row = {part: {name: row[name] for name in names if name in audited.shown}}
    else:
        verb = "change"
        names = [name for name in audited.compared if name in after and before[name] != after[name]]
        shown = [name for name in names if name in audited.shown]
        detail = {}
        if names:
            detail["before"] = {name: before[name] for name in shown}
            detail["after"] = {name: after[name] for name in shown}

    # Names alone: that a value changed may be known, the value not.
    if hidden := [name for name in names if name not in audited.shown]:
        detail["hidden"] = hidden
    return verb, detail


def _collect(
    connection: Connection,
    operation: AuditedOperation | None,
    action: str,
    owner: str,
    target: str,
    detail: Row,
    *,
    outcome: AuditOutcome = "done",
) -> None:
    caller = None if operation is None else operation.caller
    concerned = owner or (caller is not None and caller.owner) or HOME_OWNER
    row = {
        "at": now(), "owner": concerned, "action": action, "target": clean(target, _MAX_TARGET),
        "outcome": outcome, "actor": "", "actor_kind": "", "key_id": "", "run_id": "",
        "front_door": "runtime", "operation": "", "address": "", "agent": "", "request_id": "",
        "detail": _document(detail),
    }  # fmt: skip
    if caller is not None:
        row["actor"], row["actor_kind"] = caller.actor, caller.kind
        row["key_id"], row["run_id"] = (caller.key_id or "")[:64], (caller.run_id or "")[:_MAX_ID]
    if operation is not None:
        row["front_door"], row["operation"] = operation.front_door, clean(operation.name, _MAX_NAME)
        row["address"], row["agent"] = (
            clean(operation.address, _MAX_ADDRESS),
            clean(operation.agent, _MAX_AGENT),
        )
        row["request_id"] = operation.request_id[:_MAX_ID]

    collected: list[Row] | None = connection.info.get(_COLLECTED)
    if collected is None:
        # A transaction that `Database` does not make.
        _INSERT.execute(connection, row)
    else:
        collected.append(row)


def _document(detail: Row) -> str:
    if not detail:
        return "{}"
    text = _ENCODE(detail)
    if len(text) > _MAX_DETAIL:
        short = {
            part: {name: _shortened(value) for name, value in cast("Row", fields).items()}
            if isinstance(fields, dict)
            else fields
            for part, fields in detail.items()
        }
        text = _ENCODE(short)
    return text


def _shortened(value: object) -> object:
    text = value if isinstance(value, str) else _ENCODE(value)
    return value if len(text) <= 500 else f"{text[:500]}… ({len(text)} characters)"


def clean(text: str, limit: int) -> str:
    """Cut a text to a column's length, without characters that a database or a terminal refuses."""
    if text.isascii() and text.isprintable():
        return text[:limit]
    return "".join(char if char.isprintable() else "�" for char in text[:limit])


def _concerns(audited: AuditedTable, statement: Update, params: Params) -> bool:
    """Whether an update sets a column that is compared."""
    # SQLAlchemy has no public way to ask a statement which columns it sets.
    return not {*_set_values(statement), *params}.isdisjoint(audited.compared)


def _set_values(statement: Insert | Update) -> Row:
    """The values that a statement gives, by column."""
    # SQLAlchemy has no public way to ask a statement for them.
    values = cast("Mapping[Any, Any] | None", statement._values) or {}  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return {getattr(name, "name", name): getattr(value, "value", value) for name, value in values.items()}


def _values_of(statement: Insert, multiparams: Sequence[Params], params: Params) -> Sequence[Params]:
    """The rows of an insert, as the statement or its parameters give them."""
    if multiparams:
        return multiparams
    if params:
        return [params]
    return [_set_values(statement)]


def _same_key(audited: AuditedTable, row: Params) -> ColumnElement[bool]:
    return and_(*(audited.table.c[name] == row.get(name) for name in audited.key))


def _rows(connection: Connection, audited: AuditedTable, condition: Any, params: Params) -> list[Row]:
    names = dict.fromkeys((*audited.key, *audited.compared))
    query = select(*(audited.table.c[name] for name in names))
    if condition is not None:
        query = query.where(condition)
    # Locked as the statement will lock them: no other replica changes them in between.
    return [dict(row) for row in connection.execute(query.with_for_update(), dict(params)).mappings()]
