"""SQL over the caller's runs, calls, model calls and triggers."""

from __future__ import annotations

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.run_query import QueryResult
from codewords_mcp.runtime.sandboxes.landlock.workers import confined_command
from codewords_mcp.runtime.store.query_process import RunQueries
from codewords_mcp.runtime.store.query_views import describe_views

MAX_QUERY_ROWS = 1000


class QueryApi:
    """Queries over the rows of one owner."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._queries = RunQueries(container.database, confined_command)

    async def query(self, caller: Caller, sql: str, *, limit: int = 200) -> QueryResult:
        """Run one SELECT over the caller's rows, in SQLite's dialect. Raises InvalidInput with the views' columns."""
        refuse_run(caller, "query runs")
        if not 1 <= limit <= MAX_QUERY_ROWS:
            raise InvalidInput(f"limit is 1 to {MAX_QUERY_ROWS}.")
        # Costs are written in batches; the sum must contain the calls of a moment ago.
        self._container.gateway.ledger.flush()
        return await self._queries.query(caller.owner, sql, limit)

    def describe(self) -> str:
        """The views and their columns in words."""
        return describe_views()
