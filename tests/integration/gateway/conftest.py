"""A runtime behind a real server, whose providers are the loopback ones with keys that they insist on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from tests.integration.gateway.helpers import BILLING, KEYS, MAX_BODY, STEERED, close_clients
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings
from codewords_testing.providers import LoopbackProviders, loopback_providers


@pytest.fixture(autouse=True)
def closed_clients() -> Iterator[None]:
    """Close the official clients of each test, see `closed_after_test`."""
    yield
    close_clients()


@pytest.fixture(scope="session")
def providers() -> Iterator[LoopbackProviders]:
    with loopback_providers(KEYS) as running:
        yield running


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, providers: LoopbackProviders) -> Iterator[Door]:
    """OpenAI's and Gemini's keys are secrets of the home, Anthropic's is in the runtime's environment."""
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("home")),
            "port": 0,
            "api_key": ADMIN_KEY,
            "max_body": MAX_BODY,
            "openai_base_url": providers.url,
            "anthropic_base_url": providers.url,
            "gemini_base_url": providers.url,
            "integration_base_urls": {"hubspot": "http://127.0.0.1:9"},
            "model_aliases": dict.fromkeys(STEERED, "gpt-4o-mini") | BILLING,
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
            patch.delenv(name, raising=False)
        patch.setenv("ANTHROPIC_API_KEY", KEYS["anthropic"])
        with Door(settings) as opened:
            with opened.client() as client:
                for name in ("openai", "gemini"):
                    answer = client.put(f"/secrets/{name.upper()}_API_KEY", json={"value": KEYS[name]})
                    assert answer.status_code == 200, answer.text
            yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


@pytest.fixture
def limited(door: Door, http: httpx.Client) -> Callable[[str, float], httpx.Client]:
    """A client whose key has a budget of so many USD."""

    def make(owner: str, usd: float) -> httpx.Client:
        key = door.make_key(owner=owner)
        found = next(item for item in http.get("/keys").json()["items"] if key.startswith(item["prefix"]))
        answer = http.put("/budgets/key", json={"usd": usd, "subject": found["id"]})
        assert answer.status_code == 200, answer.text
        return door.client(key=key)

    return make
