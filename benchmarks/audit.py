"""Measures the audit trail: entries a second on both databases, and the cost for a synchronous run.

A run pays for its request's operation, and for the entry that is written with its row. The peer is the same request
without the middleware, and the same row without an audited table. All is processor time, PostgreSQL's included: this
machine may be busy.

    python benchmarks/audit.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from _bench import Numbers, Options, Question, interleave, options, report
from _sandboxes import quiet
from sqlalchemy import Connection, insert
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.support.postgres import serving_postgres
from tests.support.processes import descendants, processor_seconds

from codewords_mcp.http.middleware.audit import AuditedRequests
from codewords_mcp.http.state import CALLER, admit
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.audit.verification import verify_chain
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.runtime.model.audit import CURRENT, AuditedOperation
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.store import audit_chain, runs
from codewords_mcp.runtime.store.audited_tables import AUDITED
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import keys

RUN_ROUTE = TABLE.get("http", "* /run/{service_id}/{path}")
CALLER_OF_ALL = Caller("local", "user", key_id="key-1")
KEY = {
    "prefix": "", "owner": "local", "kind": "user", "one_time": False, "created_at": 1, "revoked": False,
}  # fmt: skip


def used() -> float:
    """Seconds of processors of this process and the database servers that it started."""
    servers = descendants(os.getpid())[1:]
    return time.process_time() + sum(processor_seconds(pid) for pid in servers)


def append_and_seal(database: Database, *, transactions: int, each: int) -> tuple[float, float]:
    """Changes with their entries, as many in each transaction; then sealed. (entries a second, entries sealed a second).

    What the changes cost by themselves is not the entries'.
    """

    def change(connection: Connection, first: int) -> None:
        rows = [{**KEY, "id": f"k{n}", "hash": f"h{n}"} for n in range(first, first + each)]
        connection.execute(insert(keys), rows)

    count = transactions * each
    began = used()
    with patch.dict(AUDITED, clear=True):
        for number in range(transactions):
            database.write_blocking(change, number * each)
    unaudited = used()
    for number in range(transactions, 2 * transactions):
        database.write_blocking(change, number * each)
    appended = used()

    sealed = 0
    while found := database.write_blocking(audit_chain.seal):
        sealed += found
    ended = used()
    assert sealed == count
    of_entries = (appended - unaudited) - (unaudited - began) + (ended - appended)
    return count / of_entries, count / (ended - appended)


async def _answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    admit(_scope, RUN_ROUTE)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class _NoTrail:
    """A runtime of which only the trail is asked, as at the end of a run whose row is written."""

    @property
    def audit(self) -> _NoTrail:
        return self

    def record(self, operation: AuditedOperation, outcome: str, error: str = "") -> None:
        """Nothing is left to record."""


def requests(app: ASGIApp, count: int) -> float:
    """Microseconds of processor for each of so many requests."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(_message: Message) -> None:
        return None

    async def ask_all() -> float:
        began = time.process_time()
        for _ in range(count):
            scope: dict[str, Any] = {
                "type": "http", "path": "/run/w/", "headers": [(b"user-agent", b"bench")], "client": ("127.0.0.1", 1),
                CALLER: CALLER_OF_ALL,
            }  # fmt: skip
            await app(scope, receive, send)
        return (time.process_time() - began) / count * 1e6

    return asyncio.run(ask_all())


def rows(database: Database, count: int, *, batch: int = 4) -> float:
    """Microseconds of processor for each row of a run, some in one transaction as under load."""
    plain: Any = {"owner": "local", "service_id": "w_00000000", "status": "running"}

    def begin(connection: Connection, first: int) -> None:
        for number in range(first, first + batch):
            row: Any = {**plain, "id": f"{time.monotonic_ns()}-{number}", "created_at": number}
            runs.add(connection, row)

    token = CURRENT.set(
        AuditedOperation("http", RUN_ROUTE.name, "127.0.0.1", "bench", "req_1", CALLER_OF_ALL)
    )
    began = time.process_time()
    for number in range(count // batch):
        database.write_blocking(begin, number * batch)
    CURRENT.reset(token)
    return (time.process_time() - began) / count * 1e6


def rows_unaudited(database: Database, count: int) -> float:
    """The same without audited tables."""
    with patch.dict(AUDITED, clear=True):
        return rows(database, count)


def costs_of_a_run(database: Database, chosen: Options) -> list[Question]:
    """The times that the two halves add, in microseconds."""
    count = 400 if chosen.quick else 2000
    of_request = Question("operation of a request", "without it", "µs", None, adds_at_most=50)
    audited = AuditedRequests(_answer, cast("Runtime", _NoTrail()))
    interleave(of_request, lambda: requests(audited, count), lambda: requests(_answer, count), chosen.runs)
    of_row = Question("row of a run with its entry", "without it", "µs", None, adds_at_most=150)
    interleave(of_row, lambda: rows(database, count), lambda: rows_unaudited(database, count), chosen.runs)
    return [of_request, of_row]


def throughput(numbers: Numbers, database: Database, name: str, chosen: Options) -> None:
    """Entries appended, sealed and verified a second."""
    transactions = 40 if chosen.quick else 400
    both, seal = append_and_seal(database, transactions=transactions, each=50)
    numbers.add(
        f"entries appended and sealed, {name}", round(both), "/s", at_least=5000, sealed_a_second=round(seal)
    )
    began = used()
    found = asyncio.run(verify_chain(database))
    assert not found.problems
    numbers.add(f"entries verified, {name}", round(found.entries / (used() - began)), "/s")


def main() -> int:
    """Measure and report."""
    quiet()
    chosen = options((__doc__ or "").splitlines()[0], runs=10, quick_runs=5)
    numbers = Numbers(chosen.as_json)
    with tempfile.TemporaryDirectory() as folder, serving_postgres() as postgres:
        database = Database.open(Path(folder))
        throughput(numbers, database, "SQLite", chosen)
        questions = costs_of_a_run(database, chosen)
        database.close()
        database = Database.open(Path(folder), postgres.url())
        throughput(numbers, database, "PostgreSQL", chosen)
        database.close()
    numbers.print_table()
    held = report(questions, chosen)
    return held if numbers.hold else 1


if __name__ == "__main__":
    sys.exit(main())
