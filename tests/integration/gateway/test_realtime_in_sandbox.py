"""Realtime sessions from inside a workflow's sandbox, by the providers' SDKs as they are, with the run's own key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import ADMIN, deploy, make_home
from tests.support.waiting import until

from codewords_mcp.settings import Settings
from codewords_testing.providers.live import LoopbackLive, loopback_live
from codewords_testing.providers.realtime import LoopbackRealtime, loopback_realtime

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LIVE_KEY, KEY = "AIza-real-live-key", "sk-real-realtime-key"
# The requirements of `recording/sdk_workflow.py`, whose environment is shared with it.
HEADER = """# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "fastapi==0.115.12", "uvicorn[standard]==0.34.2", "openai==3.57.0", "anthropic==2.14.0", "google-genai==3.6.1",
#   "requests", "httpx[http2]", "httpx2", "aiohttp", "urllib3", "botocore", "firecrawl-py==4.55.0", "websockets",
# ]
# [tool.env-checker]
# env_vars = ["PORT=8000", "GEMINI_API_KEY", "OPENAI_API_KEY", "CODEWORDS_RUNTIME_URI", "CODEWORDS_API_KEY"{more}]
# [tool.codewords]
# services = ["azure: models"]
# record = "{record}"
# ///
"""
PROGRAM = """
import os

import openai
import uvicorn
from fastapi import FastAPI
from google import genai

app = FastAPI(title="Voice")


async def live():
    client = genai.Client()
    async with client.aio.live.connect(model="gemini-3.8-live", config={"response_modalities": ["TEXT"]}) as session:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "hi"}]}, turn_complete=True)
        return "".join([message.text or "" async for message in session.receive()])


async def spoken(client):
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.response.create()
        async for event in connection:
            if event.type == "response.done":
                return event.response.status


@app.post("/")
async def talk(given: dict):
    base = os.environ["CODEWORDS_RUNTIME_URI"] + "/providers/azure"
    azure = openai.AsyncAzureOpenAI(
        azure_endpoint=base, api_key=os.environ["CODEWORDS_API_KEY"], api_version="2025-04-01-preview"
    )
    return {
        "live": await live(),
        "openai": await spoken(openai.AsyncOpenAI()),
        "azure": await spoken(azure),
        "keys": [os.environ["GEMINI_API_KEY"], os.environ["OPENAI_API_KEY"]],
    }


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=8000)
"""


@pytest.fixture(scope="module")
def live() -> Iterator[LoopbackLive]:
    with loopback_live(LIVE_KEY) as running:
        yield running


@pytest.fixture(scope="module")
def realtime() -> Iterator[LoopbackRealtime]:
    with loopback_realtime(KEY) as running:
        yield running


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory, live: LoopbackLive, realtime: LoopbackRealtime
) -> Iterator[Door]:
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("home")), "port": 0, "api_key": ADMIN_KEY,
            "gemini_base_url": live.url, "openai_base_url": realtime.url,
            "providers": {"azure": {"base_url": realtime.url}},
        }
    )  # fmt: skip
    with Door(settings) as opened:
        with opened.client() as client:
            for name, value in {"GEMINI": LIVE_KEY, "OPENAI": KEY, "AZURE": KEY}.items():
                assert client.put(f"/secrets/{name}_API_KEY", json={"value": value}).status_code == 200
            rule = {"value": "kept", "hosts": ["api.example.com"]}
            assert client.put("/secrets/RULED", json=rule).status_code == 200
        yield opened


@pytest.mark.requirement("gateway:live", "gateway:named-realtime")
@pytest.mark.parametrize(("record", "more"), [("all", ""), ("off", ', "RULED"')])
def test_the_sdks_talk_with_the_runs_key_and_the_sessions_are_calls_of_the_run(
    door: Door, live: LoopbackLive, record: str, more: str
) -> None:
    code = HEADER.format(record=record, more=more) + PROGRAM
    service = door.ask(lambda runtime: deploy(runtime, code, name=f"Voice {record}"))
    with door.client() as http:
        answer = http.post(f"/run/{service}/", json={})
        assert answer.status_code == 200, answer.text
        run_id = answer.headers["X-Request-Id"]
        found = answer.json()
        keys = found.pop("keys")
        assert found == {"live": "Hello", "openai": "completed", "azure": "completed"}
        assert LIVE_KEY not in keys
        assert KEY not in keys
        assert live.headers[-1]["x-goog-api-key"] == LIVE_KEY

        def models() -> dict[str, Any]:
            record = http.get(f"/request/{run_id}").json()
            return {f"{one['provider']}/{one['model']}": one for one in record["usage"].get("models", [])}

        until(lambda: len(models()) == 3, "the calls of the run")
        counted = models()
    assert {name: one["calls"] for name, one in counted.items()} == {
        "gemini/gemini-3.8-live": 1, "openai/gpt-realtime": 1, "azure/gpt-realtime": 1,
    }  # fmt: skip
    assert all(one["cost"] > 0 for one in counted.values())
    if record == "all":
        exchanges = door.ask(lambda runtime: runtime.recordings.load(ADMIN, run_id)).exchanges
        sessions = [exchange for exchange in exchanges if exchange.status == 101]
        assert len(sessions) == 3
        assert any("BidiGenerateContent" in exchange.request.url for exchange in sessions)
