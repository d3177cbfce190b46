"""A new version is replayed on recorded runs before it is live; what is worse or writes anew needs a person's yes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.recording.helpers import RecordingGround, calling, recording_ground
from tests.integration.runtime.helpers import deployed
from tests.support.runtime import ADMIN

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.workflow import Consent

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_RETURN = '    return {"replies": replies}'


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RecordingGround]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with recording_ground(tmp_path_factory.mktemp("gate"), monkeypatch) as opened:
            yield opened


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
