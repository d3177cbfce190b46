"""The reference server of the protocol, `server-everything` from npm, over streamable HTTP."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from tests.integration.mcp_broker.helpers import ServedMcp, call, connected, told
from tests.support.npm import installed
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.requirement("mcp-broker:reference")]
PACKAGE = "@modelcontextprotocol/server-everything"
VERSION = "2026.8.31"


@pytest.fixture(scope="module")
def everything() -> Iterator[ServedMcp]:
    folder = installed(f"{PACKAGE}@{VERSION}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "PORT": str(port)}
    process = subprocess.Popen(
        [shutil.which("node") or "node", f"node_modules/{PACKAGE}/dist/index.js", "streamableHttp"],
        cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens)
        yield ServedMcp(port)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def reachable(notes: ServedMcp, everything: ServedMcp) -> list[int]:
    return [notes.port, everything.port]


def test_its_tools_are_found_and_answer_with_text_data_pictures_and_resources(
    http: httpx.Client, everything: ServedMcp
) -> None:
    connected(http, everything.url, name="everything")
    hits = told(http.get("/integrations", params={"query": "everything sum of two numbers"}))["actions"]
    assert hits[0]["key"] == "mcp_everything/get-sum"
    assert "3" in str(told(call(http, "mcp_everything", "get-sum", {"a": 1, "b": 2}))["ret"])
    assert told(call(http, "mcp_everything", "echo", {"message": "hello"}))["ret"] == "Echo: hello"
    [picture] = told(call(http, "mcp_everything", "get-tiny-image", {}))["files"]
    assert picture["mime_type"] == "image/png"
    assert http.get(picture["url"]).content.startswith(b"\x89PNG")
    data = told(call(http, "mcp_everything", "get-structured-content", {"location": "Chicago"}))["ret"]
    assert set(data) >= {"temperature", "conditions"}
    links = told(call(http, "mcp_everything", "get-resource-links", {"count": 2}))["exports"]["links"]
    assert len(links) == 2
    long = told(call(http, "mcp_everything", "trigger-long-running-operation", {"duration": 1, "steps": 2}))
    assert re.search("completed", long["ret"])
