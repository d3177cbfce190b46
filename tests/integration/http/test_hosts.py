"""DNS rebinding and foreign pages."""

from __future__ import annotations

import httpx
import pytest
from tests.support.http_runtime import Door

from codewords_mcp.http.middleware.hosts import host_name, is_loopback

pytestmark = [pytest.mark.requirement("http:hosts")]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.7",
        "a b",
        "",
    ],
)
def test_a_host_that_is_not_ours_gets_421_even_for_healthz(http: httpx.Client, host: str) -> None:
    for path in ("/healthz", "/status", "/run/x/", "/mcp"):
        answer = http.get(path, headers={"Host": host})
        assert answer.status_code == 421, path
        assert "CODEWORDS_ALLOWED_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:1",
        "LOCALHOST.",
        "127.0.0.1:99",
        "127.9.9.9",
        "[::1]:8765",
        "codewords.example",
        "public.example",
        "codewords.example:443",
    ],
)
def test_loopback_and_configured_names_are_ours(http: httpx.Client, host: str) -> None:
    assert http.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_request_with_no_host_or_two_gets_421(door: Door) -> None:
    for lines in ("X: y", "Host: 127.0.0.1\r\nHost: evil.example"):
        with door.connect() as wire:
            wire.send(f"GET /healthz HTTP/1.1\r\n{lines}\r\n\r\n".encode())
            assert " 421 " in wire.head()


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1.evil.example",
        "file://",
        "https://app.example.evil.example",
    ],
)
def test_a_page_of_another_site_gets_403(http: httpx.Client, origin: str) -> None:
    answer = http.post("/provision-request", headers={"Origin": origin})
    assert answer.status_code == 403
    assert "CODEWORDS_ALLOWED_ORIGINS" in answer.json()["detail"]


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1:6274", "http://[::1]:5173", "https://app.example"]
)
def test_pages_of_this_machine_and_configured_ones_may_ask(http: httpx.Client, origin: str) -> None:
    assert http.post("/provision-request", headers={"Origin": origin}).status_code == 200


PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}


@pytest.mark.requirement("http:cors")
def test_a_trusted_page_is_told_that_it_may_ask_and_can_read_the_answer(door: Door, probe: str) -> None:
    origin = {"Origin": "https://app.example"}
    with door.client(key=None) as page:
        before = page.options(
            f"/run/{probe}/",
            headers={**origin, **PREFLIGHT, "Access-Control-Request-Private-Network": "true"},
        )
        assert before.status_code == 204
        assert before.headers["access-control-allow-origin"] == "https://app.example"
        assert before.headers["access-control-allow-headers"] == "authorization, content-type"
        assert before.headers["access-control-allow-private-network"] == "true"
        refused = page.post(f"/run/{probe}/", json={}, headers=origin)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://app.example"
    with door.client() as page:
        answer = page.post(f"/run/{probe}/", json={"n": 1}, headers=origin)
        assert answer.json()["got"] == {"n": 1}
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "X-Request-Id" in answer.headers["access-control-expose-headers"]


@pytest.mark.requirement("http:cors")
def test_a_foreign_page_is_told_nothing(door: Door, http: httpx.Client) -> None:
    with door.client(key=None) as page:
        before = page.options("/run/x/", headers={"Origin": "https://evil.example", **PREFLIGHT})
    assert before.status_code == 403
    assert "access-control-allow-origin" not in before.headers
    assert "access-control-allow-origin" not in http.get("/status").headers


def test_a_websocket_from_a_foreign_page_is_refused(door: Door) -> None:
    with door.connect() as wire:
        wire.request(
            "GET", "/run/x/ws", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: https://evil.example",
        )  # fmt: skip
        assert " 403 " in wire.head()


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        ("a:1", "a"),
        ("[::1]:1", "::1"),
        ("a:b", None),
        ("a@b", None),
        ("a/b", None),
        ("", None),
        (".", None),
        ("é", None),
    ],
)
def test_only_a_name_or_an_address_with_a_port_is_an_authority(authority: str, name: str | None) -> None:
    assert host_name(authority) == name


def test_loopback_is_known_by_name_and_by_every_of_its_addresses() -> None:
    assert all(map(is_loopback, ("localhost", "x.localhost", "127.0.0.1", "127.1.2.3", "::1")))
    assert not any(
        map(is_loopback, ("localhost.example", "0.0.0.0", "192.168.0.1", "127.0.0.1.example", "2130706433"))
    )
