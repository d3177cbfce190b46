"""A runtime with a headless browser, a web site that it may reach, and models whose answers are written here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.integration.browser.helpers import Steps
from tests.integration.browser.site import Site, serving
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings
from codewords_testing.providers import LoopbackProviders, loopback_providers
from codewords_testing.providers.scripted import chat_reply


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium there is nothing to test here."""
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]):
            item.add_marker(pytest.mark.needs("chromium"))


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def models() -> Iterator[LoopbackProviders]:
    with loopback_providers() as running:
        yield running


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory, site: Site, models: LoopbackProviders) -> Iterator[Door]:
    """Of private addresses only the site's is allowed."""
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("browser") / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "egress_allow_private": [site.url.removeprefix("http://")],
            "openai_base_url": models.url,
            "agent_model": "openai/gpt-4.1",
            "browsers": 2,
            "browser_wait": 0.5,
            "browser_step_timeout": 15,
            "browser_memory": 1 << 30,
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            patch.delenv(name, raising=False)
        with Door(settings) as opened:
            with opened.client() as http:
                http.put(
                    "/secrets/OPENAI_API_KEY", json={"value": "sk-of-the-tests-000000"}
                ).raise_for_status()
            yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


@pytest.fixture
def steps(http: httpx.Client) -> Steps:
    """Do steps in a browser; the answer."""

    def do(*actions: dict[str, Any]) -> dict[str, Any]:
        answer = http.post("/run/chrome_extension/actions", json={"actions": list(actions)}, timeout=120)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return do


@pytest.fixture
def chooses(models: LoopbackProviders) -> Callable[..., None]:
    """What the model chooses at its next steps."""

    def say(*choices: dict[str, Any]) -> None:
        models.answer_next(*(chat_reply(json.dumps({"why": "as asked"} | one)) for one in choices))

    return say
