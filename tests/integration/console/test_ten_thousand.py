"""Lists of a home with nothing and with 10,000 items: bounded in the document, shown further, and nothing sideways."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert
from tests.integration.console.helpers import DESKTOP, PHONE, WIDE, Console
from tests.support.runtime import make_home, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime

from codewords_mcp.runtime.store import tables
from codewords_mcp.runtime.store.database import Database

pytestmark = pytest.mark.requirement("console:ten-thousand")

MANY, WORKFLOWS = 10_000, 2_000
ROWS = 100
"""Rows of one list in the document at first, at the most."""
EMPTY = (
    "/console", "/console/runs", "/console/workflows", "/console/drafts", "/console/inbox", "/console/schedules",
    "/console/secrets", "/console/usage", "/console/settings", "/console/members",
)  # fmt: skip
FULL = {
    "/console": "h2",
    "/console/runs": ".runs tbody tr",
    "/console/workflows": ".workflow-rows > li",
    "/console/schedules": ".table-box tbody tr",
    "/console/secrets": ".table-box tbody tr",
    "/console/members": ".table-box tbody tr",
    "/console/usage": "h2",
    "/console/inbox": "h1",
}
"""Pages, and what their rows are."""
CODE = workflow('@app.post("/")\nasync def main() -> dict:\n    return {}\n', env=("SECRET_7",))
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRuntime]:
    with start_runtime(make_home(tmp_path_factory.mktemp("many") / "home")) as running:
        yield running


@pytest.fixture
def empty(signed_in: Console, served: ServedRuntime) -> Console:
    """The same tab at another runtime, in which there is nothing yet."""
    console = replace(signed_in, served=served, workflow="")
    console.tab.resize(*DESKTOP)
    console.tab.open(served.call("POST", "/sign-ins", {"page": "/"})["url"])
    console.tab.problems.clear()
    return console


@pytest.fixture(scope="module")
def filled(served: ServedRuntime) -> None:
    database = Database.open(served.home)
    database.write_blocking(_fill)
    database.close()


@pytest.fixture
def full(empty: Console, filled: None) -> Console:
    """The same with many of each kind."""
    return empty


def _fill(connection: Connection) -> None:
    at = time.time_ns() // 1000
    own: dict[str, Any] = {"owner": "local"}
    dated = {"created_at": at, "updated_at": at}

    def add(table: Table, count: int, row: Callable[[int], dict[str, Any]]) -> None:
        connection.execute(insert(table), [row(n) for n in range(count)])

    add(
        tables.workflows,
        WORKFLOWS,
        lambda n: own | dated | {
            "id": f"flow_{n:08x}", "name": f"Flow {n}", "description": "Does what it says. " * 9, "public": False,
            "updated_at": at - n, "active_version": 1,
        },
    )  # fmt: skip
    add(
        tables.versions,
        WORKFLOWS,
        lambda n: {
            "id": f"{n:032x}", "workflow_id": f"flow_{n:08x}", "number": 1, "code": CODE, "code_hash": "x",
            "environment": "x", "openapi": {}, "checks": [], "description": "", "created_at": at,
        },
    )  # fmt: skip
    add(
        tables.runs,
        MANY,
        lambda n: own | {
            "id": f"run-{n}", "service_id": f"flow_{n % WORKFLOWS:08x}", "version": 1,
            "status": "failed" if n % 10 == 0 else "succeeded", "created_at": at - n * 1_000_000, "completed_at": at,
            "response_truncated": False, "attempts": [], "steps": [], "usage": {}, "timings": {}, "summed": True,
        },
    )  # fmt: skip
    add(
        tables.secrets,
        MANY,
        lambda n: (
            own
            | dated
            | {"name": f"SECRET_{n}", "key_id": "none", "ciphertext": b"", "rule": None, "source": None}
        ),
    )
    add(
        tables.keys,
        MANY,
        lambda n: {
            "id": f"key-{n}", "hash": f"{n}", "prefix": f"cw-{n}", "owner": f"person-{n}", "kind": "user", "one_time": False,
            "created_at": at, "revoked": False,
        },
    )  # fmt: skip
    add(
        tables.schedules,
        MANY,
        lambda n: own | {
            "id": f"schedule-{n}", "service_id": f"flow_{n % WORKFLOWS:08x}", "name": f"Plan {n}", "method": "POST",
            "path": "/", "cron": "0 6 * * *", "timezone": "Europe/Berlin", "catch_up": "skip", "overlap": "skip",
            "jitter": 0.0, "paused": False, "created_at": at, "next_at": at + 90_000_000_000 + n, "missed": 0,
            "held_back": 0, "note": "",
        },
    )  # fmt: skip
    add(
        tables.webhooks,
        MANY,
        lambda n: own | {
            "id": f"hook-{n}", "endpoint": f"endpoint-{n}", "kind": "plain", "service_id": f"flow_{n % WORKFLOWS:08x}",
            "path": "/", "name": f"Hook {n}", "filters": {}, "created_at": at - n,
        },
    )  # fmt: skip
    add(
        tables.webhook_deliveries,
        MANY,
        lambda n: own | {
            "id": f"delivery-{n}", "endpoint": "endpoint-0", "key": f"{n}", "kind": "plain", "event": "push", "about": {},
            "status": "ignored", "reason": "", "received_at": at - n, "due_at": at, "tries": 1, "round": 1, "repeats": 0,
            "headers": {}, "body": b"", "size": 0, "runs": [],
        },
    )  # fmt: skip


def _fits(console: Console, path: str) -> None:
    for size in (PHONE, DESKTOP, WIDE):
        console.tab.resize(*size)
        assert console.tab.value(_SIDEWAYS) <= 0, (path, size)
    console.tab.resize(*DESKTOP)


@pytest.mark.parametrize("path", EMPTY)
def test_a_page_without_items_fits_all_windows(empty: Console, path: str) -> None:
    empty.open(path)
    _fits(empty, path)
    assert empty.tab.problems == []


@pytest.mark.parametrize("path", FULL)
def test_a_page_of_many_items_has_few_rows_and_fits_all_windows(full: Console, path: str) -> None:
    full.open(path)
    rows = f"document.querySelectorAll({json.dumps(FULL[path])}).length"
    full.waits(rows)
    # Of each list by itself: a page may have several.
    longest = "Math.max(0, ...[...document.querySelectorAll('tbody, ul')].map(one => one.children.length))"
    assert full.tab.value(longest) <= ROWS
    _fits(full, path)
    assert full.tab.problems == []


@pytest.mark.parametrize(
    "path", ["/console/runs", "/console/workflows", "/console/schedules", "/console/secrets"]
)
def test_a_list_goes_on_by_a_button(full: Console, path: str) -> None:
    full.open(path)
    count = f"document.querySelectorAll({json.dumps(FULL[path])}).length"
    full.waits(count)
    before = full.tab.value(count)
    full.click("main .more button", "Show")
    full.waits(f"{count} > {before}")


def test_a_workflow_beyond_the_listed_is_found_with_its_runs(full: Console) -> None:
    full.open("/console/workflows", "More than 1,000 workflows")
    full.tab.value("document.querySelector('main input[type=search]').focus()")
    full.tab.press(*"Flow 1999")
    full.sees("main h1", "1 workflow found")
    full.waits("document.querySelectorAll('.workflow-rows .marks a').length === 5")
    full.sees(".workflow-rows", "5 schedules")
