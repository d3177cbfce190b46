"""What passes the egress is recorded, given again and held, by a recorder that never sees a value."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from tests.integration.secrets.fake_recorder import Library
from tests.integration.secrets.helpers import run
from tests.integration.secrets.interception import FREE, HOST, NAME, VALUE, Ground, ground
from tests.support.egress import serving
from tests.support.needs import require

from codewords_mcp.runtime.recording.exchanges import MAX_BODY_BYTES

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PLAIN = "plain-value-that-the-workflow-holds"


def client(stage: Ground) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        proxy=f"http://127.0.0.1:{stage.proxy}",
        verify=stage.context,
        trust_env=False,
        timeout=60,
        http2=True,  # which it does without where there is a recorder
    )


@pytest.mark.requirement("recording:egress", "recording:replay", "recording:no-values")
async def test_what_was_recorded_is_given_again_without_asking_the_host_and_holds_no_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library()
    recording = library.recording(PLAIN_KEY=PLAIN, **{NAME: VALUE})
    async with ground(
        tmp_path, monkeypatch, recording=recording, places=("header", "basic", "query")
    ) as stage:
        key = stage.placeholder
        headers = {"Authorization": f"Bearer {key}"}

        async def ask() -> list[tuple[int, str]]:
            async with client(stage) as http:
                replies = [
                    await http.get(f"{stage.url}/read?key={key}&n=1", headers=headers),
                    await http.get(f"{stage.url}/read", auth=(key, "")),
                    await http.get(f"{stage.url}/packed?coding=gzip", headers=headers),
                    await http.post(f"{stage.url}/write", headers=headers, json={"mine": PLAIN}),
                    await http.get(f"{stage.url}/stream", headers=headers),
                    await http.head(f"{stage.url}/ok", headers=headers),
                ]
            assert all(reply.http_version == "HTTP/1.1" for reply in replies)
            return [(reply.status_code, reply.text) for reply in replies]

        recorded = await ask()
        assert [status for status, _ in recorded] == [200, 200, 200, 200, 200, 200]
        assert f"key={VALUE.replace('/', '%2F').replace('+', '%2B').replace('=', '%3D')}" in json.dumps(
            stage.host.asked
        )
        assert len(await library.heard(6)) == 6
        shown = repr(library.ended)
        for secret in (VALUE, PLAIN, key):
            assert secret not in shown
        first, by_user, _, written, streamed, _ = library.ended
        assert first.request.url == f"{stage.url}/read?key=[secret {NAME}]&n=1"
        assert dict(by_user.request.headers)[b"authorization"] == b"Basic [secret STRIPE_API_KEY]:"
        assert written.request.body == b'{"mine":"[secret PLAIN_KEY]"}'
        assert (written.request.writes, first.request.writes) == (True, False)
        times = [at for at, _ in streamed.chunks]
        assert len(times) > 1
        assert times == sorted(times)

        library.replays = True
        asked, events = len(stage.host.asked), len(stage.events)
        again = await ask()
        assert [status for status, _ in again] == [status for status, _ in recorded]
        assert [len(text) for _, text in again] == [len(text) for _, text in recorded]
        assert again[2] == recorded[2]
        assert (len(stage.host.asked), len(library.ended)) == (asked, 6)
        assert [event.kind for event in stage.events[events:] if event.kind == "connection"] == []


@pytest.mark.requirement("recording:hold")
async def test_what_writes_is_held_and_told_and_what_reads_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library()
    library.holds = True
    async with ground(tmp_path, monkeypatch, recording=library.recording()) as stage, client(stage) as http:
        for method in ("POST", "PUT", "DELETE"):
            reply = await http.request(method, f"{stage.url}/write", content=b"data")
            assert (reply.status_code, "was not sent: this is a dry run" in reply.text) == (409, True)
        assert stage.host.asked == []
        assert len(stage.refusals) == 3
        assert (await http.get(f"{stage.url}/read")).status_code == 200
        assert [asked["method"] for asked in stage.host.asked] == ["GET"]
        # a body is looked at before anybody is asked
        reply = await http.post(f"{stage.url}/write", json={"key": stage.placeholder})
        assert "its body holds the placeholder" in reply.text
        assert [one.method for one in library.asked_for] == ["POST", "PUT", "DELETE", "GET"]


@pytest.mark.requirement("recording:bounded")
async def test_what_is_long_passes_whole_and_is_kept_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library()

    async def pieces():
        for _ in range(48):
            yield b"u" * (1 << 16)

    async with ground(tmp_path, monkeypatch, recording=library.recording()) as stage, client(stage) as http:
        reply = await http.post(f"{stage.url}/up", content=pieces())
        assert reply.json()["size"] == 3 << 20
        assert len((await http.get(f"{stage.url}/big")).content) == 8 << 20
        with pytest.raises(httpx.HTTPError):
            await http.get(f"{stage.url}/cut")
    up, big, cut = await library.heard(3)
    assert (up.request.body, up.request.key, up.whole) == (None, None, True)
    assert (big.size, len(big.body), big.whole) == (8 << 20, MAX_BODY_BYTES, False)
    assert (cut.status, cut.whole) == (200, False)


@pytest.mark.requirement("recording:egress")
async def test_a_client_that_waits_to_be_told_to_send_its_body_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("curl")
    library, body = Library(), tmp_path / "body"
    body.write_bytes(b"b" * 100_000)
    async with ground(tmp_path, monkeypatch, recording=library.recording()) as stage:
        sending = ("--expect100-timeout", "60", "-H", "Expect: 100-continue", "--data-binary", f"@{body}")
        said = await run(stage, "curl", "-sS", "--fail", *sending, f"{stage.url}/up")
        assert json.loads(said)["size"] == 100_000
        [heard] = await library.heard(1)
    assert heard.request.body == body.read_bytes()


@pytest.mark.requirement("recording:egress")
async def test_hosts_without_a_rule_and_without_tls_are_recorded_too_and_what_is_no_http_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readline()
        if first.startswith(b"GET"):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
        else:
            writer.write(b"heard " + first)
        await writer.drain()
        writer.close()

    async with serving(talk) as port:
        private = frozenset({f"127.0.0.1:{port}"})
        async with (
            ground(
                tmp_path, monkeypatch, certified=FREE, recording=library.recording(), private=private
            ) as stage,
            client(stage) as http,
        ):
            free = f"https://{FREE}:{stage.host.port}/read"
            assert (await http.get(free)).status_code == 200
            refused = await http.get(free, headers={"X-Key": stage.placeholder})
            assert (refused.status_code, "whose rule is for" in refused.text) == (403, True)
            for _ in range(2):
                assert (await http.get(f"http://127.0.0.1:{port}/x")).text == "plain"
                library.replays = True
            refused = await http.get(f"http://127.0.0.1:{port}/", headers={"X-Key": stage.placeholder})
            assert refused.status_code == 403
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.proxy)
            writer.write(
                f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nEHLO there\r\n".encode()
            )
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.read() == b"heard EHLO there\r\n"
            writer.close()
    assert [one.request.url for one in await library.heard(2)] == [free, f"http://127.0.0.1:{port}/x"]
    assert HOST not in repr(library.asked_for)


@pytest.mark.requirement("rules:inspect")
async def test_a_workflow_that_asks_for_it_has_placeholders_refused_at_hosts_without_a_rule_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path, monkeypatch, certified=FREE, everywhere=True) as stage:
        free = f"https://{FREE}:{stage.host.port}/read"
        for http2 in (False, True):
            async with httpx.AsyncClient(
                proxy=f"http://127.0.0.1:{stage.proxy}", verify=stage.context, trust_env=False, http2=http2
            ) as http:
                assert (await http.get(free)).status_code == 200
                refused = await http.get(free, headers={"Authorization": f"Bearer {stage.placeholder}"})
                assert refused.status_code == 403
                assert "whose rule is for api.stripe.com" in stage.refusals[-1]
        assert all("authorization" not in asked["headers"] for asked in stage.host.asked)
