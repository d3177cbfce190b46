"""Recorded runs are tests of their workflow, on any code, and nothing is sent."""

from __future__ import annotations

import pytest
from tests.integration.recording.helpers import RecordingGround, calling
from tests.integration.runtime.helpers import deployed
from tests.support.runtime import ADMIN, fetch

from codewords_mcp.errors import Conflict, ConsentNeeded, InvalidInput, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.testing import TestRequest
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.authoring import Edit
from codewords_mcp.runtime.model.testing import TestReport
from codewords_mcp.runtime.model.workflow import Consent

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

TOOL = f'hosts = ["{HOST_ALIAS}"]'
CUT, SHORTER = "reply.text[:200]", "reply.text[:2]"


async def recorded(ground: RecordingGround, title: str) -> tuple[str, str, str]:
    """(code, service id, run id) of a workflow with one recorded run, which reads and writes."""
    code = calling(TOOL, title=title)
    service = await deployed(ground.runtime, code)
    calls = ["GET", f"{ground.url}/read", None], ["POST", f"{ground.url}/write", {"amount": 3}]
    status, answer, run_id = await ground.run(service, *map(list, calls))
    assert status == 200, answer
    await ground.recording(run_id)
    return code, service, run_id


def outcomes(report: TestReport) -> list[str]:
    return [one.outcome for one in report.tests]


@pytest.mark.requirement("testing:recorded", "testing:pinned")
async def test_a_recorded_run_is_a_test_of_the_version_and_of_other_code(ground: RecordingGround) -> None:
    tests = ground.runtime.tests
    code, service, run_id = await recorded(ground, "Tested")
    before = len(ground.host.asked)
    assert (await tests.add(ADMIN, run_id)).outcome == "passed"
    listed = await tests.list(ADMIN, service)
    assert [(one.run_id, one.expect, one.pinned) for one in listed] == [(run_id, ["answer", "writes"], True)]

    report = await tests.run(ADMIN, TestRequest(service))
    assert (report.of, outcomes(report)) == ("version 1", ["passed"]), report
    changed = await tests.run(ADMIN, TestRequest(service, code=code.replace(CUT, SHORTER)))
    assert (changed.of, outcomes(changed)) == ("the file", ["failed"]), changed
    assert "answer `replies[0][1]`" in changed.tests[0].lines[0]
    assert len(ground.host.asked) == before

    with pytest.raises(Conflict, match="is a test"):
        await ground.runtime.recordings.pin(ADMIN, run_id, pinned=False)
    await tests.remove(ADMIN, run_id)
    assert await tests.list(ADMIN, service) == []
    with pytest.raises(NotFound, match="no test"):
        await tests.remove(ADMIN, run_id)

    _, _, dry = await fetch(ground.runtime, service, {"calls": []}, mode="dry_run")
    await ground.recording(dry)
    with pytest.raises(InvalidInput, match="dry run is no test"):
        await tests.add(ADMIN, dry)


@pytest.mark.requirement("testing:recorded")
async def test_a_run_that_its_version_does_not_repeat_is_no_test_as_a_whole(ground: RecordingGround) -> None:
    tests = ground.runtime.tests
    chance = 'import random\n    return {"n": 1, "word": random.choice("abcdef") * random.randint(1, 99)}'
    code = calling(TOOL, title="Chance").replace('return {"replies": replies}', chance)
    service = await deployed(ground.runtime, code)
    _, _, run_id = await ground.run(service)
    await ground.recording(run_id)
    with pytest.raises(InvalidInput, match=r"no \$\.nothing"):
        await tests.add(ADMIN, run_id, ["$.nothing"])
    with pytest.raises(Conflict, match="does not repeat it"):
        await tests.add(ADMIN, run_id, ["answer"])
    assert (await tests.add(ADMIN, run_id, ["$.n", "status"])).outcome == "passed"


@pytest.mark.requirement("testing:files")
async def test_a_file_is_tested_on_an_exported_recording_without_its_workflow(
    ground: RecordingGround,
) -> None:
    code, _, run_id = await recorded(ground, "Exported")
    document = await ground.runtime.recordings.export(ADMIN, run_id)
    before = len(ground.host.asked)
    tests = ground.runtime.tests
    report = await tests.run(ADMIN, TestRequest(code=code, documents=[document]))
    assert outcomes(report) == ["passed"], report
    changed = code.replace("for method, url, data in asked", "for method, url, data in 2 * asked")
    report = await tests.run(ADMIN, TestRequest(code=changed, documents=[document], expect=["writes"]))
    assert outcomes(report) == ["failed"], report
    assert "/write, which it did not before" in report.tests[0].lines[0]
    assert len(ground.host.asked) == before
    with pytest.raises(InvalidInput, match="cannot be read"):
        await tests.run(ADMIN, TestRequest(code=code, documents=[{"kind": "other"}]))


@pytest.mark.requirement("testing:faults")
async def test_faults_tell_what_code_makes_of_them_the_same_ones_for_a_seed(ground: RecordingGround) -> None:
    code, service, _ = await recorded(ground, "Faulted")
    again = 'reply = await client.request(method, url, json=data, headers=headers)\n            if reply.status_code == 429:\n                await client.post(url.replace("read", "alarm"), json={})\n                reply = await client.request(method, url, json=data, headers=headers)'
    changed = code.replace("timeout=30", "timeout=1").replace(
        "reply = await client.request(method, url, json=data, headers=headers)", again
    )
    before = len(ground.host.asked)
    tests = ground.runtime.tests
    request = TestRequest(service, code=changed, faults=True, seed=7)
    report = await tests.run(ADMIN, request)
    (faulted,) = report.faulted
    assert (faulted.problem, faulted.untried, report.seed) == ("", 0, 7), faulted
    found = {(one.kind, one.where.rpartition("/")[2]): one for one in faulted.faults}
    limited, silent = found["429", "read"], found["timeout", "read"]
    assert (limited.outcome, limited.retries) == ("handled", 1)
    assert [one.rpartition("/")[2] for one in limited.new_writes] == ["alarm"]
    line = 1 + next(
        at for at, text in enumerate(changed.split("\n")) if "reply = await client.request" in text
    )
    assert (silent.outcome, silent.at) == ("crashed", f"line {line}: ReadTimeout")
    assert len(ground.host.asked) == before
    assert (await tests.run(ADMIN, request)).faulted == report.faulted


@pytest.mark.requirement("testing:repair")
async def test_an_edit_after_a_failed_run_tells_whether_it_fixes_that_and_keeps_the_good_ones(
    ground: RecordingGround,
) -> None:
    _, service, good = await recorded(ground, "Repaired")
    drafts = ground.runtime.drafts
    proposed = await drafts.edit(ADMIN, service, edits=[Edit(old='app.post("/")', new='app.post( "/" )')])
    remedy = Remedy(RemedyAction.ADD_TEST, {"runs": good})
    assert proposed.evidence == [f"1 run of last week can be its tests. {remedy.words}"]
    assert proposed.remedy == remedy
    await drafts.delete(ADMIN, proposed.draft.draft_id)

    _, _, failed = await ground.run(service, ["GET", f"{ground.url}/read", None], fail=True)
    await ground.recording(failed)
    before = len(ground.host.asked)
    useless = await drafts.edit(ADMIN, service, edits=[Edit(old=CUT, new=SHORTER)])
    assert f"does NOT fix the failing run {failed}" in useless.evidence[0]
    assert "0 of 1 good ones" in useless.evidence[0]
    fix = [Edit(old=SHORTER, new=CUT), Edit(old='if asked.get("fail")', new='if asked.get("fails")')]
    fixed = await drafts.edit(ADMIN, useless.draft.draft_id, edits=fix)
    assert fixed.evidence == [
        f"Replayed, nothing sent: fixes the failing run {failed} (500 → 200); 1 of 1 good ones are the same."
    ]
    assert len(ground.host.asked) == before


@pytest.mark.requirement("testing:deploy")
async def test_a_version_that_fails_a_test_needs_a_yes_and_one_without_tests_says_so(
    ground: RecordingGround,
) -> None:
    code, service, run_id = await recorded(ground, "Deployed")
    await ground.runtime.tests.add(ADMIN, run_id)
    deploy = ground.runtime.workflows.deploy
    other = code.replace(CUT, SHORTER)
    with pytest.raises(ConsentNeeded, match="fails 1 of its recorded tests") as asked:
        await deploy(ADMIN, code=other, service_id=service, replay=False)
    assert any(line.startswith("fails a test: ") and run_id in line for line in asked.value.asks)
    agreed = Consent(confirm=asked.value.confirm, by_person=True)
    done = await deploy(ADMIN, code=other, service_id=service, replay=False, consent=agreed)
    assert "Recorded tests: 1 failed." in [note.message for note in done.notes]

    back = await deploy(ADMIN, code=code, service_id=service)
    assert [note for note in back.notes if note.id == "tests"] == []
    untested = await deploy(ADMIN, code=other, service_id=service, replay=False, tests=False)
    assert "Deployed without its recorded tests, as was asked." in [note.message for note in untested.notes]
