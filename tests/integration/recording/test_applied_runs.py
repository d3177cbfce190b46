"""Runs that send the writes of a dry run: what a person agreed to goes out once, and nothing else."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, delete, update
from tests.integration.recording.dry_runs import ALLOWED, applied, arrived, deploy_dry, dry
from tests.integration.recording.helpers import RecordingGround
from tests.integration.runtime.helpers import deployed
from tests.support.background_runs import with_options
from tests.support.runtime import (
    ADMIN,
    fetch,
    workflow,
)

from codewords_mcp.errors import Conflict, ConsentNeeded, Forbidden
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import held_writes, recordings, runs

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
async def service(ground: RecordingGround) -> str:
    return await deploy_dry(ground)


@pytest.mark.requirement("runs:apply")
async def test_what_a_person_agreed_to_is_sent_once(ground: RecordingGround, service: str) -> None:
    calls = [["GET", f"{ground.url}/read", None], ["POST", f"{ground.url}/write", {"amount": 5}]]
    _, listed = await dry(ground, service, *calls)
    arrived(ground)

    with pytest.raises(ConsentNeeded) as asked:
        await ground.runtime.dry_runs.apply(ADMIN, listed.run_id, Consent())
    assert any('{"amount":5}' in line for line in asked.value.asks)
    # The token alone, which a model has too, is no consent.
    with pytest.raises(ConsentNeeded):
        await ground.runtime.dry_runs.apply(ADMIN, listed.run_id, Consent(confirm=asked.value.confirm))
    assert arrived(ground) == []

    run = await applied(ground, listed.run_id)
    assert (run.status, run.mode, run.mode_of) == ("succeeded", "apply", listed.run_id)
    assert arrived(ground) == ["GET /read", 'POST /write {"amount":5}']
    with pytest.raises(Conflict, match="was sent"):
        await ground.runtime.dry_runs.apply(ADMIN, listed.run_id, ALLOWED)


@pytest.mark.requirement("runs:apply")
async def test_a_person_who_declines_ends_it(ground: RecordingGround, service: str) -> None:
    _, listed = await dry(ground, service, ["POST", f"{ground.url}/write", {"declined": True}])
    with pytest.raises(ConsentNeeded) as asked:
        await ground.runtime.dry_runs.apply(ADMIN, listed.run_id, Consent())
    await ground.runtime.consents.decide(ADMIN, asked.value.confirm, agreed=False)
    with pytest.raises(Forbidden, match="declined"):
        await ground.runtime.dry_runs.apply(ADMIN, listed.run_id, Consent())
    assert arrived(ground) == []


_SHIFTY = """
import httpx, os, pathlib

@app.post("/")
async def act(request: Request):
    asked = await request.json()
    async with httpx.AsyncClient() as client:
        state = (await client.get(asked["url"] + "/read")).json()["query"]
        first = await client.post(asked["url"] + "/first", json={"n": 1})
        count = len((await client.get(asked["url"] + "/count")).content)
        second = await client.post(asked["url"] + "/second", json={"amount": asked["amount"], "dry": first.status_code})
    return {"done": [first.status_code, second.status_code]}
"""


@pytest.mark.requirement("runs:apply")
async def test_a_write_that_differs_ends_the_run_and_is_asked_about_anew(ground: RecordingGround) -> None:
    code = workflow(_SHIFTY, title="Shifty").replace(
        "# ///\nfrom fastapi", f'# [tool.codewords]\n# hosts = ["{HOST_ALIAS}"]\n# ///\nfrom fastapi', 1
    )
    shifty = await deployed(ground.runtime, code)
    arrived(ground)
    status, _, run_id = await fetch(ground.runtime, shifty, {"url": ground.url, "amount": 1}, mode="dry_run")
    assert status == 200
    await ground.recording(run_id)
    arrived(ground)

    # The first answer is 202 in the dry run and 200 from the host: the second write says so, and differs.
    ended = await applied(ground, run_id)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", "write_held")
    assert ended.error.remedy == Remedy(RemedyAction.APPLY_DRY_RUN, {"run": run_id})
    assert [line for line in arrived(ground) if line.startswith("POST")] == ['POST /first {"n":1}']

    listed = await ground.runtime.dry_runs.get(ADMIN, ended.id)
    assert [(one.address.partition("/")[2], one.state) for one in listed.writes] == [
        ("first", "sent"),
        ("second", "agreed"),
        ("second", "held"),
    ]
    run = await applied(ground, run_id)
    assert run.status == "succeeded", run.error
    assert [line for line in arrived(ground) if line.startswith("POST")] == [
        'POST /second {"amount":1,"dry":200}'
    ]


_REPEATS = """
import httpx

@app.post("/")
async def act(request: Request):
    asked = await request.json()
    async with httpx.AsyncClient() as client:
        held = "codewords-held" in (await client.post(asked["url"] + "/probe", json={})).headers
        for _ in range(1 if held else 2):
            await client.post(asked["url"] + "/repeated", content=asked["dry" if held else "real"])
    return {"done": True}
"""


@pytest.mark.requirement("runs:apply")
@pytest.mark.parametrize(
    ("dry_body", "real_body", "sent"), [("same", "same", 1), ("one byte", "one bytf", 0), ("ä", "a", 0)]
)
async def test_a_write_sent_twice_or_with_another_byte_is_held_and_asked_about(
    ground: RecordingGround, dry_body: str, real_body: str, sent: int
) -> None:
    # The program knows that it is held: what it does for real is not what it showed.
    code = with_options(workflow(_REPEATS, title="Repeats"), f'hosts = ["{HOST_ALIAS}"]')
    service_id = await deployed(ground.runtime, code, name=f"Repeats {real_body}")
    data = {"url": ground.url, "dry": dry_body, "real": real_body}
    status, _, run_id = await fetch(ground.runtime, service_id, data, mode="dry_run")
    assert status == 200
    await ground.recording(run_id)
    arrived(ground)

    ended = await applied(ground, run_id)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", "write_held")
    assert arrived(ground) == ["POST /probe {}", *[f"POST /repeated {real_body}"] * sent]
    listed = await ground.runtime.dry_runs.get(ADMIN, run_id)
    assert (listed.writes[-1].state, listed.writes[-1].body) == ("held", real_body)
    with pytest.raises(ConsentNeeded) as asked:
        await ground.runtime.dry_runs.apply(ADMIN, run_id, Consent())
    assert any(real_body in line for line in asked.value.asks)


@pytest.mark.requirement("runs:apply")
async def test_a_dry_run_whose_recording_or_list_is_gone_says_so_and_sends_nothing(
    ground: RecordingGround, service: str
) -> None:
    _, listed = await dry(ground, service, ["POST", f"{ground.url}/kept", {"n": 1}])
    arrived(ground)
    database = ground.runtime._container.database  # pyright: ignore[reportPrivateUsage]  # as retention does

    def forget(connection: Connection) -> None:
        connection.execute(delete(recordings).where(recordings.c.run_id == listed.run_id))

    await database.write(forget)
    found = await ground.runtime.dry_runs.get(ADMIN, listed.run_id)
    assert len(found.lines) == 1
    assert "its recording, which has its input, was removed" in found.problem
    # A person is not asked for what cannot be done.
    with pytest.raises(Conflict, match="was removed"):
        await ground.runtime.dry_runs.question(ADMIN, listed.run_id)
    with pytest.raises(Conflict, match="was removed"):
        await ground.runtime.dry_runs.apply(ADMIN, listed.run_id, ALLOWED)

    age = round((ground.runtime.settings.recording_ttl + 60) * 1e6)

    def grow_old(connection: Connection) -> None:
        connection.execute(
            update(runs).where(runs.c.id == listed.run_id).values(created_at=runs.c.created_at - age)
        )
        connection.execute(
            update(held_writes)
            .where(held_writes.c.list_id == listed.run_id)
            .values(created_at=held_writes.c.created_at - age)
        )

    await database.write(grow_old)
    lists = ground.runtime._container.write_lists  # pyright: ignore[reportPrivateUsage]
    await lists.prune(now() - age + 60_000_000)
    old = await ground.runtime.dry_runs.get(ADMIN, listed.run_id)
    assert (old.expired, old.writes) == (True, [])
    assert "older than recordings are kept" in old.problem
    assert arrived(ground) == []


@pytest.mark.requirement("runs:apply")
async def test_a_list_is_removed_whole_or_not_at_all(ground: RecordingGround, service: str) -> None:
    calls = [["POST", f"{ground.url}/part", {"n": n}] for n in range(3)]
    _, listed = await dry(ground, service, *calls)
    container = ground.runtime._container  # pyright: ignore[reportPrivateUsage]

    def age_first(connection: Connection) -> None:
        first = (held_writes.c.list_id == listed.run_id) & (held_writes.c.number < 3)
        connection.execute(update(held_writes).where(first).values(created_at=1))

    await container.database.write(age_first)
    await container.write_lists.prune(now() - 60_000_000)
    assert len((await ground.runtime.dry_runs.get(ADMIN, listed.run_id)).writes) == 3
