"""A value that only its host may see, looked for around a whole installation: front, runtime, home, and what the model reads."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.integration.secrets.helpers import NAME, PLAIN, SPY, VALUE, files_with, forms, looked_for
from tests.integration.secrets.process_memory import holds
from tests.integration.secrets.tls_host import Ca, StandIn, standing_in
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.stdio_client import Json, Peer, environment

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.requirement("rules:canary", "rules:end-to-end")
async def test_neither_the_front_nor_the_home_nor_the_model_ever_has_it(tmp_path: Path) -> None:
    ca = Ca(tmp_path)
    async with standing_in(ca, HOST_ALIAS) as host:
        pair = f"{HOST_ALIAS}:{host.port}"
        home = make_home(tmp_path / "home")
        allowed = json.dumps([pair])
        with start_runtime(
            home,
            python=sys.executable,  # a fork shows its server's environment in /proc
            SSL_CERT_FILE=str(ca.file),
            CODEWORDS_EGRESS_ALLOW_PRIVATE=allowed,
            CODEWORDS_LOG_LEVEL="DEBUG",
        ) as runtime:
            await asyncio.to_thread(_use, runtime, host, pair)


def _use(runtime: ServedRuntime, host: StandIn, pair: str) -> None:
    runtime.call("PUT", f"/secrets/{NAME}", {"value": VALUE, "hosts": [pair]})
    runtime.call("PUT", "/secrets/PLAIN_KEY", {"value": PLAIN, "plain": True})
    service = runtime.deploy(SPY, "spy")
    with Peer(environment(runtime.home)) as front:
        front.initialize()

        def call(tool: str, **arguments: object) -> Json:
            return front.call("legacy", tool, arguments)

        asked = {"url": f"https://{pair}"} | looked_for(VALUE) | looked_for(PLAIN, "plain")
        ran = call("run_workflow", workflow_id=service, input=asked)["result"]
        failed = call("run_workflow", workflow_id=service, input={}, path="/raise")["result"]
        run_id = ran["structuredContent"]["run_id"]
        for one in (run_id, failed["structuredContent"]["run_id"]):
            call("get_run", run_id=one)
            call("get_logs", run_id=one)
        header = urllib.request.Request(f"{runtime.url}/run/{service}/header", method="POST", data=b"{}")
        header.add_header("Authorization", runtime.key)
        with urllib.request.urlopen(header, timeout=60) as reply:
            assert reply.headers["X-Key"] == "[secret PLAIN_KEY]"
        call("list_secrets")
        call("set_secret", name=NAME)
        said = b"".join(front.lines) + front.errors.encode()
        assert host.asked[0]["headers"]["authorization"] == f"Bearer {VALUE}"
        answer = ran["structuredContent"]["result"]
        assert (answer["status"], answer["memory"], answer["plain"]) == (200, [], True), answer
        assert answer["key"].startswith("sk_live_cwph")
        assert f"[secret {NAME}]" in answer["echo"]
        assert answer["body"][0] == 403
        egress = runtime.call("GET", f"/request/{run_id}")["usage"]["egress"]
        assert egress["secrets"] == [{"name": NAME, "host": HOST_ALIAS, "count": 2}]
        assert f"its body holds the placeholder of {NAME}" in egress["refused"][0]["reason"]
        assert "was refused: its body holds the placeholder" in said.decode()
        # the search finds what is there: the runtime alone has it
        assert holds(runtime.pid, VALUE.encode())
        assert not holds(front.process.pid, VALUE.encode())
        assert not holds(front.process.pid, PLAIN.encode())
        pages = [file.name for file in runtime.home.glob("codewords.db*")]
        assert "codewords.db-wal" in pages
        assert files_with(runtime.home, VALUE) == []
        assert files_with(runtime.home, PLAIN) == []
    assert not any(form in said for value in (VALUE, PLAIN) for form in forms(value))
