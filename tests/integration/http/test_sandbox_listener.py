"""The internal listener: what a sandbox may ask the runtime, and with which key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from starlette.routing import compile_path
from tests.support.http_runtime import ADMIN_KEY, Door, Inside
from websockets.sync.client import connect

from codewords_mcp.http.app import operations
from codewords_mcp.http.internal_listener import ROUTES
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.egress.network import MAX_CONNECTIONS
from codewords_mcp.runtime.model.caller import Caller

RUN = Caller("local", "run", run_id="run-of-the-sandbox")
_ALLOWED_PREFIXES = (
    "/run/",
    "/run_async/",
    "/openai",
    "/anthropic",
    "/gemini",
    "/providers/",
    "/v1/",
    "/v2/",
)
_TABLE = [one for one in operations() if one.method != "*"]


@pytest.fixture
def inside(door: Door, probe: str) -> Iterator[Inside]:
    with door.sandbox(RUN, probe) as sandbox:
        yield sandbox


def path_of(operation: HttpOperation) -> str:
    """A path of this operation, with something in place of its parameters."""
    return re.sub(r"{[^}]*}", "something-0123456789", operation.path)


def is_allowed(operation: HttpOperation) -> bool:
    return (operation.method, operation.path) in ROUTES or operation.path.startswith(_ALLOWED_PREFIXES)


@pytest.mark.requirement("http:sandboxes")
@pytest.mark.parametrize("who", ["nobody", "another sandbox", "a person", "made up", "one-time"])
def test_no_route_answers_a_sandbox_without_the_key_of_its_own_run(
    door: Door, inside: Inside, who: str
) -> None:
    with door.sandbox(Caller("local", "run", run_id="run-of-the-other")) as other:
        key = {
            "nobody": None, "another sandbox": other.key, "a person": ADMIN_KEY, "made up": "cwk-run-" + "0" * 64,
            "one-time": door.make_key(one_time=True),
        }[who]  # fmt: skip
        with inside.client(key) as client:
            statuses = {
                f"{one.method} {one.path}": client.request(one.method, path_of(one)).status_code
                for one in _TABLE
            }
    assert {what: status for what, status in statuses.items() if status != 401} == {}


@pytest.mark.requirement("http:sandboxes")
@pytest.mark.parametrize("suffix", ["", "/"])
def test_a_run_is_refused_every_route_that_is_not_on_the_list(inside: Inside, suffix: str) -> None:
    refused = [one for one in _TABLE if not is_allowed(one)]
    assert len(refused) > 60
    with inside.client() as client:
        statuses = {
            f"{one.method} {one.path}": client.request(one.method, path_of(one) + suffix).status_code
            for one in refused
        }
    exceptions = {"GET /webhook/{endpoint}": 404}  # there is no such webhook, whatever the method
    assert {what: status for what, status in statuses.items() if status != 403} == exceptions


@pytest.mark.requirement("http:sandboxes")
@pytest.mark.parametrize(
    "path",
    [
        "//keys", "/run/../keys", "/run/%2e%2e/keys", "/%6beys", "/KEYS", "/file/../keys", "/mcp", "/mcp/", "/mcp/files", "/sse",
        "/messages/", "/run/devx_mcp/mcp/../../../keys", "/run", "/run/", "/", "/docs", "/openapi.json",
        "/healthz", "/consents/abc", "/secrets/enter/abc", "/connect/abc/go", "/login/abc", "/browser/pair/abc", "/browser/connect",
        "/.well-known/oauth-protected-resource",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_no_spelling_of_a_path_leads_a_sandbox_elsewhere(inside: Inside, method: str, path: str) -> None:
    with inside.connect() as wire:
        wire.request(method, path, "Content-Length: 2", "Connection: close", body=b"{}", key=inside.key)
        status = int(wire.head().split()[1])
    assert status in ({401, 403, 404} if path.startswith(("/run/", "/file/")) else {403})


@pytest.mark.requirement("http:sandboxes")
def test_every_route_of_the_list_exists_and_answers_a_run(inside: Inside) -> None:
    table = {(one.method, one.path): one.rule.level for one in operations()}
    open_routes = {("PUT", "/file/{token}"), ("GET", "/file/{token}"), ("POST", "/webhook/{endpoint}")}
    assert {route for route in ROUTES if table[route] != "run"} == open_routes
    assert {
        route
        for route, level in table.items()
        if level == "run" and not route[1].startswith(_ALLOWED_PREFIXES)
    } == (ROUTES - open_routes)
    with inside.client() as client:
        assert client.post("/provision-request").status_code == 200
        assert client.get("/services").status_code == 200
        assert client.get("/services/files").status_code == 200
        assert client.post("/file?filename=a.txt").status_code == 200
        for path in ("/result/none", "/request/none", "/logs/none", "/runs/none/trace"):
            assert client.get(path).status_code == 404
            assert client.delete(path).status_code == 405
    assert all(compile_path(path) for _, path in ROUTES)


@pytest.mark.requirement("http:sandboxes", "http:run-keys")
def test_the_public_listener_refuses_the_key_of_a_run_and_says_so(door: Door, inside: Inside) -> None:
    with door.client(inside.key) as client:
        for one in _TABLE:
            if one.rule.level in {"open", "page"}:  # a page asks who is there, whatever key is sent
                continue
            answer = client.request(one.method, path_of(one))
            assert (answer.status_code, one.path) == (401, one.path)
            assert "only inside that run's sandbox" in answer.text, one.path
        answer = client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        assert answer.status_code == 401


@pytest.mark.requirement("http:sandboxes")
def test_a_sandbox_follows_signed_links_of_its_owner_only(door: Door, inside: Inside) -> None:
    with inside.client() as keyed, inside.client(None) as keyless:
        links = keyed.post("/file?filename=a.txt").json()
        assert links["upload_uri"].startswith(inside.url)
        token = links["download_uri"].rpartition("/")[2]
        assert keyless.put(links["upload_uri"], content=b"hello").json() == {"size": 5}
        assert keyless.get(f"/file/{token}").content == b"hello"
        assert keyless.get(f"/file/{token}", headers={"Range": "bytes=1-2"}).content == b"el"
        with door.client(door.make_key(owner="ann")) as ann:
            foreign = {
                name: uri.removeprefix(door.url)
                for name, uri in ann.post("/file?filename=b.txt").json().items()
                if "uri" in name
            }
            assert keyless.put(foreign["upload_uri"], content=b"x").status_code == 404
            assert ann.put(foreign["upload_uri"], content=b"of ann").status_code == 200
            assert [client.get(foreign["download_uri"]).status_code for client in (keyless, keyed)] == [
                404,
                404,
            ]
        assert keyless.get("/file/forged").status_code == 401
        inside.run_key.unbind()
        with inside.client(None) as later:
            assert later.get(f"/file/{token}").status_code == 401


@pytest.mark.requirement("http:sandboxes")
def test_a_workflow_posts_to_its_own_webhooks_only_and_with_its_key(
    door: Door, http: httpx.Client, probe: str, inside: Inside
) -> None:
    own = http.post("/webhooks", json={"service_id": probe}).json()["url"]
    with door.client(door.make_key(owner="ann")) as ann:
        deployed = ann.post("/deploy", json={"code": GREETING, "name": "Ann's", "allow": True}).json()[
            "service_id"
        ]
        foreign = ann.post("/webhooks", json={"service_id": deployed}).json()["url"]
    of_owner = http.post("/deploy", json={"code": GREETING, "name": "Another", "allow": True}).json()[
        "service_id"
    ]
    another = http.post("/webhooks", json={"service_id": of_owner}).json()["url"]
    paths = [url[url.index("/webhook/") :] for url in (own, foreign, another)]
    with inside.client() as client:
        assert [client.post(path, json={}).status_code for path in paths] == [200, 404, 404]
        assert client.post("/webhook/made-up", json={}).status_code == 404
    with inside.client(None) as keyless:
        assert [keyless.post(path, json={}).status_code for path in paths] == [401] * 3


GREETING = '''# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.116.1", "uvicorn==0.35.0"]
# ///
import os
import uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.post("/")
async def main() -> dict:
    """Greet."""
    return {"hello": "world"}
if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
'''


@pytest.mark.requirement("http:sandboxes")
def test_an_upload_to_gemini_goes_on_only_in_the_run_that_began_it(door: Door, inside: Inside) -> None:
    def ticket(run: Caller) -> str:
        async def issue(runtime: Runtime) -> str:
            theirs, here = b"https://google.example/upload/v1beta/files?upload_id=1", f"{door.url}/gemini"
            return runtime._container.gateway._tickets.issue(run, theirs, here).decode()  # pyright: ignore[reportPrivateUsage]

        return door.ask(issue).rpartition("=")[2]

    path = "/gemini/upload/v1beta/files?upload_id=1&gw_ticket="
    own, foreign = ticket(RUN), ticket(Caller("local", "run", run_id="another-run"))
    with inside.client(None) as keyless, door.client(None) as outside:
        assert keyless.post(path + own).status_code not in (401, 403)
        assert keyless.post(path + foreign).status_code == 401
        assert keyless.post(path + "forged").status_code == 401
        ask = f"/gemini/v1beta/models/gemini-2.5-flash:generateContent?upload_id=1&gw_ticket={own}"
        assert keyless.post(ask, json={"contents": []}).status_code == 401
        assert keyless.post(path.replace("upload_id=1", "upload_id=2") + own).status_code == 401
        assert [outside.post(path + one).status_code for one in (own, foreign)] == [401, 401]


@pytest.mark.requirement("http:sandboxes", "http:mcp")
def test_a_sub_agents_mcp_is_where_published_clients_look_for_it(inside: Inside) -> None:
    begin = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "agent", "version": "1"}},
    }  # fmt: skip
    headers = {"Accept": "application/json, text/event-stream"}
    with inside.client() as client:
        answer = client.post("/run/devx_mcp/mcp/", json=begin, headers=headers)
        assert answer.status_code == 200, answer.text
        assert "serverInfo" in answer.text
    with inside.client(None) as keyless:
        assert keyless.post("/run/devx_mcp/mcp/", json=begin, headers=headers).status_code == 401


@pytest.mark.requirement("http:sandbox-connections", "http:websocket")
def test_a_websocket_of_a_workflow_is_reached_from_a_sandbox(inside: Inside, probe: str) -> None:
    with connect(
        f"ws://127.0.0.1:{inside.port}/run/{probe}/ws/room",
        additional_headers={"X-API-Key": inside.key},
        proxy=None,
    ) as talk:
        talk.send("hello")
        assert talk.recv() == "room: hello"


@pytest.mark.requirement("http:sandbox-connections")
def test_connections_end_when_a_sandbox_serves_no_run_any_more(door: Door, inside: Inside) -> None:
    with inside.client() as client:
        run = client.post("/provision-request").json()["request_id"]
    with inside.connect() as idle, inside.connect() as following, inside.connect() as waiting:
        idle.request("GET", "/services/files", key=inside.key)
        assert " 200 " in idle.head()
        following.request("GET", f"/logs/{run}", key=inside.key)
        assert " 200 " in following.head()
        waiting.request("GET", f"/result/{run}?timeout=60", key=inside.key)
        door.ask(lambda _: _unbind(inside))
        for wire in (idle, following, waiting):
            wire.until(b"this never comes")
    with inside.client() as client:
        assert client.get("/services").status_code == 401
    door.ask(lambda _: _bind(inside))
    with inside.client() as client:
        assert client.get("/services").status_code == 200


async def _unbind(inside: Inside) -> None:
    inside.run_key.unbind()


async def _bind(inside: Inside) -> None:
    inside.run_key.bind(RUN)


@pytest.mark.requirement("http:sandbox-connections")
def test_a_kept_connection_serves_one_run_after_another(door: Door, inside: Inside) -> None:
    following = Caller("local", "run", run_id="the-next-run")
    with inside.client() as client:
        assert client.get("/services/files").status_code == 200
        door.ask(lambda _: _follow(inside, following))
        assert client.get("/services/files").status_code == 200


async def _follow(inside: Inside, following: Caller) -> None:
    inside.run_key.bind(following)
    inside.run_key.unbind(RUN)


@pytest.mark.requirement("http:sandbox-connections")
def test_pipelined_requests_are_answered_in_turn_each_by_its_own_key(inside: Inside) -> None:
    with inside.connect() as wire:
        for key in (inside.key, "cwk-wrong", inside.key):
            wire.request("GET", "/services/files", key=key)
        statuses: list[str] = []
        for _ in range(3):
            head = wire.head()
            statuses.append(head.split()[1])
            length = int(head.partition("content-length: ")[2].split()[0])
            while len(wire.unread) < length:
                wire.unread += wire.raw.recv(65536)
            wire.unread = wire.unread[length:]
    assert statuses == ["200", "401", "200"]


@pytest.mark.requirement("http:sandbox-connections")
def test_a_large_download_waits_for_a_sandbox_that_reads_slowly(door: Door, inside: Inside) -> None:
    content = bytes(range(256)) * 8000
    with inside.client() as client:
        links = client.post("/file?filename=large").json()
        assert client.put(links["upload_uri"], content=content).status_code == 200
        token = links["download_uri"].rpartition("/")[2]
    with inside.connect() as wire:
        wire.request("GET", f"/file/{token}", "Connection: close", key=None)
        assert " 200 " in wire.head()
        with inside.client() as client:
            assert client.get("/services/files").status_code == 200
        assert wire.until(b"this never comes") == content


@pytest.mark.requirement("http:sandbox-connections", "http:heads")
@pytest.mark.parametrize(
    "said", [b"", b"GET /services HTTP/1.1\r\nHost: x\r\n", b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
def test_a_sandbox_that_says_nothing_or_nonsense_holds_up_only_itself(inside: Inside, said: bytes) -> None:
    wires = [inside.connect() for _ in range(50)]
    opened = [wire.__enter__() for wire in wires]
    try:
        for wire in opened:
            wire.send(said)
        with inside.client() as client:
            assert client.get("/services/files").status_code == 200
    finally:
        for wire in wires:
            wire.__exit__(None, None, None)


@pytest.mark.requirement("http:sandboxes")
@pytest.mark.parametrize("hosts", [[], ["Host: a", "Host: b"], ["Host: <script>"], ["Host: "]])
def test_a_request_of_a_sandbox_has_one_host(inside: Inside, hosts: list[str]) -> None:
    with inside.connect() as wire:
        lines = [
            "POST /file?filename=a HTTP/1.1",
            *hosts,
            f"X-API-Key: {inside.key}",
            "Content-Length: 0",
            "",
            "",
        ]
        wire.send("\r\n".join(lines).encode())
        assert wire.head().split()[1] in {"400", "421"}


@pytest.mark.requirement("http:sandboxes")
def test_a_workflow_calls_the_runtime_from_inside_and_administers_nothing(
    http: httpx.Client, probe: str
) -> None:
    wanted = [
        ["POST", "/provision-request"], ["GET", "/services"], ["POST", f"/run/{probe}/echo"], ["GET", "/runs"],
        ["GET", "/keys"], ["POST", "/deploy"], ["POST", "/mcp"], ["GET", "/openapi.json"], ["POST", "/consents/token"],
    ]  # fmt: skip
    answer = http.post(
        f"/run/{probe}/call", content=json.dumps(wanted), headers={"Content-Type": "application/json"}
    )
    assert [one["status"] for one in answer.json()] == [200, 200, 200, 403, 403, 403, 403, 403, 403]


@pytest.mark.requirement("http:sandboxes", "egress:bounded")
def test_a_sandbox_has_256_connections_to_its_listener_and_takes_none_from_another(
    door: Door, inside: Inside, probe: str
) -> None:
    with ExitStack() as stack, door.sandbox(Caller("local", "run", run_id="run-of-the-next"), probe) as other:
        for _ in range(MAX_CONNECTIONS):
            wire = stack.enter_context(inside.connect())
            wire.request("GET", "/services/files", key=inside.key)
            assert wire.head().split()[1] == "200"
        with inside.client() as more, pytest.raises(httpx.TransportError):
            more.get("/services/files")
        with other.client() as client:
            assert client.get("/services/files").status_code == 200
        with door.client() as client:
            assert client.get("/healthz").status_code == 200
