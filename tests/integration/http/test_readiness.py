"""Readiness: what an orchestrator and a person see while the database or the sandboxes are not there."""

from __future__ import annotations

import signal
import sqlite3
import uuid
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from tests.integration.cli.terminal import Shell
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.postgres import Postgres
from tests.support.runtime import ECHO, make_home, open_runtime
from tests.support.served_runtime import start_runtime
from tests.support.waiting import until

from codewords_mcp.errors import SandboxUnavailable, StorageFailed
from codewords_mcp.runtime.api import readiness
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.requirement("http:readiness"), pytest.mark.slow]


@pytest.fixture
def own_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setattr(readiness, "RESULT_TTL", 0.0)
    monkeypatch.setattr(readiness, "WRITES_STALLED", 0.2)
    settings = Settings.model_validate(
        {"home": make_home(tmp_path / "home"), "port": 0, "api_key": ADMIN_KEY, "sandbox": "process"}
    )
    with Door(settings) as door:
        yield door


@contextmanager
def lock_held(home: Path) -> Generator[None]:
    with closing(sqlite3.connect(home / "codewords.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.rollback()


def state(client: httpx.Client) -> int:
    answer = client.get("/readyz")
    assert answer.json() == {"ready": answer.status_code == 200}, "no details for who has no key"
    return answer.status_code


@pytest.mark.requirement("store:reads-go-on")
def test_a_held_write_lock_makes_the_runtime_not_ready_and_stops_no_read(own_door: Door) -> None:
    with own_door.client() as http, own_door.client(key=None) as anyone:
        echo = http.post("/deploy", json={"code": ECHO, "name": "Echo", "allow": True}).json()["service_id"]
        assert state(anyone) == 200
        unknown = f"/request/{uuid.uuid4()}"
        with ThreadPoolExecutor(1) as thread:
            with lock_held(own_door.settings.home):
                run = thread.submit(http.post, f"/run/{echo}/", json=1)
                until(lambda: state(anyone) == 503, "the runtime not to be ready")
                assert anyone.get("/healthz").status_code == 200
                for path in ("/workflows", "/runs", "/secrets", "/schedules", "/usage"):
                    assert http.get(path, timeout=10).status_code == 200
                problems = http.get("/status", timeout=20).json()["problems"]
                assert [problem["part"] for problem in problems] == ["database"]
                until(lambda: own_door.runtime._container.database.stalled, "reads not to wait any more")  # pyright: ignore[reportPrivateUsage]
                assert http.get(unknown, timeout=10).status_code == 507, (
                    "it may be one that is not written yet"
                )
                assert not run.done()
            assert run.result().status_code == 200
        until(lambda: state(anyone) == 200, "the runtime to be ready again")
        assert http.get(f"/request/{run.result().headers['x-request-id']}").status_code == 200
        assert http.get(unknown).status_code == 404


@pytest.mark.requirement("store:file-gone")
def test_a_deleted_database_file_refuses_runs_in_words_and_is_not_ready(own_door: Door) -> None:
    with own_door.client() as http:
        echo = http.post("/deploy", json={"code": ECHO, "name": "Echo", "allow": True}).json()["service_id"]
        (own_door.settings.home / "codewords.db").unlink()
        for path in (f"/run_async/{echo}/",):
            refused = http.post(path, json=1)
            assert refused.status_code == 507
            assert "deleted or replaced" in refused.json()["error"]["message"]
        assert state(http) == 503
        assert http.get("/healthz").status_code == 200


@pytest.mark.requirement("store:disk-full")
def test_a_full_disk_makes_the_runtime_not_ready(own_door: Door) -> None:
    with own_door.client() as http, own_door.client(key=None) as anyone:
        disk = own_door.runtime._container.disk  # pyright: ignore[reportPrivateUsage]
        disk.low_space = 1 << 62
        assert state(anyone) == 503
        (problem,) = (one for one in http.get("/status").json()["problems"] if one["part"] == "disk")
        assert (problem["part"], problem["message"]) == (
            "disk",
            f"The disk that holds {own_door.settings.home} is full.",
        )
        assert http.get("/workflows").status_code == 200, "what is there can be read"


@pytest.mark.anyio
@pytest.mark.requirement("store:disk-full")
async def test_a_full_disk_is_not_held_for_a_machine_without_isolation(tmp_path: Path) -> None:
    async with open_runtime(make_home(tmp_path / "home"), sandbox="process") as runtime:
        container = runtime._container  # pyright: ignore[reportPrivateUsage]
        container.disk.low_space = 1 << 62
        with pytest.raises(StorageFailed, match="is full"):
            await container.driver()
        container.disk.low_space = 0
        assert (await container.driver()).tier.id == "P"


def test_a_runtime_without_sandboxes_is_not_ready(own_door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse() -> None:
        raise SandboxUnavailable("No isolation here.", hint="Allow user namespaces.")

    with own_door.client() as http:
        assert state(http) == 200
        parts = own_door.runtime._container.readiness  # pyright: ignore[reportPrivateUsage]
        monkeypatch.setattr(parts, "_driver", refuse)
        assert state(http) == 503
        (problem,) = http.get("/status").json()["problems"]
        assert problem["part"] == "sandbox"
        assert problem["hint"] == "Allow user namespaces."


@pytest.mark.requirement("cli:doctor")
def test_a_database_server_that_is_away_is_not_ready_and_doctor_names_the_database(
    postgres: Postgres, tmp_path: Path
) -> None:
    home = make_home(tmp_path / "home")
    env = {"CODEWORDS_DATABASE_URL": postgres.url(), "CODEWORDS_MASTER_KEY": "ab" * 32}
    with start_runtime(home, **env) as runtime, httpx.Client(base_url=runtime.url, trust_env=False) as http:
        assert http.get("/readyz", timeout=30).status_code == 200
        postgres.end(signal.SIGQUIT)
        try:
            until(lambda: http.get("/readyz", timeout=10).status_code == 503, "the runtime not to be ready")
            assert http.get("/healthz").status_code == 200
            remote = {"CODEWORDS_RUNTIME_URL": runtime.url, "CODEWORDS_API_KEY": runtime.key}
            found = Shell(tmp_path, remote)("codewords", "doctor", "--json")
            assert found.code == 1
            failed = [one for one in found.json["checks"] if one["status"] == "failed"]
            assert [one["id"] for one in failed] == ["database"]
            assert "codewords doctor" not in found.out
        finally:
            postgres.start()
        until(lambda: http.get("/readyz", timeout=10).status_code == 200, "the runtime to be ready again")
