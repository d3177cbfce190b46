"""Calls that the runtime could not carry out for its own reasons: a resumed attempt makes them again, and gets the true answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import Connection, text
from tests.integration.approvals.helpers import ask
from tests.integration.recording.resume_ground import ResumeGround, outcomes, replies
from tests.integration.runtime.helpers import deployed, serving
from tests.support.counting_host import counting_host
from tests.support.postgres import Postgres
from tests.support.resumable_runs import resumable
from tests.support.runtime import ADMIN, make_home, open_runtime, workflow

from codewords_mcp.runtime.model.caller import Caller

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("runs:resume-unanswered")]
Reason = Literal["attempt over", "store", "ending"]
CALLED = """
@app.post("/")
async def act(body: dict):
    return {"got": body["name"]}
"""
_REFUSE = {
    "sqlite": "BEGIN SELECT RAISE(ABORT, 'refused'); END",
    "postgresql": "EXECUTE FUNCTION refuse()",
}
_FUNCTION = """CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'refused'; END$$"""


def refuse_rows(connection: Connection, table: str, condition: str) -> None:
    """Let the database refuse new rows of a table."""
    kind = connection.dialect.name
    if kind == "postgresql":
        connection.execute(text(_FUNCTION))
        condition = f"FOR EACH ROW WHEN ({condition})"
    else:
        condition = f"WHEN {condition}"
    connection.execute(text(f"CREATE TRIGGER refused BEFORE INSERT ON {table} {condition} {_REFUSE[kind]}"))


def take_rows(connection: Connection, table: str) -> None:
    """Let the database take rows of a table again."""
    of_table = f" ON {table}" if connection.dialect.name == "postgresql" else ""
    connection.execute(text(f"DROP TRIGGER refused{of_table}"))


class Unanswered(ResumeGround):
    """A ground with a workflow that is called, and the ways in which the runtime cannot answer a call."""

    called: str

    async def break_off(self, reason: Reason, run_id: str, service: str) -> Callable[[], None]:
        """Be unable to answer from now on; returns what ends that, to be called in any thread."""
        container, loop = self.runtime._container, asyncio.get_running_loop()  # pyright: ignore[reportPrivateUsage]
        if reason == "attempt over":
            container.authorities.end(run_id)
            return lambda: None
        registry = container._runs.registry  # pyright: ignore[reportPrivateUsage]
        if reason == "ending":
            registry.accepts_foreground = False

            def answer() -> None:
                registry.accepts_foreground = True

            return answer
        table = "run_waits" if service == "approvals" else "runs"
        condition = "NEW.kind = 'question'" if service == "approvals" else f"NEW.service_id = '{service}'"
        await container.database.write(refuse_rows, table, condition)

        def take() -> None:
            asyncio.run_coroutine_threadsafe(container.database.write(take_rows, table), loop).result(20)

        return take


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
async def ground(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Unanswered]:
    folder: Path = tmp_path_factory.mktemp("unanswered")
    settings: dict[str, Any] = {}
    if request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        settings = {"database_url": postgres.migrated_url(), "master_key": "a1" * 32}
    with counting_host() as host:
        allowed = [f"127.0.0.1:{host.port}"]
        async with (
            open_runtime(
                make_home(folder / "home"), egress_allow_private=allowed, waiting_grace=60, **settings
            ) as runtime,
            serving(runtime),
        ):
            called = await deployed(runtime, workflow(CALLED, title="Called"))
            services = f'services = ["approvals", "files", "{called}"]'
            calling = resumable("{count = 3, resume = true}", services, title="Calling")
            made = Unanswered(runtime, await deployed(runtime, calling), host)
            made.called = called
            yield made


@pytest.mark.parametrize(
    ("reason", "service"),
    [
        ("attempt over", "approvals"),
        ("attempt over", "called"),
        ("store", "approvals"),
        ("store", "called"),
        ("store", "files"),
        ("ending", "called"),
    ],
)
async def test_a_resumed_attempt_gets_the_true_answer_of_a_call_that_was_not_carried_out(
    ground: Unanswered, reason: Reason, service: str
) -> None:
    """The program goes on from the error, writes, and ends; the second attempt comes to the call again."""
    case = f"{reason} {service}".replace(" ", "-")
    calls: dict[str, list[Any]] = {
        "approvals": ask(case, timeout=1, default="reject"),
        "called": ["POST", f"/run/{ground.called}/", {"name": case}],
        "files": ["POST", "/run/files/upload", {"filename": f"{case}.txt", "content": case}],
    }
    begin, going, failed = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    ended: list[Callable[[], None]] = []

    def fate(key: str) -> int:
        if key == f"/{case}-begins" and not begin.is_set():
            loop.call_soon_threadsafe(going.set)
            asyncio.run_coroutine_threadsafe(begin.wait(), loop).result(60)
        if key == f"/{case}-ends" and not failed.is_set():
            ended.pop()()
            loop.call_soon_threadsafe(failed.set)
            return 500
        return 200

    ground.host.fate = fate
    steps = [
        [ground.read(f"{case}-begins")], [calls[service]], [ground.write(case)],
        [["EXIT", f"{ground.host.url}/{case}-ends"]],
    ]  # fmt: skip
    run_id = await ground.start(*steps, strict=False)
    await going.wait()
    ended.append(await ground.break_off(reason, run_id, ground.called if service == "called" else service))
    begin.set()
    run = await ground.runtime.runs.get(ADMIN, run_id, wait=60)

    # An attempt whose call was broken off by the end of the runtime has not failed by itself.
    first = "interrupted" if reason == "ending" else "failed"
    assert outcomes(run) == [first, "succeeded"], run.error
    status, answer = replies(run)[1][0]
    assert status == 200, answer
    assert ground.host.writes[case] == 1
    assert {"approvals": "reject", "called": case, "files": "http"}[service] in answer
    if service == "approvals":
        (question,) = await ground.runtime.approvals.of_run(ADMIN, run_id)
        assert question.status == "answered"
    if service == "called":
        assert json.loads(answer) == {"got": case}
        found = await ground.runtime.runs.list(ADMIN, limit=100)
        assert sum(one.parent_id == run_id and one.status == "succeeded" for one in found.items) == 1


async def test_a_call_of_a_run_that_does_not_go_on_here_says_so_and_does_nothing(ground: Unanswered) -> None:
    caller = Caller(ADMIN.owner, "run", run_id="3f9f6a1e-0000-4000-8000-000000000000")
    with pytest.raises(Exception, match="attempt at the run that made it is over") as raised:
        await ground.runtime.runs.get(caller, "3f9f6a1e-0000-4000-8000-000000000000")
    assert getattr(raised.value, "status", None) == 503
