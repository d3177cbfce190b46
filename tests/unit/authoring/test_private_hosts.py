"""Addresses in a script that a sandbox does not reach are told, with how to reach what was meant."""

from __future__ import annotations

import pytest
from tests.unit.workflows.helpers import APP, HEADER, script

from codewords_mcp.runtime.authoring.private_hosts import check_private_hosts
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.script import parse_script

pytestmark = pytest.mark.requirement("workflows:private-hosts")


def told(body: str, *allowed: str, header: str = HEADER) -> list[Check]:
    return check_private_hosts(parse_script(script(APP + body, header)), allowed)


@pytest.mark.parametrize(
    "line",
    [
        'httpx.get("http://127.0.0.1:11434/api/tags")',
        'httpx.get("http://localhost:11434")',
        'httpx.get(f"http://localhost:{11434}/x")',
        'httpx.get("http://[::1]:11434/")',
        'httpx.get("http://0.0.0.0:11434/")',
        'httpx.get("http://127.1:11434/")',
        'httpx.get("http://0x7f000001:11434/")',
        'httpx.get("http://2130706433:11434/")',
        'httpx.get("http://[::ffff:127.0.0.1]:11434/")',
        'httpx.get("http://user:secret@my.localhost:11434/")',
        'redis.Redis(host="localhost", port=11434)',
        'socket.create_connection(("127.0.0.1", 11434))',
        'dsn = "postgresql://me@127.0.0.1:11434/db"',
    ],
)
def test_the_sandboxes_own_loopback_is_told_with_the_name_of_the_machine(line: str) -> None:
    [check] = told(line + "\n")
    assert (check.id, check.status, check.line) == ("hosts", "warning", 14)
    assert "own loopback" in check.message
    assert "host.codewords.internal:" in (check.fix or "")
    assert "CODEWORDS_EGRESS_ALLOW_PRIVATE" in (check.fix or "")


@pytest.mark.parametrize(
    "line",
    [
        'origins = ["http://localhost:3000"]',
        'app.add_middleware(CORSMiddleware, allow_origins=["http://localhost:3000", "http://127.0.0.1"])',
    ],
)
def test_an_origin_is_compared_and_never_called(line: str) -> None:
    assert told(line + "\n") == []


@pytest.mark.parametrize("host", ["host.docker.internal", "host.containers.internal"])
def test_a_containers_name_of_the_machine_is_told_with_ours(host: str) -> None:
    [check] = told(f'httpx.get("http://{host}:5678/webhook")\n')
    assert "host.codewords.internal:5678" in (check.fix or "")
    assert """'["127.0.0.1:5678"]'""" in (check.fix or "")


@pytest.mark.parametrize("host", ["10.0.0.5", "192.168.1.20", "172.16.3.4", "[fd00::5]", "100.64.0.1"])
def test_a_private_address_is_told_with_the_setting_that_opens_it(host: str) -> None:
    line = f'httpx.get("http://{host}:9200/")\n'
    [check] = told(line)
    assert f"{host}:9200" in (check.fix or "")
    assert told(line, f"{host}:9200") == []


def test_a_clouds_metadata_is_told_without_a_way_to_open_it() -> None:
    [check] = told('httpx.get("http://169.254.169.254/latest/meta-data")\n')
    assert "metadata" in check.message
    assert check.fix is None


def test_a_default_in_the_header_counts_as_code_does() -> None:
    header = HEADER.replace('"PORT=8000"', '"PORT=8000", "OLLAMA=http://localhost:11434"')
    [check] = told("", header=header)
    assert "host.codewords.internal:11434" in (check.fix or "")


def test_a_port_of_the_machine_is_told_until_it_is_open() -> None:
    line = 'httpx.get("http://host.codewords.internal:11434/")\n'
    assert len(told(line)) == 1
    assert told(line, "127.0.0.1:11434") == []


@pytest.mark.parametrize(
    "line",
    [
        'uvicorn.run(app, host="0.0.0.0", port=8000)',
        'uvicorn.run(app, host="127.0.0.1", port=8000)',
        'base = os.environ.get("CODEWORDS_RUNTIME_URI", "http://127.0.0.1:8765")',
        'httpx.get("https://example.com/?next=http://")',
        'httpx.get("http://8.8.8.8/")',
        'print("listens on localhost")',
        'pair = ("localhost", True)',
    ],
)
def test_what_is_reached_or_only_listens_is_not_told(line: str) -> None:
    assert told(line + "\n") == []
