"""A workflow in the local sandbox, going out through the egress."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.support.egress import serving
from tests.support.runtime import deploy, fetch, make_home, open_runtime, workflow

from codewords_mcp.errors import SandboxUnavailable
from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CALLER = workflow(
    """
import asyncio, httpx
@app.post("/")
async def visit(request: Request):
    asked = await request.json()
    found = []
    for proxy in ("http://127.0.0.1:3128", None):
        for url in asked["urls"]:
            try:
                async with httpx.AsyncClient(trust_env=False, proxy=proxy, timeout=20) as client:
                    reply = await client.get(url)
                found.append([reply.status_code, reply.text])
            except httpx.HTTPError as error:
                found.append([0, type(error).__name__])  # a reset, met while connecting or after
    return found
""",
    title="Visitor",
)


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")


@pytest.mark.requirement(
    "egress:host-alias", "egress:plain-proxy", "egress:private-refused", "egress:transparent"
)
async def test_a_workflow_reaches_what_is_allowed_and_nothing_private_with_and_without_the_proxy(
    tmp_path: Path,
) -> None:
    async with (
        serving(hello) as open_port,
        serving(hello) as shut_port,
        open_runtime(
            make_home(tmp_path / "home"), egress_allow_private=[f"127.0.0.1:{open_port}"]
        ) as runtime,
    ):
        try:
            service = await deploy(runtime, CALLER)
        except SandboxUnavailable as error:
            pytest.skip(error.message)
        urls = [
            f"http://{HOST_ALIAS}:{open_port}/",
            f"http://{HOST_ALIAS}:{shut_port}/",
            "http://169.254.169.254/",
        ]
        status, body, _ = await fetch(runtime, service, {"urls": urls})
    assert status == 200
    allowed, shut, metadata, *direct = json.loads(body)
    assert allowed == [200, "hello"]
    assert shut[0] == 403
    assert f"{HOST_ALIAS}:{shut_port} may not be reached: 127.0.0.1 is a loopback address" in shut[1]
    assert f"CODEWORDS_EGRESS_ALLOW_PRIVATE='[\"{HOST_ALIAS}:{shut_port}\"]'" in shut[1], (
        "the setting that opens it"
    )
    assert metadata[0] == 403
    assert direct[0] == [200, "hello"]
    assert [code for code, _ in direct[1:]] == [0, 0]
