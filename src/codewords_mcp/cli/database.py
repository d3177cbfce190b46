"""`codewords database`: the tables of a workflow's own database, SQL on it, and an export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._client import RemoteError
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, WorkflowRef, workflow_id
from codewords_mcp.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json, RuntimeClient

PAGE = 2000
"""Rows that one question of an export asks for; fewer where they are long."""


def database(
    workflow: WorkflowRef,
    sql: Annotated[
        str | None, typer.Argument(metavar="SQL", help="One statement.", show_default=False)
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="The statement may change the database.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Write all rows to a new file, a line of JSON each: {"table": …, "row": {…}}.',
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show the tables of a workflow's own database, or carry out a statement on it.

    It is the database that the workflow keeps for you with the service `database`.
    """
    if sql is not None and export is not None:
        raise InvalidInput("Give either a statement or --export.")

    with connect() as client:
        name = workflow_id(client, workflow)
        if export is not None:
            count = _export(client, name, export)
            if as_json:
                _output.print_json({"file": str(export), "rows": count})
            else:
                _output.line(f"{export}: {count} rows.")
            return OK

        if sql is None:
            found = _call(client, "/tables", {"workflow": name})
        else:
            found = _run(client, name, sql, write=write)

    if as_json:
        _output.print_json(found)
    elif sql is None:
        rows = [[table["name"], str(table["rows"]), ", ".join(table["columns"])] for table in found["tables"]]
        _output.table(["TABLE", "ROWS", "COLUMNS"], rows, empty="No tables.")
        _output.note(_output.size(found["size"]))
    else:
        _show(found)
    return OK


def _call(client: RuntimeClient, path: str, data: Json) -> Json:
    return client.record("POST", f"/run/database{path or '/'}", body=data)


def _run(client: RuntimeClient, workflow: str, sql: str, *, write: bool) -> Json:
    try:
        return _call(client, "" if write else "/query", {"workflow": workflow, "sql": sql})
    except RemoteError as error:
        if error.code == "read_only":
            raise InvalidInput(
                "This statement writes; nothing was changed.", hint="Say so with --write."
            ) from None
        raise


def _show(found: Json) -> None:
    rows = [[_text(row[column]) for column in found["columns"]] for row in found["rows"]]
    if found["columns"]:
        _output.table(found["columns"], rows, empty="No rows.")
    if found["changed"]:
        _output.note(f"{found['changed']} rows changed.", always=True)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _export(client: RuntimeClient, workflow: str, file: Path) -> int:
    """Write all rows of all tables. Returns how many. Raises Conflict, InvalidInput."""
    tables = _call(client, "/tables", {"workflow": workflow})["tables"]
    count = 0
    try:
        # "x": a file that is there is refused in the same step in which it would be made.
        with file.open("x", encoding="utf-8") as out:
            for table in tables:
                for row in _rows(client, workflow, table["name"]):
                    out.write(json.dumps({"table": table["name"], "row": row}, ensure_ascii=False) + "\n")
                    count += 1
    except FileExistsError:
        raise Conflict(f"{file} is there already.", hint="Give another name.") from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}.") from error
    return count


def _rows(client: RuntimeClient, workflow: str, table: str) -> Iterator[Json]:
    quoted = table.replace('"', '""')
    limit, offset = PAGE, 0
    while True:
        sql = f'SELECT * FROM "{quoted}" LIMIT {limit} OFFSET {offset}'  # noqa: S608  # quoted
        try:
            rows = _call(client, "/query", {"workflow": workflow, "sql": sql})["rows"]
        except RemoteError as error:
            if error.code != "body_too_large" or limit == 1:
                raise
            # Once more from the same row with fewer: so many of these are too long for one answer.
            limit = max(limit // 4, 1)
            continue
        yield from rows
        if len(rows) < limit:
            return
        offset += len(rows)
