"""Library services, child workflows and models under resume: what is answered from the journal, repeated, and asked about."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.integration.recording.helpers import RecordingGround, calling
from tests.integration.recording.resume_ground import ResumeGround, outcomes, replies, resume_ground
from tests.integration.runtime.helpers import deployed
from tests.support.mail_server import MailServer
from tests.support.resumable_runs import resumable
from tests.support.runtime import ADMIN, fetch, finished, request
from tests.support.waiting import until

from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.run import Run
from codewords_testing.providers import LoopbackProviders, loopback_providers

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS"),
]
KEY = "sk-key-of-the-provider"
PROMPT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
MODEL = ["POST", "/openai/chat/completions", PROMPT]


@dataclass
class Outside:
    """A ground whose workflow may call services and models, the mail server, and the providers of models."""

    ground: ResumeGround
    mail: MailServer
    providers: LoopbackProviders


@pytest.fixture(scope="module")
async def outside(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outside]:
    mail = MailServer()
    mail.start()
    with loopback_providers({"openai": KEY}) as providers:
        tmp_path = tmp_path_factory.mktemp("resume")
        async with resume_ground(tmp_path, openai_base_url=providers.url) as ground:
            secrets = ground.runtime.secrets
            await secrets.set(ADMIN, "SMTP_URL", f"smtp://house%40example.org:p%40ss@{mail.at}")
            await secrets.set(ADMIN, "OPENAI_API_KEY", KEY)
            services = 'services = ["send_email", "files", "redis_coordinator", "database"]'
            ground.service = await deployed(
                ground.runtime,
                resumable("{count = 3, resume = true}", services, title="Outside", env=("OPENAI_API_KEY",)),
            )
            yield Outside(ground, mail, providers)
    mail.stop()


def mail_to(name: str) -> list[Any]:
    data = {"to": f"{name}@example.org", "subject": "The report", "text": "It is ready."}
    return ["POST", "/run/send_email/", data]


def count_up(key: str) -> list[Any]:
    return ["POST", "/run/redis_coordinator/", {"action": "incr", "key": key, "value": 1}]


def visit(note: str) -> list[Any]:
    """A call that adds a row to the workflow's own table, and answers with the number of rows."""
    table = "CREATE TABLE visits (note TEXT)"
    statements = [
        {"sql": "INSERT INTO visits VALUES (?)", "parameters": [note]},
        {"sql": "SELECT count(*) AS n FROM visits"},
    ]
    return ["POST", "/run/database/", {"migrate": [table], "statements": statements}]


def statuses(run: Run) -> list[int]:
    return [status for step in replies(run) for status, _ in step]


@pytest.mark.requirement("runs:resume")
async def test_services_are_called_once(outside: Outside) -> None:
    ground, before = outside.ground, len(outside.mail.taken)
    ground.fails_once("/services-gate")
    run = await ground.run(
        [mail_to("ann"), count_up("visits")],
        [["POST", "/run/files/upload", {"filename": "resumed.txt", "content": "text"}]],
        [ground.read("services-gate")],
        [count_up("visits"), ["POST", "/run/files/list", {}]],
    )
    assert run.status == "succeeded", run.error
    assert outcomes(run) == ["failed", "succeeded"]
    assert statuses(run) == [200] * 6
    assert len(outside.mail.taken) == before + 1
    # The second count saw the first one's, and nothing between them.
    assert json.loads(replies(run)[3][0][1])["value"] == 2
    _, listed, _ = await fetch(ground.runtime, "files", {}, path="/list")
    assert [file["filename"] for file in json.loads(listed)["files"]] == ["resumed.txt"]


@pytest.mark.requirement("runs:resume", "services:database-runs")
async def test_rows_are_added_once(outside: Outside) -> None:
    ground = outside.ground
    ground.fails_once("/database-gate")
    run = await ground.run([visit("first")], [ground.read("database-gate")], [visit("second")])
    assert outcomes(run) == ["failed", "succeeded"], run.error
    counts = [json.loads(step[0][1])["results"][1]["rows"] for step in (replies(run)[0], replies(run)[2])]
    assert counts == [[{"n": 1}], [{"n": 2}]]


@pytest.mark.requirement("runs:resume-asks")
async def test_a_mail_that_was_on_its_way_goes_out_once(outside: Outside) -> None:
    ground, before = outside.ground, len(outside.mail.taken)
    ends = _Ends("mail-end")

    async def on_taken() -> None:
        # The server has the mail, and its answer comes when the attempt is over.
        ends.arrived.set()
        await asyncio.to_thread(ends.over.wait, 120)

    outside.mail.on_taken, ground.host.fate = on_taken, ends.fate
    run = await ground.run([mail_to("bert"), ends.call(ground)])
    print(run.status, run.error, outcomes(run), len(outside.mail.taken) - before)
    assert run.status == "succeeded", run.error
    assert len(outside.mail.taken) == before + 1


class _Ends:
    """Ends the first attempt when something has arrived; `over` is set by the second one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.arrived, self.over = threading.Event(), threading.Event()
        self._reads = 0

    def call(self, ground: ResumeGround) -> list[Any]:
        return ["EXIT", f"{ground.host.url}/{self.name}"]

    def fate(self, key: str) -> int:
        if key != f"/{self.name}":
            return 200
        self._reads += 1
        if self._reads > 1:
            self.over.set()
            return 200
        until(self.arrived.is_set, "what is on its way")
        return 503


@pytest.mark.requirement("runs:resume")
async def test_a_child_that_answered_is_answered_for_and_one_that_was_cut_is_asked_about(
    outside: Outside,
) -> None:
    ground = outside.ground
    child = await deployed(ground.runtime, resumable("0", title="Child that answers"))
    parent = await deployed(
        ground.runtime,
        resumable("{count = 2, resume = true}", f'services = ["{child}"]', title="Parent that waits"),
    )
    call = ["POST", f"/run/{child}/", {"steps": [[ground.write("child-once")]]}]
    ground.fails_once("/answered-gate")
    run = await ground.run([call], [ground.read("answered-gate")], service=parent)
    assert (run.status, outcomes(run)) == ("succeeded", ["failed", "succeeded"]), run.error
    assert ground.host.writes["child-once"] == 1

    ends = _Ends("child-end")

    def fate(key: str) -> int:
        if key == "child-cut":
            ends.arrived.set()
            ends.over.wait(120)
        return ends.fate(key)

    ground.host.fate = fate
    cut = ["POST", f"/run/{child}/", {"steps": [[ground.write("child-cut")]]}]
    run = await ground.run([cut, ends.call(ground)], service=parent)
    ends.over.set()
    assert run.error is not None
    assert run.error.code == "write_unknown", run.error
    [write] = (await ground.runtime.resumes.question(ADMIN, run.id)).writes
    assert child in write.address
    assert ground.host.writes["child-cut"] == 1


@pytest.mark.requirement("runs:resume")
async def test_a_model_that_answered_is_not_asked_again_and_one_on_its_way_is(outside: Outside) -> None:
    ground, providers = outside.ground, outside.providers
    before = len(providers.requests)
    ground.fails_once("/model-gate")
    run = await ground.run([MODEL], [ground.read("model-gate")], [ground.write("after-model")])
    assert (run.status, outcomes(run)) == ("succeeded", ["failed", "succeeded"]), run.error
    assert statuses(run) == [200] * 3
    assert len(providers.requests) == before + 1

    # It takes a while to answer, and the program ends meanwhile. A prompt changes nothing, so it is made again.
    ends = _Ends("model-end")

    def slow_is_asked() -> bool:
        return len(providers.requests) > before + 1

    def fate(key: str) -> int:
        if key == "/model-end" and providers.wait_for(slow_is_asked):
            ends.arrived.set()
        return ends.fate(key)

    ground.host.fate = fate
    slow = ["POST", "/openai/chat/completions", PROMPT | {"model": "gpt-4o-mini-w200"}]
    run = await ground.run([slow, ends.call(ground)])
    assert (run.status, outcomes(run)) == ("succeeded", ["failed", "succeeded"]), run.error
    assert len(providers.requests) == before + 3


@pytest.mark.requirement("runs:resume")
async def test_a_recording_of_a_resumed_run_has_what_the_attempt_before_was_answered(
    outside: Outside,
) -> None:
    ground = outside.ground
    ground.fails_once("/whole-gate")
    run = await ground.run([ground.write("whole")], [ground.read("whole-gate")])
    assert (run.status, outcomes(run)) == ("succeeded", ["failed", "succeeded"]), run.error
    recording = await ground.runtime.recordings.load(ADMIN, run.id)
    assert [(one.request.method, one.replayable) for one in recording.exchanges] == [
        ("POST", True),
        ("GET", True),
    ]
    assert ground.host.writes["whole"] == 1
    status, _, _ = await fetch(ground.runtime, ground.service, {"steps": [[ground.read("plain")]]})
    assert status == 200


@pytest.mark.requirement("runs:resume")
async def test_what_was_sent_over_tls_is_not_sent_again(ground: RecordingGround) -> None:
    options = f'retries = {{count = 1, resume = true}}\nhosts = ["{HOST_ALIAS}"]'
    service = await deployed(ground.runtime, calling(options, title="Resumed over TLS"))
    calls = [["POST", f"{ground.url}/write", {"amount": 7}]]
    started = await ground.runtime.runs.start(request(service, {"calls": calls, "fail": True}))
    run = await finished(ground.runtime, started)
    assert outcomes(run) == ["failed", "failed"]
    assert [one["method"] for one in ground.host.asked] == ["POST"]
