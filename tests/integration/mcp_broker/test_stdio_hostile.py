"""A hostile server from a package: what it does stays in its sandbox, and costs one bounded call."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.mcp_broker.helpers import ServedMcp, refused, told
from tests.integration.mcp_broker.package_program import INJECTION
from tests.integration.mcp_broker.packages import APP, connect_package, make_wheel, offline_packages, run_tool
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.processes import running_with
from tests.support.runtime import make_home
from tests.support.waiting import until

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS
from codewords_mcp.settings import Settings

MEMORY = 160 << 20
MARK = f"--mark-{uuid.uuid4().hex}"
"""An argument by which processes of these tests are found, and of no others on the machine."""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, notes: ServedMcp) -> Iterator[Door]:
    wheels = tmp_path_factory.mktemp("wheels")
    make_wheel(wheels)
    settings = {
        "home": make_home(tmp_path_factory.mktemp("packages") / "home"),
        "port": 0,
        "api_key": ADMIN_KEY,
        "mcp_memory": MEMORY,
        "egress_allow_private": [f"127.0.0.1:{notes.port}"],
    }
    with offline_packages(wheels), Door(Settings.model_validate(settings)) as opened:
        yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    """The hostile server is connected anew, without hosts and secrets."""
    with door.client() as client:
        client.delete(f"/connections/{APP}")
        connect_package(client, arguments=[MARK])
        yield client


def answered(http: httpx.Client, tool: str, **arguments: Any) -> Any:
    return json.loads(told(run_tool(http, tool, arguments))["text"])


def works(http: httpx.Client) -> bool:
    return bool(told(run_tool(http, "plain"))["text"] == f"plain: {INJECTION}")


@pytest.mark.requirement("mcp-stdio:hostile")
@pytest.mark.parametrize(
    ("attack", "status", "words"),
    [
        ("flood", 502, "more than 64 MiB that nobody asked for"),
        ("long_line", 502, "larger than 10 MiB"),
        ("notify", 502, "more than 64 MiB that nobody asked for"),
        ("silent", 504, "did not answer within"),
        ("memory", 502, "memory"),
        ("leave", 502, "ended with code 3"),
        ("hang_up", 502, "broke off"),
    ],
)
def test_an_attack_is_an_error_of_ours_and_the_next_call_works(
    http: httpx.Client, attack: str, status: int, words: str
) -> None:
    error = refused(run_tool(http, attack, seconds=2 if status == 504 else 60), status)
    assert words in error["message"], error
    assert INJECTION not in error["message"]
    assert works(http)


@pytest.mark.requirement("mcp-stdio:hostile")
def test_what_is_no_message_is_passed_over_and_standard_error_may_be_flooded(http: httpx.Client) -> None:
    assert told(run_tool(http, "garbage"))["text"] == "after the garbage"
    assert told(run_tool(http, "shout"))["text"] == "shouting"
    assert works(http)


@pytest.mark.requirement("mcp-stdio:hostile")
def test_questions_of_a_server_are_declined(http: httpx.Client) -> None:
    answer = answered(http, "ask")
    assert "error" in answer
    assert "result" not in answer


@pytest.mark.requirement("mcp-stdio:isolation")
def test_processes_are_limited_and_none_outlives_the_connection(http: httpx.Client) -> None:
    started = int(told(run_tool(http, "fork"))["text"])
    assert 10 < started < 128
    assert running_with(MARK)
    http.delete(f"/connections/{APP}").raise_for_status()
    until(lambda: not running_with(MARK))


@pytest.mark.requirement("mcp-stdio:isolation")
def test_it_sees_no_file_of_the_home_nor_of_the_person(http: httpx.Client, door: Door) -> None:
    home = door.settings.home
    paths = [str(home), str(home / "master.key"), str(Path.home()), "/root", "/etc/shadow", "/work", "/home"]
    found = answered(http, "files", paths=[*paths, "/app", "/tmp"])
    assert {path: found[path] for path in paths} == dict.fromkeys(paths, "FileNotFoundError")
    assert found["/app"] == ["main.py"]
    assert found["/tmp"] == []


@pytest.mark.requirement("mcp-stdio:isolation")
def test_its_environment_has_nothing_of_the_runtime(http: httpx.Client) -> None:
    found = answered(http, "environment")
    assert found["arguments"] == [MARK]
    assert not [
        name for name in found["environment"] if name.startswith(("CODEWORDS", "MCP_", "PORT", "UV_"))
    ]
    assert ADMIN_KEY not in json.dumps(found)


@pytest.mark.requirement("mcp-stdio:hosts")
def test_it_reaches_the_hosts_that_a_person_allowed_and_no_other(
    http: httpx.Client, door: Door, notes: ServedMcp
) -> None:
    def tries(host: str, port: int) -> str:
        return str(told(run_tool(http, "connect", {"host": host, "port": port}))["text"])

    # This machine, by the name that it has in a sandbox. The operator opens the port: for workflows, not for this server.
    open_port = (HOST_ALIAS, notes.port)
    others = [(HOST_ALIAS, door.port), ("example.com", 80), ("169.254.169.254", 80)]
    for host, port in (open_port, *others):
        assert "HTTP/1.1" not in tries(host, port)
    connect_package(http, arguments=[MARK], hosts=[HOST_ALIAS])
    assert "HTTP/1.1 404" in tries(*open_port)
    for host, port in others:
        assert "HTTP/1.1" not in tries(host, port)
    # Every public host is none of this machine's.
    connect_package(http, arguments=[MARK], hosts=["*"])
    assert "HTTP/1.1" not in tries(*open_port)


@pytest.mark.requirement("mcp-stdio:secrets")
def test_it_gets_the_secrets_that_a_person_named_and_their_values_come_back_to_nobody(
    http: httpx.Client,
) -> None:
    http.put(
        "/secrets/PLAIN_SECRET", json={"value": "plain-value-0123456789", "plain": True}
    ).raise_for_status()
    http.put(
        "/secrets/RULED_SECRET", json={"value": "ruled-value-0123456789", "hosts": ["api.example.com"]}
    ).raise_for_status()
    http.put("/secrets/OTHER_SECRET", json={"value": "other-value-0123456789"}).raise_for_status()
    assert "PLAIN_SECRET" not in answered(http, "environment")["environment"]

    connect_package(http, arguments=[MARK], variables=["PLAIN_SECRET", "RULED_SECRET"])
    found = answered(http, "environment")["environment"]
    assert found["PLAIN_SECRET"] == "[secret PLAIN_SECRET]"
    assert found["RULED_SECRET"].startswith("cwph") or "cwph" in found["RULED_SECRET"]
    assert "OTHER_SECRET" not in found
    assert "value-0123456789" not in json.dumps(found)

    error = refused(run_tool(http, "leave"), 502)
    assert error["upstream_said"] == "leaving: [secret PLAIN_SECRET]"
    # Another value is another process.
    http.put(
        "/secrets/PLAIN_SECRET", json={"value": "changed-value-0123456789", "plain": True}
    ).raise_for_status()
    assert answered(http, "environment")["environment"]["PLAIN_SECRET"] == "[secret PLAIN_SECRET]"


@pytest.mark.requirement("mcp-stdio:crashes")
def test_a_server_that_ends_again_and_again_is_left_alone_until_a_person_changes_it(
    http: httpx.Client,
) -> None:
    for _ in range(3):
        assert "ended with code 3" in refused(run_tool(http, "leave"), 502)["message"]
    error = refused(run_tool(http, "plain"), 502)
    assert "ended by itself 3 times" in error["message"]
    assert INJECTION in error["upstream_said"]
    connect_package(http, arguments=[MARK, "another"])
    assert works(http)
