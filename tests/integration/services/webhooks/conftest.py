"""A runtime with a workflow that answers what it was sent, and the secrets of senders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.integration.services.webhooks.helpers import WITNESS
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings
from codewords_testing.services import LoopbackServices, slack, whatsapp

SECRETS = {
    "SLACK_SIGNING_SECRET": slack.SIGNING_SECRET,
    "SLACK_BOT_TOKEN": slack.BOT_TOKEN,
    "WHATSAPP_APP_SECRET": whatsapp.APP_SECRET,
    "WHATSAPP_VERIFY_TOKEN": "a-word-of-ours",
    "WHATSAPP_ACCESS_TOKEN": whatsapp.ACCESS_TOKEN,
    "WHATSAPP_PHONE_NUMBER_ID": whatsapp.PHONE_NUMBER_ID,
    "HOOK_SECRET": "secret-of-a-sender",
}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, upstream: LoopbackServices) -> Iterator[Door]:
    given: dict[str, Any] = {
        "home": make_home(tmp_path_factory.mktemp("hooks") / "home"), "port": 0, "api_key": ADMIN_KEY,
        "max_webhook": 65536,
    }  # fmt: skip
    with Door(Settings.model_validate(given | upstream.settings())) as opened:
        with opened.client() as client:
            for name, value in SECRETS.items():
                client.put(f"/secrets/{name}", json={"value": value}).raise_for_status()
        yield opened


@pytest.fixture(scope="module")
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


@pytest.fixture(scope="module")
def witness(http: httpx.Client) -> str:
    """A workflow that answers what it was sent."""
    made = http.post("/deploy", json={"code": WITNESS, "name": "witness", "allow": True}, timeout=300)
    assert made.status_code == 200, made.text
    return made.json()["service_id"]


@pytest.fixture(scope="module")
def outside(door: Door) -> Iterator[httpx.Client]:
    """A sender: it has no key."""
    with door.client(key=None) as client:
        yield client


@pytest.fixture(autouse=True)
def no_webhooks_are_left(http: httpx.Client) -> Iterator[None]:
    yield
    for hook in http.get("/webhooks").json()["items"]:
        http.delete(f"/webhooks/{hook['id']}").raise_for_status()
