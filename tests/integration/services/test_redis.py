"""Credentials of a real Redis, and the published client that connects with them."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from redis.exceptions import NoPermissionError
from tests.compat.registries import python_client_with
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.needs import require

pytestmark = [pytest.mark.requirement("services:redis")]
PASSWORD = "administrator-of-the-tests"


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's redis-server with TLS, on loopback."""
    require("redis")
    folder = tmp_path_factory.mktemp("redis")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redis.test", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["redis-server", "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-auth-clients", "no", "--requirepass", PASSWORD, "--save", "", "--appendonly", "no"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(port, process)
        yield f"rediss://:{PASSWORD}@127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(120)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    end = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as raw, context.wrap_socket(raw):
                return
        except OSError:
            assert process.poll() is None, "redis-server ended"
            assert time.monotonic() < end, "redis-server does not answer"
            time.sleep(0.02)


@pytest.fixture
def with_redis(http: httpx.Client, redis_url: str) -> Iterator[httpx.Client]:
    http.put("/secrets/REDIS_URL", json={"value": redis_url}).raise_for_status()
    yield http
    http.delete("/secrets/REDIS_URL").raise_for_status()


def test_the_published_client_gets_a_redis_of_its_own(
    with_redis: httpx.Client, door: Door, tmp_path: Path
) -> None:
    program = tmp_path / "use.py"
    program.write_text(
        "import asyncio, json\nfrom codewords_client import redis_client\n"
        "async def main():\n"
        "    async with redis_client() as (redis, namespace):\n"
        "        await redis.set(f'{namespace}:greeting', 'hello', ex=60)\n"
        "        print(json.dumps([await redis.get(f'{namespace}:greeting'), namespace]))\n"
        "asyncio.run(main())\n",
        encoding="utf-8",
    )
    env = {"PATH": os.environ["PATH"], "CODEWORDS_API_KEY": ADMIN_KEY, "CODEWORDS_RUNTIME_URI": door.url, "RUNTIME_URI": door.url}  # fmt: skip
    python = python_client_with("0.4.11", "redis==7.1.0")
    done = subprocess.run(
        [python, program], env=env, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    value, namespace = json.loads(done.stdout.splitlines()[-1])
    assert value == "hello"
    given = with_redis.post("/run/redis_coordinator").json()
    assert given["namespace"] == f"{namespace}:*"


def test_nobody_reaches_anothers_keys_or_administers(
    with_redis: httpx.Client, door: Door, redis_url: str
) -> None:
    given = with_redis.post("/run/redis_coordinator").json()
    again = with_redis.post("/run/redis_coordinator").json()
    assert given == again, "credentials that were handed out stay good"
    with door.client(door.make_key(owner="neighbour")) as other:
        assert other.post("/run/redis_coordinator").json()["namespace"] != given["namespace"]
    prefix = given["namespace"].removesuffix("*")
    with redis.Redis(
        host=given["redis_host"], port=given["redis_port"], username=given["redis_user"],
        password=given["redis_password"], ssl=True, ssl_cert_reqs="none", decode_responses=True, protocol=3,
    ) as client:  # fmt: skip
        assert client.set(f"{prefix}mine", "1")
        assert client.get(f"{prefix}mine") == "1"
        for command in (
            ["GET", "foreign"],
            ["FLUSHALL"],
            ["KEYS", "*"],
            ["CONFIG", "GET", "*"],
            ["ACL", "LIST"],
        ):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)  # pyright: ignore[reportUnknownMemberType]


@pytest.mark.requirement("services:records")
def test_the_password_is_kept_in_no_record(with_redis: httpx.Client) -> None:
    answer = with_redis.post("/run/redis_coordinator")
    record = with_redis.get(f"/request/{answer.headers['x-request-id']}")
    assert answer.json()["redis_password"] not in record.text
    assert record.json()["status"] == "succeeded"


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379", "not an address", "rediss://:wrong@127.0.0.1:1"])
def test_a_redis_that_cannot_be_used_is_told_without_its_password(http: httpx.Client, url: str) -> None:
    http.put("/secrets/REDIS_URL", json={"value": url}).raise_for_status()
    answer = http.post("/run/redis_coordinator")
    http.delete("/secrets/REDIS_URL").raise_for_status()
    assert answer.status_code in {400, 502}
    assert "Redis" in answer.json()["error"]["message"]
    assert "wrong" not in answer.text


def test_without_the_package_the_answer_says_how_to_add_it(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("redis.asyncio", "redis.exceptions"):
        monkeypatch.setitem(sys.modules, module, None)
    http.put("/secrets/REDIS_URL", json={"value": "rediss://:wrong@127.0.0.1:1"}).raise_for_status()
    answer = http.post("/run/redis_coordinator")
    http.delete("/secrets/REDIS_URL").raise_for_status()
    assert answer.status_code == 501
    assert "uvx --from 'codewords-mcp[redis]' codewords-mcp" in answer.json()["error"]["hint"]
