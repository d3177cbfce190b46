"""Servers as the registries have them: fetch and git from PyPI, everything and filesystem from npm."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.integration.mcp_broker.helpers import ServedMcp, call, refused, told
from tests.integration.mcp_broker.packages import connect_package
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.npm import installed
from tests.support.runtime import make_home

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.requirement("mcp-stdio:real")]
EVERYTHING = "@modelcontextprotocol/server-everything@2026.8.31"
FILESYSTEM = "@modelcontextprotocol/server-filesystem@2026.8.31"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, notes: ServedMcp) -> Iterator[Door]:
    settings = {
        "home": make_home(tmp_path_factory.mktemp("real") / "home"),
        "port": 0,
        "api_key": ADMIN_KEY,
        "egress_allow_private": [f"127.0.0.1:{notes.port}"],
    }
    with Door(Settings.model_validate(settings)) as opened:
        yield opened


def test_fetch_reads_the_hosts_that_a_person_allowed(http: httpx.Client, notes: ServedMcp) -> None:
    connect_package(
        http,
        "pypi:mcp-server-fetch",
        hosts=[HOST_ALIAS],
        arguments=["--ignore-robots-txt", "--allow-private-ips"],
    )
    address = f"http://{HOST_ALIAS}:{notes.port}/nothing"
    said = refused(call(http, "mcp_fetch", "fetch", {"url": address}), 502)
    assert "404" in said["upstream_said"]
    said = refused(call(http, "mcp_fetch", "fetch", {"url": "http://not-allowed.example.com/"}), 502)
    assert "404" not in said["upstream_said"]
    assert "not-allowed.example.com:80" in said["hint"]


def test_git_works_on_a_repository_in_its_sandbox(http: httpx.Client) -> None:
    connect_package(http, "pypi:mcp-server-git")
    tools = {action["name"] for action in told(http.get("/integrations/mcp_git"))["actions"]}
    assert {"git_status", "git_log"} <= tools
    said = refused(call(http, "mcp_git", "git_status", {"repo_path": "/app"}), 502)
    assert "/app" in said["upstream_said"]


def test_everything_answers_with_text_data_and_pictures(http: httpx.Client) -> None:
    # Skips or fails as other tests that need npm, where it is not there.
    installed(EVERYTHING)
    connect_package(http, f"npm:{EVERYTHING}")
    assert told(call(http, "mcp_everything", "echo", {"message": "hello"}))["ret"] == "Echo: hello"
    [picture] = told(call(http, "mcp_everything", "get-tiny-image", {}))["files"]
    assert picture["mime_type"] == "image/png"
    data = told(call(http, "mcp_everything", "get-structured-content", {"location": "Chicago"}))["ret"]
    assert set(data) >= {"temperature", "conditions"}
    variables = str(told(call(http, "mcp_everything", "get-env", {}))["ret"])
    assert "CODEWORDS" not in variables


def test_filesystem_writes_and_reads_in_its_own_folder_only(http: httpx.Client) -> None:
    installed(FILESYSTEM)
    connect_package(http, f"npm:{FILESYSTEM}", arguments=["/app"])
    note = {"path": "/app/note.txt", "content": "water the plants"}
    told(call(http, "mcp_filesystem", "write_file", note))
    read = told(call(http, "mcp_filesystem", "read_text_file", {"path": "/app/note.txt"}))
    assert "water the plants" in str(read["ret"])
    refused(call(http, "mcp_filesystem", "read_text_file", {"path": "/etc/passwd"}), 502)


def test_what_npm_does_not_have_is_said(http: httpx.Client) -> None:
    asked = told(
        http.post(
            "/integrations/mcp/connect",
            json={"url": f"npm:{EVERYTHING.rpartition('@')[0]}@0.0.0", "agree": True},
            timeout=300,
        )
    )
    assert not asked["connected"]
    again = told(http.post("/integrations/mcp_everything/connect", json={}))
    assert again["status"] == "missing"
