"""The page of /metrics: what is on it after runs, calls and refusals, who may read it, and a store that is away."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.gateway.helpers import CHAT
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home, workflow
from tests.support.waiting import until

from codewords_mcp.settings import Settings

pytestmark = pytest.mark.slow
WORKFLOW = workflow('@app.post("/")\ndef answer(data: dict):\n    return {"half": 1 / data["n"]}\n')
HOSTILE = 'Say "hi" {workflow="forged"} \\' + "x" * 50
_NUMBERS = itertools.count(1)
Labels = frozenset[tuple[str, str]]


class Page:
    """A page, by the names and labels of its samples."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        # The names of counters are without their `_total` here, as OpenMetrics has them: no two families may share one.
        assert len({family.name for family in self.families}) == len(self.families)
        self.values: dict[tuple[str, Labels], float] = {}
        for family in self.families:
            for sample in family.samples:
                place = (sample.name, frozenset(sample.labels.items()))
                assert place not in self.values, f"{place} is there twice"
                self.values[place] = sample.value

    def value(self, metric: str, **labels: str) -> float:
        return self.values.get((metric, frozenset(labels.items())), 0.0)

    def sum(self, metric: str, **labels: str) -> float:
        wanted = set(labels.items())
        return sum(
            value for (name, found), value in self.values.items() if name == metric and wanted <= found
        )

    def labels(self, metric: str, label: str) -> set[str]:
        return {dict(found)[label] for name, found in self.values if name == metric}


def read(door: Door, key: str) -> Page:
    with door.client(key) as http:
        answer = http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Page(answer.text)


def page_when(door: Door, key: str, ready: Callable[[Page], object], subject: str) -> Page:
    """The first page of which `ready` is true."""
    pages: list[Page] = []

    def look() -> bool:
        pages[:] = [read(door, key)]
        return bool(ready(pages[0]))

    until(look, subject)
    return pages[0]


def deploy(http: httpx.Client, name: str = "Half") -> str:
    answer = http.post("/deploy", json={"code": WORKFLOW, "name": name, "allow": True}, timeout=300)
    assert answer.status_code == 200, answer.text
    return answer.json()["service_id"]


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


@pytest.mark.requirement("metrics:page")
def test_runs_waits_phases_sandboxes_and_responses_are_counted(
    door: Door, http: httpx.Client, reader: str
) -> None:
    half = deploy(http)
    before = read(door, reader)
    assert http.post(f"/run/{half}/", json={"n": 2}).json() == {"half": 0.5}
    assert http.post(f"/run/{half}/", json={"n": 0}).status_code == 500
    queued = http.post(f"/run_async/{half}/", json={"n": 4}).json()["request_id"]
    until(lambda: http.get(f"/request/{queued}").json()["status"] == "succeeded", "the run")

    done = before.sum("codewords_runs_total") + 3
    page = page_when(
        door, reader, lambda page: page.sum("codewords_runs_total") == done, "three runs on the page"
    )
    label = half if half in page.labels("codewords_runs_total", "workflow") else "other"
    assert page.value("codewords_runs_total", workflow=label, status="succeeded") >= 2
    assert page.value("codewords_runs_total", workflow=label, status="failed") >= 1
    assert page.value("codewords_run_seconds_count", kind="background") >= 1
    assert page.value("codewords_run_wait_seconds_count", kind="foreground") >= 2
    assert page.value("codewords_run_phase_seconds_count", phase="sandbox") >= 3
    assert page.sum("codewords_sandboxes_taken_total") - before.sum("codewords_sandboxes_taken_total") == 3
    assert page.value("codewords_http_responses_total", listener="public", code="500") >= 1
    assert page.value("codewords_database_transaction_seconds_count", kind="write") > 0
    assert page.value("codewords_database_up") == 1
    assert page.value("codewords_workflows") >= 1
    assert page.value("codewords_replicas") == 1
    assert page.value("process_resident_memory_bytes") > 1 << 20
    assert page.labels("codewords_build_info", "database") == {"sqlite"}
    until(lambda: read(door, reader).value("codewords_event_loop_lag_seconds_count") > 0, "the lag")


@pytest.mark.requirement("metrics:page")
def test_calls_of_models_and_budgets_are_counted(door: Door, http: httpx.Client, reader: str) -> None:
    http.post("/openai/chat/completions", json=CHAT).raise_for_status()
    assert http.post("/openai/chat/completions", json=CHAT | {"model": "err-400"}).status_code == 400

    rejected = {"provider": "openai", "model": "other", "outcome": "rejected"}
    page = page_when(
        door, reader, lambda page: page.value("codewords_gateway_calls_total", **rejected), "both calls"
    )
    mini = {"provider": "openai", "model": "gpt-4o-mini"}
    assert page.value("codewords_gateway_calls_total", **mini, outcome="ok") >= 1
    assert page.value("codewords_gateway_tokens_total", **mini, direction="output") >= 16
    assert page.value("codewords_gateway_cost_usd_total", **mini) > 0
    assert page.value("codewords_gateway_first_chunk_seconds_count", provider="openai") >= 1
    assert page.value("codewords_budget_limit_usd", scope="home", subject="", period="day") == 5

    spent = until(
        lambda: read(door, reader).value(
            "codewords_budget_spent_usd", scope="home", subject="", period="day"
        ),
        "the spent budget",
    )
    assert 0 < spent < 5


@pytest.mark.requirement("metrics:page")
def test_tools_and_library_services_are_counted(door: Door, http: httpx.Client, reader: str) -> None:
    message: dict[str, Any] = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {
            "name": "list_workflows", "arguments": {},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }  # fmt: skip
    headers = {
        "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call", "Mcp-Name": "list_workflows",
    }  # fmt: skip
    http.post("/mcp", json=message, headers=headers).raise_for_status()
    http.post("/run/files/list", json={}).raise_for_status()
    called = {"service": "files", "status": "succeeded"}
    page = page_when(
        door,
        reader,
        lambda page: page.value("codewords_service_calls_total", **called),
        "the call of the service",
    )
    assert page.value("codewords_mcp_tool_calls_total", tool="list_workflows", outcome="done") >= 1
    assert page.value("codewords_mcp_messages_total", method="tools/call") >= 1
    assert page.value("codewords_mcp_tool_seconds_count") >= 1


@pytest.mark.requirement("metrics:bounded")
def test_the_first_workflows_have_series_and_hostile_names_stay_one_label(
    door: Door, http: httpx.Client, reader: str
) -> None:
    made = [deploy(http, f"{HOSTILE} {next(_NUMBERS)}") for _ in range(4)]
    for service_id in made:
        http.post(f"/run/{service_id}/", json={"n": 1}).raise_for_status()

    page = page_when(
        door, reader, lambda page: page.sum("codewords_runs_total", workflow="other") >= 2, "the runs"
    )
    labels = page.labels("codewords_runs_total", "workflow")
    assert len(labels) == 3
    assert "other" in labels

    def named(page: Page) -> bool:
        names = page.labels("codewords_workflow_info", "name")
        return bool(names) and "" not in names

    names = page_when(door, reader, named, "names").labels("codewords_workflow_info", "name")
    assert all(name.isprintable() for name in names)


@pytest.mark.requirement("metrics:scope")
@pytest.mark.parametrize("scopes", [None, ["read"], ["read", "run", "write"], ["audit"]])
def test_a_key_without_the_scope_reads_nothing(door: Door, scopes: list[str] | None) -> None:
    key = door.make_key(owner="carol", scopes=scopes)
    with door.client(key) as http:
        assert http.get("/metrics").status_code == 403


@pytest.mark.requirement("metrics:scope")
def test_a_key_of_the_scope_reads_metrics_only_and_nobody_reads_them_without_a_key(
    door: Door, reader: str
) -> None:
    with door.client(reader) as http:
        assert http.get("/metrics").status_code == 200
        assert http.get("/runs").status_code == 403
        assert http.get("/audit").status_code == 403
    with door.client(key=None) as http:
        assert http.get("/metrics").status_code == 401
    with door.client(ADMIN_KEY) as http:
        assert http.get("/metrics").status_code == 200


@pytest.mark.requirement("metrics:store-away")
def test_a_page_comes_while_the_database_answers_nothing(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path / "home"), "port": 0, "api_key": ADMIN_KEY, "sandbox": "process",
        }
    )  # fmt: skip
    with Door(settings) as door:
        assert read(door, ADMIN_KEY).value("codewords_database_up") == 1
        database = Path(settings.home) / "codewords.db"
        moved = database.with_name("away.db")
        database.rename(moved)
        with closing(sqlite3.connect(database)) as empty:
            empty.execute("CREATE TABLE empty (id)")
        page = page_when(
            door, ADMIN_KEY, lambda page: page.value("codewords_database_up") == 0, "a page that says so"
        )
        assert page.value("codewords_build_info", **_build(page)) == 1
        # The numbers from before stay.
        assert ("codewords_workflows", frozenset[Any]()) in page.values
        database.unlink()
        moved.rename(database)


def _build(page: Page) -> dict[str, str]:
    [labels] = [labels for name, labels in page.values if name == "codewords_build_info"]
    return dict(labels)
