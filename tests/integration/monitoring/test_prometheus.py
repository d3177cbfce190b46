"""Debian's Prometheus: it reads the page of a runtime, and its tools take the rules and the dashboard's queries."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.support.http_runtime import Door
from tests.support.paths import PROJECT
from tests.support.runtime import ECHO
from tests.support.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("prometheus"),
]
PACKAGED = PROJECT / "packaging" / "prometheus"
DASHBOARD = PROJECT / "packaging" / "grafana" / "codewords.json"
_METRIC = re.compile(r"\b(?:codewords|process)_[a-z_]+")


def promtool(*arguments: str | Path, text: str | None = None) -> str:
    done = subprocess.run(
        ["promtool", *map(str, arguments)],
        input=text, capture_output=True, encoding="utf-8", timeout=60, check=False, cwd=PACKAGED,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expressions() -> list[str]:
    """All queries of the rules and the dashboard, with its variables filled in."""
    rules = yaml.safe_load((PACKAGED / "codewords.rules.yml").read_text(encoding="utf-8"))
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    values = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}
    for name, value in values.items():
        queries = [query.replace(name, value) for query in queries]
    assert len(queries) > 30
    return found + queries


@pytest.fixture(scope="module")
def prometheus(door: Door, reader: str) -> Iterator[str]:
    """The address of a Prometheus that scrapes the runtime, by the packaged configuration."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="codewords-prometheus-") as name:
        folder = Path(name)
        config = yaml.safe_load((PACKAGED / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [door.url.removeprefix("http://")]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        shutil.copy(PACKAGED / "codewords.rules.yml", folder)
        (folder / "codewords.key").write_text(reader, encoding="utf-8")
        server = subprocess.Popen(
            [
                "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def ask(address: str, path: str, **params: str) -> Any:
    try:
        answer = httpx.get(f"{address}/api/v1/{path}", params=params, timeout=10, trust_env=False)
    except httpx.TransportError:
        return None
    return answer.json().get("data") if answer.status_code == 200 else None


@pytest.mark.requirement("metrics:prometheus")
def test_prometheus_scrapes_a_runtime_and_answers_every_query_of_the_dashboard(
    door: Door, prometheus: str
) -> None:
    with door.client() as http:
        deployed = http.post("/deploy", json={"code": ECHO, "name": "Scraped", "allow": True}, timeout=300)
        service_id = deployed.json()["service_id"]
        http.post(f"/run/{service_id}/", json={"a": 1}).raise_for_status()

    def healthy() -> bool:
        targets: dict[str, Any] = ask(prometheus, "targets") or {"activeTargets": []}
        return [target["health"] for target in targets["activeTargets"]] == ["up"]

    def runs() -> bool:
        found = ask(prometheus, "query", query='sum(codewords_runs_total{status="succeeded"})')
        return bool(found and found["result"] and float(found["result"][0]["value"][1]) >= 1)

    until(healthy, "a scrape")
    until(runs, "the run in Prometheus")
    for expression in expressions():
        assert ask(prometheus, "query", query=expression, time=str(time.time())) is not None, expression
    rules = ask(prometheus, "rules")
    assert {rule["health"] for group in rules["groups"] for rule in group["rules"]} <= {"ok", "unknown"}
    assert len(rules["groups"][0]["rules"]) >= 10


@pytest.mark.requirement("metrics:prometheus")
def test_promtool_finds_nothing_wrong_with_the_page(door: Door, reader: str) -> None:
    with door.client(reader) as http:
        promtool("check", "metrics", text=http.get("/metrics").text)


@pytest.mark.requirement("metrics:rules")
def test_the_rules_are_valid_and_fire_when_they_should() -> None:
    assert "SUCCESS" in promtool("check", "rules", "codewords.rules.yml")
    assert "SUCCESS" in promtool("test", "rules", "codewords.rules.test.yml")


@pytest.mark.requirement("metrics:dashboard")
def test_every_metric_that_the_rules_and_the_dashboard_name_is_on_the_page(door: Door, reader: str) -> None:
    with door.client(reader) as http:
        page = http.get("/metrics").text
    families = list(text_string_to_metric_families(page))
    there = {family.name for family in families} | {f"{family.name}_total" for family in families}
    there |= {f"{family.name}_bucket" for family in families if family.type == "histogram"}
    named = {name for expression in expressions() for name in _METRIC.findall(expression)}
    assert named - there == set()
