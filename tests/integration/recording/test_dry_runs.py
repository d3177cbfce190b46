"""Dry runs of real programs: reads arrive, writes do not, and what a person agreed to is sent once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.recording.dry_runs import applied, arrived, deploy_dry, dry
from tests.integration.recording.helpers import RecordingGround, calling
from tests.integration.runtime.helpers import come, deployed, started
from tests.support.mcp_clients import data_of, over_http, serving, text_of
from tests.support.runtime import (
    ADMIN,
    ECHO,
    deploy,
    fetch,
    finished,
    log_text,
    make_home,
    open_runtime,
    request,
    workflow,
)

from codewords_mcp.errors import InvalidInput, SandboxUnavailable
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.schedule import ScheduleRequest
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
async def service(ground: RecordingGround) -> str:
    return await deploy_dry(ground)


@pytest.mark.requirement("runs:dry-run")
async def test_reads_go_out_and_writes_are_held_and_listed(ground: RecordingGround, service: str) -> None:
    replies, listed = await dry(
        ground,
        service,
        ["GET", f"{ground.url}/read", None],
        ["POST", f"{ground.url}/write", {"amount": 3}],
        ["DELETE", f"{ground.url}/thing/7", None],
        ["POST", "/run/send_email/", {"to": "ada@example.com", "subject": "Hi", "text": "Hello"}],
        ["POST", "/run/files/list", {}],
    )
    assert arrived(ground) == ["GET /read"]
    assert [status for status, _ in replies] == [200, 202, 202, 200, 200]
    assert "held" in replies[1][1]
    assert listed.problem == ""
    assert [(one.method, one.address.partition("/")[2], one.state) for one in listed.writes] == [
        ("POST", "write", "held"),
        ("DELETE", "thing/7", "held"),
        ("POST", "", "held"),
    ]
    assert listed.writes[0].body == '{"amount":3}'
    assert listed.writes[2].address == "send_email"
    assert "ada@example.com" in listed.lines[2]


@pytest.mark.requirement("runs:dry-run", "services:database-runs")
async def test_sql_that_writes_is_held_and_listed(ground: RecordingGround, service: str) -> None:
    table = {"migrate": ["CREATE TABLE notes (t TEXT)"]}
    await ground.run(service, ["POST", "/run/database/", {**table, "sql": "INSERT INTO notes VALUES ('a')"}])
    replies, listed = await dry(
        ground, service, ["POST", "/run/database/", {**table, "sql": "WITH c AS (SELECT t FROM notes) SELECT t FROM c"}],
        ["POST", "/run/database/", {"sql": "WITH c AS (SELECT 'b') INSERT INTO notes SELECT * FROM c"}],
        ["POST", "/run/database/", {"migrate": [*table["migrate"], "DROP TABLE notes"]}],
        ["POST", "/run/database/query", {"sql": "SELECT count(*) AS n FROM notes"}],
        ["POST", "/run/database/", {"sql": "SELECT 1 FROM held_table"}],
    )  # fmt: skip
    assert [json.loads(replies[n][1])["rows"] for n in (0, 3)] == [[{"t": "a"}], [{"n": 1}]]
    assert [(one.address, one.state) for one in listed.writes] == [("database", "held")] * 2
    assert "Tables of held migrations" in replies[4][1]


@pytest.mark.requirement("runs:dry-run")
async def test_the_answer_of_an_earlier_run_stands_for_that_of_a_held_write(
    ground: RecordingGround, service: str
) -> None:
    call = ["POST", f"{ground.url}/earlier", {"n": 1}]
    _, _, run_id = await ground.run(service, call)
    await ground.recording(run_id)
    arrived(ground)
    replies, _ = await dry(ground, service, ["POST", f"{ground.url}/earlier", {"n": 2}])
    assert arrived(ground) == []
    assert '"path": "/earlier"' in replies[0][1]


@pytest.mark.requirement("runs:dry-run")
async def test_child_workflows_are_dry_and_on_the_same_list(ground: RecordingGround, service: str) -> None:
    parent = await deployed(ground.runtime, calling(f'services = ["{service}"]', title="Parent"))
    arrived(ground)
    child = {
        "calls": [["POST", f"{ground.url}/by-child", {"n": 1}], ["GET", f"{ground.url}/child-reads", None]]
    }
    replies, listed = await dry(ground, parent, ["POST", f"/run/{service}/", child])
    assert arrived(ground) == ["GET /child-reads"]
    assert replies[0][0] == 200
    assert [one.address.partition("/")[2] for one in listed.writes] == ["by-child"]
    assert listed.writes[0].run_id != listed.run_id

    run = await applied(ground, listed.run_id)
    assert run.status == "succeeded", run.error
    assert arrived(ground) == ['POST /by-child {"n":1}', "GET /child-reads"]


@pytest.mark.requirement("runs:dry-run")
async def test_background_calls_below_a_dry_run_are_dry(ground: RecordingGround, service: str) -> None:
    parent = await deployed(
        ground.runtime, calling(f'services = ["{service}", "send_email"]', title="Background parent")
    )
    arrived(ground)
    child = {"calls": [["POST", f"{ground.url}/late", {"n": 1}]]}
    mail = {"to": "ada@example.com", "subject": "Hi", "text": "Hello"}
    replies, listed = await dry(
        ground, parent, ["POST", f"/run_async/{service}/", child], ["POST", "/run_async/send_email/", mail]
    )
    for _, text in replies:
        late = await finished(ground.runtime, json.loads(text)["request_id"])
        assert (late.mode, late.mode_of) == ("dry_run", listed.run_id)
    assert arrived(ground) == []
    listed = await ground.runtime.dry_runs.get(ADMIN, listed.run_id)
    assert sorted(one.address.rpartition("/")[2] for one in listed.writes) == ["late", "send_email"]


_RAW = """
import socket

@app.post("/")
async def act(request: Request):
    asked = await request.json()
    with socket.create_connection((asked["host"], asked["port"]), timeout=20) as raw:
        try:
            if asked["send"]:
                raw.sendall(asked["send"].encode("latin-1"))
            return {"got": raw.recv(100).decode("latin-1")}
        except OSError as error:
            return {"error": type(error).__name__}
"""


@pytest.mark.requirement("runs:dry-run")
@pytest.mark.parametrize("send", ["", "EHLO me\r\n", "*1\r\n$4\r\nPING\r\n", "delete /x HTTP/1.1\r\n\r\n"])
async def test_raw_tcp_is_refused_in_words(ground: RecordingGround, send: str) -> None:
    code = workflow(_RAW, title="Raw").replace(
        "# ///\nfrom fastapi", f'# [tool.codewords]\n# hosts = ["{HOST_ALIAS}"]\n# ///\nfrom fastapi', 1
    )
    raw = await deployed(ground.runtime, code, name=f"Raw {len(send)}")
    data = {"host": HOST_ALIAS, "port": ground.host.port, "send": send}
    status, body, run_id = await fetch(ground.runtime, raw, data, mode="dry_run")
    assert status == 200, body
    assert json.loads(body)["error"] == "ConnectionResetError"
    assert "cannot be judged" in await log_text(ground.runtime, run_id)


@pytest.mark.requirement("runs:dry-run")
async def test_a_dry_run_of_a_service_holds_the_call(ground: RecordingGround) -> None:
    mail = {"to": "ada@example.com", "subject": "Hi", "text": "Hello"}
    response = await ground.runtime.runs.execute(request("send_email", mail, mode="dry_run"))
    body = json.loads(b"".join([chunk async for chunk in response.body]))
    assert body
    listed = await ground.runtime.dry_runs.get(ADMIN, response.run_id)
    assert [one.address for one in listed.writes] == ["send_email"]


@pytest.mark.requirement("runs:dry-run")
async def test_an_ordinary_run_has_no_list(ground: RecordingGround, service: str) -> None:
    _, _, run_id = await ground.run(service)
    with pytest.raises(InvalidInput, match="no dry run"):
        await ground.runtime.dry_runs.get(ADMIN, run_id)


@pytest.fixture(scope="module")
async def mcp_url(ground: RecordingGround) -> AsyncIterator[str]:
    settings = Settings.model_construct(home=ground.runtime.settings.home)
    async with serving(ground.runtime, settings, {"admin": ADMIN}) as url:
        ground.runtime.base_url = url.removesuffix("/mcp")
        yield url


@pytest.mark.requirement("runs:dry-run", "runs:apply")
async def test_a_model_lists_the_writes_and_a_person_lets_them_be_sent(
    ground: RecordingGround, service: str, mcp_url: str
) -> None:
    arrived(ground)
    call = {"calls": [["POST", f"{ground.url}/by-tool", {"n": 1}]]}
    async with over_http(mcp_url, "admin", "legacy") as client:
        listed = await client.call_tool(
            "run_workflow", {"workflow_id": service, "input": call, "dry_run": True, "wait_seconds": 40}
        )
        data = data_of(listed)
        assert data["mode"] == "dry_run"
        assert '{"n":1}' in data["held"][0]
        assert f'apply="{data["run_id"]}"' in data["next"]
        assert "Held, not sent" in text_of(listed)
        await ground.recording(data["run_id"])

        applying = {"workflow_id": service, "apply": data["run_id"], "wait_seconds": 40}
        asked = await client.call_tool("run_workflow", applying)
        assert "needs_consent" in text_of(asked)
        assert asked.meta is not None
        token = asked.meta["codewords/confirm"]
        # The token proves nothing: the model has it.
        again = await client.call_tool("run_workflow", applying | {"confirm": token})
        assert "needs_consent" in text_of(again)
        assert arrived(ground) == []

        await ground.runtime.consents.decide(ADMIN, token, agreed=True)
        done = data_of(await client.call_tool("run_workflow", applying | {"confirm": token}))
    assert (done["status"], done["mode"], done["sent"]) == ("succeeded", "apply", 1)
    assert arrived(ground) == ['POST /by-tool {"n":1}']


@pytest.mark.requirement("runs:dry-run", "runs:apply")
async def test_the_first_time_of_a_schedule_runs_dry_and_waits_for_the_yes(
    ground: RecordingGround, service: str
) -> None:
    runtime = ground.runtime
    arrived(ground)
    data = {"calls": [["POST", f"{ground.url}/by-schedule", {"n": 1}]]}
    schedule = await runtime.schedules.create(
        ADMIN, ScheduleRequest(service_id=service, cron="0 0 1 1 *", input=data, dry_run=True)
    )
    assert schedule.first_dry
    await come(runtime, schedule)
    run = await finished(runtime, await started(runtime, schedule))
    await ground.recording(run.id)
    assert (run.mode, arrived(ground)) == ("dry_run", [])
    waiting = await runtime.schedules.get(ADMIN, schedule.id)
    assert (waiting.paused, waiting.first_dry) == (True, False)
    assert run.id in waiting.note

    assert (await applied(ground, run.id)).status == "succeeded"
    assert arrived(ground) == ['POST /by-schedule {"n":1}']
    assert not (await runtime.schedules.get(ADMIN, schedule.id)).paused
    await runtime.schedules.delete(ADMIN, schedule.id)


@pytest.mark.requirement("runs:dry-run")
async def test_a_workflow_that_shares_its_sandbox_gets_one_of_its_own(ground: RecordingGround) -> None:
    tool = f'hosts = ["{HOST_ALIAS}"]\nisolation = "instance"'
    shared = await deployed(ground.runtime, calling(tool, title="Instance"))
    await ground.run(shared, ["POST", f"{ground.url}/real", {}])
    arrived(ground)
    _, listed = await dry(ground, shared, ["POST", f"{ground.url}/held", {}])
    assert arrived(ground) == []
    assert len(listed.writes) == 1


@pytest.mark.requirement("runs:dry-run")
async def test_a_secret_in_a_held_write_never_leaves(ground: RecordingGround) -> None:
    code = calling(f'hosts = ["{HOST_ALIAS}"]', title="Secretive", env=("DRY_KEY",)).replace(
        "headers = {}", 'headers = {"X-Key": os.environ["DRY_KEY"]}'
    )
    hosts = [f"{HOST_ALIAS}:{ground.host.port}"]
    await ground.runtime.secrets.set(ADMIN, "DRY_KEY", "value-of-the-dry-key", hosts=hosts)
    secretive = await deployed(ground.runtime, code)
    arrived(ground)
    _, listed = await dry(ground, secretive, ["POST", f"{ground.url}/held", {}])
    assert arrived(ground) == []
    assert "value-of-the-dry-key" not in repr(listed)
    run = await applied(ground, listed.run_id)
    assert run.status == "succeeded", run.error
    assert ground.host.asked[-1]["headers"]["x-key"] == "value-of-the-dry-key"
    arrived(ground)


@pytest.mark.requirement("runs:dry-run")
async def test_a_machine_that_cannot_hold_writes_says_so(tmp_path: Path) -> None:
    async with open_runtime(make_home(tmp_path / "home"), sandbox="process") as runtime:
        echo = await deploy(runtime, ECHO)
        with pytest.raises(
            SandboxUnavailable, match="A dry run, or one with `resume = true`, needs a sandbox"
        ):
            await fetch(runtime, echo, {}, mode="dry_run")
        assert (await fetch(runtime, echo, {}))[0] == 200


@pytest.mark.requirement("runs:dry-run")
async def test_a_dry_run_is_no_example_for_replays(ground: RecordingGround, service: str) -> None:
    _, found = await dry(ground, service, ["GET", f"{ground.url}/read", None])
    run_id = found.run_id
    store = ground.runtime._container.recordings  # pyright: ignore[reportPrivateUsage]  # the choice has no front door
    assert run_id in [one.run_id for one in await store.recent(ADMIN.owner, service, 100)]
    assert run_id not in [one.run_id for one in await store.recent(ADMIN.owner, service, 100, ordinary=True)]
