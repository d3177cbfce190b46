"""Limits of the runtime that these tests share, small enough to be reached."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.support.http_runtime import ADMIN_KEY, PROBE, Door
from tests.support.runtime import make_home

from codewords_mcp.http.middleware.protocol import BoundedProtocol
from codewords_mcp.settings import Settings

CONCURRENCY, QUEUE = 4, 6
MAX_BODY = 3 << 20


@contextmanager
def open_door(folder: Path, protocol: type[BoundedProtocol] = BoundedProtocol) -> Generator[Door]:
    """A runtime with small limits."""
    # Validated, not constructed: the environment of whoever runs the tests has no say.
    settings = Settings.model_validate(
        {
            "home": make_home(folder / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "max_body": MAX_BODY,
            "max_file": 2 << 20,
            "concurrency": CONCURRENCY,
            "queue_limit": QUEUE,
            "allowed_hosts": ["codewords.example"],
            "public_url": "https://public.example/",
            "pages_url": "https://apps.example.com",
            "allowed_origins": ["https://app.example"],
        }
    )
    with Door(settings, protocol=protocol) as opened:
        yield opened


def deploy_probe(door: Door) -> str:
    """Deploy the probe; its service id."""
    with door.client() as client:
        answer = client.post(
            "/deploy", json={"code": PROBE.read_text(encoding="utf-8"), "name": "Probe", "allow": True}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["service_id"]
