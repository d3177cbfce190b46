"""The usual clients through interception: they trust it by their environment, and the host gets the value from each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.integration.secrets.helpers import run
from tests.integration.secrets.interception import VALUE, ground
from tests.support.needs import require

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

NODE = """
const http2 = require('node:http2'), https = require('node:https'), tls = require('node:tls'), http = require('node:http')
const url = new URL(process.argv[1]), proxy = new URL(process.env.HTTPS_PROXY), authorization = `Bearer ${process.env.KEY}`
const tunnel = (ALPNProtocols) => new Promise((done, failed) => http.request({
  host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: url.host,
}).on('connect', (_, socket) => {
  const secure = tls.connect({ socket, servername: url.hostname, ALPNProtocols }, () => done(secure)).on('error', failed)
}).on('error', failed).end())
const read = async (stream) => { let text = ''; for await (const piece of stream) text += piece; return text }
let secure2
;(async () => {
  secure2 = await tunnel(['h2'])
  const session = http2.connect(url.origin, { createConnection: () => secure2 })
  const second = await read(session.request({ ':path': '/node-h2', authorization }))
  session.close()
  const plain = await tunnel(['http/1.1'])
  const reply = await new Promise((done) => https.get(
    { createConnection: () => plain, host: url.hostname, port: url.port, path: '/node', headers: { authorization } }, done))
  console.log(JSON.stringify([second, await read(reply)]))
  plain.destroy()
})()
"""


@pytest.mark.requirement("rules:clients")
async def test_each_python_client_trusts_the_sandboxs_authority_and_its_requests_reach_the_host_with_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path, monkeypatch) as stage:
        program = str(Path(__file__).with_name("client_programs.py"))
        found: dict[str, str] = json.loads(await run(stage, sys.executable, program, stage.url))
        assert len(found) == 9
        assert [text for text in found.values() if text.startswith("failed")] == []
        assert VALUE not in json.dumps(found)
        for path in ("requests", "httpx", "httpx-h2", "httpx2", "aiohttp", "urllib3", "urllib"):
            asked = [one for one in stage.host.asked if one["path"] == f"/{path}"]
            assert {one["headers"]["authorization"] for one in asked} == {f"Bearer {VALUE}"}, path
        assert {one["version"] for one in stage.host.asked if one["path"] == "/httpx-h2"} == {"2"}
        assert (
            sum(VALUE in json.dumps(one["headers"]) for one in stage.host.asked if "models" in one["path"])
            == 2
        )
        assert stage.refusals == []


@pytest.mark.requirement("rules:clients")
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_curl_trusts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    require("curl")
    async with ground(tmp_path, monkeypatch) as stage:
        header = f"Authorization: Bearer {stage.placeholder}"
        said = await run(stage, "curl", "-sS", "--fail", version, "-H", header, f"{stage.url}/curl")
        (asked,) = stage.host.asked
        assert asked["headers"]["authorization"] == f"Bearer {VALUE}"
        assert asked["version"] == version.removeprefix("--http")
        assert VALUE not in said


@pytest.mark.requirement("rules:clients")
async def test_node_trusts_it_over_both_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("node")
    async with ground(tmp_path, monkeypatch) as stage:
        said = await run(stage, "node", "-e", NODE, stage.url)
        assert [one["version"] for one in stage.host.asked] == ["2", "1.1"]
        assert {one["headers"]["authorization"] for one in stage.host.asked} == {f"Bearer {VALUE}"}
        assert VALUE not in said
