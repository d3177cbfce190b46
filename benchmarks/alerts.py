"""Measures the store's writer while many failures come at once: how long it works, and how long it is held in one go.

Runs of one owner that failed unseen are written with their causes and logs, then counted on their alerts as the runtime does.
The other writers of a home wait for the longest transaction.

    python benchmarks/alerts.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from _bench import alone
from sqlalchemy import Connection, func, insert, select

from codewords_mcp.runtime.alerts.make import make_alerts
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.store import alert_causes, logs, runs
from codewords_mcp.runtime.store.clock import now, to_text
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import alerts, workflows

WORKFLOWS = 20


def fill(connection: Connection, count: int) -> None:
    """Runs that a schedule started and that failed: a row, a log with a traceback, and a cause each."""
    for number in range(WORKFLOWS):
        row: dict[str, Any] = {
            "id": f"flow_{number}",
            "owner": "local",
            "name": f"Flow {number}",
            "description": "",
            "public": False,
        }
        connection.execute(
            insert(workflows).values(row | {"created_at": 1, "updated_at": 1, "active_version": 1})
        )
    began = now() - count
    for number in range(count):
        run_id, at = f"run-{number:06}", began + number
        values: dict[str, Any] = {
            "id": run_id, "owner": "local", "service_id": f"flow_{number % WORKFLOWS}", "version": 1, "status": "failed",
            "created_at": at, "completed_at": at, "background": True, "schedule_id": f"sch_{number % WORKFLOWS}",
            "response_status": 500,
            "error": {"code": "workflow_answered_error", "message": "It answered 500.", "origin": "service"},
        }  # fmt: skip
        runs.add(connection, cast("RunColumns", values))
        text = [
            "Traceback (most recent call last):",
            '  File "main.py", line 9, in work',
            f"KeyError: 'order {number}'",
        ]
        logs.append(connection, [(run_id, 0, [(to_text(at), "stderr", line) for line in text])])
        alert_causes.note_failed_run(connection, run_id)


def measure(count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(Path(folder))
        database.write_blocking(fill, count)
        longest, batches, began = 0.0, 0, time.perf_counter()
        while database.write_blocking(alert_causes.has_any):
            start = time.perf_counter()
            database.write_blocking(make_alerts)
            longest, batches = max(longest, time.perf_counter() - start), batches + 1
        whole = time.perf_counter() - began
        found = database.write_blocking(
            lambda connection: connection.execute(select(func.count(), func.sum(alerts.c.count))).one()
        )
        database.close()
        return {
            "failures": count,
            "alerts": found[0],
            "seconds": whole,
            "longest_ms": longest * 1000,
            "transactions": batches,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 failures instead of 10,000")
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args()
    found = measure(1000 if options.quick else 10_000)
    if options.json:
        alone(
            f"the writer held in one go, {found['failures']:,} failures", round(found["longest_ms"], 1), "ms",
            runs=int(found["transactions"]), seconds_in_all=round(found["seconds"], 2), alerts=found["alerts"],
        )  # fmt: skip
    else:
        print(
            "{failures} failures: {alerts} alerts, writer busy for {seconds:.2f} s, at most {longest_ms:.1f} ms at once".format(
                **found
            )
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
