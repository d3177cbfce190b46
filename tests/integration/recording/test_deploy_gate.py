"""A new version is replayed on recorded runs before it is live; what is worse or writes anew needs a person's yes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest
from tests.integration.recording.helpers import RecordingGround, calling
from tests.integration.runtime.helpers import deployed
from tests.support.runtime import ADMIN
from tests.support.waiting import until_async

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.runtime.api.deploy_checks import DeployChecks
from codewords_mcp.runtime.api.deploy_gate import DeployGate
from codewords_mcp.runtime.api.late_replays import pending_check
from codewords_mcp.runtime.api.test_gate import TestGate
from codewords_mcp.runtime.api.workflows import WorkflowApi
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.runtime.store import local_file

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_RETURN = '    return {"replies": replies}'


@pytest.mark.requirement("replay:gate")
async def test_a_deploy_asks_for_a_new_write_once_and_says_what_changed(ground: RecordingGround) -> None:
    code = calling(f'hosts = ["{HOST_ALIAS}"]', title="Gated")
    service = await deployed(ground.runtime, code)
    _, _, run_id = await ground.run(service, ["GET", f"{ground.url}/read", None])
    await ground.recording(run_id)
    before = len(ground.host.asked)
    deploy = ground.runtime.workflows.deploy

    same = await deploy(ADMIN, code=code.replace("reply.text[:200]", "reply.text[0:200]"), service_id=service)
    assert [note for note in same.notes if note.id == "replay"] == []

    writes = f"""
    async with httpx.AsyncClient(timeout=30) as client:
        await client.post("{ground.url}/refunds", json={{"amount": 1}})
{_RETURN}"""
    new = code.replace(_RETURN, writes)
    with pytest.raises(ConsentNeeded) as asked:
        await deploy(ADMIN, code=new, service_id=service)
    assert "does worse, or writes what it did not" in asked.value.message
    assert any(f"would POST {HOST_ALIAS}:{ground.host.port}/refunds" in line for line in asked.value.asks)

    agreed = Consent(confirm=asked.value.confirm, by_person=True)
    done = await deploy(ADMIN, code=new, service_id=service, consent=agreed)
    notes = [note.message for note in done.notes if note.id == "replay"]
    assert len(notes) == 1
    assert "1 changed" in notes[0]
    # The four differences are in the reply.
    changes = done.changes
    assert changes is not None
    assert (changes.version, changes.lines_added, changes.lines_removed) == (2, 4, 1)
    assert "+        await client.post(" in changes.code
    assert changes.permissions == []
    assert "1 changed" in changes.behaviour[0]
    assert f"would POST {HOST_ALIAS}:{ground.host.port}/refunds" in "".join(changes.behaviour)
    assert changes.cost == "Model calls: none."
    pinned = await ground.runtime.recordings.list(ADMIN, service)
    assert [info.run_id for info in pinned if info.pinned] == [run_id]

    # What was agreed to is no news for the version after it.
    after = await deploy(ADMIN, code=new.replace("reply.text[:200]", "reply.text[0:200]"), service_id=service)
    assert after.version == done.version + 1
    assert len(ground.host.asked) == before


@pytest.mark.requirement("replay:gate")
async def test_a_deploy_without_a_replay_says_so_in_its_record(ground: RecordingGround) -> None:
    code = calling(f'hosts = ["{HOST_ALIAS}"]', title="Ungated")
    service = await deployed(ground.runtime, code)
    _, _, run_id = await ground.run(service, ["GET", f"{ground.url}/read", None])
    await ground.recording(run_id)
    broken = code.replace(_RETURN, f"    raise RuntimeError\n{_RETURN}")
    with pytest.raises(ConsentNeeded):
        await ground.runtime.workflows.deploy(ADMIN, code=broken, service_id=service)
    done = await ground.runtime.workflows.deploy(ADMIN, code=broken, service_id=service, replay=False)
    assert [note.message for note in done.notes if note.id == "replay"] == [
        "Deployed without a replay of recorded runs, as was asked."
    ]
    # For good: whoever looks at the version later reads it too.
    found = await ground.runtime.workflows.get(ADMIN, service)
    assert [check.message for check in found.tried] == [
        "Deployed without a replay of recorded runs, as was asked."
    ]


def impatient(ground: RecordingGround) -> WorkflowApi:
    """The workflows of the runtime, by a gate that waits for no replay."""
    runtime = ground.runtime
    container = runtime._container  # pyright: ignore[reportPrivateUsage]  # no front door sets the gate's time
    gate = DeployGate(container, runtime.replays, seconds=0.0)
    validator = runtime._validator  # pyright: ignore[reportPrivateUsage]
    checks = DeployChecks(container, validator, gate, TestGate(container, runtime.tests))
    return WorkflowApi(container, checks, runtime.templates, runtime.runs, gate)


async def ended(ground: RecordingGround, service: str) -> Check:
    """The check of the live version's late replays, once they have ended."""

    async def find() -> Check | None:
        tried = (await ground.runtime.workflows.get(ADMIN, service)).tried
        return next((one for one in tried if one.id == "replay later" and one.status != "skipped"), None)

    found = await until_async(find)
    assert found is not None
    return found


@pytest.mark.requirement("replay:gate-late")
async def test_replays_that_go_on_after_the_deploy_and_end_worse_are_told(ground: RecordingGround) -> None:
    code = calling(f'hosts = ["{HOST_ALIAS}"]', title="Late")
    service = await deployed(ground.runtime, code)
    _, _, run_id = await ground.run(service, ["GET", f"{ground.url}/read", None])
    await ground.recording(run_id)

    workflows = impatient(ground)
    broken = code.replace(_RETURN, f"    raise RuntimeError\n{_RETURN}")
    done = await workflows.deploy(ADMIN, code=broken, service_id=service)
    assert done.changes is not None
    assert any("1 more recorded run is being replayed" in line for line in done.changes.behaviour)

    told = await ended(ground, service)
    assert told.status == "warning"
    assert told.message.startswith("WORSE than was agreed to at the deploy.")
    assert "answers 500 instead of 200" in told.message
    pinned = await ground.runtime.recordings.list(ADMIN, service)
    assert [info.run_id for info in pinned if info.pinned] == [run_id]
    # The report itself is there under the id that the line names.
    replay_id = told.message.partition("(")[2].partition(")")[0]
    assert (await ground.runtime.replays.get(ADMIN, replay_id)).status == "done"

    # Who deploys next is told of the version that is live.
    after = await workflows.deploy(ADMIN, code=code.replace("[:200]", "[0:200]"), service_id=service)
    assert any("Version 2, which is live until now: WORSE" in note.message for note in after.notes)
    good = await ended(ground, service)
    assert (good.status, "1 changed" in good.message) == ("note", True)


@pytest.mark.requirement("replay:gate-late")
async def test_replays_that_a_killed_runtime_left_are_told(ground: RecordingGround) -> None:
    code = calling(f'hosts = ["{HOST_ALIAS}"]', title="Killed")
    service = await deployed(ground.runtime, code)
    _, _, run_id = await ground.run(service, ["GET", f"{ground.url}/read", None])
    await ground.recording(run_id)
    same = code.replace("[:200]", "[0:200]")
    await impatient(ground).deploy(ADMIN, code=same, service_id=service)
    await ended(ground, service)
    # As a runtime leaves it that is killed in between, seen a quarter of an hour later.
    with closing(sqlite3.connect(ground.runtime.settings.home / local_file.NAME)) as connection, connection:
        checks = json.dumps([pending_check(1).model_dump(mode="json")])
        connection.execute(
            "UPDATE versions SET checks = ?, created_at = created_at - 1000000000 WHERE workflow_id = ?",
            (checks, service),
        )
    (told,) = (await ground.runtime.workflows.get(ADMIN, service)).tried
    assert told.status == "warning"
    assert "the runtime ended meanwhile" in told.message
