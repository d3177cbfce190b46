"""Who may see and call what: keys with scopes and toolsets, access tokens, narrowed connections, published workflows."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
from mcp import Client
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp_types import ToolListChangedNotification
from tests.integration.mcp.authorization_server import CLIENT, AuthorizationServer
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.mcp_clients import Bare, Era, data_of, over_http, text_of
from tests.support.runtime import make_home, workflow
from tests.support.stdio_client import Peer, environment

from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ADDS = workflow(
    "from pydantic import BaseModel, Field\n"
    "class Term(BaseModel):\n"
    '    number: float = Field(description="A number")\n'
    "class Sum(BaseModel):\n"
    "    terms: list[Term]\n"
    "    scale: float = 1\n"
    '@app.post("/")\n'
    "async def add(asked: Sum):\n"
    '    """Add numbers, times a scale."""\n'
    '    return {"sum": asked.scale * sum(term.number for term in asked.terms)}\n',
    title="Adds",
)


@pytest.fixture(scope="module")
def issuer() -> Generator[AuthorizationServer]:
    with AuthorizationServer() as server:
        yield server


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, issuer: AuthorizationServer) -> Generator[Door]:
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("access") / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "oauth_issuer": issuer.issuer,
            "oauth_owners": {"ann": "local"},
        }
    )
    with Door(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(door: Door) -> str:
    return f"{door.url}/mcp"


@pytest.fixture(scope="module")
def adds(door: Door) -> str:
    with door.client() as http:
        deployed = http.post("/deploy", json={"code": ADDS, "name": "Adds Numbers", "allow": True})
        assert deployed.status_code == 200, deployed.text
        workflow_id = deployed.json()["service_id"]
        made = http.post(f"/workflows/{workflow_id}/publish", json={"toolset": "math"})
        assert made.status_code == 201, made.text
    return workflow_id


async def _names(url: str, key: str, **headers: str) -> list[str]:
    listed = await Bare(url, key, headers=headers).result("tools/list")
    return [tool["name"] for tool in listed["tools"]]


@pytest.mark.requirement("access:scopes")
async def test_a_key_sees_and_calls_the_tools_of_its_scopes_only(door: Door, url: str) -> None:
    key = door.make_key(owner="local", scopes=["read"])
    names = await _names(url, key)
    assert "list_workflows" in names
    assert not {"run_workflow", "deploy_workflow", "cancel_run"} & set(names)
    refused = await Bare(url, key).call("deploy_workflow", {"template_id": "greeting"})
    assert refused["content"][0]["text"].startswith("forbidden: deploy_workflow needs the scope write")


@pytest.mark.requirement("access:scopes")
@pytest.mark.parametrize(
    ("scopes", "method", "path", "status"),
    [
        (["read"], "GET", "/workflows", 200),
        (["read"], "POST", "/deploy", 403),
        (["read"], "GET", "/run/nothing_00000000/", 403),
        (["read"], "POST", "/openai/v1/chat/completions", 403),
        (["run"], "GET", "/workflows", 403),
        (["run"], "GET", "/run/nothing_00000000/", 404),
        (["run"], "POST", "/runs/none/cancel", 404),
        (["write"], "PUT", "/secrets/NAME", 422),
        (["read", "run", "write"], "GET", "/keys", 403),
    ],
)
def test_the_http_api_holds_scopes_too(
    door: Door, scopes: list[Any], method: str, path: str, status: int
) -> None:
    with door.client(door.make_key(owner="local", scopes=scopes)) as http:
        answer = http.request(method, path)
    assert answer.status_code == status or (status == 422 and answer.status_code in {400, 415, 422}), (
        answer.text
    )


@pytest.mark.requirement("access:toolsets")
async def test_a_key_of_a_toolset_sees_that_alone_and_only_over_mcp(door: Door, url: str) -> None:
    key = door.make_key(owner="local", toolsets=["secrets"])
    assert await _names(url, key) == ["list_secrets", "set_secret", "delete_secret"]
    refused = await Bare(url, key).call("list_workflows", {})
    assert refused["content"][0]["text"].startswith("forbidden: list_workflows is of the toolset workflows")
    with door.client(key) as http:
        assert http.get("/workflows").status_code == 403


@pytest.mark.requirement("access:narrowed")
async def test_headers_and_addresses_take_away_and_never_give(door: Door, url: str) -> None:
    reading = await _names(url, ADMIN_KEY, **{"X-MCP-Readonly": "true"})
    assert set(reading) >= {"list_workflows", "get_run"}
    assert not {"run_workflow", "set_secret"} & set(reading)
    refused = await Bare(url, ADMIN_KEY, headers={"X-MCP-Readonly": "1"}).call(
        "run_workflow", {"workflow_id": "x"}
    )
    assert refused["content"][0]["text"].startswith("forbidden: This connection is read-only")
    runs = ["run_workflow", "get_run", "cancel_run", "list_runs", "query_runs"]
    assert await _names(f"{url}/runs", ADMIN_KEY) == runs
    assert await _names(f"{url}/runs", ADMIN_KEY, **{"X-MCP-Toolsets": "secrets,runs"}) == await _names(
        f"{url}/runs", ADMIN_KEY
    )
    key = door.make_key(owner="local", toolsets=["secrets"])
    assert await _names(f"{url}/runs", key) == []


@pytest.mark.requirement("access:narrowed")
@pytest.mark.parametrize("toolsets", ["workflow", "runs,nothing", "", "Runs", "runs;secrets"])
async def test_a_toolset_that_does_not_exist_is_an_error_not_an_empty_list(url: str, toolsets: str) -> None:
    told = await Bare(url, ADMIN_KEY, headers={"X-MCP-Toolsets": toolsets}).ask("tools/list")
    assert told["error"]["code"] == -32602


@pytest.mark.requirement("stdio:options")
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_options_of_the_front_narrow_what_the_host_sees(door: Door, tmp_path: Path, era: str) -> None:
    remote = {"CODEWORDS_RUNTIME_URL": door.url, "CODEWORDS_API_KEY": ADMIN_KEY}
    with Peer(environment(tmp_path, **remote), "--read-only", "--toolsets=runs,secrets") as host:
        if era == "legacy":
            host.initialize()
        told = host.modern("tools/list") if era == "modern" else host.request("tools/list")
        refused = host.call(era, "set_secret", {"name": "X"})
    assert [tool["name"] for tool in told["result"]["tools"]] == [
        "get_run",
        "list_runs",
        "query_runs",
        "list_secrets",
    ]
    assert "read-only" in refused["result"]["content"][0]["text"]


class _Kept:
    """Tokens of a client, kept for the time of a test."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@asynccontextmanager
async def _signed_in(url: str, era: Era, issuer: str) -> AsyncGenerator[Client]:
    auth = ClientCredentialsOAuthProvider(url, _Kept(), *CLIENT, scope="read", issuer=issuer)
    async with (
        httpx2.AsyncClient(auth=auth, timeout=httpx2.Timeout(30)) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        yield client


@pytest.mark.requirement("access:oauth")
@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_client_finds_the_authorization_server_signs_in_and_asks_for_more_when_it_must(
    url: str, issuer: AuthorizationServer, era: Era
) -> None:
    issuer.asked.clear()
    async with _signed_in(url, era, issuer.issuer) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert "deploy_workflow" in names, "what a further scope would give is shown"
        data_of(await client.call_tool("list_workflows", {}))
        missing = await client.call_tool("set_secret", {"name": "A_NAME"})
        assert data_of(missing)["status"] == "waiting"
    assert issuer.asked[0]["resource"] == url
    assert set(issuer.asked[-1]["scope"].split()) >= {"write"}


@pytest.mark.requirement("access:oauth")
def test_the_protected_resource_is_described_without_a_key(door: Door, issuer: AuthorizationServer) -> None:
    with door.client(key=None) as http:
        for path, resource in (("/mcp", "/mcp"), ("", "/mcp"), ("/mcp/math", "/mcp/math")):
            told = http.get(f"/.well-known/oauth-protected-resource{path}").json()
            assert told["resource"] == f"{door.url}{resource}"
            assert told["authorization_servers"] == [issuer.issuer]
            assert told["scopes_supported"] == ["read", "run", "write"]
        refused = http.post("/mcp", json={})
    expected = f'resource_metadata="{door.url}/.well-known/oauth-protected-resource/mcp"'
    assert refused.headers["www-authenticate"] == f"Bearer {expected}"


@pytest.mark.requirement("access:tokens")
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://another.example/mcp"},
        {"iss": "https://another.example"},
        {"exp": 1},
        {"nbf": 4_000_000_000},
        {"exp": None},
        {"sub": None},
    ],
)
def test_a_token_for_another_or_of_another_or_out_of_its_time_is_refused(
    door: Door, url: str, issuer: AuthorizationServer, claims: dict[str, Any]
) -> None:
    token = issuer.token(**{"audience": url, "scope": "read"} | {"audience": claims.pop("aud", url)} | claims)
    with door.client(token) as http:
        answer = http.get("/workflows")
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.requirement("access:tokens")
def test_a_token_signed_by_nobody_or_by_another_is_refused(
    door: Door, url: str, issuer: AuthorizationServer
) -> None:
    head, body, signature = issuer.token(url, "read").split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    with AuthorizationServer() as other:
        foreign = other.token(url, "read", iss=issuer.issuer)
    for token in (f"{none}.{body}.", f"{head}.{body}.{signature[::-1]}", foreign):
        with door.client(token) as http:
            assert http.get("/workflows").status_code == 401


@pytest.mark.requirement("access:tokens")
def test_keys_of_the_issuer_are_cached_and_a_token_gives_its_scopes_only(
    door: Door, url: str, issuer: AuthorizationServer
) -> None:
    with door.client(issuer.token(url, "read")) as http:
        assert http.get("/workflows").status_code == 200
        looks = issuer.looks
        assert http.get("/workflows").status_code == 200
        assert issuer.looks == looks
        assert http.post("/deploy", json={}).json()["error"]["code"] == "insufficient_scope"
        assert http.get("/keys").status_code == 403


@pytest.mark.requirement("access:tokens")
async def test_a_token_of_one_toolset_reaches_that_alone(
    url: str, issuer: AuthorizationServer, adds: str
) -> None:
    token = issuer.token(f"{url}/math", "run")
    assert await _names(url, token) == ["adds_numbers"]


@pytest.mark.requirement("published:typed")
@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_published_workflow_is_a_typed_tool_and_a_call_of_it_is_a_run(
    url: str, adds: str, era: Era
) -> None:
    async with over_http(f"{url}/math", ADMIN_KEY, era) as client:
        [tool] = (await client.list_tools()).tools
        assert (tool.name, tool.description) == ("adds_numbers", "Add numbers, times a scale.")
        number = {"type": "number", "description": "A number"}
        term = {"type": "object", "properties": {"number": number}, "required": ["number"]}
        assert tool.input_schema["properties"]["terms"] == {"type": "array", "items": term}
        assert tool.input_schema["required"] == ["terms"]
        ran = data_of(
            await client.call_tool("adds_numbers", {"terms": [{"number": 2}, {"number": 3}], "scale": 2})
        )
        assert ran["result"] == {"sum": 10}
        assert ran["workflow_id"] == adds
        wrong = await client.call_tool("adds_numbers", {"terms": [{"number": "sk-hidden"}]})
        assert text_of(wrong).startswith("invalid_input: Bad arguments: `terms/0/number` must match")
        assert "sk-hidden" not in text_of(wrong)
        strange = await client.call_tool("adds_numbers", {"terms": [], "more": 1})
        assert text_of(strange).startswith("invalid_input: Unknown argument `more`")


@pytest.mark.requirement("published:narrow")
async def test_a_key_of_the_toolset_runs_its_tools_and_nothing_else(door: Door, url: str, adds: str) -> None:
    key = door.make_key(owner="local", toolsets=["math"], scopes=["run"])
    assert await _names(url, key) == ["adds_numbers"]
    ran = await Bare(url, key).call("adds_numbers", {"terms": []})
    assert ran["structuredContent"]["result"] == {"sum": 0}
    assert await _names(url, door.make_key(owner="somebody")) == await _names(
        url, door.make_key(owner="else")
    )
    assert "adds_numbers" not in await _names(url, door.make_key(owner="somebody"))
    reading = {"X-MCP-Readonly": "true"}
    assert await _names(f"{url}/math", ADMIN_KEY, **reading) == []


@pytest.mark.requirement("published:changes")
async def test_clients_of_both_eras_hear_of_a_tool_that_was_published_over_http(
    door: Door, url: str, adds: str
) -> None:
    heard = anyio.Event()

    async def hear(message: Any) -> None:
        if isinstance(getattr(message, "root", message), ToolListChangedNotification):
            heard.set()

    async with over_http(url, ADMIN_KEY, "legacy", message_handler=hear) as client:
        await client.list_tools()
        with door.client() as http, anyio.fail_after(10):
            made = await anyio.to_thread.run_sync(
                lambda: http.post(f"/workflows/{adds}/publish", json={"tool": "again", "toolset": "more"})
            )
            assert made.status_code == 201
            await heard.wait()
            assert "again" in [tool.name for tool in (await client.list_tools()).tools]
            assert (
                await anyio.to_thread.run_sync(lambda: http.delete("/published/again"))
            ).status_code == 204
        assert "again" not in [tool.name for tool in (await client.list_tools()).tools]


@pytest.mark.requirement("published:refused")
@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"tool": "run_workflow"}, 400),
        ({"tool": "Has Blanks"}, 400),
        ({"toolset": "secrets"}, 400),
        ({"toolset": "../x"}, 400),
        ({"path": "/nothing"}, 404),
    ],
)
def test_what_cannot_be_a_tool_is_not_published(
    door: Door, adds: str, asked: dict[str, Any], status: int
) -> None:
    with door.client() as http:
        assert http.post(f"/workflows/{adds}/publish", json=asked).status_code == status


@pytest.mark.requirement("mcp:sse")
@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_host_that_knows_the_older_transport_only_lists_and_calls(
    door: Door, url: str, era: Era
) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with Client(sse_client(f"{door.url}/sse", headers=headers), mode=era) as client:
        assert "list_workflows" in [tool.name for tool in (await client.list_tools()).tools]
        data_of(await client.call_tool("list_workflows", {}))
    assert "list_workflows" in await _names(url, ADMIN_KEY), "its end ends nobody else's"
    with door.client(key=None) as http:
        assert http.get("/sse").status_code == 401
        assert http.post("/messages/?session_id=0", json={}).status_code == 401
    with door.client(door.make_key(owner="somebody")) as http:
        assert http.post(f"/messages/?session_id={'0' * 32}", json={}).status_code == 404
