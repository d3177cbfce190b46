"""`database`: SQL of a workflow's own, kept between runs: SQLite in the home, or a schema of PostgreSQL."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
)

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.services.base import Effect, Input, Operation, Output, Service, ServiceContext
from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.workflow_databases.base import (
    MAX_SQL,
    MAX_STATEMENTS,
    DatabaseKey,
    SqlCall,
    SqlStatement,
    StatementResult,
    WritesRefused,
)

MAX_MIGRATIONS: Final = 500
_HELD_TABLES: Final = "Tables of held migrations are not there in a dry run: run the workflow once before."


class Blob(BaseModel):
    """Bytes, as base64."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    base64: str

    @field_validator("base64")
    @classmethod
    def _decodes(cls, text: str) -> str:
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("is not base64") from None
        return text


SqlValue = StrictBool | StrictInt | StrictFloat | StrictStr | Blob | None
Parameters = Annotated[
    list[SqlValue] | dict[str, SqlValue],
    Field(
        description='For `?` a list, for `:name` an object: null, true, numbers, text, {"base64": …} for bytes.'
    ),
]
SqlText = Annotated[str, Field(min_length=1, max_length=MAX_SQL)]


class StatementInput(Input):
    """One of several statements."""

    sql: SqlText
    parameters: Parameters = Field(default_factory=list[SqlValue])


class QueryInput(Input):
    """Statements that only read; `statements` instead of `sql` sees all of them at one moment."""

    sql: SqlText | None = Field(default=None, description="One statement.")
    parameters: Parameters = Field(default_factory=list[SqlValue])
    statements: list[StatementInput] = Field(
        default_factory=list[StatementInput],
        max_length=MAX_STATEMENTS,
        description="Several, in one transaction.",
    )
    workflow: str | None = Field(
        default=None, max_length=80, description="The workflow's id, for calls from outside of it."
    )

    def statement_list(self) -> tuple[SqlStatement, ...]:
        """The statements in their order. Raises InvalidInput for both forms at once."""
        if self.sql is not None and self.statements:
            raise InvalidInput("Give either `sql` or `statements`.")
        if self.sql is not None:
            return (_statement(self.sql, self.parameters),)
        return tuple(_statement(statement.sql, statement.parameters) for statement in self.statements)


class DatabaseInput(QueryInput):
    """`migrate`, then `sql` or `statements`, all in one transaction."""

    migrate: list[SqlText] = Field(
        default_factory=list,
        max_length=MAX_MIGRATIONS,
        description="Statements that are each applied once, in order; new ones are added at the end.",
    )


class TablesInput(Input):
    """The workflow, for calls from outside of it."""

    workflow: str | None = Field(default=None, max_length=80)


class StatementRows(Output):
    """The answer of one statement."""

    rows: list[dict[str, JsonValue]] = Field(description="Each an object by column.")
    columns: list[str]
    changed: int = Field(description="Rows that were inserted, updated or deleted.")


class DatabaseOutput(Output):
    """The answer of `sql` in `rows`, `columns` and `changed`, that of `statements` in `results`."""

    success: Literal[True]
    rows: list[dict[str, JsonValue]] | None = None
    columns: list[str] | None = None
    changed: int | None = None
    results: list[StatementRows] | None = None
    migrated: int | None = Field(default=None, description="Migrations that this call applied.")


class TableInfo(Output):
    """A table, its columns with their types, and the number of its rows."""

    name: str
    columns: list[str]
    rows: int


class TablesOutput(Output):
    """The tables, and the size of the database in bytes."""

    tables: list[TableInfo]
    size: int


async def execute(context: ServiceContext, params: DatabaseInput) -> DatabaseOutput:
    """Carry out statements. Raises InvalidInput for SQL that fails or is refused, RunTimedOut, BodyTooLarge, TooBusy,
    StorageFailed, StorageQuotaExceeded, NotFound.
    """
    full = await context.dependencies.full_storage(context.caller.owner)
    if full is None or _only_frees(params):
        return await _run(context, params, tuple(params.migrate), read_only=False)
    # The engine says whether it writes: no list of words knows.
    try:
        return await _run(context, params, tuple(params.migrate), read_only=True)
    except WritesRefused:
        raise full from None


async def effect_in(context: ServiceContext, params: DatabaseInput) -> Effect:
    """Return "reads" if the engine carries these statements out without writing. Raises as `execute`."""
    try:
        # Tried and not guessed: no list of words knows whether a statement writes.
        await _run(context, params, tuple(params.migrate), read_only=True)
    except WritesRefused:
        return "writes"
    except InvalidInput as error:
        # This is asked for dry runs and their application only; there a table may be missing for this reason.
        raise InvalidInput(error.message, hint=f"{error.hint} {_HELD_TABLES}".strip()) from error
    return "reads"


async def query(context: ServiceContext, params: QueryInput) -> DatabaseOutput:
    """Carry out statements that only read. Raises as `execute`, and WritesRefused."""
    return await _run(context, params, (), read_only=True)


async def _run(
    context: ServiceContext, params: QueryInput, migrations: tuple[str, ...], *, read_only: bool
) -> DatabaseOutput:
    statements = params.statement_list()
    if not statements and not migrations:
        raise InvalidInput("`sql`, `statements` or `migrate` is missing.")

    key = await _key(context, params.workflow)
    databases = context.dependencies.databases
    # Migrations and statements are one transaction: a failure leaves neither.
    found = await databases.run(key, SqlCall(statements, migrations), read_only=read_only)
    output = DatabaseOutput(success=True)
    if migrations:
        output.migrated = found.migrated
    if params.sql is not None:
        [result] = found.results
        output.rows, output.columns, output.changed = _objects(result), result.columns, result.changed
    elif statements:
        output.results = [
            StatementRows(rows=_objects(result), columns=result.columns, changed=result.changed)
            for result in found.results
        ]
    return output


async def tables(context: ServiceContext, params: TablesInput) -> TablesOutput:
    """List the tables. Raises NotFound."""
    shapes, size = await context.dependencies.databases.tables(await _key(context, params.workflow))
    return TablesOutput(
        tables=[TableInfo(name=shape.name, columns=shape.columns, rows=shape.rows) for shape in shapes],
        size=size,
    )


async def _key(context: ServiceContext, workflow: str | None) -> DatabaseKey:
    """The calling workflow's own database, or for a person that of `workflow`. Raises InvalidInput, NotFound."""
    owner, own = context.caller.owner, context.workflow
    if own is not None:
        if workflow not in {None, own}:
            raise InvalidInput("A workflow has its own database only.", hint="Leave out `workflow`.")
        return DatabaseKey(owner, own)

    if workflow is None:
        raise InvalidInput("`workflow` is missing.", hint="Name the workflow whose database it is.")
    row = await context.dependencies.database.read(workflows.get, workflow)
    key = DatabaseKey(owner, workflow)
    # Another owner's public workflow has a database for each who runs it.
    if (
        row is None
        or not (row.owner == owner or row.public)
        or not await context.dependencies.databases.exists(key)
    ):
        raise NotFound(
            "This workflow has no database.",
            hint="It gets one when it first writes to the service `database`.",
        )
    return key


def _only_frees(params: DatabaseInput) -> bool:
    """Whether all statements delete, which makes room where there is none."""
    words = [statement.sql.split(None, 1)[:1] for statement in params.statement_list()]
    return bool(words) and all(word and word[0].upper() in {"DELETE", "DROP"} for word in words)


def _statement(sql: str, parameters: list[SqlValue] | dict[str, SqlValue]) -> SqlStatement:
    if isinstance(parameters, dict):
        return SqlStatement(sql, {name: _plain(value) for name, value in parameters.items()})
    return SqlStatement(sql, [_plain(value) for value in parameters])


def _plain(value: SqlValue) -> object:
    if isinstance(value, Blob):
        return {"base64": value.base64}
    return value


def _objects(result: StatementResult) -> list[dict[str, JsonValue]]:
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


SERVICE = Service(
    name="database",
    title="Database",
    summary="SQL of a workflow's own, kept between runs: tables, migrations and transactions.",
    operations=(
        Operation(
            "Run SQL",
            DatabaseInput,
            DatabaseOutput,
            execute,
            effect="writes",
            effect_in=effect_in,
            aliases=("execute",),
            example={
                "migrate": ["CREATE TABLE habits (id INTEGER PRIMARY KEY, name TEXT NOT NULL, at TEXT)"],
                "sql": "INSERT INTO habits (name, at) VALUES (:name, :at) RETURNING id",
                "parameters": {"name": "run", "at": "2026-01-01"},
            },
        ),
        Operation(
            "Run SQL that only reads",
            QueryInput,
            DatabaseOutput,
            query,
            effect="reads",
            path="query",
            example={"sql": "SELECT name, count(*) AS times FROM habits GROUP BY name"},
        ),
        Operation(
            "List tables", TablesInput, TablesOutput, tables, effect="reads", path="tables", example={}
        ),
    ),
)
