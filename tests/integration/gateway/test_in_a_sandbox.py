"""Workflows that call providers with their SDKs, from inside a sandbox: with the run's key, never the provider's."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.compat.registries import PROVIDER_SDKS
from tests.integration.gateway.helpers import KEYS
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import HEADER as USUAL
from tests.support.runtime import MAIN, workflow
from tests.support.waiting import until

from codewords_testing.providers import LoopbackProviders

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.requirement("gateway:sandbox")]

HEADER = f"""# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn[standard]==0.34.2", {", ".join(f'"{one}"' for one in PROVIDER_SDKS["newest"])}]
# [tool.env-checker]
# env_vars = ["PORT=8000", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"]
# ///
"""
BODY = """
import os
import anthropic
import openai
from fastapi import FastAPI
from google import genai

app = FastAPI(title="Three providers")
HI = [{"role": "user", "content": "hi"}]


@app.post("/")
def ask():
    chat = openai.OpenAI().chat.completions.create(model="gpt-4o-mini-c4", messages=HI)
    message = anthropic.Anthropic().messages.create(model="claude-sonnet-4-6-c4", max_tokens=9, messages=HI)
    google = genai.Client()
    made = google.models.generate_content(model="gemini-2.5-flash-c4", contents="hi")
    return [chat.choices[0].message.content, message.content[0].text, made.text]


@app.post("/later")
async def later():
    chat = await openai.AsyncOpenAI().chat.completions.create(model="gpt-4o-mini-c4", messages=HI, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in chat])
    message = await anthropic.AsyncAnthropic().messages.create(model="claude-sonnet-4-6-c4", max_tokens=9, messages=HI)
    google = genai.Client()
    made = await google.aio.models.generate_content(model="gemini-2.5-flash-c4", contents="hi")
    return [text, message.content[0].text, made.text]


@app.post("/environment")
def environment():
    return dict(os.environ)
"""


@pytest.fixture(scope="module")
def service(door: Door) -> str:
    with door.client() as client:
        answer = client.post(
            "/deploy", json={"code": HEADER + BODY + MAIN, "name": "Three", "allow": True}, timeout=500
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["service_id"]


@pytest.mark.parametrize("path", ["", "later"])
def test_every_sdk_with_its_defaults_is_answered_through_the_gateway(
    http: httpx.Client, providers: LoopbackProviders, service: str, path: str
) -> None:
    before = len(providers.requests)
    answer = http.post(f"/run/{service}/{path}", json={})
    assert answer.status_code == 200, http.get(f"/logs/{answer.headers['x-request-id']}").text[-4000:]
    assert answer.json() == ["Hello from the stand"] * 3
    asked = list(providers.requests)[before:]
    assert [request.provider for request in asked] == ["openai", "anthropic", "gemini"]


def test_the_providers_keys_are_not_in_the_sandbox_and_its_own_key_ends_with_the_run(
    door: Door, http: httpx.Client, service: str
) -> None:
    seen: dict[str, Any] = http.post(f"/run/{service}/environment", json={}).json()
    assert not [value for value in seen.values() if value in KEYS.values() or value == ADMIN_KEY]
    assert seen["OPENAI_API_KEY"] == seen["ANTHROPIC_API_KEY"] == seen["CODEWORDS_API_KEY"]
    run = http.get("/runs", params={"limit": 1}).json()["items"][0]["id"]
    http.get(f"/result/{run}?timeout=60")
    with door.client(key=seen["CODEWORDS_API_KEY"]) as late:
        until(
            lambda: late.get("/openai/models").status_code == 401,
            "the key to end with its sandbox, which has its grace after the answer",
        )


def test_a_workflow_with_an_address_of_its_own_gets_its_secret_as_its_host_rule_has_it(
    http: httpx.Client,
) -> None:
    """It means another provider of that interface, and the home's key is for this one's hosts only."""
    body = '@app.post("/")\ndef keys():\n    import os\n    return {n: v for n, v in os.environ.items() if "OPENAI" in n}\n'
    header = USUAL.format(more=', "OPENAI_API_KEY", "OPENAI_BASE_URL=https://other.example/v1"')
    code = workflow(body, title="Elsewhere").replace(USUAL.format(more=""), header)
    made = http.post("/deploy", json={"code": code, "name": "Elsewhere", "allow": True}, timeout=300)
    assert made.status_code == 200, made.text
    seen = http.post(f"/run/{made.json()['service_id']}/", json={}).json()
    assert seen["OPENAI_BASE_URL"] == "https://other.example/v1"
    assert seen["OPENAI_API_KEY"]
    assert seen["OPENAI_API_KEY"] not in KEYS.values()


@pytest.mark.requirement("gateway:account")
def test_a_workflow_uses_the_account_at_a_provider_only_where_that_was_agreed(
    http: httpx.Client, providers: LoopbackProviders
) -> None:
    body = (
        "import os, httpx\n"
        '@app.post("/")\n'
        "async def ask(request: Request):\n"
        "    method, path = await request.json()\n"
        '    address, key = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]\n'
        "    async with httpx.AsyncClient() as client:\n"
        '        answer = await client.request(method, address + path, headers={"authorization": f"Bearer {key}"})\n'
        "        return [answer.status_code, answer.text]\n"
    )
    header = USUAL.format(more=', "OPENAI_API_KEY"')
    first, _, rest = header.rpartition("# ///\n")
    listed = first + '# [tool.codewords]\n# services = ["openai: account"]\n# ///\n' + rest
    services: list[str] = []
    for name, head in (("Plain account", header), ("Listed account", listed)):
        code = workflow(body, title=name).replace(USUAL.format(more=""), head)
        made = http.post("/deploy", json={"code": code, "name": name, "allow": True}, timeout=300)
        assert made.status_code == 200, made.text
        services.append(made.json()["service_id"])
    plain, with_account = services
    before = len(providers.requests)
    for asked in (["GET", "/files"], ["DELETE", "/files/file-1"], ["GET", "/models"], ["GET", "/batches"]):
        status, text = http.post(f"/run/{plain}/", json=asked).json()
        assert (status, len(providers.requests)) == (403, before), text
        assert '"openai: account"' in text.replace('\\"', '"')
    status, _ = http.post(f"/run/{with_account}/", json=["GET", "/models"]).json()
    assert status == 200


@pytest.mark.requirement("forecast:costs")
def test_a_new_schedule_tells_what_its_runs_will_cost(http: httpx.Client, service: str) -> None:
    assert http.post(f"/run/{service}/", timeout=120).status_code == 200
    body = {"service_id": service, "cron": "@daily", "timezone": "UTC"}
    made = http.post("/schedules", json=body).json()
    forecast = made["forecast"]
    assert {one["model"] for one in forecast["models"]} >= {
        "openai/gpt-4o-mini-c4",
        "anthropic/claude-sonnet-4-6-c4",
    }
    assert forecast["cost"]["max"] > 0
    assert forecast["month"]["runs"] == 30
    assert forecast["lines"][-1] == "Ceiling: none is set."
    http.delete(f"/schedules/{made['id']}")


@pytest.mark.requirement("runs:resume")
def test_a_model_call_is_paid_once_by_the_attempts_of_a_resumed_run(
    http: httpx.Client, providers: LoopbackProviders
) -> None:
    body = (
        "import os, httpx\n"
        '@app.post("/")\n'
        "async def ask(request: Request):\n"
        '    address, key = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]\n'
        '    prompt = {"model": "gpt-4o-mini-c4", "messages": [{"role": "user", "content": "once only"}]}\n'
        "    async with httpx.AsyncClient(timeout=60) as client:\n"
        '        auth = {"authorization": f"Bearer {key}"}\n'
        '        answer = await client.post(address + "/chat/completions", json=prompt, headers=auth)\n'
        '    print("answered", answer.status_code, answer.json()["choices"][0]["message"]["content"], flush=True)\n'
        '    raise RuntimeError("after the call")\n'
    )
    first, _, rest = USUAL.format(more=', "OPENAI_API_KEY"').rpartition("# ///\n")
    header = first + "# [tool.codewords]\n# retries = {count = 1, resume = true}\n# ///\n" + rest
    code = workflow(body, title="Paid once").replace(USUAL.format(more=""), header)
    made = http.post("/deploy", json={"code": code, "name": "Paid once", "allow": True}, timeout=300)
    assert made.status_code == 200, made.text
    before = len(providers.requests)
    run = http.post(f"/run_async/{made.json()['service_id']}/", json={}).json()["request_id"]
    record = http.get(f"/result/{run}?timeout=60", timeout=90).json()
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["failed", "failed"]
    assert http.get(f"/logs/{run}").text.count("answered 200 Hello from the stand") == 2
    assert len(providers.requests) == before + 1
