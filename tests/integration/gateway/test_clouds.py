"""Bedrock and Vertex behind the gateway: the official clients, signatures, tokens, streams, and what they cost."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.integration.gateway.helpers import closed_after_test, costs
from tests.support import sdks
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings
from codewords_testing.providers import LoopbackProviders, Request, StubReply, loopback_providers

pytestmark = pytest.mark.requirement("gateway:clouds")
HI: Any = [{"role": "user", "content": "hi"}]
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-lite-v1:0"
ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PROJECT = "projects/team-1/locations/europe-west1"


@pytest.fixture(scope="module")
def providers() -> Iterator[LoopbackProviders]:
    with loopback_providers() as running:
        yield running


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, providers: LoopbackProviders) -> Iterator[Door]:
    place = {"project": "team-1", "location": "europe-west1"}
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("home")), "port": 0, "api_key": ADMIN_KEY, "provider_retries": 0,
            "providers": {
                "bedrock": {"base_url": providers.url, "region": "eu-central-1"},
                "signed": {"base_url": providers.url, "region": "eu-central-1", "interface": "bedrock"},
                "vertex": place | {"base_url": providers.url, "token_url": f"{providers.url}/token"},
                "express": {"base_url": providers.url, "interface": "vertex"},
            },
        }
    )  # fmt: skip
    with Door(settings) as opened:
        with opened.client() as client:
            secrets = {
                "BEDROCK_API_KEY": "bedrock-api-key-1",
                "SIGNED_API_KEY": f"{ACCESS}:{SECRET}",
                "VERTEX_API_KEY": service_account(),
                "EXPRESS_API_KEY": "AQ.express-key",
            }
            for name, value in secrets.items():
                assert client.put(f"/secrets/{name}", json={"value": value}).status_code == 200
        yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


def service_account() -> str:
    """A service account's JSON, whose tokens would come from a host of its own choice."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {
        "type": "service_account", "project_id": "team-1", "private_key_id": "1", "private_key": pem,
        "client_email": "models@team-1.iam.gserviceaccount.com", "client_id": "1",
        "token_uri": "http://169.254.169.254/token",
    }  # fmt: skip
    return json.dumps(account, indent=2)


def bedrock(door: Door, name: str = "bedrock", **credentials: str) -> Any:
    given: Any = credentials or {"api_key": ADMIN_KEY}
    sdk: Any = sdks.anthropic  # which makes its clients of clouds when they are asked for
    return closed_after_test(
        sdk.AnthropicBedrock(
            base_url=f"{door.url}/providers/{name}", aws_region="us-east-1", max_retries=0, **given
        )
    )


def text_of(message: Any) -> str:
    return message.content[0].text


def counted(http: httpx.Client, provider: str, model: str) -> dict[str, Any]:
    return next(
        item for item in costs(http, "model") if (item["provider"], item["model"]) == (provider, model)
    )


def is_signed(request: Request, host: str) -> bool:
    """Whether a request is signed by Signature Version 4 with `SECRET`, as its specification computes it."""
    scheme, _, fields = request.headers["authorization"].partition(" ")
    parts = dict(field.strip().split("=", 1) for field in fields.split(","))
    access, day, region, service, end = parts["Credential"].split("/")
    names = parts["SignedHeaders"].split(";")
    headers = request.headers | {"host": host}
    canonical = "\n".join(
        [
            request.method, quote(request.path, safe="/~-_."), request.query,
            *(f"{name}:{headers[name].strip()}" for name in names), "", ";".join(names),
            hashlib.sha256(request.body).hexdigest(),
        ]
    )  # fmt: skip
    scope = f"{day}/{region}/{service}/{end}"
    text = "\n".join(
        [scheme, request.headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = f"AWS4{SECRET}".encode()
    for part in (day, region, service, end, text):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return (access, region, service, key.hex()) == (ACCESS, "eu-central-1", "bedrock", parts["Signature"])


def test_anthropics_bedrock_client_is_answered_and_streams(
    door: Door, http: httpx.Client, providers: LoopbackProviders
) -> None:
    client = bedrock(door)
    made = client.messages.create(model=CLAUDE, max_tokens=50, messages=HI)
    request = providers.requests[-1]
    assert request.headers["authorization"] == "Bearer bedrock-api-key-1"
    assert made.usage.output_tokens == 16
    with client.messages.stream(model=CLAUDE, max_tokens=50, messages=HI) as stream:
        whole = stream.get_final_message()
    assert text_of(whole) == text_of(made)
    assert whole.usage.input_tokens == made.usage.input_tokens
    sums = counted(http, "bedrock", CLAUDE)
    assert (sums["calls"], sums["output_tokens"], sums["estimated"], sums["unpriced"]) == (2, 32, 0, 0)
    assert sums["input_tokens"] == 2 * (made.usage.input_tokens + 300)
    assert sums["cost"] > 0


def test_requests_are_signed_with_an_access_key_and_not_with_the_callers(
    door: Door, providers: LoopbackProviders
) -> None:
    host = providers.url.removeprefix("http://")
    bedrock(door, "signed").messages.create(model=CLAUDE, max_tokens=50, messages=HI)
    assert is_signed(providers.requests[-1], host)
    # The caller's own signature has a CodeWords key in it, and a secret that means nothing.
    client = bedrock(door, "signed", aws_access_key=ADMIN_KEY, aws_secret_key="none")
    client.messages.create(model=CLAUDE, max_tokens=50, messages=HI)
    request = providers.requests[-1]
    assert is_signed(request, host)
    assert ADMIN_KEY not in str(request.headers)
    wrong = bedrock(door, "signed", aws_access_key="cwk-unknown", aws_secret_key="none")
    with pytest.raises(sdks.anthropic.AuthenticationError):
        wrong.messages.create(model=CLAUDE, max_tokens=50, messages=HI)


def test_converse_by_boto3_is_counted_whole_and_in_streams(
    door: Door, http: httpx.Client, providers: LoopbackProviders
) -> None:
    boto3: Any = importlib.import_module("boto3")
    config: Any = importlib.import_module("botocore.config")
    made: Any = boto3.session.Session()
    client: Any = closed_after_test(made.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=f"{door.url}/providers/signed",
        aws_access_key_id=ADMIN_KEY, aws_secret_access_key="none", config=config.Config(retries={"total_max_attempts": 1}),
    ))  # fmt: skip
    asked = {"modelId": NOVA, "messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    answer = client.converse(**asked, inferenceConfig={"maxTokens": 50})
    assert answer["output"]["message"]["content"][0]["text"]
    assert is_signed(providers.requests[-1], providers.url.removeprefix("http://"))
    events = list(client.converse_stream(**asked)["stream"])
    text = "".join(
        event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event
    )
    assert text == answer["output"]["message"]["content"][0]["text"]
    sums = counted(http, "signed", NOVA)
    assert (sums["calls"], sums["output_tokens"], sums["estimated"]) == (2, 32, 0)


def test_a_stream_that_is_cut_and_an_answer_without_usage_are_estimated(
    door: Door, http: httpx.Client, providers: LoopbackProviders
) -> None:
    with pytest.raises((sdks.anthropic.APIError, httpx.HTTPError, Exception)):
        list(
            bedrock(door).messages.create(
                model="anthropic.claude-cut", max_tokens=50, messages=HI, stream=True
            )
        )
    body = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    assert http.post("/providers/bedrock/model/nova-nousage/converse", json=body).status_code == 200
    # A stream whose frames are none passes unread.
    junk = StubReply(stream=[b"\xff" * 64, b"more"], media="application/vnd.amazon.eventstream")
    providers.answer_next(junk)
    answer = http.post("/providers/bedrock/model/junk/converse-stream", json=body)
    assert answer.content == b"\xff" * 64 + b"more"
    for model in ("anthropic.claude-cut", "nova-nousage", "junk"):
        assert counted(http, "bedrock", model)["estimated"] == 1


def test_budgets_hold_at_clouds_and_what_cannot_be_counted_is_refused(door: Door, http: httpx.Client) -> None:
    key = door.make_key(owner="poor")
    found = next(item for item in http.get("/keys").json()["items"] if key.startswith(item["prefix"]))
    assert http.put("/budgets/key", json={"usd": 0.0001, "subject": found["id"]}).status_code == 200
    message = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100000, "messages": HI}
    converse = {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"maxTokens": 100000},
    }
    generate = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    refused = {
        f"/providers/bedrock/model/{CLAUDE}/invoke": (message, "budget_exceeded"),
        f"/providers/bedrock/model/{quote(CLAUDE, safe='')}/invoke-with-response-stream": (message, "budget_exceeded"),
        f"/providers/bedrock/model/{NOVA}/converse": (converse, "budget_exceeded"),
        f"/providers/bedrock/model/{NOVA}/converse-stream": (
            converse | {"guardrailConfig": {"guardrailIdentifier": "g"}}, "unpriced_model"
        ),
        f"/providers/bedrock/model/{NOVA}/invoke": (converse, "unpriced_model"),
        f"/providers/bedrock/model/{NOVA};x/converse": (converse, "unpriced_model"),
        "/providers/bedrock/model/nobody/converse": (converse, "unpriced_model"),
        "/providers/vertex/v1/publishers/google/models/gemini-2.5-pro:generateContent": (generate, "budget_exceeded"),
        "/providers/vertex/v1/publishers/google/models/gemini-2.5-pro:predict": (generate, "unpriced_model"),
    }  # fmt: skip
    with door.client(key) as client:
        for path, (body, code) in refused.items():
            answer = client.post(path, json=body)
            assert answer.json()["codewords"]["code"] == code, (path, answer.text)


def test_googles_client_asks_vertex_by_a_service_accounts_token(
    door: Door, http: httpx.Client, providers: LoopbackProviders
) -> None:
    token = {"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"}
    providers.answer_next(StubReply(body=json.dumps(token).encode()))
    client: Any = closed_after_test(
        sdks.genai.Client(
            vertexai=True, api_key=ADMIN_KEY, http_options={"base_url": f"{door.url}/providers/vertex"}
        )
    )
    made = client.models.generate_content(model="gemini-2.5-flash", contents="hi")
    assert made.text
    asked_token, request = list(providers.requests)[-2:]
    # The secret's own address for tokens is not asked.
    assert asked_token.path == "/token"
    assert parse_qs(asked_token.body.decode())["grant_type"] == [
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    ]
    assert request.path == f"/v1beta1/{PROJECT}/publishers/google/models/gemini-2.5-flash:generateContent"
    assert request.headers["authorization"] == "Bearer ya29.token"
    assert ADMIN_KEY not in str(request.headers)
    pieces = client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi")
    assert "".join(piece.text or "" for piece in pieces) == made.text
    sums = counted(http, "vertex", "gemini-2.5-flash")
    assert (sums["calls"], sums["estimated"], sums["unpriced"]) == (2, 0, 0)

    sdk: Any = sdks.anthropic
    claude: Any = closed_after_test(sdk.AnthropicVertex(
        base_url=f"{door.url}/providers/vertex/v1", project_id="another", region="us-east5", access_token=ADMIN_KEY,
        max_retries=0,
    ))  # fmt: skip
    answer = claude.messages.create(model="claude-sonnet-4-5@20250929", max_tokens=50, messages=HI)
    assert answer.usage.output_tokens == 16
    # The operator's project pays, whatever the caller's client names.
    verb = "publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict"
    assert providers.requests[-1].path == f"/v1/{PROJECT}/{verb}"
    with claude.messages.stream(model="claude-sonnet-4-5@20250929", max_tokens=50, messages=HI) as stream:
        assert text_of(stream.get_final_message()) == text_of(answer)
    assert counted(http, "vertex", "claude-sonnet-4-5@20250929")["calls"] == 2

    by_name = closed_after_test(
        sdks.openai.OpenAI(api_key=ADMIN_KEY, base_url=f"{door.url}/openai", max_retries=0)
    )
    chat = by_name.chat.completions.create(model="vertex/google/gemini-2.5-flash", messages=HI)
    assert chat.choices[0].message.content
    assert providers.requests[-1].path == f"/v1/{PROJECT}/endpoints/openapi/chat/completions"
    assert providers.requests[-1].json["model"] == "google/gemini-2.5-flash"


def test_vertex_takes_an_api_key_without_a_project(door: Door, providers: LoopbackProviders) -> None:
    client: Any = closed_after_test(
        sdks.genai.Client(
            vertexai=True, api_key=ADMIN_KEY, http_options={"base_url": f"{door.url}/providers/express"}
        )
    )
    assert client.models.generate_content(model="gemini-2.5-flash", contents="hi").text
    request = providers.requests[-1]
    assert request.path == "/v1beta1/publishers/google/models/gemini-2.5-flash:generateContent"
    assert request.headers["x-goog-api-key"] == "AQ.express-key"


def test_a_token_that_is_refused_is_told_and_no_call_is_made(
    door: Door, http: httpx.Client, providers: LoopbackProviders
) -> None:
    # Another key is another account, whose token is asked for anew.
    assert http.put("/secrets/VERTEX_API_KEY", json={"value": service_account()}).status_code == 200
    generate = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    path = "/providers/vertex/v1/publishers/google/models/gemini-2.5-flash:generateContent"
    refusals = (
        StubReply(400, json.dumps({"error": "invalid_grant"}).encode()),
        StubReply(body=b"<html>"),
        StubReply(body=b"{}"),
    )
    for refusal in refusals:
        before = len(providers.requests)
        providers.answer_next(refusal)
        answer = http.post(path, json=generate)
        assert answer.status_code == 501, answer.text
        assert answer.json()["codewords"]["code"] == "service_not_available"
        assert len(providers.requests) == before + 1
    assert (
        http.put("/secrets/VERTEX_API_KEY", json={"value": '{"type": "service_account"}'}).status_code == 200
    )
    assert http.post(path, json=generate).status_code == 501
