"""One home for these tests, with limits small enough to be reached, and the probe deployed in it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.integration.http.helpers import CONCURRENCY, MAX_BODY, QUEUE
from tests.support.http_runtime import ADMIN_KEY, PROBE, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    # Validated, not constructed: the environment of whoever runs the tests has no say.
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("home")),
            "port": 0,
            "api_key": ADMIN_KEY,
            "max_body": MAX_BODY,
            "max_file": 2 << 20,
            "concurrency": CONCURRENCY,
            "queue_limit": QUEUE,
            "allowed_hosts": ["codewords.example"],
            "public_url": "https://public.example/",
            "allowed_origins": ["https://app.example"],
        }
    )
    with Door(settings) as opened:
        yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


@pytest.fixture(scope="module")
def probe(door: Door) -> str:
    """The service id of the deployed probe."""
    with door.client() as client:
        answer = client.post(
            "/deploy", json={"code": PROBE.read_text(encoding="utf-8"), "name": "Probe", "allow": True}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["service_id"]
