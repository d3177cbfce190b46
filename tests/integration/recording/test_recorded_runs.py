"""Ordinary runs are recorded without anybody having asked for it; what is stored can be read by its owner only."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.integration.recording.helpers import RecordingGround, calling
from tests.integration.runtime.helpers import deployed
from tests.support.postgres import Postgres
from tests.support.runtime import ADMIN, ALLOWED, ECHO, deploy, fetch, make_home, open_runtime, workflow
from tests.support.waiting import until_async

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.recording.codec import encode

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PLAIN = "plain-value-of-a-secret"


@pytest.mark.requirement("recording:every-run")
async def test_a_run_is_recorded_with_its_input_its_exchanges_and_its_answer(ground: RecordingGround) -> None:
    echo = await deploy(ground.runtime, ECHO)
    tool = f'services = ["{echo}", "files"]\nhosts = ["{HOST_ALIAS}"]'
    service = await deployed(ground.runtime, calling(tool, title="Recorded"))
    status, answer, run_id = await ground.run(
        service,
        ["GET", f"{ground.url}/read?n=1", None],
        ["POST", f"{ground.url}/write", {"amount": 3}],
        ["POST", f"/run/{echo}/", {"hello": "child"}],
        ["POST", "/run/files/list", {}],
    )
    assert status == 200, answer
    found = await ground.recording(run_id)

    assert (found.service_id, found.version, found.status) == (service, 1, "succeeded")
    assert (found.request.method, found.request.target) == ("POST", "/")
    assert found.request.body is not None
    assert json.loads(found.request.body)["calls"][1][2] == {"amount": 3}
    assert found.response.body is not None
    assert json.loads(found.response.body) == answer
    read, written, child, listed = found.exchanges
    assert (read.request.url, read.request.writes, read.status) == (f"{ground.url}/read?n=1", False, 200)
    assert (written.request.body, written.request.writes) == (b'{"amount":3}', True)
    assert json.loads(written.body)["method"] == "POST"
    assert (child.request.channel, child.request.url) == ("call", f"http://runtime/run/{echo}/")
    assert json.loads(child.body) == {"got": {"hello": "child"}}
    assert listed.request.url == "http://runtime/run/files/list"
    assert all(one.replayable and one.outcome == "sent" for one in found.exchanges)
    assert 0 <= read.started <= written.started <= child.started
    assert found.obstacles == []
    assert ADMIN.owner not in repr(found)


@pytest.mark.requirement("recording:every-run")
async def test_a_recording_is_there_once_the_run_has_answered(ground: RecordingGround) -> None:
    service = await deploy(ground.runtime, ECHO)
    for number in range(5):
        _, _, run_id = await fetch(ground.runtime, service, {"n": number})
        found = await ground.runtime.recordings.load(ADMIN, run_id)
        assert found.request.body == b'{"n": %d}' % number

    recordings = ground.runtime.recordings
    _, _, run_id = await fetch(ground.runtime, service, {"n": 5})
    assert (await recordings.list(ADMIN, service))[0].run_id == run_id
    _, _, run_id = await fetch(ground.runtime, service, {"n": 6})
    await recordings.pin(ADMIN, run_id)
    _, _, run_id = await fetch(ground.runtime, service, {"n": 7})
    await ground.runtime.tests.add(ADMIN, run_id)
    _, _, run_id = await fetch(ground.runtime, service, {"n": 8})
    await recordings.remove(ADMIN, run_id)


@pytest.mark.requirement("recording:every-run")
async def test_a_run_that_failed_is_recorded_until_its_end(ground: RecordingGround) -> None:
    service = await deployed(ground.runtime, calling(f'hosts = ["{HOST_ALIAS}"]', title="Failing"))
    status, _, run_id = await ground.run(service, ["GET", f"{ground.url}/read", None], fail=True)
    assert status == 500
    found = await ground.recording(run_id)
    assert (found.status, found.response.status, len(found.exchanges)) == ("failed", 500, 1)


@pytest.mark.requirement("recording:own")
async def test_only_its_owner_finds_a_recording(ground: RecordingGround) -> None:
    service = await deploy(ground.runtime, ECHO)
    _, _, run_id = await fetch(ground.runtime, service, {"n": 1})
    await ground.recording(run_id)
    other = Caller("somebody", "user")
    with pytest.raises(NotFound):
        await ground.runtime.recordings.load(other, run_id)
    with pytest.raises(NotFound):
        await ground.runtime.recordings.remove(other, run_id)
    assert await ground.runtime.recordings.list(other) == []
    (first, *_) = await ground.runtime.recordings.list(ADMIN, service)
    assert (first.run_id, first.obstacle) == (run_id, "")
    await ground.runtime.recordings.remove(ADMIN, run_id)
    with pytest.raises(NotFound):
        await ground.runtime.recordings.load(ADMIN, run_id)


@pytest.mark.requirement("recording:sealed")
async def test_nothing_that_passed_is_readable_in_the_home_and_values_of_secrets_are_not_in_it(
    ground: RecordingGround,
) -> None:
    await ground.runtime.secrets.set(ADMIN, "PLAIN_KEY", PLAIN, plain=True)
    code = calling(f'hosts = ["{HOST_ALIAS}"]', title="Sealed", env=("PLAIN_KEY",))
    service = await deployed(ground.runtime, code)
    text = "words-that-only-this-request-has " * 200
    _, _, run_id = await ground.run(service, ["POST", f"{ground.url}/write", {"text": text, "key": PLAIN}])
    found = await ground.recording(run_id)
    assert text.encode()[:40] in (found.exchanges[0].request.body or b"")
    assert PLAIN.encode() not in encode(found)
    assert b"[secret PLAIN_KEY]" in (found.exchanges[0].request.body or b"")

    home = ground.runtime.settings.home
    with sqlite3.connect(f"file:{home / 'codewords.db'}?mode=ro", uri=True) as database:
        sealed = b"".join(row[0] for row in database.execute("SELECT sealed FROM recordings"))
        sealed += b"".join(row[0] for row in database.execute("SELECT sealed FROM recorded_bodies"))
    assert sealed
    assert b"words-that-only-this" not in sealed
    assert HOST_ALIAS.encode() not in sealed


@pytest.mark.requirement("recording:warm")
async def test_what_a_program_sent_before_its_run_came_is_on_the_recording_too(
    ground: RecordingGround,
) -> None:
    # Where a deploy starts the program to look at it, there is no network.
    early = f"""import contextlib, httpx
with contextlib.suppress(httpx.HTTPError):
    httpx.get("{ground.url}/read?at=start", timeout=30)
"""
    code = calling(f'hosts = ["{HOST_ALIAS}"]', title="Early")
    service = await deployed(ground.runtime, code.replace("import httpx, json", f"{early}import json"))

    async def warm() -> bool:
        _, _, run_id = await ground.run(service, ["GET", f"{ground.url}/read?at=run", None])
        found = await ground.recording(run_id)
        urls = [one.request.url.partition("?")[2] for one in found.exchanges]
        assert urls == ["at=start", "at=run"]
        return found.exchanges[0].started < 0

    assert await until_async(warm, timeout=60)


@pytest.mark.requirement("recording:policy")
async def test_a_header_says_which_runs_are_recorded(ground: RecordingGround) -> None:
    off = await deployed(ground.runtime, calling('record = "off"', title="Off"))
    failures = await deployed(ground.runtime, calling('record = "failures"', title="Failures"))
    _, _, unrecorded = await ground.run(off)
    _, _, good = await ground.run(failures)
    _, _, bad = await ground.run(failures, fail=True)
    await ground.recording(bad)
    for run_id in (unrecorded, good):
        with pytest.raises(NotFound):
            await ground.runtime.recordings.load(ADMIN, run_id)


@pytest.mark.requirement("recording:exported")
async def test_a_recording_is_brought_to_another_workflow_under_an_id_of_its_own(
    ground: RecordingGround,
) -> None:
    service = await deploy(ground.runtime, ECHO)
    _, _, run_id = await fetch(ground.runtime, service, {"n": 2})
    found = await ground.recording(run_id)
    document = json.dumps(await ground.runtime.recordings.export(ADMIN, run_id)).encode()
    info = await ground.runtime.recordings.bring(ADMIN, document)
    assert info.run_id != run_id
    assert (info.service_id, info.imported) == (service, True)
    brought = await ground.runtime.recordings.load(ADMIN, info.run_id)
    assert (brought.request.body, brought.response.body) == (found.request.body, found.response.body)
    with pytest.raises(NotFound):
        await ground.runtime.recordings.bring(Caller("somebody", "user"), document)
    with pytest.raises(InvalidInput, match="not imported"):
        await ground.runtime.recordings.bring(ADMIN, b'{"kind": "another"}')


@pytest.mark.requirement("recording:bounded-store")
async def test_a_workflow_keeps_its_failures_and_the_latest_of_each_form_of_input(tmp_path: Path) -> None:
    async with open_runtime(make_home(tmp_path / "home"), recording_workflow_bytes=20_000) as runtime:
        service = await deploy(runtime, ECHO)
        _, _, first = await fetch(runtime, service, {"of another": "form"})
        ids = [(await fetch(runtime, service, {"n": os.urandom(1000).hex()}))[2] for _ in range(15)]

        async def listed() -> list[str] | None:
            found = [one.run_id for one in await runtime.recordings.list(ADMIN, service)]
            return found if ids[-1] in found else None

        found = await until_async(listed)
        assert found is not None
        assert first in found
        assert ids[0] not in found
        sizes = [one.bytes for one in await runtime.recordings.list(ADMIN, service)]
        assert 0 < sum(sizes) <= 20_000

        await runtime.workflows.delete(ADMIN, service, consent=ALLOWED)
        assert await runtime.recordings.list(ADMIN) == []


_PINNED = """
import httpx, ssl

@app.post("/")
async def ask(request: Request):
    asked = await request.json()
    # Trusts one authority and nothing else, as programs do that pin certificates.
    context = ssl.create_default_context(cadata=asked["authority"])
    outcomes = []
    for _ in range(2):
        try:
            async with httpx.AsyncClient(verify=context, timeout=30) as client:
                outcomes.append((await client.get(asked["url"])).status_code)
        except httpx.HTTPError as error:
            outcomes.append(type(error).__name__)
    return outcomes
"""


@pytest.mark.requirement("recording:pinned", "recording:pinned-named")
async def test_a_client_that_pins_certificates_is_left_alone_from_its_second_connection_on(
    ground: RecordingGround,
) -> None:
    code = workflow(_PINNED, title="Pinned").replace(
        "# ///\nfrom fastapi", f'# [tool.codewords]\n# hosts = ["{HOST_ALIAS}"]\n# ///\nfrom fastapi', 1
    )
    service = await deployed(ground.runtime, code)
    data = {"url": f"{ground.url}/read", "authority": ground.authority}
    _, answer, first = await fetch(ground.runtime, service, data)
    assert json.loads(answer) == ["ConnectError", 200]
    assert any("pinned certificate" in one for one in (await ground.recording(first)).obstacles)
    lines = [line.message for line in await ground.runtime.logs.tail(ADMIN, first)]
    assert any(f"connection to {HOST_ALIAS}" in line and "run it again" in line for line in lines), lines

    ground.runtime._container.forget(service)  # pyright: ignore[reportPrivateUsage]  # no prepared sandbox of before
    _, answer, later = await fetch(ground.runtime, service, data)
    assert json.loads(answer) == [200, 200]
    found = await ground.recording(later)
    assert found.exchanges == ()
    assert len(found.connections) == 2

    # Named by the trace of each run, and by the status that `doctor` reads.
    trace = await ground.runtime.traces.get(ADMIN, later)
    notes = [span.note for span in trace.spans if HOST_ALIAS in span.name]
    assert notes == ["not recorded: pinned certificate"] * 2
    status = await ground.runtime.status.describe(ADMIN)
    hosts = [one for one in status["recordings"]["unread_hosts"] if one["service_id"] == service]
    assert hosts == [
        {"service_id": service, "version": 1, "live": True, "host": HOST_ALIAS, "why": "pinned certificate"}
    ]


@pytest.mark.requirement("recording:bundles")
async def test_a_program_that_names_its_packages_own_list_of_authorities_is_recorded_at_its_first_request(
    ground: RecordingGround,
) -> None:
    code = calling(f'hosts = ["{HOST_ALIAS}"]', title="Own list").replace(
        "httpx.AsyncClient(timeout=30)", "httpx.AsyncClient(timeout=30, verify=trusted)"
    )
    own = "import certifi, ssl\ntrusted = ssl.create_default_context(cafile=certifi.where())\n"
    service = await deployed(ground.runtime, code.replace("import httpx, json", f"{own}import httpx, json"))
    status, answer, run_id = await ground.run(service, ["GET", f"{ground.url}/read", None])
    assert status == 200, answer
    found = await ground.recording(run_id)
    assert ([one.status for one in found.exchanges], found.obstacles) == ([200], [])


@pytest.mark.requirement("recording:every-run", "recording:sealed")
async def test_runtimes_on_one_postgresql_read_each_others_recordings(
    tmp_path: Path, postgres: Postgres
) -> None:
    shared: dict[str, Any] = {"database_url": postgres.migrated_url(), "master_key": os.urandom(32).hex()}
    text = os.urandom(6000).hex()
    ids: list[str] = []
    service = ""
    for name in ("one", "two", "three"):
        async with open_runtime(make_home(tmp_path / name), **shared) as runtime:
            service = service or await deploy(runtime, ECHO)
            ids.append((await fetch(runtime, service, {"text": text}))[2])

            async def listed(runtime: Runtime = runtime) -> bool:
                found = await runtime.recordings.list(ADMIN)
                return {one.run_id for one in found} == set(ids)

            assert await until_async(listed)
            for run_id in ids:
                found = await runtime.recordings.load(ADMIN, run_id)
                assert text.encode() in (found.request.body or b"")


@pytest.mark.requirement("recording:pinned")
async def test_a_program_whose_variables_name_its_own_list_of_authorities_keeps_it(
    ground: RecordingGround,
) -> None:
    own = "import os\nwith open('own.pem', 'w') as file:\n    file.write(OWN)\nos.chdir('/app')\n"
    code = calling(f'hosts = ["{HOST_ALIAS}"]', title="Own variable", env=("SSL_CERT_FILE=own.pem",))
    code = code.replace(
        "import httpx, json", own.replace("OWN", repr(ground.authority)) + "import httpx, json"
    )
    service = await deployed(ground.runtime, code)
    status, answer, run_id = await ground.run(service, ["GET", f"{ground.url}/read", None])
    assert (status, answer["replies"][0][0]) == (200, 200), answer
    found = await ground.recording(run_id)
    assert found.obstacles == [f"not recorded: authorities of its own {HOST_ALIAS}:{ground.host.port}"]
