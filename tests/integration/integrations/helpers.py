"""Helpers that ask a runtime for integrations and read its answers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.mcp_server.limits import DEFAULT_LIMITS, ServerLimits
from codewords_mcp.settings import Settings
from codewords_testing.pipedream import LoopbackConnect

TOKEN = "token-of-the-tests-0123456789"
USER = "codewords-local"


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return answer.json().get("error", answer.json())


def call(http: httpx.Client, app: str, action: str, props: dict[str, Any], **more: Any) -> httpx.Response:
    return http.post(f"/integrations/{app}/call", json={"action": action, "props": props, **more})


def service(http: httpx.Client, **asked: Any) -> httpx.Response:
    return http.post("/run/pipedream/", json=asked)


@contextmanager
def open_door(
    folder: Path, connect: LoopbackConnect, limits: ServerLimits = DEFAULT_LIMITS
) -> Generator[Door]:
    """A runtime whose home has the credentials of the broker."""
    settings = Settings.model_validate(
        {
            "home": make_home(folder / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "pipedream_base_url": connect.url,
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in connect.credentials:
            patch.delenv(name, raising=False)
        with Door(settings, limits) as opened:
            with opened.client() as client:
                for name, value in connect.credentials.items():
                    client.put(f"/secrets/{name}", json={"value": value}).raise_for_status()
            yield opened
