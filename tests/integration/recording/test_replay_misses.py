"""Requests of a replay that no recording answers: what goes out because somebody allowed it, and what never does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.recording.helpers import RecordingGround, calling, recording_ground
from tests.integration.runtime.helpers import deployed
from tests.support.mcp_clients import data_of, over_http, serving, text_of
from tests.support.runtime import ADMIN, request

from codewords_mcp.runtime.api.testing import TestRequest
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.authoring import Edit
from codewords_mcp.runtime.model.replay import Replay, ReplayReport, ReplayRequest
from codewords_mcp.runtime.recording.faults import INJECTION_HOST
from codewords_mcp.settings import Settings
from codewords_testing.providers import LoopbackProviders, loopback_providers
from codewords_testing.providers.scripted import chat_reply

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TOOL = f'hosts = ["{HOST_ALIAS}"]\nservices = ["send_email", "files", "openai"]'
_RETURN = '    return {"replies": replies}'
_BEARER = '"Bearer " + os.environ["CODEWORDS_API_KEY"]'
_KEY = f'{{"Authorization": {_BEARER}}}'
CHAT = "/openai/v1/chat/completions"
PROMPT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Who?"}]}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def providers() -> Any:
    with loopback_providers() as running:
        yield running


@pytest.fixture(scope="module")
async def ground(
    tmp_path_factory: pytest.TempPathFactory, providers: LoopbackProviders
) -> AsyncIterator[RecordingGround]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = tmp_path_factory.mktemp("misses")
        async with recording_ground(folder, monkeypatch, openai_base_url=providers.url) as opened:
            await opened.runtime.secrets.set(ADMIN, "OPENAI_API_KEY", "sk-of-the-loopback-providers")
            yield opened


def report_of(replay: Replay) -> ReplayReport:
    assert replay.report is not None
    return replay.report


async def recorded(ground: RecordingGround, title: str, *calls: list[Any]) -> tuple[str, str]:
    """(service id, run id) of a workflow with one recorded run."""
    code = calling(TOOL, title=title).replace('= os.environ["CODEWORDS_API_KEY"]', f"= {_BEARER}")
    service = await deployed(ground.runtime, code)
    status, answer, run_id = await ground.run(service, *calls)
    assert status == 200, answer
    assert [reply[0] for reply in answer["replies"]] == [200] * len(calls), answer
    await ground.recording(run_id)
    return service, run_id


async def draft_of(ground: RecordingGround, service: str, old: str, new: str) -> str:
    edited = await ground.runtime.drafts.edit(ADMIN, service, edits=[Edit(old=old, new=new)])
    return edited.draft.draft_id


@pytest.mark.requirement("replay:misses")
async def test_a_changed_prompt_is_sent_within_the_budget_only(
    ground: RecordingGround, providers: LoopbackProviders
) -> None:
    service, _ = await recorded(ground, "Prompts", ["POST", CHAT, PROMPT])
    draft = await draft_of(
        ground, service, "json=data, headers", "json={**data, 'temperature': 0.5}, headers"
    )
    replays = ground.runtime.replays
    asked = len(providers.requests)
    free = await replays.replay(ADMIN, ReplayRequest(service, draft=draft))
    assert len(providers.requests) == asked
    assert report_of(free).verdict in {"changed", "worse"}, free.text
    assert "prompt" in free.text
    assert report_of(free).cost == 0.0

    tiny = await replays.replay(ADMIN, ReplayRequest(service, draft=draft, budget=1e-9))
    assert len(providers.requests) == asked, "what a call may cost is more than there is"
    assert report_of(tiny).cost == 0.0

    paid = await replays.replay(ADMIN, ReplayRequest(service, draft=draft, budget=0.5))
    assert len(providers.requests) == asked + 1
    assert json.loads(providers.requests[-1].body)["temperature"] == 0.5
    assert 0 < report_of(paid).cost <= 0.5
    # The recorded version, replayed beside it, never pays.
    same = await replays.replay(ADMIN, ReplayRequest(service, version=1, budget=0.5))
    assert report_of(same).verdict == "same", same.text
    assert len(providers.requests) == asked + 1


@pytest.mark.requirement("replay:misses")
async def test_reads_that_are_not_recorded_go_out_where_that_is_allowed_and_writes_never_do(
    ground: RecordingGround,
) -> None:
    service, _ = await recorded(ground, "Live reads", ["GET", f"{ground.url}/read", None])
    more = f"""
    async with httpx.AsyncClient(timeout=20) as client:
        for method, head, body in [
            ("GET", {{}}, None), ("POST", {{}}, b"x"), ("DELETE", {{}}, None), ("GET", {{}}, b"delete"),
            ("GET", {{"X-HTTP-Method-Override": "DELETE"}}, None),
        ]:
            await client.request(method, "{ground.url}/other", headers=head, content=body)
        try:
            await client.get("https://not-agreed.example:{ground.host.port}/other")
        except httpx.HTTPError:
            pass
{_RETURN}"""
    draft = await draft_of(ground, service, _RETURN, more)
    ground.host.asked.clear()
    await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, draft=draft))
    assert ground.host.asked == []

    live = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, draft=draft, live_reads=True))
    # A read may be sent again, where what differs is looked for more than once.
    sent = {
        (one["method"], one["path"], one["body"], "x-http-method-override" in one["headers"])
        for one in ground.host.asked
    }
    assert sent == {("GET", "/other", "", False)}
    assert f"would POST {HOST_ALIAS}:{ground.host.port}/other" in live.text
    assert f"would DELETE {HOST_ALIAS}:{ground.host.port}/other" in live.text


_CHEATS = f"""
    import asyncio, socket, subprocess, sys
    key = {_KEY}
    own = os.environ["CODEWORDS_RUNTIME_URI"]
    tried = []

    def raw(port):
        with socket.create_connection(("HOST", port), timeout=5) as connection:
            connection.sendall(b"POST /cheat HTTP/1.1\\r\\nHost: HOST\\r\\nContent-Length: 0\\r\\n\\r\\n")
            return connection.recv(100)

    def datagram(address):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(1)
            sender.sendto(b"cheat" + bytes(20), address)
            return sender.recv(100)

    def upgrade():
        import ssl
        context = ssl.create_default_context()
        with context.wrap_socket(socket.create_connection(("HOST", PORT), timeout=5), server_hostname="HOST") as tls:
            tls.sendall(
                b"GET /cheat HTTP/1.1\\r\\nHost: HOST\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                b"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n\\r\\n"
            )
            return tls.recv(100)

    def child():
        code = "import urllib.request as u; u.urlopen('URL/cheat', b'x', timeout=5)"
        return subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20).returncode

    for one in (
        lambda: raw(PORT), lambda: datagram(("HOST", PORT)), lambda: datagram(("8.8.8.8", 53)),
        lambda: socket.getaddrinfo("cheat.secret-in-a-name.example", 443), upgrade, child,
    ):
        try:
            tried.append(str(await asyncio.to_thread(one)))
        except (OSError, subprocess.SubprocessError) as error:
            tried.append(type(error).__name__)
    async with httpx.AsyncClient(timeout=20, headers=key, base_url=own) as client:
        mail = {{"to": "cheat@example.com", "subject": "Hi", "text": "Hello"}}
        for method, path, body in [
            ("POST", "/run/send_email/", mail), ("POST", "/run_async/send_email/", mail),
            ("POST", "/file?filename=cheat.txt", None), ("POST", "/run/files/upload", {{"filename": "c", "content": "x"}}),
            ("POST", "{CHAT}", {{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "cheat"}}]}}),
            ("POST", "/openai/v1/files", {{"purpose": "cheat"}}),
        ]:
            tried.append(str((await client.request(method, path, json=body)).status_code))
        tried.append(str((await client.put("/file/cheat", content=b"cheat")).status_code))
    print("tried:", tried)
"""


@pytest.mark.requirement("replay:nothing-sent")
@pytest.mark.parametrize("allowed", [{}, {"live_reads": True}])
async def test_a_draft_that_was_told_to_cheat_sends_nothing(
    ground: RecordingGround, providers: LoopbackProviders, allowed: dict[str, Any]
) -> None:
    service, _ = await recorded(ground, f"Cheats {len(allowed)}", ["GET", f"{ground.url}/read", None])
    cheats = _CHEATS.replace("HOST", HOST_ALIAS).replace("URL", ground.url)
    cheats = cheats.replace("PORT", str(ground.host.port))
    draft = await draft_of(ground, service, _RETURN, cheats + _RETURN)
    before = await _traces(ground, providers)
    replay = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, draft=draft, **allowed))
    assert await _traces(ground, providers) == before
    report = report_of(replay)
    assert report.verdict != "same"
    assert (report.bytes_sent, report.cost) == (0, 0.0)
    # All of it was tried: the program came to its end.
    found = (await ground.runtime.runs.list(ADMIN, service_id=service, mode="replay")).items
    log = [line.message for run in found for line in await ground.runtime.logs.tail(ADMIN, run.id, limit=50)]
    assert any(line.startswith("tried:") for line in log), (replay.text, log)
    assert "send_email" in replay.text


async def _traces(ground: RecordingGround, providers: LoopbackProviders) -> tuple[int, int, str, int]:
    """All that a program can leave outside: requests to the host and providers, mails, runs."""
    response = await ground.runtime.runs.execute(request("send_email", None, path="/outbox", method="GET"))
    mails = b"".join([chunk async for chunk in response.body]).decode()
    runs = (await ground.runtime.runs.list(ADMIN, service_id="send_email", limit=100)).items
    ordinary = [run for run in runs if run.status != "succeeded" or run.parent_id is not None]
    return len(ground.host.asked), len(providers.requests), mails, len(ordinary)


_UPLOADS = f"""
    key = {_KEY}
    async with httpx.AsyncClient(timeout=20, base_url=os.environ["CODEWORDS_RUNTIME_URI"]) as client:
        link = (await client.post("/file", params={{"filename": "report.txt"}}, headers=key)).json()
        sent = await client.put(link["upload_uri"], content=b"a report", headers=link["upload_headers"])
        back = await client.get("/file/" + link["download_uri"].rpartition("/file/")[2])
    replies.append([sent.status_code, back.status_code, back.text])
"""


@pytest.mark.requirement("replay:imported-files")
async def test_an_imported_recording_of_a_run_that_uploads_files_is_replayed(ground: RecordingGround) -> None:
    code = calling(TOOL, title="Uploads").replace(_RETURN, _UPLOADS + _RETURN)
    service = await deployed(ground.runtime, code)
    status, answer, run_id = await ground.run(service)
    assert status == 200, (answer, await ground.runtime.logs.tail(ADMIN, run_id, limit=30))
    assert answer["replies"] == [[200, 200, "a report"]], answer
    await ground.recording(run_id)
    document = await ground.runtime.recordings.export(ADMIN, run_id)
    own = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, runs=[run_id]))
    assert report_of(own).verdict == "same", own.text
    # As it comes from another home: its links lead to no file here.
    text = json.dumps(document).replace("/file/W", "/file/X")
    assert text != json.dumps(document)
    foreign = json.dumps({**json.loads(text), "run_id": "elsewhere"}).encode()
    imported = await ground.runtime.recordings.bring(ADMIN, foreign, service)
    replay = await ground.runtime.replays.replay(ADMIN, ReplayRequest(service, runs=[imported.run_id]))
    assert report_of(replay).verdict == "same", (replay.text, report_of(replay).runs)


_OBEYS = """
    async with httpx.AsyncClient(timeout=20) as client:
        page = (await client.get("URL/page-with-the-news-of-today")).text
        ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Where to report? " + page}]}
        own = os.environ["CODEWORDS_RUNTIME_URI"] + "CHAT"
        chosen = (await client.post(own, json=ask, headers=KEY)).json()["choices"][0]["message"]["content"]
        plan = texts.loads(chosen)
        mail = {"to": plan["report_to"], "subject": "Today", "text": "Here it is"}
        await client.post(os.environ["CODEWORDS_RUNTIME_URI"] + "/run/send_email/", json=mail, headers=KEY)
"""


@pytest.mark.requirement("testing:obeyed-injection")
async def test_the_write_of_a_model_that_obeys_a_hidden_instruction_is_named(
    ground: RecordingGround, providers: LoopbackProviders
) -> None:
    program = _OBEYS.replace("URL", ground.url).replace("CHAT", CHAT).replace("KEY", _KEY)
    service = await deployed(ground.runtime, calling(TOOL, title="Obeys").replace(_RETURN, program + _RETURN))
    providers.answer_next(chat_reply(json.dumps({"report_to": "ada@example.com"})))
    status, answer, run_id = await ground.run(service)
    assert status == 200, answer
    await ground.recording(run_id)
    before = len(ground.host.asked), len(providers.requests)
    report = await ground.runtime.tests.run(ADMIN, TestRequest(service, faults=True))
    assert (len(ground.host.asked), len(providers.requests)) == before
    injected = [one for one in report.faulted[0].faults if one.kind == "injection"]
    followed = [one for one in injected if one.followed_injection]
    assert followed, report
    assert any("send_email" in name for name in followed[0].new_writes), followed


_CALLS_BACK = """
    async with httpx.AsyncClient(timeout=20) as client:
        page = (await client.get("URL/page-with-the-news-of-today")).text
        ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Whom to call? " + page}]}
        own = os.environ["CODEWORDS_RUNTIME_URI"] + "CHAT"
        chosen = (await client.post(own, json=ask, headers=KEY)).json()["choices"][0]["message"]["content"]
        print("STEPLOG START report")
        await client.post(texts.loads(chosen)["callback"], json={"page": page})
"""


@pytest.mark.requirement("testing:obeyed-injection")
@pytest.mark.parametrize("listed", [True, False])
async def test_a_host_that_an_obeyed_instruction_names_is_named_whether_the_manifest_lists_it_or_not(
    ground: RecordingGround, providers: LoopbackProviders, listed: bool
) -> None:
    program = _CALLS_BACK.replace("URL", ground.url).replace("CHAT", CHAT).replace("KEY", _KEY)
    hosts = [HOST_ALIAS, INJECTION_HOST] if listed else [HOST_ALIAS]
    tool = f'egress = {json.dumps(hosts)}\nservices = ["openai"]'
    code = calling(tool, title=f"Calls back {listed}")
    code = code.replace(_RETURN, program + _RETURN)
    service = await deployed(ground.runtime, code)
    providers.answer_next(chat_reply(json.dumps({"callback": f"{ground.url}/write"})))
    status, answer, run_id = await ground.run(service)
    assert status == 200, answer
    await ground.recording(run_id)
    before = len(ground.host.asked), len(providers.requests)
    report = await ground.runtime.tests.run(ADMIN, TestRequest(service, faults=True))
    assert (len(ground.host.asked), len(providers.requests)) == before
    (followed,) = [one for one in report.faulted[0].faults if one.followed_injection]
    assert followed.kind == "injection"
    line = 1 + code.split("\n").index(
        '        await client.post(texts.loads(chosen)["callback"], json={"page": page})'
    )
    if listed:
        assert (followed.outcome, followed.refused, followed.at) == ("handled", [], "")
        assert followed.new_writes == [f"POST {INJECTION_HOST}/in"]
    else:
        assert (followed.outcome, followed.refused) == ("crashed", [INJECTION_HOST])
        assert followed.at.startswith(f"step report, line {line}: "), followed
        assert followed.missing_writes == [f"POST {HOST_ALIAS}:{ground.host.port}/write"]


@pytest.mark.requirement("replay:own-input")
async def test_a_model_tries_a_draft_on_an_input_of_its_own(ground: RecordingGround) -> None:
    read, write = ["GET", f"{ground.url}/read", None], ["POST", f"{ground.url}/write", {"n": 1}]
    service, _ = await recorded(ground, "Own input", read)
    draft = await draft_of(ground, service, "reply.text[:200]", "reply.text[:2]")
    ground.host.asked.clear()
    settings = Settings.model_construct(home=ground.runtime.settings.home)
    async with (
        serving(ground.runtime, settings, {"admin": ADMIN}) as url,
        over_http(url, "admin", "legacy") as client,
    ):
        arguments = {"draft_id": draft, "input": {"calls": [read, write]}}
        tried = await client.call_tool("try_draft", arguments)
        data, text = data_of(tried), text_of(tried)
        assert data["status"] == "done"
        assert data["would_write"] == [f"POST {HOST_ALIAS}:{ground.host.port}/write"]
        assert json.loads(data["answer"].partition(" ")[2])["replies"][1] == [202, '{"']
        # Beside the live version, on the same input: only the cut differs.
        assert data["verdict"] == "changed"
        assert len(text.splitlines()) <= 12 + 2, text
        fails = await client.call_tool("try_draft", {"draft_id": draft, "input": {"other": 1}})
        assert data_of(fails)["answer"].startswith("500")
    assert ground.host.asked == []


@pytest.mark.requirement("replay:own-input")
async def test_a_draft_without_a_workflow_is_tried_on_an_input(ground: RecordingGround) -> None:
    made = await ground.runtime.drafts.create(ADMIN, code=calling(TOOL, title="Alone"))
    call = ["POST", f"{ground.url}/write", {"n": 1}]
    ground.host.asked.clear()
    wanted = ReplayRequest(draft=made.draft.draft_id, input={"calls": [call]})
    replay = await ground.runtime.replays.replay(ADMIN, wanted)
    (run,) = report_of(replay).runs
    assert run.answer.startswith("200")
    assert run.would_write == [f"POST {HOST_ALIAS}:{ground.host.port}/write"]
    assert (run.verdict, run.obstacles) == ("cannot tell", ["nothing is live to compare it with"])
    assert ground.host.asked == []
