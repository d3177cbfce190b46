"""Keys: who may do what, and how a key may arrive."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from tests.support.http_runtime import ADMIN_KEY, Door

from codewords_mcp.http.app import operations
from codewords_mcp.http.operations import HttpOperation

pytestmark = [pytest.mark.requirement("http:keys")]

CLOSED = [operation for operation in operations() if operation.rule.level not in {"open", "page"}]


def path_of(template: str) -> str:
    """An address that a path template matches."""
    for name in ("service_id", "run_id", "key_id", "name", "path", "token", "nonce"):
        template = template.replace(f"{{{name}}}", "unknown")
    return template


@pytest.mark.parametrize(
    "operation", CLOSED, ids=[f"{operation.method} {operation.path}" for operation in CLOSED]
)
def test_every_route_but_the_open_ones_refuses_a_request_without_a_key(
    door: Door, operation: HttpOperation
) -> None:
    method = "POST" if operation.method == "*" else operation.method
    with door.client(key=None) as http:
        answer = http.request(method, path_of(operation.path))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["error-origin"] == "platform"
    body = answer.json()
    # A provider's route answers in that provider's shape, with ours beside it.
    told = body["codewords"] if operation.tag == "providers" else body["error"]
    assert told["code"] == "unauthenticated"
    assert "carries no key" in body["detail"]


def test_a_path_that_is_no_route_asks_for_a_key_before_it_says_so(door: Door, http: httpx.Client) -> None:
    with door.client(key=None) as keyless:
        assert keyless.get("/nothing").status_code == 401
        assert keyless.post("/file/").status_code == 401
        assert keyless.get("/secrets/enter/").status_code == 401
    assert http.get("/nothing").json()["error"]["code"] == "not_found"


def test_healthz_needs_no_key(door: Door) -> None:
    with door.client(key=None) as http:
        assert http.get("/healthz").json()["status"] == "ok"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ADMIN_KEY},
        {"Authorization": f"Bearer {ADMIN_KEY}"},
        {"authorization": f"bearer  {ADMIN_KEY}"},
        {"X-API-Key": ADMIN_KEY},
        {"X-Codewords-Api-Key": ADMIN_KEY},
        {"Authorization": f"Bearer {ADMIN_KEY}", "X-API-Key": ADMIN_KEY},
        {"Authorization": "", "X-API-Key": ADMIN_KEY},
    ],
)
def test_a_key_may_come_in_any_of_its_headers(door: Door, headers: dict[str, str]) -> None:
    with door.client(key=None) as http:
        assert http.get("/status", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer cwk-wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "cwk-" + "a" * 5000},
        {"X-API-Key": "cwk-\u00e9"},
        {"Authorization": "Basic " + base64.b64encode(f"x:{ADMIN_KEY}".encode()).decode()},
        {"Authorization": f"Bearer {ADMIN_KEY}", "X-API-Key": "cwk-another"},
        {"x-goog-api-key": ADMIN_KEY},
    ],
)
def test_a_wrong_key_or_two_different_ones_are_refused(door: Door, headers: dict[str, str]) -> None:
    with door.client(key=None) as http:
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = http.get("/status", headers=sent)
    assert answer.status_code == 401
    assert ADMIN_KEY not in answer.text


def test_the_google_header_is_a_key_on_provider_routes(door: Door) -> None:
    with door.client(key=None) as http:
        answer = http.post("/gemini/v1beta/models/x:generateContent", headers={"x-goog-api-key": ADMIN_KEY})
    assert answer.status_code == 501


def test_expired_and_revoked_keys_are_refused(door: Door, http: httpx.Client) -> None:
    made = http.post("/keys", json={"expires_in": 0.001}).json()
    with door.client(key=made["key"]) as expired:
        assert expired.get("/runs").status_code == 401
    made = http.post("/keys", json={}).json()
    with door.client(key=made["key"]) as user:
        assert user.get("/runs").status_code == 200
        assert http.delete(f"/keys/{made['id']}").status_code == 204
        assert user.get("/runs").status_code == 401


def test_a_one_time_key_is_refused_after_one_use(http: httpx.Client, door: Door) -> None:
    made = http.post("/keys", json={"one_time": True}).json()
    assert made["key"].startswith("cwotk-")
    with door.client(key=made["key"]) as once:
        assert once.get("/runs").status_code == 200
        assert once.get("/runs").status_code == 401


def test_a_users_key_administers_nothing(door: Door) -> None:
    with door.client(key=door.make_key(owner="somebody")) as user:
        for method, path in (("GET", "/keys"), ("POST", "/keys"), ("DELETE", "/keys/x"), ("POST", "/stop")):
            answer = user.request(method, path, json={} if method == "POST" else None)
            assert answer.status_code == 403, path
            assert "admin key" in answer.json()["detail"]
    assert not door.stopped.is_set()


def test_keys_are_listed_without_their_text(http: httpx.Client) -> None:
    made = http.post("/keys", json={"owner": "somebody", "kind": "user"}).json()
    listing = http.get("/keys")
    assert made["id"] in [item["id"] for item in listing.json()["items"]]
    assert made["key"] not in listing.text


@pytest.mark.requirement("http:other-owners")
def test_what_is_another_callers_looks_as_if_it_did_not_exist(
    door: Door, http: httpx.Client, probe: str
) -> None:
    run_id = http.post("/provision-request").json()["request_id"]
    http.put("/secrets/THEIRS", json={"value": "x"})
    with door.client(key=door.make_key(owner="stranger")) as stranger:
        for method, path in (
            ("GET", f"/request/{run_id}"),
            ("GET", f"/result/{run_id}?timeout=0"),
            ("GET", f"/logs/{run_id}"),
            ("POST", f"/runs/{run_id}/cancel"),
            ("GET", f"/workflows/{probe}"),
            ("POST", f"/workflows/{probe}/rollback"),
            ("POST", f"/run/{probe}/"),
            ("DELETE", "/secrets/THEIRS"),
        ):
            answer = stranger.request(method, path, json={"version": 1} if "rollback" in path else None)
            assert answer.status_code == 404, path
        assert stranger.get("/secrets").json()["items"] == []
        assert stranger.get("/workflows").json()["items"] == []


@pytest.mark.requirement("http:run-keys")
def test_a_workflows_own_key_uses_the_runtime_and_administers_nothing(
    door: Door, http: httpx.Client, probe: str
) -> None:
    allowed = [
        ["POST", "/provision-request"],
        ["POST", "/file?filename=a.txt"],
        ["POST", f"/run/{probe}/"],
        ["GET", "/services"],
    ]
    refused = [
        ["POST", "/deploy"], ["POST", "/validate"], ["GET", "/workflows"], ["GET", "/runs"], ["PUT", "/secrets/X"], ["GET", "/secrets"],
        ["GET", "/status"], ["POST", "/keys"], ["POST", "/stop"], ["GET", "/openapi.json"],
    ]  # fmt: skip
    answer = http.post(f"/run/{probe}/call", json=allowed + refused)
    assert answer.status_code == 200, answer.text
    asked: list[dict[str, Any]] = answer.json()
    assert [one["status"] for one in asked] == [200] * len(allowed) + [403] * len(refused)
    assert asked[2]["body"] == {"got": {}, "status": "mine"}
    assert asked[1]["body"]["download_uri"].startswith(door.url), (
        "a link that a workflow gives away works outside"
    )
    for one in asked[len(allowed) :]:
        assert "running workflow may not use this route" in one["body"]["detail"]


def test_a_browser_may_send_the_key_as_a_password_on_the_pages_only(door: Door) -> None:
    with door.client(key=None, auth=("me", ADMIN_KEY)) as http:
        assert "text/html" in http.get("/docs").headers["content-type"]
        assert http.get("/openapi.json").status_code == 200
        assert http.get("/status").status_code == 401
